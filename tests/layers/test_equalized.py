"""Equalized learning rate: N(0, 1) in memory, unit variance out."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers import EqualizedConv2D, EqualizedDense
from rethink_fr.layers.equalized import ACTIVATION_GAIN, leaky_relu


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def convolve(features: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """A loop over output pixels, TensorFlow's "SAME" padding."""
    batch, height, width, _ = features.shape
    side = kernel.shape[0]
    rows, columns = math.ceil(height / stride), math.ceil(width / stride)
    before = [max((count - 1) * stride + side - size, 0) // 2 for count, size in ((rows, height), (columns, width))]
    padded = np.pad(features, [(0, 0), (before[0], side), (before[1], side), (0, 0)])
    outputs = np.zeros([batch, rows, columns, kernel.shape[-1]])
    for row in range(rows):
        for column in range(columns):
            patch = padded[:, row * stride : row * stride + side, column * stride : column * stride + side]
            outputs[:, row, column] = np.einsum("bijc,ijcf->bf", patch, kernel)
    return outputs


@pytest.mark.parametrize("layer", [EqualizedConv2D(64, 3, gain=3.0), EqualizedDense(600, gain=3.0)])
def test_stored_weights_are_standard_normal_whatever_the_fan_in_and_gain(layer):
    layer.build([None, 8, 8, 64] if isinstance(layer, EqualizedConv2D) else [None, 64])
    # 4 standard errors of 36864 samples: 4 / sqrt(2 N) for the deviation, 4 / sqrt(N) for the mean.
    assert abs(np.std(layer.kernel) - 1) < 0.015
    assert abs(np.mean(layer.kernel)) < 0.021
    np.testing.assert_array_equal(layer.bias, 0)


@pytest.mark.parametrize("channels", [4, 64])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_convolution_keeps_unit_variance(channels, kernel_size):
    outputs = EqualizedConv2D(256, kernel_size)(normal(2, 24, 24, channels))[:, 1:-1, 1:-1]
    # 0.15: a kernel's own energy varies by 1 / sqrt(fan_in * 128); 3x the worst seen.
    assert abs(np.var(outputs) - 1) < 0.15


def test_dense_keeps_unit_variance():
    assert abs(np.var(EqualizedDense(512)(normal(64, 128))) - 1) < 0.1  # 3x the worst of 10 seeds


@pytest.mark.parametrize(("kernel_size", "strides"), [(1, 1), (3, 1), (3, 2)])
def test_convolution_equals_a_loop_with_the_kernel_scaled_at_run_time(kernel_size, strides):
    layer = EqualizedConv2D(5, kernel_size, strides, gain=1.7)
    features = normal(2, 6, 8, 3)
    layer(features)
    layer.bias.assign(normal(5))
    kernel = layer.kernel.numpy() / math.sqrt(kernel_size**2 * 3)
    expected = 1.7 * (convolve(features, kernel, strides) + layer.bias.numpy())
    np.testing.assert_allclose(layer(features), expected, atol=2e-6)  # float32 sum of 27 products


def test_dense_equals_a_scaled_product_with_the_bias_under_the_gain():
    layer = EqualizedDense(5, gain=1.7, bias_initializer=1.0)
    inputs = normal(2, 12)
    layer(inputs)
    np.testing.assert_array_equal(layer.bias, 1)
    expected = 1.7 * (inputs @ layer.kernel.numpy() / math.sqrt(12) + 1)
    np.testing.assert_allclose(layer(inputs), expected, atol=2e-6)  # float32 sum of 12 products


def test_the_gradient_of_the_stored_kernel_carries_the_run_time_scale():
    layer, inputs = EqualizedDense(3, gain=2.0), normal(1, 16)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs))
    expected = np.tile(inputs.T, [1, 3]) * 2 / math.sqrt(16)
    np.testing.assert_allclose(tape.gradient(loss, layer.kernel), expected, rtol=1e-6)  # one rounding each


def test_bias_can_be_left_out():
    layer = EqualizedConv2D(5, 3, use_bias=False)
    layer(normal(1, 4, 4, 3))
    assert [tuple(weight.shape) for weight in layer.weights] == [(3, 3, 3, 5)]


def test_leaky_relu_has_slope_one_fifth_and_the_gain_of_sqrt_two_commutes_with_it():
    np.testing.assert_allclose(leaky_relu(tf.constant([-10.0, 0.0, 10.0])), [-2, 0, 10])
    assert math.sqrt(2) == ACTIVATION_GAIN
    features = normal(100)
    # Two roundings in another order.
    np.testing.assert_allclose(
        leaky_relu(ACTIVATION_GAIN * features), ACTIVATION_GAIN * leaky_relu(features), rtol=3e-7
    )


@pytest.mark.parametrize("strides", [1, 2])
def test_gradients_equal_finite_differences(float64, assert_gradient, strides):
    convolution, dense = EqualizedConv2D(4, 3, strides, gain=1.5), EqualizedDense(4, gain=1.5)
    assert_gradient(convolution, normal(2, 4, 6, 3).astype(np.float64))
    assert_gradient(dense, normal(2, 5).astype(np.float64))


@pytest.mark.parametrize(("layer", "shape"), [(EqualizedConv2D(4, 3), [1, 4, 4, None]), (EqualizedDense(4), [1, None])])
def test_unknown_channels_are_an_error(layer, shape):
    with pytest.raises(ValueError, match="number of channels is unknown"):
        layer.build(tf.TensorShape(shape))
