"""How clean images are degraded: by Eq. 13 of "Rethinking Deep Face Restoration", or for super-resolution.

    x = upsample(JPEG_q(downsample_r(y * k_sigma) + n_delta))

`degrade` draws sigma, r, delta and q; the stages are functions in `stages.py`. Random numbers depend on a seed and on
the image's index only, not on the order of images, on batches, or on the number of workers.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import tensorflow as tf

from rethink_fr.data.degradation.stages import (
    GENERATOR,
    REFERENCE_RESOLUTION,
    Index,
    add_noise,
    between,
    blur_and_downsample,
    blur_radius,
    compress_jpeg,
    image_seed,
    sides,
    to_uint8,
    upsample,
)
from rethink_fr.data.degradation.vqfr_recipe import degrade_vqfr
from rethink_fr.types import DegradationRanges

Task = Literal["blind", "x8", "x16", "vqfr"]

SMALLEST_INPUT = 8  # pixels; smaller images have no room for the border of the blur
_PARAMETER_STREAM, _NOISE_STREAM = 0, 1


class Degradation(NamedTuple):
    """The parameters of Eq. 13 for one image; each is a scalar tensor."""

    blur_sigma: tf.Tensor  # float32, pixels of a 512 x 512 image
    downscale: tf.Tensor  # float32, the factor r
    noise: tf.Tensor  # float32, standard deviation in 8-bit units
    jpeg_quality: tf.Tensor  # int32, 1..100


def degrade(
    images_uint8: tf.Tensor,
    seed: Index,
    index: Index,
    ranges: DegradationRanges = DegradationRanges(),  # noqa: B008 (immutable)
) -> tf.Tensor:
    """Degrade images by Eq. 13: blur, downsample, add noise, compress as JPEG, upsample to the size before.

    Example:
        >>> degrade(tf.zeros([2, 64, 64, 3], tf.uint8), seed=0, index=tf.range(2)).shape
        TensorShape([2, 64, 64, 3])

    Args:
        images_uint8: `[H, W, 3]` or `[B, H, W, 3]`, uint8 RGB, at least 8 pixels on each side.
        seed: integer scalar. What is drawn for an image depends on the seed and its index only.
        index: integer scalar, or `[B]` for a batch. With a scalar, image b of a batch has the index `index + b`.
        ranges: the ranges of the parameters; `blur_sigma` scales with min(H, W) / 512.

    Returns: uint8, the shape of `images_uint8`.

    Raises:
        ValueError: if the images have another type or shape.
    """
    return degrade_for_task(images_uint8, seed, index, ranges, "blind")


def degrade_for_task(
    images_uint8: tf.Tensor,
    seed: Index,
    index: Index,
    ranges: DegradationRanges = DegradationRanges(),  # noqa: B008 (immutable)
    task: Task = "blind",
) -> tf.Tensor:
    """Degrade for a task: `blind` by `degrade`, `vqfr` by `degrade_vqfr`, x8 and x16 by `super_resolution_input`.

    Arguments, result and errors are those of `degrade`. Super-resolution draws nothing.
    """
    if task not in ("blind", "x8", "x16", "vqfr"):
        raise ValueError(f"unknown task {task!r}: expected 'blind', 'x8', 'x16' or 'vqfr'")
    images = _checked(images_uint8)
    degrade_one = {"blind": _degrade_one, "vqfr": degrade_vqfr}.get(task)
    if degrade_one is None:
        return super_resolution_input(images, int(task[1:]))
    seed = tf.cast(seed, tf.int64)
    index = tf.cast(index, tf.int64)
    with tf.device("CPU:0"):  # JPEG exists there only; and so random numbers and rounding are the same everywhere
        if images.shape.rank == 3:
            return degrade_one(images, seed, index, ranges)
        if index.shape.rank == 0:
            index = index + tf.range(tf.shape(images, tf.int64)[0])
        return tf.map_fn(
            lambda pair: degrade_one(pair[0], seed, pair[1], ranges),
            (images, index),
            fn_output_signature=tf.TensorSpec(images.shape[1:], tf.uint8),
        )


def draw_degradation(seed: Index, index: Index, ranges: DegradationRanges) -> Degradation:
    """Draw the parameters that `degrade` uses for (seed, index): uniformly, with both ends of the JPEG quality."""
    pair = image_seed(seed, index, _PARAMETER_STREAM)
    uniform = tf.unstack(tf.random.stateless_uniform([4], pair, alg=GENERATOR))
    lowest_quality, highest_quality = ranges.jpeg_quality
    qualities = highest_quality - lowest_quality + 1
    quality = lowest_quality + tf.cast(tf.floor(uniform[3] * qualities), tf.int32)
    return Degradation(
        blur_sigma=between(ranges.blur_sigma, uniform[0]),
        downscale=between(ranges.downscale, uniform[1]),
        noise=between(ranges.noise, uniform[2]),
        jpeg_quality=tf.minimum(quality, highest_quality),  # float32 may round the product up to `qualities`
    )


def _degrade_one(image_uint8: tf.Tensor, seed: tf.Tensor, index: tf.Tensor, ranges: DegradationRanges) -> tf.Tensor:
    return to_uint8(upsample(reduced(image_uint8, seed, index, ranges), *sides(image_uint8)))


def reduced(image_uint8: tf.Tensor, seed: Index, index: Index, ranges: DegradationRanges) -> tf.Tensor:
    """Eq. 13 without the last step: uint8 `[H, W, 3]` to a smaller image, float32 `[h, w, 3]` of whole numbers."""
    drawn = draw_degradation(seed, index, ranges)
    rows, columns = sides(image_uint8)
    scale = min(rows, columns) / REFERENCE_RESOLUTION
    radius = blur_radius(min(rows, columns), ranges.blur_sigma[1])
    image = blur_and_downsample(tf.cast(image_uint8, tf.float32), drawn.blur_sigma * scale, radius, drawn.downscale)
    image = add_noise(image, drawn.noise, image_seed(seed, index, _NOISE_STREAM))
    return compress_jpeg(image, drawn.jpeg_quality)


def super_resolution_input(images_uint8: tf.Tensor, factor: int) -> tf.Tensor:
    """The input of the tasks x8 and x16 (section 5.1): images reduced by a factor and enlarged again, both bicubic.

    Our reading: the reduction is antialiased, as in Pillow and MATLAB (Keys' cubic, a = -0.5), and the small image is
    rounded to 8 bits, as it would be in a file.

    Args:
        images_uint8: `[H, W, 3]` or `[B, H, W, 3]`, uint8 RGB.
        factor: 8 or 16; any number of at least 1.

    Returns: uint8, the shape of `images_uint8`.

    Raises:
        ValueError: if the images have another type or shape, or the factor is smaller.
    """
    if factor < 1:
        raise ValueError(f"super_resolution_input: expected a factor of at least 1, got {factor}")
    images = _checked(images_uint8)
    with tf.device("CPU:0"):
        small = reduced_bicubic(images, factor)
        return to_uint8(tf.image.resize(small, sides(images), "bicubic", antialias=True))


def reduced_bicubic(images_uint8: tf.Tensor, factor: int) -> tf.Tensor:
    """The small images of `super_resolution_input`: uint8 `[..., H, W, 3]` to `[..., H / factor, W / factor, 3]`."""
    small = [max(1, round(side / factor)) for side in sides(images_uint8)]
    return to_uint8(tf.image.resize(images_uint8, small, "bicubic", antialias=True))


def _checked(images_uint8: tf.Tensor) -> tf.Tensor:
    images = tf.convert_to_tensor(images_uint8)
    if images.dtype != tf.uint8:
        raise ValueError(f"expected uint8 images in 0..255, got {images.dtype.name}; convert with images.to_uint8")
    if images.shape.rank not in (3, 4) or images.shape[-1] != 3:
        raise ValueError(f"expected images [H, W, 3] or [B, H, W, 3], got {images.shape}")
    if min(sides(images)) < SMALLEST_INPUT:
        raise ValueError(f"expected images of at least {SMALLEST_INPUT} x {SMALLEST_INPUT} pixels, got {images.shape}")
    return images
