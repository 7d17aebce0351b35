"""Pools the encoder's last feature map to the latent vector."""

from __future__ import annotations

import math

import tensorflow as tf
from tensorflow import keras


class AttentionPooling(keras.layers.Layer):
    """Averages a feature map over its positions, giving more weight to positions that resemble the plain average.

    "Rethinking Deep Face Restoration" names the step in Fig. 2 only. Our reading of its form: with `m` the mean of the
    features `f_ij` over all positions, the weights are `w_ij = softmax_ij(<f_ij, m> / sqrt(C))` and the output is
    `sum_ij w_ij f_ij`. The layer has no parameters.

    Call with `[B, h, w, C]`; returns `[B, C]`.

    Example:
        >>> AttentionPooling()(tf.ones([2, 4, 4, 512])).shape
        TensorShape([2, 512])
    """

    def call(self, features: tf.Tensor) -> tf.Tensor:
        channels = features.shape[-1]
        flat = tf.reshape(features, [tf.shape(features)[0], -1, channels])  # [B, hw, C]
        query = tf.reduce_mean(flat, axis=1, keepdims=True)  # [B, 1, C]
        scores = tf.matmul(query, flat, transpose_b=True) / math.sqrt(channels)  # [B, 1, hw]
        return tf.squeeze(tf.matmul(tf.nn.softmax(scores), flat), axis=1)
