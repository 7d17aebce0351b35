"""The encoder's and discriminator's residual block."""

from __future__ import annotations

import math

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.equalized import ACTIVATION_GAIN, EqualizedConv2D, leaky_relu
from rethink_fr.layers.resample import downsample_2x


class ResBlock(keras.layers.Layer):
    """Halves the resolution: two 3x3 convolutions beside a shortcut, their sum divided by sqrt 2.

    "Rethinking Deep Face Restoration", Tables 4 and 5: conv 3x3 to the output channels, then conv 3x3 of stride 2,
    leaky ReLU 0.2 after each. Our reading: the shortcut (2x2 mean, then a 1x1 convolution without bias) and the
    factor 1 / sqrt 2 are StyleGAN2's residual form; the paper gives the two convolutions and the shapes only.

    Call with `[B, H, W, C]`, H and W even; returns `[B, H / 2, W / 2, filters]`.
    """

    def __init__(self, filters: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv_in = EqualizedConv2D(filters, 3, gain=ACTIVATION_GAIN)
        self.conv_down = EqualizedConv2D(filters, 3, strides=2, gain=ACTIVATION_GAIN)
        self.shortcut = EqualizedConv2D(filters, 1, use_bias=False)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        outputs = leaky_relu(self.conv_in(features))
        outputs = leaky_relu(self.conv_down(outputs))
        return (outputs + self.shortcut(downsample_2x(features))) * math.sqrt(0.5)
