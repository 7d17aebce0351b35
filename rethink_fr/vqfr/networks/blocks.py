"""The blocks of VQFR's networks: residual blocks, attention, and those that halve or double the size of features."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import GroupNorm, GroupNormSwish
from rethink_fr.layers.recompute import recomputable
from rethink_fr.layers.resample import downsample_2x, upsample_2x
from rethink_fr.vqfr.networks.convolution import Convolution


class ResidualBlock(keras.layers.Layer):
    """Group normalization, swish and a 3x3 convolution, all twice, added to the input.

    The supplement of "VQFR" (Gu et al., ECCV 2022) puts the convolution first. This follows the released code, which
    normalizes first. If the number of channels changes, the input passes a 1x1 convolution before it is added.

    Call with `[B, H, W, C]`. Returns `[B, H, W, filters]`.

    Args:
        filters: number of output channels.
        shortcut_name: name of that 1x1 convolution in the released code.
    """

    def __init__(self, filters: int, shortcut_name: str = "shortcut_conv", **kwargs) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.norm_in = GroupNormSwish(name=f"{self.name}.norm1")
        self.conv_in = Convolution(filters, name=f"{self.name}.conv1")
        self.norm_out = GroupNormSwish(name=f"{self.name}.norm2")
        self.conv_out = Convolution(filters, name=f"{self.name}.conv2")
        self._shortcut_name = shortcut_name

    def build(self, input_shape: tf.TensorShape) -> None:
        changes = int(tf.TensorShape(input_shape)[-1]) != self.filters
        self.shortcut = Convolution(self.filters, 1, name=f"{self.name}.{self._shortcut_name}") if changes else None
        super().build(input_shape)

    @recomputable
    def call(self, features: tf.Tensor) -> tf.Tensor:
        outputs = self.conv_in(self.norm_in(features))
        outputs = self.conv_out(self.norm_out(outputs))
        return outputs + (features if self.shortcut is None else self.shortcut(features))


class Attention(keras.layers.Layer):
    """Self-attention over all positions, with one head, added to the input.

    Only version 2 has it, where features have the size of the codes. Call with `[B, H, W, C]`. Returns the same shape.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.norm = GroupNorm(name=f"{self.name}.norm")

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = int(tf.TensorShape(input_shape)[-1])
        self.query, self.key, self.value, self.project = (
            Convolution(channels, 1, name=f"{self.name}.{part}") for part in ("q", "k", "v", "proj_out")
        )
        super().build(input_shape)

    @recomputable
    def call(self, features: tf.Tensor) -> tf.Tensor:
        normalized = self.norm(features)
        shape, channels = tf.shape(features), features.shape[-1]
        query, key, value = (
            tf.reshape(part(normalized), [shape[0], shape[1] * shape[2], channels])
            for part in (self.query, self.key, self.value)
        )
        weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) * channels**-0.5)  # [B, positions, positions]
        gathered = tf.reshape(tf.matmul(weights, value), shape)
        return features + self.project(tf.ensure_shape(gathered, features.shape))


class BilinearDown(keras.layers.Layer):
    """Version 1: halves the size bilinearly, then a 3x3 convolution. `[B, H, W, C]` to `[B, H / 2, W / 2, filters]`.

    The supplement of the paper writes 1x1 convolutions. Only 3x3 ones, which the released code has, give the number of
    parameters that the paper states.
    """

    def __init__(self, filters: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv = Convolution(filters, name=f"{self.name}.conv")

    @recomputable
    def call(self, features: tf.Tensor) -> tf.Tensor:
        return self.conv(downsample_2x(features))


class BilinearUp(keras.layers.Layer):
    """Version 1: a 3x3 convolution, then doubles the size bilinearly. `[B, H, W, C]` to `[B, 2H, 2W, filters]`."""

    def __init__(self, filters: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv = Convolution(filters, name=f"{self.name}.conv")

    @recomputable
    def call(self, features: tf.Tensor) -> tf.Tensor:
        return upsample_2x(self.conv(features))


class StridedDown(keras.layers.Layer):
    """Version 2: a 3x3 convolution with stride 2. `[B, H, W, C]`, H and W even, to `[B, H / 2, W / 2, filters]`."""

    def __init__(self, filters: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv = Convolution(filters, strides=2, name=f"{self.name}.conv")

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return self.conv(features)


class NearestUp(keras.layers.Layer):
    """Version 2: repeats each pixel in both directions, then a 3x3 convolution.

    `[B, H, W, C]` to `[B, 2H, 2W, filters]`.

    Args:
        filters: number of output channels.
        conv_name: name of the convolution in the released code.
    """

    def __init__(self, filters: int, conv_name: str = "conv", **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv = Convolution(filters, name=f"{self.name}.{conv_name}")

    @recomputable
    def call(self, features: tf.Tensor) -> tf.Tensor:
        rows, columns = features.shape[1], features.shape[2]
        size = [2 * tf.shape(features)[1], 2 * tf.shape(features)[2]]
        outputs = tf.image.resize(features, size, "nearest")
        outputs = tf.ensure_shape(outputs, [features.shape[0], rows and 2 * rows, columns and 2 * columns, None])
        return self.conv(outputs)
