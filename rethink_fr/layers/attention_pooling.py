"""From the encoder's last feature to the latent vector."""

from __future__ import annotations

import math

import tensorflow as tf
from tensorflow import keras


class AttentionPooling(keras.layers.Layer):
    """Weighted spatial mean, the weights being the attention of the plain mean to each position. No parameters.

    "Rethinking Deep Face Restoration", Fig. 2 names the step; our reading of its form: with `m` the spatial mean,
    weights are `softmax_ij(<f_ij, m> / sqrt(C))` and the output is `sum_ij w_ij f_ij`.

    Call with `[B, h, w, C]`; returns `[B, C]`.
    """

    def call(self, features: tf.Tensor) -> tf.Tensor:
        channels = features.shape[-1]
        flat = tf.reshape(features, [tf.shape(features)[0], -1, channels])  # [B, hw, C]
        query = tf.reduce_mean(flat, axis=1, keepdims=True)  # [B, 1, C]
        scores = tf.matmul(query, flat, transpose_b=True) / math.sqrt(channels)  # [B, 1, hw]
        return tf.squeeze(tf.matmul(tf.nn.softmax(scores), flat), axis=1)
