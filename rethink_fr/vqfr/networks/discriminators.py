"""The global discriminators, which judge whole images: by wavelets (version 1), or by residual blocks (version 2)."""

from __future__ import annotations

import math
from typing import Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers import MinibatchStdDev
from rethink_fr.layers.equalized import leaky_relu
from rethink_fr.vqfr.networks.spectral_norm import SpectralConvolution, SpectralDense
from rethink_fr.vqfr.networks.wavelets import blur, haar, halve

# Channels of the features by their side in pixels, as in the larger configuration of StyleGAN2.
_CHANNELS = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32}
_SMALLEST_SIDE = 4


class WaveletDiscriminator(keras.Model):
    """Tells generated images from real ones by their Haar wavelets at all sizes: version 1's global discriminator.

    Gal et al. 2021 (SWAGAN, arXiv:2102.06108), Figure 4. As in the released code of VQFR, it has spectral normalisation
    and no equalized learning rates. The published one has 27,772,799 parameters, singular vectors included.

    Call with images, float32 `[B, R, R, 3]` RGB, nominally in [-1, 1]. Returns logits `[B, 1]`, higher for real images.
    Every call updates the singular vectors. The minibatch deviation is over four images that follow each other in the
    batch. In the released code they are B / 4 images apart, which is the same for a batch of up to 7.

    Example:
        >>> discriminator = WaveletDiscriminator(resolution=64, width=0.25)
        >>> discriminator(tf.zeros([4, 64, 64, 3])).shape
        TensorShape([4, 1])

    Args:
        resolution: R, a power of two from 16 to 1024.
        width: multiplies all numbers of channels, which are rounded to multiples of 8.

    Raises:
        ValueError: if an argument, or the static shape of the images, is not valid.
    """

    def __init__(self, resolution: int = 512, width: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        _check(type(self).__name__, resolution, 16, width)
        self.resolution = resolution
        # Wavelets have half the side of the image, but the first stage has the channels of the image's side.
        sides = [resolution >> (level + 1) for level in range(int(math.log2(resolution)) - 2)]  # ..., 8, 4
        channels = [_scaled(resolution, width)] + [_scaled(side, width) for side in sides[1:]]
        self.from_wavelets = [
            SpectralConvolution(count, 3, padding=1, name=f"from_rgbs.{level}.conv.0.module")
            for level, count in enumerate(channels)
        ]
        self.stages = [
            HalvingBlock(channels[level], channels[level + 1], name=f"convs.{level}")
            for level in range(len(channels) - 1)
        ]
        self.ending = _Ending(channels[-1])

    def call(self, images: tf.Tensor) -> tf.Tensor:
        _check_images(self, images)
        features = leaky_relu(self.from_wavelets[0](haar(images)))
        for stage, from_wavelets in zip(self.stages, self.from_wavelets[1:]):
            # Deviates from the released code, which keeps wavelets and inverts them; the image is the same.
            images = halve(images)
            features = stage(features) + leaky_relu(from_wavelets(haar(images)))
        return self.ending(features)


class StyleDiscriminator(keras.Model):
    """Tells generated images from real ones by residual blocks: version 2's global discriminator.

    Karras et al. 2020 (StyleGAN2, arXiv:1912.04958), Figure 7c. As in the released code of VQFR, it has spectral
    normalisation and no equalized learning rates. The published one has 29,053,070 parameters, singular vectors
    included. It is called like a `WaveletDiscriminator`.

    Args:
        resolution: R, a power of two from 8 to 1024.
        width: multiplies all numbers of channels, which are rounded to multiples of 8.

    Raises:
        ValueError: if an argument, or the static shape of the images, is not valid.
    """

    def __init__(self, resolution: int = 512, width: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        _check(type(self).__name__, resolution, 8, width)
        self.resolution = resolution
        channels = [_scaled(resolution >> level, width) for level in range(int(math.log2(resolution)) - 1)]
        self.conv_in = SpectralConvolution(channels[0], 1, name="conv_body.0.0.module")
        self.stages = [
            ResidualHalvingBlock(before, after, name=f"conv_body.{level}")
            for level, (before, after) in enumerate(zip(channels, channels[1:]), start=1)
        ]
        self.ending = _Ending(channels[-1])

    def call(self, images: tf.Tensor) -> tf.Tensor:
        _check_images(self, images)
        features = leaky_relu(self.conv_in(images))
        for stage in self.stages:
            features = stage(features)
        return self.ending(features)


class HalvingBlock(keras.layers.Layer):
    """A convolution, a blur and a convolution with stride 2.

    `[B, H, W, channels]`, H and W even, to `[B, H / 2, W / 2, filters]`.
    """

    def __init__(self, channels: int, filters: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.conv_in = SpectralConvolution(channels, 3, padding=1, name=f"{self.name}.conv1.0.module")
        self.conv_down = SpectralConvolution(filters, 3, strides=2, name=f"{self.name}.conv2.1.module")

    def call(self, features: tf.Tensor) -> tf.Tensor:
        features = leaky_relu(self.conv_in(features))
        return leaky_relu(self.conv_down(blur(features, padding=2)))


class ResidualHalvingBlock(HalvingBlock):
    """A `HalvingBlock` and a shortcut of a blur and a 1x1 convolution, added and divided by the square root of 2."""

    def __init__(self, channels: int, filters: int, **kwargs) -> None:
        super().__init__(channels, filters, **kwargs)
        self.shortcut = SpectralConvolution(filters, 1, strides=2, use_bias=False, name=f"{self.name}.skip.1.module")

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return (super().call(features) + self.shortcut(blur(features, padding=1))) * math.sqrt(0.5)


class _Ending(keras.layers.Layer):
    """Minibatch deviation, a convolution and two dense layers: `[B, 4, 4, C]` to logits `[B, 1]`."""

    def __init__(self, channels: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.minibatch_stddev = MinibatchStdDev()
        self.conv = SpectralConvolution(channels, 3, padding=1, name="final_conv.0.module")
        self.dense = SpectralDense(channels, name="final_linear.0.module")
        self.logits = SpectralDense(1, name="final_linear.2.module")

    def call(self, features: tf.Tensor) -> tf.Tensor:
        features = leaky_relu(self.conv(self.minibatch_stddev(features)))
        # The published dense weights expect channels first.
        flat = tf.reshape(tf.transpose(features, [0, 3, 1, 2]), [-1, features.shape[-1] * _SMALLEST_SIDE**2])
        return self.logits(leaky_relu(self.dense(flat)))


def _scaled(side: int, width: float) -> int:
    return 8 * max(1, round(_CHANNELS[side] * width / 8))


def _check(name: str, resolution: int, smallest: int, width: float) -> None:
    if resolution not in _CHANNELS or resolution < smallest:
        raise ValueError(f"{name}: resolution is {resolution!r}, expected a power of two from {smallest} to 1024")
    if not 0.0 < width <= 8.0:
        raise ValueError(f"{name}: width is {width!r}, expected above 0, at most 8")


def _check_images(network: keras.Model, images: tf.Tensor) -> None:
    side = network.resolution
    expected: Tuple[int, ...] = (side, side, 3)
    if images.shape.rank != 4 or not images.shape[1:].is_compatible_with(expected):
        raise ValueError(f"{type(network).__name__}: images are {images.shape}, expected [B, {side}, {side}, 3]")
