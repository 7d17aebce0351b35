"""Deformable convolution as a layer."""

from __future__ import annotations

import math
from functools import cache
from typing import Callable

import tensorflow as tf
from tensorflow import keras

from rethink_fr.ops import deform_conv2d
from rethink_fr.ops.deform_conv import DeformConvImplementation

# The name under which graphs call it, whichever implementation is inside: `complexity` counts it by this name.
IMPLEMENTS = "rethink_fr.deform_conv2d"


class DeformableConv2D(keras.layers.Layer):
    """Convolution whose every tap is sampled at an offset position and multiplied by a mask.

    Modulated deformable convolution, Zhu et al. 2019 (arXiv:1811.11168), Eq. 1. The layer has filters, which start
    uniform in +-1 / sqrt(fan-in), and a bias, which starts at 0. Offsets and mask are inputs: the caller predicts where
    to sample.

    Call with `(features, offsets, mask)`:
        features: `[B, H, W, C]`, of a dtype that `ops.deform_conv2d` takes; so is the result.
        offsets:  `[B, H, W, 2 * deformable_groups * k * k]` in pixels, in the order of `ops.deform_conv2d`.
        mask:     `[B, H, W, deformable_groups * k * k]`, 0 to 1.
    Returns `[B, H, W, filters]`. The stride is 1, and features outside of the map count as 0.

    Args:
        filters: number of output channels.
        kernel_size: side k of the square kernel, odd, in pixels.
        deformable_groups: number of groups of neighbouring channels; the channels of a group share offsets and mask.
        implementation: "auto", "compiled", "reference" or "unrolled", see `ops.deform_conv2d`. Changing the attribute
            has an effect on graphs that are traced afterwards.

    Raises:
        ValueError: if `kernel_size` is even, or a shape does not fit.

    Example:
        >>> layer = DeformableConv2D(filters=4)
        >>> features = tf.random.normal([1, 8, 8, 2])
        >>> offsets, mask = tf.zeros([1, 8, 8, 18]), tf.ones([1, 8, 8, 9])  # with these, an ordinary convolution
        >>> layer(features, offsets, mask).shape
        TensorShape([1, 8, 8, 4])
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        deformable_groups: int = 1,
        implementation: DeformConvImplementation = "auto",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if kernel_size % 2 == 0:
            raise ValueError(f"DeformableConv2D: kernel_size is {kernel_size}, expected an odd number")
        self.filter_count = filters
        self.kernel_size = kernel_size
        self.deformable_groups = deformable_groups
        self.implementation = implementation

    def build(self, input_shape: tf.TensorShape) -> None:
        channels, side = int(tf.TensorShape(input_shape)[-1]), self.kernel_size
        limit = 1.0 / math.sqrt(side * side * channels)
        self.filters = self.add_weight(
            name="filters",
            shape=[side, side, channels, self.filter_count],
            initializer=keras.initializers.RandomUniform(-limit, limit),
        )
        self.bias = self.add_weight(name="bias", shape=[self.filter_count], initializer="zeros")
        super().build(input_shape)

    def call(self, features: tf.Tensor, offsets: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        convolve = _convolution(self.kernel_size // 2, self.deformable_groups, self.implementation)
        if not tf.executing_eagerly():
            convolve = _as_one_call(convolve)
        outputs = convolve(features, offsets, mask, tf.convert_to_tensor(self.filters), tf.convert_to_tensor(self.bias))
        return tf.ensure_shape(outputs, [*features.shape[:3], self.filter_count])


@cache
def _convolution(
    padding: int, deformable_groups: int, implementation: DeformConvImplementation
) -> Callable[..., tf.Tensor]:
    def convolve(features, offsets, mask, filters, bias):
        return deform_conv2d(
            features,
            offsets,
            mask,
            filters,
            bias,
            padding=padding,
            deformable_groups=deformable_groups,
            implementation=implementation,
        )

    return convolve


@cache
def _as_one_call(convolve: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Wrap the operation in one function of tensors: a graph then shows one call, not a loop over tiles."""
    return tf.function(convolve, autograph=False, experimental_implements=IMPLEMENTS)
