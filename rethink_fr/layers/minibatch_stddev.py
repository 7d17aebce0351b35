"""Shows the discriminator how much the images of a batch differ."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

_GROUP_SIZE = 4


class MinibatchStdDev(keras.layers.Layer):
    """Appends a channel that holds the standard deviation over a group of samples, averaged over all its features.

    Karras et al. 2018 (arXiv:1710.10196), section 3. With it a discriminator notices a generator that makes the same
    image again and again. Our reading: a group is `group_size` samples that follow each other in the batch, so that
    splitting a batch over replicas does not change the groups. If the batch is not a multiple of `group_size`, the
    largest smaller size that divides it is used. Groups never span replicas. The layer has no parameters.

    Call with `[B, h, w, C]`; returns `[B, h, w, C + 1]`.

    Args:
        group_size: samples in a group.

    Raises:
        ValueError: if `group_size` is below 1.

    Example:
        >>> features = tf.constant([0.0, 2.0])[:, None, None, None] * tf.ones([2, 1, 1, 3])  # a sample of 0, one of 2
        >>> MinibatchStdDev(group_size=2)(features)[0, 0, 0].numpy()
        array([0., 0., 0., 1.], dtype=float32)
    """

    def __init__(self, group_size: int = _GROUP_SIZE, **kwargs) -> None:
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


def parts_that_keep_groups(samples: int, parts: int) -> int:
    """The largest number of equal parts, up to `parts`, that samples can be computed in without other groups."""
    group = max(size for size in range(1, _GROUP_SIZE + 1) if samples % size == 0)
    return max(count for count in range(1, parts + 1) if samples % (count * group) == 0)
