"""Minibatch statistics for the discriminator."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras


class MinibatchStdDev(keras.layers.Layer):
    """Appends one channel: the mean standard deviation over a group of samples. No parameters.

    Karras et al. 2018 (arXiv:1710.10196), section 3. Groups are `group_size` neighbours in the batch (our reading:
    neighbours, so that splitting a batch over replicas leaves the groups as they are); a batch that is no multiple
    of it uses the largest smaller group that divides it. Statistics stay within a replica.

    Call with `[B, h, w, C]`; returns `[B, h, w, C + 1]`.
    """

    def __init__(self, group_size: int = 4, **kwargs) -> None:
        super().__init__(**kwargs)
        if group_size < 1:
            raise ValueError(f"MinibatchStdDev: group_size is {group_size}, expected 1 or more")
        self.group_size = group_size

    def call(self, features: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(features)
        batch, height, width = shape[0], shape[1], shape[2]
        candidates = tf.range(1, self.group_size + 1)
        group = tf.reduce_max(tf.where(batch % candidates == 0, candidates, 1))
        grouped = tf.reshape(features, [batch // group, group, height, width, features.shape[-1]])
        variance = tf.math.reduce_variance(grouped, axis=1)  # [groups, h, w, C], biased
        deviation = tf.reduce_mean(tf.sqrt(variance + 1e-8), axis=[1, 2, 3])  # [groups]
        deviation = tf.repeat(deviation, group)[:, None, None, None]
        return tf.concat([features, tf.broadcast_to(deviation, [batch, height, width, 1])], axis=-1)
