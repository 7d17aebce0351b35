"""Linear gated feature fusion."""

from __future__ import annotations

import math

import tensorflow as tf
from tensorflow import keras

_GATE_SIDE = 32  # pooled side above which the spatial map is reduced


class LinearGatedFusion(keras.layers.Layer):
    """Blends an encoder and a decoder feature by a gate that sees all positions of a channel at once.

    "Rethinking Deep Face Restoration", Eq. 4, with `p` the encoder's and `q` the decoder's feature:
        u = p + q;   o = W . avgpool_r(u);   s = upsample_r(sigmoid(o));   q* = s * u + (1 - s) * q.
    `W` is `(h/r)^2 x (h/r)^2` and acts on positions, the same for each channel, without bias;
    `r = 2^(log2 h - 5)` above 32 pixels, else 1. Our reading: average pooling, bilinear upsampling, and `W` with
    an equalized learning rate like every other weight of the skip blocks, but starting from zero: every gate is then
    open by half. Started from N(0, 1), each gate is a random function of the whole image, different at every position,
    which training at the paper's learning rate hardly outgrows: after 3,000 steps W still had deviation 1.

    Call with `(encoder_features, decoder_features)`, both `[B, h, h, C]`; returns `[B, h, h, C]`.

    Raises:
        ValueError: if the two shapes differ, or are not square and static.
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        _, height, width, _ = tf.TensorShape(input_shape)
        if height is None or height != width or height & (height - 1):
            raise ValueError(
                f"LinearGatedFusion: features are {height} x {width}, expected a square whose side is a power of two: "
                "the gate's weights belong to positions"
            )
        self.side = min(height, _GATE_SIDE)
        self.reduction = height // self.side
        positions = self.side**2
        # [position out, position in]
        self.kernel = self.add_weight(name="kernel", shape=[positions, positions], initializer="zeros")
        self.scale = 1.0 / math.sqrt(positions)
        super().build(input_shape)

    def call(self, encoder_features: tf.Tensor, decoder_features: tf.Tensor) -> tf.Tensor:
        if encoder_features.shape[1:] != decoder_features.shape[1:]:
            raise ValueError(
                f"LinearGatedFusion: encoder features are {encoder_features.shape} and decoder features "
                f"{decoder_features.shape}; expected equal shapes"
            )
        side, reduction, channels = self.side, self.reduction, encoder_features.shape[-1]
        total = encoder_features + decoder_features
        pooled = total if reduction == 1 else tf.nn.avg_pool2d(total, reduction, reduction, "VALID")
        flat = tf.reshape(pooled, [-1, side * side, channels])  # [B, positions, C]
        gate = tf.sigmoid(tf.matmul(self.kernel * self.scale, flat))  # W acts on positions, not on channels
        gate = tf.reshape(gate, [-1, side, side, channels])
        if reduction > 1:
            # tf.image.resize gives float32 whatever it gets.
            gate = tf.cast(tf.image.resize(gate, [side * reduction] * 2, "bilinear"), encoder_features.dtype)
        # s * u + (1 - s) * q with u = p + q
        return decoder_features + gate * encoder_features
