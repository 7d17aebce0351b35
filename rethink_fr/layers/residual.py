"""The residual block of encoder and discriminator."""

from __future__ import annotations

import math

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.equalized import ACTIVATION_GAIN, EqualizedConv2D, leaky_relu
from rethink_fr.layers.recompute import recomputable
from rethink_fr.layers.resample import downsample_2x


class ResBlock(keras.layers.Layer):
    """Halves the resolution of features, by two 3x3 convolutions beside a shortcut.

    "Rethinking Deep Face Restoration", Tables 4 and 5: a 3x3 convolution to the output channels, then one of stride 2,
    with a leaky ReLU of slope 0.2 after each. The paper gives no more than that and the shapes. Our reading: the
    shortcut (the mean of 2 x 2 blocks, then a 1x1 convolution without bias) is added and the sum divided by sqrt 2, as
    in StyleGAN2.

    Call with `[B, H, W, C]`, H and W even; returns `[B, H / 2, W / 2, filters]`.

    Args:
        filters: number of output channels.

    Example:
        >>> ResBlock(filters=32)(tf.zeros([1, 64, 64, 16])).shape
        TensorShape([1, 32, 32, 32])
    """

    def __init__(self, filters: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv_in = EqualizedConv2D(filters, 3, gain=ACTIVATION_GAIN)
        self.conv_down = EqualizedConv2D(filters, 3, strides=2, gain=ACTIVATION_GAIN)
        self.shortcut = EqualizedConv2D(filters, 1, use_bias=False)

    @recomputable
    def call(self, features: tf.Tensor) -> tf.Tensor:
        outputs = leaky_relu(self.conv_in(features))
        outputs = leaky_relu(self.conv_down(outputs))
        return (outputs + self.shortcut(downsample_2x(features))) * math.sqrt(0.5)
