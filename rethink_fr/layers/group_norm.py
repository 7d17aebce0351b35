"""Group normalization, alone or with swish, as layers."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from rethink_fr.ops.group_norm import group_norm, group_norm_swish
from rethink_fr.ops.implementation import Implementation


class GroupNorm(keras.layers.Layer):
    """Group normalization (Wu and He 2018); owns the scale gamma and the shift beta.

    Call with `[B, H, W, C]`; returns the same shape and dtype.

    Args:
        groups: contiguous groups of channels; divides C.
        epsilon: added to the variance.
    """

    def __init__(self, groups: int = 32, epsilon: float = 1e-6, **kwargs) -> None:
        super().__init__(**kwargs)
        self.groups = groups
        self.epsilon = epsilon

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = int(tf.TensorShape(input_shape)[-1])
        self.gamma = self.add_weight(name="gamma", shape=[channels], initializer="ones")
        self.beta = self.add_weight(name="beta", shape=[channels], initializer="zeros")
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return group_norm(features, self.gamma, self.beta, groups=self.groups, epsilon=self.epsilon)


class GroupNormSwish(GroupNorm):
    """`GroupNorm`, then `z * sigmoid(z)`.

    Args:
        groups, epsilon: as in `GroupNorm`.
        implementation: as in `ops.group_norm_swish`; read when the layer is traced.
    """

    def __init__(
        self, groups: int = 32, epsilon: float = 1e-6, implementation: Implementation = "auto", **kwargs
    ) -> None:
        super().__init__(groups, epsilon, **kwargs)
        self.implementation = implementation

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return group_norm_swish(
            features,
            self.gamma,
            self.beta,
            groups=self.groups,
            epsilon=self.epsilon,
            implementation=self.implementation,
        )
