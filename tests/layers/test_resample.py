"""Resampling by two."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers.resample import downsample_2x, upsample_2x


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def upsample_by_filter(features: np.ndarray) -> np.ndarray:
    """Zeros between the samples, then the filter [1, 3, 3, 1] / 4 along each axis; edges repeated."""
    for axis in (1, 2):
        features = np.moveaxis(features, axis, 0)
        size = len(features)
        padded = np.concatenate([features[:1], features, features[-1:]])
        sparse = np.zeros([2 * (size + 2) + 2, *features.shape[1:]])
        sparse[0 : 2 * (size + 2) : 2] = padded
        filtered = sum(tap / 4 * sparse[shift:][: 2 * size] for shift, tap in zip(range(4), (1, 3, 3, 1)))
        features = np.moveaxis(filtered, 0, axis)
    return features


@pytest.mark.parametrize("shape", [(2, 4, 4, 3), (1, 3, 5, 2), (1, 1, 1, 1)])
def test_upsampling_is_the_1_3_3_1_filter(shape):
    features = normal(*shape)
    np.testing.assert_allclose(upsample_2x(features), upsample_by_filter(features), atol=1e-6)  # float32, 4 products


def test_upsampling_weighs_neighbours_three_to_one():
    features = np.zeros([1, 4, 4, 1], np.float32)
    features[0, 1, 1, 0] = 16
    expected = np.outer([0, 1, 3, 3, 1, 0, 0, 0], [0, 1, 3, 3, 1, 0, 0, 0])
    np.testing.assert_array_equal(upsample_2x(features)[0, :, :, 0], expected)


def test_upsampling_keeps_what_is_known_of_the_shape():
    @tf.function(input_signature=[tf.TensorSpec([None, 4, None, 3])])
    def upsample(features):
        outputs = upsample_2x(features)
        assert outputs.shape.as_list() == [None, 8, None, 3]
        return outputs

    assert upsample(normal(2, 4, 5, 3)).shape == [2, 8, 10, 3]


def test_downsampling_is_the_mean_of_two_by_two_blocks():
    features = normal(2, 6, 4, 3)
    expected = features.reshape(2, 3, 2, 2, 2, 3).mean((2, 4))
    np.testing.assert_allclose(downsample_2x(features), expected, atol=3e-7)  # float32, 4 summands


def test_downsampling_undoes_upsampling_of_a_constant():
    features = np.full([1, 4, 4, 2], 3.0, np.float32)
    np.testing.assert_array_equal(downsample_2x(upsample_2x(features)), features)
