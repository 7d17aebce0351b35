"""Haar wavelets and the blur: exact inverses, sums by hand, gradients of both orders."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from rethink_fr.losses import r1_penalty
from rethink_fr.vqfr.networks.wavelets import blur, haar, halve, inverse_haar

TAPS = np.array([1, 3, 3, 1]) / 8


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
def test_the_inverse_gives_the_image_back_and_nothing_is_lost(batch, rows, columns, channels, seed):
    # Whole numbers: sums of four of them, halved twice, are exact in float32.
    images = np.float32(np.random.default_rng(seed).integers(-127, 128, [batch, 2 * rows, 2 * columns, channels]))
    coefficients = haar(images)
    assert coefficients.shape == [batch, rows, columns, 4 * channels]
    np.testing.assert_array_equal(inverse_haar(coefficients), images)
    np.testing.assert_array_equal(haar(inverse_haar(coefficients)), coefficients)
    np.testing.assert_allclose(tf.reduce_sum(coefficients**2), np.sum(images**2), rtol=1e-6)


def test_coefficients_are_sums_and_differences_in_their_order():
    images = normal(0, 2, 6, 8, 3)
    a, b, c, d = (images[:, row::2, column::2] for row in (0, 1) for column in (0, 1))
    expected = np.concatenate([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d], axis=-1) / 2
    np.testing.assert_allclose(haar(tf.constant(images)), expected, atol=1e-14)


def blurred_by_hand(images: np.ndarray, padding: int) -> np.ndarray:
    padded = np.pad(images, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    rows, columns = padded.shape[1] - 3, padded.shape[2] - 3
    return sum(TAPS[dy] * TAPS[dx] * padded[:, dy : dy + rows, dx : dx + columns] for dy in range(4) for dx in range(4))


@pytest.mark.parametrize("padding", [0, 1, 2, 3])
def test_the_blur_is_its_sum_over_sixteen_pixels(padding):
    images = normal(0, 2, 6, 9, 5)
    np.testing.assert_allclose(blur(tf.constant(images), padding), blurred_by_hand(images, padding), atol=1e-14)


def test_halving_takes_every_second_pixel_of_the_blur():
    images = normal(0, 2, 6, 8, 3)
    np.testing.assert_allclose(halve(tf.constant(images)), blurred_by_hand(images, 1)[:, ::2, ::2], atol=1e-14)


def test_shapes_with_an_unknown_batch_are_known_otherwise():
    traced = tf.function(lambda x: (haar(x), inverse_haar(haar(x)), blur(x, 2), halve(x)))
    outputs = traced.get_concrete_function(tf.TensorSpec([None, 8, 6, 3])).structured_outputs
    assert [output.shape.as_list()[1:] for output in outputs] == [[4, 3, 12], [8, 6, 3], [9, 7, 3], [4, 3, 3]]


@pytest.mark.parametrize("operation", [haar, halve, lambda x: blur(x, 1), lambda x: blur(x, 2), lambda x: blur(x, 3)])
def test_gradients_of_both_orders_equal_finite_differences(operation, assert_gradient):
    images = normal(1, 2, 6, 6, 3)
    assert_gradient(lambda x: operation(x) ** 2, images)
    size = operation(images).shape[1:].num_elements()

    def penalty(weights: tf.Tensor) -> tf.Tensor:
        return r1_penalty(lambda x: tf.tanh(tf.reshape(operation(x), [-1, size]) @ weights), tf.constant(images))

    assert_gradient(penalty, normal(2, size, 3) / size)
