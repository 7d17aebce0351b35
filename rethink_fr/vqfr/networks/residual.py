"""The residual block and the attention block."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import GroupNorm, GroupNormSwish
from rethink_fr.vqfr.networks.convolution import Convolution


class ResidualBlock(keras.layers.Layer):
    """Twice group normalization, swish and a 3x3 convolution, added to the input.

    The supplement of "VQFR" (Gu et al., ECCV 2022) writes convolution, normalization, swish; the released code, which
    this follows, normalizes first. The shortcut is a 1x1 convolution of the input where the channels change.

    Call with `[B, H, W, C]`; returns `[B, H, W, filters]`.

    Args:
        filters: number of output channels.
        shortcut_name: what the released code calls the shortcut.
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

    def call(self, features: tf.Tensor) -> tf.Tensor:
        outputs = self.conv_in(self.norm_in(features))
        outputs = self.conv_out(self.norm_out(outputs))
        return outputs + (features if self.shortcut is None else self.shortcut(features))


class Attention(keras.layers.Layer):
    """Each position gathers from all others, with weights by similarity; one head, added to the input.

    Only version 2 has it, at the codes' resolution. Call with `[B, H, W, C]`; returns the same shape.
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
