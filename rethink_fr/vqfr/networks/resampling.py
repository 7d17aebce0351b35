"""Halving and doubling a feature map: version 1 resizes bilinearly, version 2 strides and repeats."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.resample import downsample_2x, upsample_2x
from rethink_fr.vqfr.networks.convolution import Convolution


class BilinearDown(keras.layers.Layer):
    """Version 1: bilinear halving, then a 3x3 convolution. `[B, H, W, C]` to `[B, H / 2, W / 2, filters]`.

    The supplement of the paper writes 1x1 convolutions; only 3x3 ones, which the released code has, give the number
    of parameters that the paper states.
    """

    def __init__(self, filters: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv = Convolution(filters, name=f"{self.name}.conv")

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return self.conv(downsample_2x(features))


class BilinearUp(keras.layers.Layer):
    """Version 1: a 3x3 convolution, then bilinear doubling. `[B, H, W, C]` to `[B, 2H, 2W, filters]`."""

    def __init__(self, filters: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv = Convolution(filters, name=f"{self.name}.conv")

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return upsample_2x(self.conv(features))


class StridedDown(keras.layers.Layer):
    """Version 2: a 3x3 convolution of stride 2. `[B, H, W, C]`, sides even, to `[B, H / 2, W / 2, filters]`."""

    def __init__(self, filters: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv = Convolution(filters, strides=2, name=f"{self.name}.conv")

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return self.conv(features)


class NearestUp(keras.layers.Layer):
    """Version 2: every pixel four times, then a 3x3 convolution. `[B, H, W, C]` to `[B, 2H, 2W, filters]`.

    Args:
        filters: number of output channels.
        conv_name: what the released code calls the convolution here.
    """

    def __init__(self, filters: int, conv_name: str = "conv", **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv = Convolution(filters, name=f"{self.name}.{conv_name}")

    def call(self, features: tf.Tensor) -> tf.Tensor:
        rows, columns = features.shape[1], features.shape[2]
        size = [2 * tf.shape(features)[1], 2 * tf.shape(features)[2]]
        outputs = tf.image.resize(features, size, "nearest")
        outputs = tf.ensure_shape(outputs, [features.shape[0], rows and 2 * rows, columns and 2 * columns, None])
        return self.conv(outputs)
