"""Sample sheets and figures of a network of any kind, through its `Inference`."""

from __future__ import annotations

from typing import Optional

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.images import to_model
from rethink_fr.system import Inference
from rethink_fr.training import observation
from rethink_fr.training.observation import Observer

SIDE = 16
GREY = 64  # levels by which a degraded face is darker than the clean one


def faces(count: int) -> dict[str, np.ndarray]:
    clean = np.random.default_rng(0).integers(100, 200, [count, SIDE, SIDE, 3]).astype(np.uint8)
    return {"degraded": clean - GREY, "clean": clean}


def brighter(images: tf.Tensor) -> dict[str, tf.Tensor]:
    """What a perfect restorer would do here."""
    return {"restored": images + GREY / 127.5}


@pytest.fixture()
def titles(monkeypatch) -> list[str]:
    """Filled with the titles of the sheets that are drawn."""
    seen: list[str] = []
    original = observation.contact_sheet
    monkeypatch.setattr(
        observation, "contact_sheet", lambda columns, names: (seen.extend(names), original(columns, names))[1]
    )
    return seen


def test_a_restorer_is_compared_with_the_degraded_faces(titles):
    observer = Observer(Inference(None, brighter, SIDE, None, None), faces(2), faces(5), batch=2)
    figures = observer.validate()
    assert set(figures) == {"psnr", "ssim", "degraded_psnr", "degraded_ssim"}
    assert figures["degraded_psnr"] == pytest.approx(20 * np.log10(255 / GREY), abs=1e-4)
    assert figures["psnr"] > 60 > figures["degraded_psnr"]
    assert observer.sheet().dtype == np.uint8
    assert titles == ["degraded", "restored", "clean"]


def test_what_reconstructs_is_fed_the_clean_faces_and_has_nothing_to_be_compared_with(titles):
    given = []

    def identity(images: tf.Tensor) -> dict[str, tf.Tensor]:
        given.append(images)
        return {"restored": images}

    observer = Observer(Inference(None, identity, SIDE, None, None), faces(2), faces(5), reconstructs=True)
    figures = observer.validate()
    assert set(figures) == {"psnr", "ssim"}
    assert figures["ssim"] == pytest.approx(1.0)
    observer.sheet()
    assert titles == ["reconstructed", "clean"]


@pytest.mark.parametrize("stochastic", [True, False])
def test_noise_is_nought_in_figures_and_drawn_in_sheets_where_it_matters(titles, stochastic):
    seen = []

    def noisy(images: tf.Tensor, noise: Optional[tf.Tensor] = None) -> dict[str, tf.Tensor]:
        assert noise is not None and noise.shape[1:] == [2, 3]
        tf.py_function(lambda value: seen.append(value.numpy()), [noise], [])
        return {"restored": images + tf.reduce_mean(noise, [1, 2])[:, None, None, None]}

    inference = Inference(None, noisy, SIDE, None, "noise", (None, 2, 3), stochastic=stochastic)
    observer = Observer(inference, faces(3), faces(5), batch=2)
    observer.validate()
    assert [len(noise) for noise in seen] == [2, 2, 1] and not any(noise.any() for noise in seen)
    observer.sheet()
    assert titles == ["degraded", "restored", *(["noise 1", "noise 2", "noise 3"] if stochastic else []), "clean"]
    if stochastic:
        drawn = np.concatenate(seen[5:])  # after three batches of figures and two without noise
        expected = tf.random.stateless_normal([3, 3, 2, 3], [0, 0]).numpy().reshape(drawn.shape)
        np.testing.assert_array_equal(drawn, expected)


def test_a_texture_image_stands_beside_the_restored_one_and_fidelity_is_full(titles):
    def vqfr_like(images: tf.Tensor, fidelity: Optional[tf.Tensor] = None) -> dict[str, tf.Tensor]:
        assert fidelity is not None and fidelity.shape == []
        return {"restored": images * fidelity, "texture": -images}

    inference = Inference(None, vqfr_like, SIDE, None, "fidelity", (), has_texture=True)
    observer = Observer(inference, faces(1), faces(2))
    assert observer.validate()["psnr"] == pytest.approx(observer.validate()["degraded_psnr"])
    observer.sheet()
    assert titles == ["degraded", "restored", "texture", "clean"]
    made = observer._restored(observer.samples, None)
    np.testing.assert_allclose(made["texture"].astype(int), 255 - made["restored"], atol=1)
    np.testing.assert_array_equal(to_model(made["restored"]), to_model(observer.samples["degraded"]))
