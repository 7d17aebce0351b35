"""Blends the features of encoder and decoder: linear gated fusion, and the spatial feature transform."""

from __future__ import annotations

import math

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.equalized import ACTIVATION_GAIN, EqualizedConv2D, leaky_relu

_GATE_SIDE = 32  # pooled side above which the spatial map is reduced


class LinearGatedFusion(keras.layers.Layer):
    """Adds encoder features to decoder features, each weighted by a gate that sees all positions of its channel.

    Linear gated feature fusion, "Rethinking Deep Face Restoration", Eq. 4. With `p` the encoder's and `q` the decoder's
    features:
        u = p + q;   o = W . avgpool_r(u);   s = upsample_r(sigmoid(o));   q* = s * u + (1 - s) * q.
    `W` has `(h/r)^2 x (h/r)^2` weights and no bias. It mixes positions, in the same way for each channel. Features of
    more than 32 x 32 pixels are first reduced to that size: `r = 2^(log2 h - 5)`, else 1.

    Our reading: the pooling is by the mean, the upsampling bilinear, and `W` has an equalized learning rate like every
    other weight of the skip blocks, but starts at zero, where each gate is open by half. Started from N(0, 1), each
    gate is a random function of the whole image, different at every position, and training at the paper's learning rate
    hardly gets away from it: after 3,000 steps W still had a standard deviation of 1.

    Call with `(encoder_features, decoder_features)`, both `[B, h, h, C]`; returns `[B, h, h, C]`.

    Raises:
        ValueError: if the two shapes differ, or the side h is not known or not a power of two.

    Example:
        >>> fusion = LinearGatedFusion()
        >>> fusion(tf.ones([1, 8, 8, 2]), tf.zeros([1, 8, 8, 2]))[0, 0, 0].numpy()  # untrained: half of the encoder's
        array([0.5, 0.5], dtype=float32)
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


class SpatialFeatureTransform(keras.layers.Layer):
    """Scales and shifts decoder features, at each position by what the encoder features there say.

    Wang et al. 2018 (arXiv:1804.02815), eq. 3: `q* = gamma(p) * q + beta(p)`, one of the fusions that section 3.1.3 of
    "Rethinking Deep Face Restoration" names beside its own. `gamma` and `beta` are two 1x1 convolutions each, with a
    leaky ReLU between them, as there. Our reading: the first one is common to both, and 1 is added to `gamma`, so that
    the transform starts near the identity.

    Call with `(encoder_features, decoder_features)`, `[B, H, W, P]` and `[B, H, W, filters]`; returns the latter's
    shape.

    Args:
        filters: number of the decoder's channels.

    Example:
        >>> SpatialFeatureTransform(filters=2)(tf.ones([1, 8, 8, 3]), tf.zeros([1, 8, 8, 2])).shape
        TensorShape([1, 8, 8, 2])
    """

    def __init__(self, filters: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.hidden = EqualizedConv2D(filters, 1, gain=ACTIVATION_GAIN, name="hidden")
        self.parameters = EqualizedConv2D(2 * filters, 1, name="parameters")

    def call(self, encoder_features: tf.Tensor, decoder_features: tf.Tensor) -> tf.Tensor:
        hidden = leaky_relu(self.hidden(encoder_features))
        scale, shift = tf.split(self.parameters(hidden), 2, axis=-1)
        return (1.0 + scale) * decoder_features + shift
