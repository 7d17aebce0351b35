"""The local discriminator, which judges every patch of an image."""

from __future__ import annotations

from typing import List, Optional, Tuple

import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.equalized import leaky_relu
from rethink_fr.vqfr.networks.batch_norm import SyncBatchNorm
from rethink_fr.vqfr.networks.spectral_norm import SpectralConvolution

_FIRST_CHANNELS = 64
_LARGEST_FACTOR = 8  # on the first channels
_KERNEL = 4


class PatchDiscriminator(keras.Model):
    """Tells generated patches from real ones: the local discriminator of both versions.

    Isola et al. 2017 (pix2pix, arXiv:1611.07004), section 3.2.2. As in the released code of VQFR, it has spectral
    normalisation. The published ones have 2,782,002 parameters with 3 layers (version 1) and 6,986,034 with 4 (version
    2), singular vectors included.

    Call with images, float32 `[B, H, W, 3]` RGB, nominally in [-1, 1]. Returns logits
    `[B, H / 2**layers - 2, W / 2**layers - 2, 1]`, higher for real patches. With `training=True` the batch
    normalizations use the statistics of the batch. Every call updates the singular vectors.

    Example:
        >>> discriminator = PatchDiscriminator(layers=2, width=0.25)
        >>> discriminator(tf.zeros([4, 64, 64, 3]), training=True).shape
        TensorShape([4, 14, 14, 1])

    Args:
        layers: number of convolutions with stride 2.
        width: multiplies all numbers of channels, which are rounded to multiples of 8.

    Raises:
        ValueError: if an argument, or the static shape of the images, is not valid.
    """

    def __init__(self, layers: int = 3, width: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        if not 1 <= layers <= 6:
            raise ValueError(f"PatchDiscriminator: layers is {layers!r}, expected 1 to 6")
        if not 0.0 < width <= 8.0:
            raise ValueError(f"PatchDiscriminator: width is {width!r}, expected above 0, at most 8")
        self.step = 1 << layers

        def convolution(number: int, filters: int, strides: int, use_bias: bool = False) -> SpectralConvolution:
            return SpectralConvolution(filters, _KERNEL, strides, 1, use_bias, name=f"main.{number}.module")

        # The numbers count the layers of the released code, activations included.
        self.conv_in = convolution(0, _scaled(1, width), strides=2, use_bias=True)
        self.convolutions: List[Tuple[SpectralConvolution, SyncBatchNorm]] = []
        for level in range(1, layers + 1):
            filters, number = _scaled(min(1 << level, _LARGEST_FACTOR), width), 3 * level - 1
            conv = convolution(number, filters, strides=2 if level < layers else 1)
            self.convolutions.append((conv, SyncBatchNorm(name=f"main.{number + 1}")))
        self.conv_out = convolution(3 * layers + 2, 1, strides=1, use_bias=True)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        self._check_images(tuple(images.shape))
        features = leaky_relu(self.conv_in(images))
        for conv, norm in self.convolutions:
            features = leaky_relu(norm(conv(features), training=training))
        return self.conv_out(features)

    def _check_images(self, shape: Tuple[Optional[int], ...]) -> None:
        if len(shape) != 4 or shape[3] not in (None, 3):
            raise ValueError(f"PatchDiscriminator: images are {list(shape)}, expected [B, H, W, 3]")
        for side in shape[1:3]:
            if side is not None and (side % self.step or side < 3 * self.step):
                raise ValueError(
                    f"PatchDiscriminator: images are {shape[1]} x {shape[2]}, expected sides that are multiples of "
                    f"{self.step}, at least {3 * self.step}; resize or pad them first"
                )


def _scaled(factor: int, width: float) -> int:
    return 8 * max(1, round(factor * _FIRST_CHANNELS * width / 8))
