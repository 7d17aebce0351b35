"""ArcFace against PyTorch's layers."""

import numpy as np
import pytest

from rethink_fr.evaluation.networks import arcface
from rethink_fr.evaluation.networks.arcface import ArcFace
from rethink_fr.weights.published_network import expected_shapes, load_network
from rethink_fr.weights.state_dicts import TorchStateError
from tests.weights.filled import filled, pictures


@pytest.fixture(scope="module")
def state() -> dict:
    return filled(expected_shapes(arcface.forward, [128, 128, 1]))


def test_it_has_the_weights_of_the_published_network(state):
    assert len(state) == 151
    assert state["fc5.weight"].shape == (512, 512 * 8 * 8)
    assert state["layer1.0.prelu.weight"].shape == (1,)
    assert "layer1.0.downsample.0.weight" not in state
    assert state["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)


@pytest.mark.parametrize("side", [32, 128])
def test_it_computes_what_torch_computes(side):
    pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")
    from tests.features import torch_twins

    twin = torch_twins.ArcFace(side)
    state = torch_twins.fill(twin)
    images = np.random.default_rng(0).uniform(-1, 1, (2, side, side, 1)).astype(np.float32)
    (expected,) = torch_twins.run(twin, images)
    ours = load_network(arcface.forward, (side, side, 1), state)(images).numpy()
    # Measured 6e-5 of values around 10: sums of up to 4608 and 32768 products in float32.
    np.testing.assert_allclose(ours, expected, atol=5e-5 * expected.std())


def test_embeddings_of_pictures(state):
    network = ArcFace(state, "00ff")
    images = pictures(3, 256, 256)
    embeddings = network(images)
    assert embeddings.shape == (3, 512) and embeddings.dtype == np.float32
    # Twice the size: the mean of four grey pixels, rounded half up.
    grey = np.round(images @ np.array([0.299, 0.587, 0.114]))
    means = np.floor(grey.reshape(3, 128, 2, 128, 2).mean(axis=(2, 4)) + 0.5)
    direct = network._network(((means - 127.5) / 127.5).astype(np.float32)[..., None]).numpy()
    # Not exact: the luma's weights have 14 bits here, so that a pixel in some thousands rounds to the next level.
    cosine = np.sum(embeddings * direct, axis=1) / np.linalg.norm(embeddings, axis=1) / np.linalg.norm(direct, axis=1)
    np.testing.assert_allclose(cosine, 1.0, atol=1e-4)


def test_squeeze_and_excitation_is_another_network(state):
    more = {**state, "layer1.0.se.fc.0.weight": np.zeros((4, 64), np.float32)}
    with pytest.raises(TorchStateError, match=r"unexpected, the first is layer1\.0\.se\.fc\.0\.weight"):
        ArcFace(more, "")
