"""Batch normalization with the statistics of all replicas."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

_EPSILON = 1e-5
_MOMENTUM = 0.1  # PyTorch's: the share of the new value


class SyncBatchNorm(keras.layers.Layer):
    """Batch normalization (Ioffe and Szegedy 2015) over the global batch, running statistics as PyTorch keeps them.

    In training, mean and biased variance are those of all replicas' pixels, and the running ones move by a tenth
    towards them, the variance towards the unbiased one. Otherwise the running ones are used. One replica and two
    compute the same, gradients included. In training, call it in replica context and outside `tf.cond`.

    Keras' own layer is not used: its running variance is the biased one.

    Call with `[B, H, W, C]`; returns the same shape.
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = int(tf.TensorShape(input_shape)[-1])

        def running(name: str, initializer: str) -> tf.Variable:
            # The statistics are all-reduced, so that the first replica's speak for all.
            return self.add_weight(
                name=name,
                shape=[channels],
                initializer=initializer,
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

        self.gamma = self.add_weight(name="gamma", shape=[channels], initializer="ones")
        self.beta = self.add_weight(name="beta", shape=[channels], initializer="zeros")
        self.running_mean = running("running_mean", "zeros")
        self.running_variance = running("running_variance", "ones")
        super().build(input_shape)

    def call(self, features: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            mean, variance = self._batch_statistics(features)
        else:
            mean, variance = tf.convert_to_tensor(self.running_mean), tf.convert_to_tensor(self.running_variance)
        scale = self.gamma * tf.math.rsqrt(variance + _EPSILON)
        return features * scale + (self.beta - mean * scale)

    def _batch_statistics(self, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        replica = tf.distribute.get_replica_context()

        def over_replicas(value: tf.Tensor) -> tf.Tensor:
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, value)

        pixels = over_replicas(tf.cast(tf.reduce_prod(tf.shape(features)[:3]), features.dtype))
        mean = over_replicas(_sum_over_pixels(features)) / pixels
        variance = over_replicas(_sum_over_pixels(tf.square(features - mean))) / pixels
        unbiased = variance * pixels / tf.maximum(pixels - 1.0, 1.0)
        self.running_mean.assign_add(_MOMENTUM * (tf.stop_gradient(mean) - self.running_mean))
        self.running_variance.assign_add(_MOMENTUM * (tf.stop_gradient(unbiased) - self.running_variance))
        return mean, variance


def _sum_over_pixels(features: tf.Tensor) -> tf.Tensor:
    """`[B, H, W, C]` to `[C]`, row by row: accurate in float32."""
    return tf.reduce_sum(tf.reduce_sum(features, axis=2), axis=[0, 1])
