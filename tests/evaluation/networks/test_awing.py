"""AWing against PyTorch's layers; heat maps decoded by hand."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.evaluation.networks import awing
from rethink_fr.evaluation.networks.awing import AWing, decode, with_coordinates
from rethink_fr.weights.published_network import expected_shapes, load_network
from tests.weights.filled import filled, pictures


@pytest.fixture(scope="module")
def state() -> dict:
    return filled(expected_shapes(awing.forward, [256, 256, 3]))


def test_it_has_the_weights_of_the_published_file(state):
    assert len(state) == 953
    assert state["conv1.conv.weight"].shape == (64, 3 + 3, 7, 7)
    assert state["m0.coordconv.conv.weight"].shape == (256, 256 + 3, 1, 1)  # no boundaries yet
    assert state["m3.coordconv.conv.weight"].shape == (256, 256 + 5, 1, 1)
    assert state["l3.weight"].shape == (99, 256, 1, 1) and "bl3.weight" not in state
    assert state["m2.b2_plus_1.conv3.weight"].shape == (64, 64, 3, 3)


def test_it_computes_what_torch_computes():
    pytest.importorskip("torch", reason="PyTorch, the extra 'convert', is not installed")
    from tests.features import torch_twins

    twin = torch_twins.AWing()
    state = torch_twins.fill(twin)
    images = np.random.default_rng(0).uniform(0, 1, (2, 64, 128, 3)).astype(np.float32)
    expected = torch_twins.run(twin, images)
    ours = load_network(awing.forward, (64, 128, 3), state)(images)
    assert len(ours) == len(expected) == 4
    for one, other in zip(ours, expected):
        # Measured 1e-5 of the deviation in the last one: values grow about fifty times in each hourglass.
        np.testing.assert_allclose(one, other, atol=1e-4 * other.std())


def test_coordinates_by_hand():
    features = with_coordinates(tf.zeros([1, 3, 5, 1])).numpy()[0]
    np.testing.assert_allclose(features[:, 2, 1], [-1, 0, 1])  # the first counts rows
    np.testing.assert_allclose(features[1, :, 2], [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_allclose(features[0, 0, 3], 1.0)
    np.testing.assert_allclose(features[1, 2, 3], 0.0)
    heat_maps = np.zeros((1, 3, 5, 2), np.float32)
    heat_maps[0, 0, 4] = (1.0, 0.06)  # only the last map counts, above 0.05
    heat_maps[0, 2, 4] = (1.0, 0.05)
    features = with_coordinates(tf.zeros([1, 3, 5, 1]), tf.constant(heat_maps)).numpy()[0]
    np.testing.assert_allclose(features[0, 4, 4:], [-1, 1])
    np.testing.assert_allclose(features[2, 4, 4:], [0, 0])


def test_points_are_decoded_by_hand():
    heat_maps = np.zeros((1, 8, 8, 4), np.float32)
    heat_maps[0, 3, 5, 0] = 1.0  # alone: the centre of its pixel
    heat_maps[0, 3, 5, 1], heat_maps[0, 3, 6, 1], heat_maps[0, 2, 5, 1] = 1.0, 0.5, 0.5  # right and up
    heat_maps[0, 3, 5, 2], heat_maps[0, 3, 4, 2], heat_maps[0, 4, 5, 2] = 1.0, 0.5, 0.5  # left and down
    heat_maps[0, 0, 5, 3], heat_maps[0, 0, 6, 3] = 1.0, 0.5  # on the border: not moved
    np.testing.assert_array_equal(decode(heat_maps)[0], [[5.5, 3.5], [5.75, 3.25], [5.25, 3.75], [5.5, 0.5]])


class Beside:
    """Stands for the network: one heat map value at a known place."""

    def __call__(self, images):
        heat_maps = np.zeros((len(images), 64, 64, 99), np.float32)
        heat_maps[:, 16, 48] = 1.0
        return [tf.zeros([1]), tf.constant(heat_maps)]


def test_points_are_in_pixels_of_the_pictures(state, monkeypatch):
    network = AWing(state, "00ff")
    found = network(pictures(1, 96, 80))
    assert found.shape == (1, 98, 2) and found.dtype == np.float32
    assert found.min() >= 0 and found[..., 0].max() <= 80 and found[..., 1].max() <= 96
    monkeypatch.setattr(network, "_network", Beside())
    # VQFR: (index + 0.5) times the size over 64.
    np.testing.assert_allclose(network(pictures(2, 512, 512))[1, 7], [48.5 * 8, 16.5 * 8])
    np.testing.assert_allclose(network(pictures(1, 64, 128))[0, 0], [97.0, 16.5])
    monkeypatch.setattr(network, "crop", (0.25, 0.5, 0.75, 1.0))
    np.testing.assert_allclose(network(pictures(1, 512, 512))[0, 0], [128 + 48.5 * 4, 256 + 16.5 * 4])
