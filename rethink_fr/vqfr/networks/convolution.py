"""The convolutions of VQFR, and a layer that calls others one after the other.

Every layer with weights has its full name in the published PyTorch files, dots included; `published_weights` finds its
variables by that name.
"""

from __future__ import annotations

from typing import Sequence

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import GroupNormSwish
from rethink_fr.layers.precision import precision_here
from rethink_fr.layers.recompute import recomputable


def initial_weights() -> keras.initializers.Initializer:
    """The released code's initial weights of convolutions and dense layers: normal, standard deviation 0.02.

    The released code truncates at +-2, a hundred standard deviations away; this does not.
    """
    return keras.initializers.RandomNormal(0.0, 0.02)


class Convolution(keras.layers.Layer):
    """A convolution with bias, padded by zeros.

    Call with float32 `[B, H, W, C]`. Returns float32 `[B, H / strides, W / strides, filters]`. With stride 2 and even
    sizes only the bottom and the right are padded, as in the released code of version 2.

    Args:
        filters: number of output channels.
        kernel_size: side of the square kernel, in pixels.
        strides: step in pixels, the same in both directions.

    Attributes:
        precision: dtype in which the convolution multiplies; it takes effect when the layer is traced. bfloat16 halves
            the time of large convolutions on processors that support it. Inputs, weights and outputs stay float32.
    """

    def __init__(self, filters: int, kernel_size: int = 3, strides: int = 1, **kwargs) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.precision = tf.float32

    def build(self, input_shape: tf.TensorShape) -> None:
        channels, side = int(tf.TensorShape(input_shape)[-1]), self.kernel_size
        self.kernel = self.add_weight(
            name="kernel", shape=[side, side, channels, self.filters], initializer=initial_weights()
        )
        self.bias = self.add_weight(name="bias", shape=[self.filters], initializer="zeros")
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        dtype = features.dtype
        if dtype == tf.float32:
            features = tf.cast(features, precision_here(self.precision))
        kernel, bias = tf.cast(self.kernel, features.dtype), tf.cast(self.bias, features.dtype)
        outputs = tf.nn.bias_add(tf.nn.conv2d(features, kernel, self.strides, "SAME"), bias)
        return tf.cast(outputs, dtype)


class DepthwiseConvolution(keras.layers.Layer):
    """A convolution of each channel on its own, with bias, padded by zeros. `[B, H, W, C]` to the same shape."""

    def __init__(self, kernel_size: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.kernel_size = kernel_size

    def build(self, input_shape: tf.TensorShape) -> None:
        channels, side = int(tf.TensorShape(input_shape)[-1]), self.kernel_size
        self.depthwise_kernel = self.add_weight(
            name="depthwise_kernel", shape=[side, side, channels, 1], initializer=initial_weights()
        )
        self.bias = self.add_weight(name="bias", shape=[channels], initializer="zeros")
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        outputs = tf.nn.depthwise_conv2d(features, self.depthwise_kernel, [1, 1, 1, 1], "SAME")
        return tf.nn.bias_add(outputs, self.bias)


class Chain(keras.layers.Layer):
    """Calls layers one after the other, each with the output of the one before."""

    def __init__(self, links: Sequence[keras.layers.Layer], **kwargs) -> None:
        super().__init__(**kwargs)
        self.links = list(links)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        for link in self.links:
            features = link(features)
        return features


class Stage(Chain):
    """A chain at one size of the features; training may keep nothing of it but its input, see `recomputable`."""

    @recomputable
    def call(self, features: tf.Tensor) -> tf.Tensor:
        return super().call(features)


def norm_swish_convolution(filters: int, name: str) -> Stage:
    """Group normalization, swish and a 3x3 convolution.

    In the released code the swish is a layer of its own, number 1; hence the names `NAME.0` and `NAME.2`.
    """
    return Stage([GroupNormSwish(name=f"{name}.0"), Convolution(filters, name=f"{name}.2")], name=name)
