"""Convolution and dense layers with an equalized learning rate."""

from __future__ import annotations

import math

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.precision import convolve

LEAKY_SLOPE = 0.2
# Leaky ReLU halves the variance, roughly; a gain of sqrt 2 keeps it. The layers below multiply weights and bias by it:
# gain * leaky_relu(x) = leaky_relu(gain * x), so this equals scaling the activation, without a pass over memory.
ACTIVATION_GAIN = math.sqrt(2.0)


def leaky_relu(features: tf.Tensor) -> tf.Tensor:
    """Apply the only activation of the first paper's networks: leaky ReLU of slope 0.2."""
    return tf.nn.leaky_relu(features, LEAKY_SLOPE)


class EqualizedConv2D(keras.layers.Layer):
    """Convolution with an equalized learning rate: the stored kernel is drawn from N(0, 1), and every call scales it.

    Karras et al. 2018 (arXiv:1710.10196), section 4.1. The factor is `gain / sqrt(fan_in)`, so that Adam moves all
    layers at the same relative speed. Our reading of Appendix A of "Rethinking Deep Face Restoration": its Adam setting
    is that of StyleGAN2, which presumes such layers.

    Call with `[B, H, W, C]`; returns `[B, H / strides, W / strides, filters]` ("SAME" padding).

    Args:
        filters: number of output channels.
        kernel_size: side of the square kernel in pixels.
        strides: step in pixels, the same in both directions.
        use_bias: whether a bias is added; it starts at 0.
        gain: factor on the whole output, including the bias. `ACTIVATION_GAIN` before a leaky ReLU.

    Attributes:
        precision: see `convolve`.

    Raises:
        ValueError: if the number of channels is not known when the layer is built.

    Example:
        >>> EqualizedConv2D(filters=8, kernel_size=3, strides=2)(tf.zeros([1, 16, 16, 3])).shape
        TensorShape([1, 8, 8, 8])
    """

    def __init__(
        self, filters: int, kernel_size: int, strides: int = 1, use_bias: bool = True, gain: float = 1.0, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.use_bias = use_bias
        self.gain = gain
        self.precision = tf.float32

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = _known_channels(self, input_shape)
        side = self.kernel_size
        self.kernel = self.add_weight(
            name="kernel", shape=[side, side, channels, self.filters], initializer=keras.initializers.RandomNormal(0, 1)
        )
        self.scale = self.gain / math.sqrt(side * side * channels)
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=[self.filters], initializer="zeros")
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        kernel = tf.cast(self.kernel, features.dtype) * self.scale
        outputs = convolve(features, kernel, self.strides, self.precision)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.cast(self.bias, features.dtype) * self.gain)
        return outputs


class EqualizedDense(keras.layers.Layer):
    """Dense layer with an equalized learning rate, see `EqualizedConv2D`.

    Call with `[B, C]`; returns `[B, units]`.

    Args:
        units: number of outputs.
        gain: factor on the whole output, including the bias.
        bias_initializer: the value that the bias has at the start, before `gain`; 1 for the gains of a style.

    Raises:
        ValueError: if the number of channels is not known when the layer is built.

    Example:
        >>> EqualizedDense(units=2, bias_initializer=1.0)(tf.zeros([1, 5])).numpy()
        array([[1., 1.]], dtype=float32)
    """

    def __init__(self, units: int, gain: float = 1.0, bias_initializer: float = 0.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.gain = gain
        self.bias_initializer = bias_initializer

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = _known_channels(self, input_shape)
        self.kernel = self.add_weight(
            name="kernel", shape=[channels, self.units], initializer=keras.initializers.RandomNormal(0, 1)
        )
        self.scale = self.gain / math.sqrt(channels)
        self.bias = self.add_weight(
            name="bias", shape=[self.units], initializer=keras.initializers.Constant(self.bias_initializer)
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        outputs = tf.matmul(inputs, tf.cast(self.kernel, inputs.dtype) * self.scale)
        return outputs + tf.cast(self.bias, inputs.dtype) * self.gain


def _known_channels(layer: keras.layers.Layer, input_shape: tf.TensorShape) -> int:
    channels = tf.TensorShape(input_shape)[-1]
    if channels is None:
        raise ValueError(f"{layer.name}: the number of channels is unknown; give inputs whose last dimension is static")
    return int(channels)
