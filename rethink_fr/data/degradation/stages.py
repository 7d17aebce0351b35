"""The stages of a degradation: each is a function of one image, float32 `[H, W, 3]` in 0 to 255.

Random numbers depend on a seed and on the image's index only, not on the order of images, on batches, or on the number
of workers.
"""

from __future__ import annotations

import math
from typing import Tuple, Union

import numpy as np
import tensorflow as tf

REFERENCE_RESOLUTION = 512  # side of the images, in pixels, that `DegradationRanges.blur_sigma` is for
_SMALLEST_SIGMA = 1e-3  # of the blur, in pixels: below it all the weight is on the centre anyway
SMALLEST_SIDE = 4  # of a downsampled image

# Fixed, because the default algorithm may differ between kinds of devices.
GENERATOR = tf.random.Algorithm.PHILOX

Index = Union[int, tf.Tensor]


def blur_radius(side: int, largest_sigma: float = 10.0) -> int:
    """The number of pixels on each side of the centre of the blur's kernel, for an image of `side` pixels.

    Our reading: two of the largest standard deviations, and at least 20 pixels at 512 px (41 taps), at least 2 pixels
    at any size.
    """
    radius = max(20.0, 2.0 * largest_sigma) * side / REFERENCE_RESOLUTION
    return min(max(2, math.ceil(radius)), side - 1)  # reflection has no more pixels to give


def blur(image: tf.Tensor, sigma: tf.Tensor, radius: int) -> tf.Tensor:
    """`y * k_sigma`: isotropic Gaussian blur of float32 `[H, W, 3]`.

    Our reading: the border is reflected, without repeating the edge.

    tensorflow-addons' `gaussian_filter2d` is not used. It compares sigma in Python, which fails inside tf.data, where
    sigma is a tensor; and called eagerly, it is traced again for each value.

    Args:
        image: to be blurred.
        sigma: standard deviation in pixels of this image; 0 leaves the image as it is.
        radius: the kernel has `2 * radius + 1` pixels on a side.
    """
    columns_done = tf.transpose(_blur_columns(image, sigma, radius), [1, 0, 2])
    return tf.transpose(_blur_columns(columns_done, sigma, radius), [1, 0, 2])


def _blur_columns(image: tf.Tensor, sigma: tf.Tensor, radius: int) -> tf.Tensor:
    """The blur of each column of float32 `[H, W, C]`, along the first axis."""
    distance = tf.range(-radius, radius + 1, dtype=tf.float32)
    kernel = tf.nn.softmax(-0.5 * tf.square(distance / tf.maximum(sigma, _SMALLEST_SIGMA)))
    kernel = tf.tile(kernel[:, tf.newaxis], [1, image.shape[-1]])
    padded = tf.pad(image, [[radius, radius], [0, 0], [0, 0]], "REFLECT")[tf.newaxis]
    return tf.nn.depthwise_conv2d(padded, kernel[:, tf.newaxis, :, tf.newaxis], [1, 1, 1, 1], "VALID")[0]


