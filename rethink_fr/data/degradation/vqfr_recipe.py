"""How VQFR's training images are degraded, following its released code.

The stages are those of Eq. 13 of the first paper, with these differences: blurs may differ by direction, the factor r
may be below 1, which enlarges, sizes are rounded down, nothing is antialiased, and JPEG qualities are rounded down.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from rethink_fr.data.degradation.kernels import filter_image, gaussian_kernel
from rethink_fr.data.degradation.stages import (
    GENERATOR,
    REFERENCE_RESOLUTION,
    SMALLEST_SIDE,
    Index,
    add_noise,
    between,
    compress_jpeg,
    image_seed,
    sides,
    to_uint8,
    upsample,
)
from rethink_fr.types import DegradationRanges

# The ranges that the two versions were trained with.
VQFR_RANGES = {
    1: DegradationRanges((0.1, 10.0), (0.8, 8.0), (0.0, 20.0), (60, 100), anisotropic=0.5),
    2: DegradationRanges((1.0, 15.0), (1.0, 30.0), (0.0, 20.0), (30, 90), anisotropic=0.5),
}
_RADIUS = 20  # of the kernel at the reference resolution, in pixels: 41 taps
_PARAMETER_STREAM, _NOISE_STREAM = 2, 3


class VQFRDegradation(NamedTuple):
    """The parameters for one image; each is a scalar tensor."""

    sigma_x: tf.Tensor  # float32, pixels of a 512 x 512 image
    sigma_y: tf.Tensor  # float32; the same as sigma_x for an isotropic kernel
    rotation: tf.Tensor  # float32, radians
    downscale: tf.Tensor  # float32, the factor r
    noise: tf.Tensor  # float32, standard deviation in 8-bit units
    jpeg_quality: tf.Tensor  # int32, 1..100


def draw_vqfr_degradation(seed: Index, index: Index, ranges: DegradationRanges) -> VQFRDegradation:
    """Draw the parameters that `degrade_vqfr` uses for (seed, index): uniformly, the JPEG quality rounded down."""
    pair = image_seed(seed, index, _PARAMETER_STREAM)
    uniform = tf.unstack(tf.random.stateless_uniform([7], pair, alg=GENERATOR))
    sigma_x, sigma_y = between(ranges.blur_sigma, uniform[1]), between(ranges.blur_sigma, uniform[2])
    return VQFRDegradation(
        sigma_x=sigma_x,
        sigma_y=tf.where(uniform[0] < ranges.anisotropic, sigma_y, sigma_x),
        rotation=between((-math.pi, math.pi), uniform[3]),
        downscale=between(ranges.downscale, uniform[4]),
        noise=between(ranges.noise, uniform[5]),
        jpeg_quality=tf.cast(between(ranges.jpeg_quality, uniform[6]), tf.int32),
    )


def degrade_vqfr(image_uint8: tf.Tensor, seed: Index, index: Index, ranges: DegradationRanges) -> tf.Tensor:
    """Blur, resize by 1 / r, add noise, compress as JPEG, resize back and round: uint8 `[H, W, 3]` to the same shape.

    Order and rounding are those of the released code: to 8 bits only where JPEG needs it, and at the end. The blur
    scales with min(H, W) / 512. What is drawn depends on the seed and the image's index only.
    """
    return to_uint8(upsample(reduced_vqfr(image_uint8, seed, index, ranges), *sides(image_uint8)))


def reduced_vqfr(image_uint8: tf.Tensor, seed: Index, index: Index, ranges: DegradationRanges) -> tf.Tensor:
    """`degrade_vqfr` before it resizes back: uint8 `[H, W, 3]` to a smaller image, float32 `[h, w, 3]`."""
    drawn = draw_vqfr_degradation(seed, index, ranges)
    rows, columns = sides(image_uint8)
    scale = min(rows, columns) / REFERENCE_RESOLUTION
    radius = min(max(2, round(_RADIUS * scale)), min(rows, columns) - 1)
    kernel = gaussian_kernel(radius, drawn.sigma_x * scale, drawn.sigma_y * scale, drawn.rotation)
    image = filter_image(tf.cast(image_uint8, tf.float32), kernel)
    image = resize_down(image, drawn.downscale)
    image = add_noise(image, drawn.noise, image_seed(seed, index, _NOISE_STREAM))
    return compress_jpeg(image, drawn.jpeg_quality)


def resize_down(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Resize float32 `[H, W, 3]` to `[floor(H / r), floor(W / r), 3]`, at least 4 pixels on a side; not antialiased."""
    # In float64, as Python divides: 512 / 8.0 must not fall below 64.
    size = tf.floor(tf.constant(sides(image), tf.float64) / tf.cast(factor, tf.float64))
    size = tf.maximum(tf.cast(size, tf.int32), SMALLEST_SIDE)
    return tf.image.resize(image, size, "bilinear")
