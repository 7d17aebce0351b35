"""Distances of feature maps: Eqs. 14 and 15 of "Rethinking Deep Face Restoration"."""

from __future__ import annotations

from typing import List, Sequence

import tensorflow as tf


def feature_differences(clean: Sequence[tf.Tensor], restored: Sequence[tf.Tensor]) -> List[tf.Tensor]:
    """Eq. 14 for each map `[B, H, W, C]`: the mean squared difference of features; a scalar each."""
    return [tf.reduce_mean(tf.math.squared_difference(one, other)) for one, other in zip(clean, restored)]


def style_differences(clean: Sequence[tf.Tensor], restored: Sequence[tf.Tensor]) -> List[tf.Tensor]:
    """Eq. 15 for each map `[B, H, W, C]`: the squared Frobenius distance of Gram matrices, averaged over the batch."""
    return [
        tf.reduce_mean(tf.reduce_sum(tf.square(gram_matrix(one) - gram_matrix(other)), axis=[1, 2]))
        for one, other in zip(clean, restored)
    ]


def gram_matrix(features: tf.Tensor) -> tf.Tensor:
    """Inner products of channels over all positions, divided by C*H*W: from `[B, H, W, C]` to `[B, C, C]`."""
    channels = features.shape[-1]
    flat = tf.reshape(features, [tf.shape(features)[0], -1, channels])
    elements = tf.cast(tf.shape(flat)[1] * channels, features.dtype)
    return tf.matmul(flat, flat, transpose_a=True) / elements
