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


def test_with_an_identity_network_each_face_has_to_stay_near_itself():
    """The network here tells a face by the mean of each channel; another face is never as near as its own."""
    shown = faces(12)

    def embed(pictures: np.ndarray) -> np.ndarray:
        return pictures.mean(axis=(1, 2)).astype(np.float32)

    perfect = Observer(Inference(None, brighter, SIDE, None, None), shown, shown, embed=embed).validate()
    assert (perfect["iprecision"], perfect["irecall"]) == (1.0, 1.0)
    nobody = Observer(
        Inference(None, lambda images: {"restored": 0 * images}, SIDE, None, None), shown, shown, embed=embed
    ).validate()
    assert (nobody["iprecision"], nobody["irecall"]) == (0.0, 0.0)


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
    observer = Observer(inference, faces(3), faces(5), batch=4)
    observer.validate()
    assert [len(noise) for noise in seen[:2]] == [4, 1] and not any(noise.any() for noise in seen[:2])
    of_figures = seen[2:]
    assert sum(map(len, of_figures)) == (5 * 8 if stochastic else 0)
    seen.clear()
    observer.sheet()
    drawn = ["noise 1", "noise 2", "noise 3", "doubt"] if stochastic else []
    assert titles == ["degraded", "restored", *drawn, "clean"]
    if stochastic:
        expected = [tf.random.stateless_normal([8, 2, 3], [1, face]).numpy() for face in range(5)]
        np.testing.assert_array_equal(np.concatenate(of_figures), np.concatenate(expected))
        np.testing.assert_array_equal(np.concatenate(seen[1:]), np.concatenate(expected[:3]))


def blurred(spread: float):
    """A network whose draws and truth come from one distribution with a `spread` of 1, except for their place."""

    def restore(images: tf.Tensor, noise: Optional[tf.Tensor] = None) -> dict[str, tf.Tensor]:
        return {"restored": images + spread * 20 / 127.5 * noise}

    return Inference(None, restore, SIDE, None, "noise", (None, SIDE, SIDE, 3), stochastic=True)


def uncertain_faces(count: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    known = np.broadcast_to(np.linspace(90, 160, SIDE)[:, None, None], [count, SIDE, SIDE, 3])
    truth = np.clip(known + generator.normal(0, 20, known.shape), 0, 255)
    return {"degraded": known.astype(np.uint8), "clean": truth.astype(np.uint8)}


def test_samples_of_the_validation_faces_are_measured():
    faces = uncertain_faces(20)
    figures = Observer(blurred(1.0), faces, faces).validate()
    for name in ("ratio", "ratio_fine", "ratio_middle", "ratio_coarse"):
        assert figures[name] == pytest.approx(16 / 9, rel=0.15), name
    assert figures["coverage_80"] == pytest.approx(0.8, abs=0.02)
    assert abs(figures["spread_error_correlation"]) < 0.1  # the deviation is the same everywhere
    gain = figures["mean_of_8_psnr"] - figures["one_sample_psnr"]
    assert gain == pytest.approx(10 * np.log10(16 / 9), abs=0.3)
    assert figures == Observer(blurred(1.0), faces, faces).validate()
    silent = Observer(blurred(0.0), faces, faces).validate()
    assert silent["ratio"] == 1.0 and silent["coverage_80"] < 0.1
    assert silent["one_sample_psnr"] == pytest.approx(silent["psnr"]) and silent["psnr"] == figures["psnr"]


def test_of_many_validation_faces_samples_of_the_first_64_are_drawn():
    faces, seen = uncertain_faces(70), []
    inference = blurred(1.0)

    def counting(images, noise=None):
        tf.py_function(lambda value: seen.append(len(value)), [noise], [])
        return inference.function(images, noise)

    Observer(inference._replace(function=counting), faces, faces).validate()
    assert sum(seen) == 70 + 64 * 8


def test_the_map_of_doubt_is_black_where_all_samples_agree_and_bright_where_they_do_not():
    samples = np.full([8, 4, 4, 3], 100, np.uint8)
    samples[::2, 0] += 10
    samples[::2, 1] += 200 - 100
    doubt = observation.doubt_map(samples)
    assert doubt.shape == (4, 4, 3) and not doubt[2:].any() and (doubt[1] == 255).all()
    deviation = 10 * np.sqrt(16 / 7 / 8)  # of eight values, half of them 10 above the others
    np.testing.assert_allclose(doubt[0].astype(float).sum(-1), 3 * 255 * deviation / 25.5, atol=1.5)


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
