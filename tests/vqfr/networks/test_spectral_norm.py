"""Spectral normalisation: its power iteration by hand, what it converges to, its gradient."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.vqfr.networks.spectral_norm import SpectralConvolution, SpectralDense, set_power_iteration


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def built(layer, *shape: int):
    layer(normal(0, 1, *shape))
    return layer


def matrix_of(layer) -> np.ndarray:
    """W of the definition: a row for each output."""
    return np.reshape(layer.spectral_kernel, [-1, layer.filters]).T


LAYERS = [
    lambda: built(SpectralConvolution(5, 3, padding=1), 6, 6, 4),
    lambda: built(SpectralConvolution(1, 4, strides=2, use_bias=False), 8, 8, 3),
    lambda: built(SpectralDense(6), 9),
    lambda: built(SpectralDense(1), 4),
]


@pytest.mark.parametrize("make", LAYERS)
def test_a_call_takes_one_step_of_the_power_iteration(make):
    layer = make()
    left, matrix = layer.left_vector.numpy(), matrix_of(layer)
    right = matrix.T @ left
    right /= np.linalg.norm(right) + 1e-12
    sigma = np.linalg.norm(matrix @ right)
    kernel = layer.normalized_kernel()
    np.testing.assert_allclose(kernel, layer.spectral_kernel / sigma, rtol=1e-5)
    np.testing.assert_allclose(np.ravel(layer.right_vector), right, atol=1e-6)
    np.testing.assert_allclose(layer.left_vector, matrix @ right / sigma, atol=1e-6)


@pytest.mark.parametrize("make", LAYERS)
def test_after_many_calls_the_largest_singular_value_is_one(make):
    layer = make()
    for _ in range(400):
        kernel = layer.normalized_kernel()
    values = np.linalg.svd(np.reshape(kernel, [-1, layer.filters]), compute_uv=False)
    np.testing.assert_allclose(values[0], 1, atol=1e-5)  # float32
    # From then on, the kernel's size is forgotten.
    layer.spectral_kernel.assign(7 * layer.spectral_kernel)
    np.testing.assert_allclose(layer.normalized_kernel(), kernel, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (lambda: built(SpectralConvolution(256, 3), 4, 4, 32), 288),  # numbers of PyTorch's layers of the same shape
        (lambda: built(SpectralDense(300), 500), 500),
    ],
)
def test_kernel_and_bias_start_as_pytorchs_and_the_vectors_with_length_one(make, inputs):
    layer, limit = make(), inputs**-0.5
    for weights, tolerance in ((layer.spectral_kernel, 0.01), (layer.bias, 0.15)):
        values = np.ravel(weights)
        assert 0.97 * limit < np.abs(values).max() <= limit
        np.testing.assert_allclose(values.std(), limit / np.sqrt(3), rtol=tolerance)
    for vector in (layer.left_vector, layer.right_vector):
        np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)


def test_outputs_are_a_plain_convolution_with_zeros_around_and_the_bias_as_it_is():
    layer, features = built(SpectralConvolution(5, 3, padding=1), 6, 6, 4), normal(1, 2, 6, 6, 4)
    layer.bias.assign(normal(2, 5))
    set_power_iteration_of(layer, False)
    expected = tf.nn.conv2d(features, layer.normalized_kernel(), 1, "SAME") + layer.bias
    np.testing.assert_allclose(layer(features), expected, atol=1e-6)


@pytest.mark.parametrize(("side", "kernel_size", "strides", "padding", "expected"), [(9, 3, 2, 0, 4), (8, 4, 2, 1, 4)])
def test_sides_are_those_of_explicit_padding(side, kernel_size, strides, padding, expected):
    layer = SpectralConvolution(5, kernel_size, strides, padding)
    assert layer(normal(1, 2, side, side, 4)).shape == [2, expected, expected, 5]
    assert SpectralConvolution(5, 4, 1, 1)(normal(1, 2, side, side, 4)).shape == [2, side - 1, side - 1, 5]


def set_power_iteration_of(layer, enabled: bool) -> None:
    network = tf.keras.Sequential([layer])
    set_power_iteration(network, enabled)


def test_without_iteration_calls_change_nothing():
    layer, features = LAYERS[0](), normal(1, 2, 6, 6, 4)
    set_power_iteration_of(layer, False)
    before = [weight.numpy() for weight in layer.weights]
    first = layer(features)
    np.testing.assert_array_equal(layer(features), first)
    for weight, value in zip(layer.weights, before):
        np.testing.assert_array_equal(weight, value)
    set_power_iteration_of(layer, True)
    assert np.any(layer(features) != first)


def test_a_graph_moves_the_vectors_as_eager_execution_does():
    eager, traced = LAYERS[0](), LAYERS[0]()
    traced.set_weights(eager.get_weights())
    run = tf.function(traced)
    for seed in range(3):
        features = normal(seed, 2, 6, 6, 4)
        np.testing.assert_allclose(run(features), eager(features), atol=1e-6)
    for one, other in zip(traced.weights, eager.weights):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_gradient_passes_through_sigma_with_the_vectors_constant(float64, assert_gradient):
    layer = built(SpectralConvolution(4, 3), 5, 5, 2)
    for _ in range(5):
        layer.normalized_kernel()
    set_power_iteration_of(layer, False)
    kernel = layer.spectral_kernel.numpy()

    def normalized(value: tf.Tensor) -> tf.Tensor:
        layer.spectral_kernel = value
        return layer.normalized_kernel()

    assert_gradient(normalized, kernel, rtol=1e-6)
    # The part along the kernel itself is gone: scaling it changes nothing.
    with tf.GradientTape() as tape:
        value = tf.constant(kernel)
        tape.watch(value)
        loss = tf.reduce_sum(normalized(value) * normal(3, *kernel.shape))
    slope = float(tf.reduce_sum(tape.gradient(loss, value) * kernel))
    np.testing.assert_allclose(slope, 0, atol=1e-12)


def test_with_iteration_the_gradient_is_the_same_for_the_vectors_it_ends_with(float64):
    layer = built(SpectralDense(4), 6)
    with tf.GradientTape() as tape:
        moving = tf.reduce_sum(layer.normalized_kernel() ** 3)
    at_moving = tape.gradient(moving, layer.spectral_kernel)
    set_power_iteration_of(layer, False)
    with tf.GradientTape() as tape:
        still = tf.reduce_sum(layer.normalized_kernel() ** 3)
    np.testing.assert_allclose(at_moving, tape.gradient(still, layer.spectral_kernel), rtol=1e-10)


def test_only_kernel_and_bias_are_trained():
    layer = LAYERS[0]()
    assert {id(weight) for weight in layer.trainable_weights} == {id(layer.spectral_kernel), id(layer.bias)}