def downsample(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """`resize_down_r`: float32 `[H, W, 3]` to `[round(H / r), round(W / r), 3]`, at least 4 pixels a side.

    Our reading: bilinear with antialiasing (a triangle as wide as r pixels). Sigma and r are drawn independently, so a
    strong reduction often follows a weak blur. Without antialiasing the result would alias, as no camera's would.
    """
    rows, columns = sides(image)
    size = [_reduced_side(rows, factor), _reduced_side(columns, factor)]
    return tf.image.resize(image, size, "bilinear", antialias=True)


def _reduced_side(side: int, factor: tf.Tensor) -> tf.Tensor:
    return tf.maximum(tf.cast(tf.round(tf.constant(side, tf.float32) / factor), tf.int32), SMALLEST_SIDE)


def blur_and_downsample(image: tf.Tensor, sigma: tf.Tensor, radius: int, factor: tf.Tensor) -> tf.Tensor:
    """`downsample(blur(image, sigma, radius), factor)`, to rounding, in about a third of its time.

    Both act on rows and on columns alone and are linear. So each side has one matrix that does both, and the image is
    multiplied by two matrices.
    """
    rows, columns = sides(image)
    down = _side_matrix(rows, sigma, radius, factor)
    across = down if rows == columns else _side_matrix(columns, sigma, radius, factor)
    image = tf.reshape(down @ tf.reshape(image, [rows, -1]), [-1, columns, 3])
    image = tf.transpose(image, [1, 0, 2])
    image = tf.reshape(across @ tf.reshape(image, [columns, -1]), [tf.shape(across)[0], -1, 3])
    return tf.transpose(image, [1, 0, 2])


def _side_matrix(side: int, sigma: tf.Tensor, radius: int, factor: tf.Tensor) -> tf.Tensor:
    """The matrix float32 `[round(side / factor), side]` of blur and reduction."""
    # Pixel j weighs in pixel i by its distance, and by those of its two mirror images beyond the borders.
    i, j = np.mgrid[:side, :side].astype(np.float32)
    distances = [abs(i - j), np.where(j > 0, i + j, np.inf), np.where(j < side - 1, 2 * (side - 1) - i - j, np.inf)]
    exponents = [np.where(distance <= radius, -0.5 * distance**2, -np.inf) for distance in distances]
    sigma = tf.maximum(sigma, _SMALLEST_SIGMA)
    weights = tf.add_n([tf.exp(exponent / tf.square(sigma)) for exponent in exponents])
    blurred = weights / tf.reduce_sum(weights[0])
    size = [_reduced_side(side, factor), side]
    return tf.image.resize(blurred[..., tf.newaxis], size, "bilinear", antialias=True)[..., 0]


def add_noise(image: tf.Tensor, deviation: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """`+ n_delta`: Gaussian noise, independent in each value of float32 `[H, W, 3]`, clipped to 0..255."""
    noise = tf.random.stateless_normal(tf.shape(image), seed, stddev=deviation, alg=GENERATOR)
    return tf.clip_by_value(image + noise, 0.0, 255.0)


def compress_jpeg(image: tf.Tensor, quality: tf.Tensor) -> tf.Tensor:
    """`JPEG_q`: float32 `[H, W, 3]` rounded to 8 bits, written as JPEG (4:2:0) and read; `quality` is 1 to 100."""
    file = tf.raw_ops.EncodeJpegVariableQuality(images=to_uint8(image), quality=quality)
    decoded = tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.cast(decoded, tf.float32)


def upsample(image: tf.Tensor, rows: int, columns: int) -> tf.Tensor:
    """Enlarge to the size before: float32 `[h, w, 3]` to `[rows, columns, 3]`.

    Our reading: bilinear; the paper does not name a filter.
    """
    return tf.ensure_shape(tf.image.resize(image, [rows, columns], "bilinear"), [rows, columns, 3])


def sides(images: tf.Tensor) -> Tuple[int, int]:
    """The height and the width of `[..., H, W, C]`.

    Raises:
        ValueError: if they are not known when the graph is traced.
    """
    rows, columns = images.shape[-3], images.shape[-2]
    if rows is None or columns is None:
        raise ValueError("the height and width of the images must be known when the graph is traced; use ensure_shape")
    return rows, columns


def image_seed(seed: Index, index: Index, stream: int) -> tf.Tensor:
    """Seed for a stateless random operation on one image. Numbers of different streams are independent."""
    pair = tf.stack([tf.cast(seed, tf.int64), tf.cast(index, tf.int64)])
    return tf.random.fold_in(pair, stream, alg=GENERATOR)


def between(limits: Tuple[float, float], uniform: tf.Tensor) -> tf.Tensor:
    """Map a uniform number in [0, 1) to a range."""
    return limits[0] + (limits[1] - limits[0]) * uniform


def to_uint8(image: tf.Tensor) -> tf.Tensor:
    """Clip to 0 to 255 and round, halves to even."""
    return tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
