"""FaceNet against PyTorch's layers."""

import numpy as np
import pytest

from rethink_fr.evaluation.networks import facenet
from rethink_fr.evaluation.networks.crops import WHOLE, resample_area, round_levels
from rethink_fr.evaluation.networks.facenet import FACE_BOX, FaceNet
from rethink_fr.weights.published_network import expected_shapes, load_network
from tests.weights.filled import filled, pictures


@pytest.fixture(scope="module")
def state() -> dict:
    return filled(expected_shapes(facenet.forward, [160, 160, 3]))


def test_it_has_the_weights_of_the_published_file(state):
    assert len(state) == 602
    assert state["repeat_2.9.branch1.2.conv.weight"].shape == (128, 128, 7, 1)
    assert state["block8.conv2d.bias"].shape == (1792,)
    assert state["last_linear.weight"].shape == (512, 1792) and "last_linear.bias" not in state


def test_it_computes_what_torch_computes():
    pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")
    from tests.features import torch_twins

    twin = torch_twins.FaceNet()
    state = torch_twins.fill(twin)  # with `logits`
    images = np.random.default_rng(0).uniform(-1, 1, (2, 83, 91, 3)).astype(np.float32)
    (expected,) = torch_twins.run(twin, images)
    ours = load_network(facenet.forward, (83, 91, 3), state, ("logits.",))(images).numpy()
    assert np.abs(expected[0] - expected[1]).max() > 0.01
    np.testing.assert_allclose(ours, expected, atol=2e-6)  # measured 2e-7 of values around 0.04


@pytest.fixture(scope="module")
def network(state) -> FaceNet:
    return FaceNet(state, "00ff")


def test_embeddings_of_pictures(network, monkeypatch):
    monkeypatch.setattr(network, "crop", WHOLE)
    images = pictures(2, 200, 240)
    embeddings = network(images)
    assert embeddings.shape == (2, 512) and embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-6)
    assert network.name == "FaceNet (vggface2)" and network.sha256 == "00ff"
    standard = (round_levels(resample_area(images, WHOLE, 160, 160)) - 127.5) / 128.0
    np.testing.assert_allclose(embeddings, network._network(standard.astype(np.float32)), atol=1e-6)


def test_the_crop_decides_what_is_seen(network, state, monkeypatch):
    left, top, right, bottom = FACE_BOX
    images = pictures(1, 128, 128)
    outside = images.copy()
    outside[:, : int(top * 128) - 1] = 0
    outside[:, :, int(right * 128) + 2 :] = 0
    np.testing.assert_array_equal(network(outside), network(images))
    monkeypatch.setattr(network, "crop", WHOLE)
    assert np.abs(network(outside) - network(images)).max() > 1e-4
    with pytest.raises(ValueError, match="crop"):
        FaceNet(state, "", (0.5, 0.0, 0.4, 1.0))
