"""Group normalization, alone or followed by swish."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from rethink_fr.ops.group_norm import group_norm_swish
from rethink_fr.ops.group_norm_reference import group_norm
from rethink_fr.ops.implementation import Implementation


class GroupNorm(keras.layers.Layer):
    """Normalises each group of channels of a sample to mean 0 and variance 1, then scales and shifts each channel.

    Group normalization (Wu and He 2018, arXiv:1803.08494). The scale `gamma` starts at 1, the shift `beta` at 0.

    Call with `[B, H, W, C]`; returns the same shape and dtype.

    Args:
        groups: number of groups, each of C / groups neighbouring channels. It must divide C.
        epsilon: added to the variance.

    Example:
        >>> GroupNorm(groups=2)(tf.random.normal([1, 8, 8, 6])).shape
        TensorShape([1, 8, 8, 6])
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
    """Group normalization followed by the activation swish, `z * sigmoid(z)`, in one operation.

    Call with `[B, H, W, C]`; returns the same shape and dtype.

    Args:
        groups, epsilon: as in `GroupNorm`.
        implementation: "auto", "compiled" or "reference", see `ops.group_norm_swish`. Changing the attribute has an
            effect on graphs that are traced afterwards.

    Example:
        >>> GroupNormSwish(groups=2)(tf.zeros([1, 1, 1, 4])).numpy().ravel()
        array([0., 0., 0., 0.], dtype=float32)
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
