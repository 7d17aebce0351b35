"""Batch normalization with the statistics of all replicas' images."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

_EPSILON = 1e-5
_MOMENTUM = 0.1  # PyTorch's: the share of the new value


class SyncBatchNorm(keras.layers.Layer):
    """Batch normalization (Ioffe and Szegedy 2015) over the global batch, with PyTorch's running statistics.

    With `training=True`, features are normalized by the mean and the biased variance over the pixels of all replicas.
    The running mean and the running variance move a tenth of the way towards the mean and the unbiased variance. (This
    is why Keras' layer is not used: its running variance is the biased one.) Any number of replicas computes the same,
    also the gradients. The layer must then be called in replica context and outside of `tf.cond`.

    With `training=False`, features are normalized by the running statistics.

    Call with `[B, H, W, C]`. Returns the same shape.
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = int(tf.TensorShape(input_shape)[-1])

        def running(name: str, initializer: str) -> tf.Variable:
            # They are the same on all replicas, so that the first one can be saved for all.
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
    """The sum over all pixels, `[B, H, W, C]` to `[C]`; row by row, which is more accurate in float32."""
    return tf.reduce_sum(tf.reduce_sum(features, axis=2), axis=[0, 1])
