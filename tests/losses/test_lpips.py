"""LPIPS and its style loss: properties, gradients, and what arrays are refused. Reference values: tests/vqfr."""

from typing import Dict

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.losses.lpips import PerceptualDistance
from tests.vgg16_weights import vgg16_arrays


@pytest.fixture(scope="module")
def arrays() -> Dict[str, np.ndarray]:
    return vgg16_arrays()


@pytest.fixture(scope="module")
def network(arrays) -> PerceptualDistance:
    return PerceptualDistance(arrays)


def pictures(seed: int, batch: int = 2, side: int = 32) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, [batch, side, side, 3]), tf.float32)


def both_distances(network: PerceptualDistance, clean: tf.Tensor, restored: tf.Tensor) -> tuple:
    one, other = network.features(clean), network.features(restored)
    return network.distance(one, other), network.style_distance(one, other)


def test_taps_are_five_rectified_maps(network):
    taps = network.backbone(pictures(0, side=36))
    assert [tuple(tap.shape[1:]) for tap in taps] == [
        (36, 36, 64),
        (18, 18, 128),
        (9, 9, 256),
        (4, 4, 512),
        (2, 2, 512),
    ]
    for tap in taps:
        assert np.min(tap) == 0 and 0.2 < np.mean(tap > 0) < 0.8


def test_features_have_length_one_along_channels(network):
    for tap in network.features(pictures(0)):
        lengths = np.linalg.norm(tap, axis=-1)
        np.testing.assert_allclose(lengths, 1, atol=1e-5)  # float32


def test_equal_pictures_cost_nothing_and_swapping_changes_nothing(network):
    one, other = pictures(0), pictures(1)
    np.testing.assert_array_equal(both_distances(network, one, one), 0)
    forth, back = both_distances(network, one, other), both_distances(network, other, one)
    np.testing.assert_allclose(forth, back, rtol=1e-6)  # order of float32 sums
    assert forth[0] > 0.001 and forth[1] > 0


def test_distances_are_means_over_the_batch(network):
    one, other = pictures(0), pictures(1)
    singles = [both_distances(network, one[b : b + 1], other[b : b + 1]) for b in range(2)]
    np.testing.assert_allclose(both_distances(network, one, other), np.mean(singles, axis=0), rtol=1e-5)  # float32


def test_gradients_equal_finite_differences(network, assert_gradient):
    def distances(restored: tf.Tensor) -> tf.Tensor:
        return tf.stack(both_distances(network, tf.cast(pictures(0, 1, 16), tf.float64), restored))

    # 1e-4: at a step of 1e-7 a difference keeps nine digits of sixteen; larger steps carry units over their kink.
    assert_gradient(distances, np.asarray(pictures(1, 1, 16), np.float64), step=1e-7, rtol=1e-4)


def test_the_gradient_is_finite_where_no_channel_responds(arrays):
    silent = dict(arrays)
    silent["features.28.bias"] = np.full([512], -1e6, np.float32)
    network, restored = PerceptualDistance(silent), pictures(1)
    with tf.GradientTape() as tape:
        tape.watch(restored)
        loss = tf.add_n(both_distances(network, pictures(0), restored))
    gradient = tape.gradient(loss, restored)
    assert np.all(np.isfinite(gradient)) and np.any(gradient != 0)


def test_a_graph_computes_what_eager_execution_does(network):
    one, other = pictures(0), pictures(1)
    traced = tf.function(lambda clean, restored: both_distances(network, clean, restored))(one, other)
    np.testing.assert_allclose(traced, both_distances(network, one, other), rtol=1e-5)  # fused float32 arithmetic
    assert not network.trainable_variables


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("features.5.bias", None, "1 missing, the first is features.5.bias"),
        (
            "features.10.weight",
            np.zeros([256, 128, 1, 1]),
            r"features.10.weight \[256, 128, 1, 1\] instead of \[256, 12",
        ),
        ("lin2.model.1.weight", None, "heads of LPIPS 0.1 .* 1 missing, the first is lin2.model.1.weight"),
        ("lin0.model.1.weight", np.zeros([1, 63, 1, 1]), r"lin0.model.1.weight \[63\] instead of \[64\]"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arrays, name, value, message):
    changed = {key: array for key, array in arrays.items() if key != name}
    if value is not None:
        changed[name] = value
    with pytest.raises(ValueError, match=message) as error:
        PerceptualDistance(changed)
    assert len(str(error.value).splitlines()) == 1


def test_other_entries_of_a_classifiers_file_are_ignored(arrays):
    PerceptualDistance({**arrays, "classifier.0.weight": np.zeros([4096, 25088], np.float16)})
