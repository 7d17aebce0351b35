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


class RelativeTerm(tf.Module):
    """A perceptual term relative to that of degraded images: the weights of Eqs. 14 and 15, by a rule.

    The paper gives each feature map a weight and does not say which. The distances of two maps differ by orders of
    magnitude, and those of two networks even more. Our reading: a map's distance is divided by the mean one between
    degraded and clean images, and the term is the mean over the maps. A degraded image then has the value 1, to which
    every map contributes equally, whatever the network.

    Args:
        maps: number of feature maps.
    """

    def __init__(self, maps: int) -> None:
        super().__init__(name="relative_term")
        self.sums = self._state("sums", [maps])
        self.count = self._state("count", [])

    def measure(self, distances: Sequence[tf.Tensor]) -> None:
        """Take in the distances of one batch of degraded images, a scalar for each map. Call it in replica context."""
        replica = tf.distribute.get_replica_context()
        self.sums.assign_add(replica.all_reduce(tf.distribute.ReduceOp.MEAN, tf.stack(distances)))
        self.count.assign_add(1.0)

    def of(self, distances: Sequence[tf.Tensor]) -> tf.Tensor:
        """The term for the distances of restored images, a scalar for each map. `measure` must have been called."""
        return tf.reduce_mean(tf.stack(distances) * tf.math.divide_no_nan(self.count, self.sums))

    @staticmethod
    def _state(name: str, shape: Sequence[int]) -> tf.Variable:
        return tf.Variable(
            tf.zeros(shape), trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA, name=name
        )


def gram_matrix(features: tf.Tensor) -> tf.Tensor:
    """Inner products of channels over all positions, divided by C*H*W: from `[B, H, W, C]` to `[B, C, C]`."""
    channels = features.shape[-1]
    flat = tf.reshape(features, [tf.shape(features)[0], -1, channels])
    elements = tf.cast(tf.shape(flat)[1] * channels, features.dtype)
    return tf.matmul(flat, flat, transpose_a=True) / elements
