"""How a clean image is spoilt: Eq. 13 of "Rethinking Deep Face Restoration", and the super-resolution tasks.

    x = upsample(JPEG_q(downsample_r(y * k_sigma) + n_delta))

`degrade` draws sigma, r, delta and q; every stage is a function of its own, on float32 `[H, W, 3]` in 0..255. All
draws are stateless random numbers made from a seed and the image's index: neither the order in which images come, nor
batches, nor the number of workers can change them.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, Tuple, Union

import tensorflow as tf

from rethink_fr.types import DegradationRanges

Task = Literal["blind", "x8", "x16"]

_REFERENCE_RESOLUTION = 512  # pixels in which `DegradationRanges.blur_sigma` is stated
_SMALLEST_SIDE = 4  # of a downsampled image
SMALLEST_INPUT = 8  # pixels; below it there is no room for the blur's border

# Fixed, because the default generator may differ between kinds of device.
_GENERATOR = tf.random.Algorithm.PHILOX
_PARAMETER_STREAM, _NOISE_STREAM = 0, 1

Index = Union[int, tf.Tensor]


class Degradation(NamedTuple):
    """The parameters of Eq. 13 for one image, each a scalar tensor."""

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
    """Degrade by Eq. 13: blur, downsample, add noise, compress as JPEG, upsample to the size it had.

    Args:
        images_uint8: `[H, W, 3]` or `[B, H, W, 3]`, uint8 RGB, at least 8 pixels a side.
        seed: integer scalar.
        index: integer scalar, or `[B]` with a batch. A scalar with a batch gives image b the index `index + b`. The
            pair (seed, index) alone determines what is drawn.
        ranges: what the parameters are drawn from, uniformly; `blur_sigma` scales with min(H, W) / 512.

    Returns: uint8, the shape of `images_uint8`.

    Raises:
        ValueError: if the images are not uint8, or their shape is another.
    """
    return degrade_for_task(images_uint8, seed, index, ranges, "blind")


def degrade_for_task(
    images_uint8: tf.Tensor,
    seed: Index,
    index: Index,
    ranges: DegradationRanges = DegradationRanges(),  # noqa: B008 (immutable)
    task: Task = "blind",
) -> tf.Tensor:
    """`degrade` for the task `blind`; for `x8` and `x16`, `super_resolution_input`, which draws nothing."""
    if task not in ("blind", "x8", "x16"):
        raise ValueError(f"unknown task {task!r}: expected 'blind', 'x8' or 'x16'")
    images = _checked(images_uint8)
    if task != "blind":
        return super_resolution_input(images, int(task[1:]))
    seed = tf.cast(seed, tf.int64)
    index = tf.cast(index, tf.int64)
    with tf.device("CPU:0"):  # JPEG exists there only, and so the same generator and rounding serve every machine
        if images.shape.rank == 3:
            return _degrade_one(images, seed, index, ranges)
        if index.shape.rank == 0:
            index = index + tf.range(tf.shape(images, tf.int64)[0])
        return tf.map_fn(
            lambda pair: _degrade_one(pair[0], seed, pair[1], ranges),
            (images, index),
            fn_output_signature=tf.TensorSpec(images.shape[1:], tf.uint8),
        )


def draw_degradation(seed: Index, index: Index, ranges: DegradationRanges) -> Degradation:
    """The parameters that `degrade` uses for (seed, index): uniform, the JPEG quality on both its ends included."""
    pair = _image_seed(seed, index, _PARAMETER_STREAM)
    uniform = tf.unstack(tf.random.stateless_uniform([4], pair, alg=_GENERATOR))
    lowest_quality, highest_quality = ranges.jpeg_quality
    qualities = highest_quality - lowest_quality + 1
    quality = lowest_quality + tf.cast(tf.floor(uniform[3] * qualities), tf.int32)
    return Degradation(
        blur_sigma=_between(ranges.blur_sigma, uniform[0]),
        downscale=_between(ranges.downscale, uniform[1]),
        noise=_between(ranges.noise, uniform[2]),
        jpeg_quality=tf.minimum(quality, highest_quality),  # float32 may round the product up to `qualities`
    )


def _degrade_one(image_uint8: tf.Tensor, seed: tf.Tensor, index: tf.Tensor, ranges: DegradationRanges) -> tf.Tensor:
    return _to_uint8(upsample(reduced(image_uint8, seed, index, ranges), *_sides(image_uint8)))


def reduced(image_uint8: tf.Tensor, seed: Index, index: Index, ranges: DegradationRanges) -> tf.Tensor:
    """Eq. 13 before the image goes back to its size: uint8 `[H, W, 3]` to float32 `[h, w, 3]` of whole numbers."""
    drawn = draw_degradation(seed, index, ranges)
    rows, columns = _sides(image_uint8)
    scale = min(rows, columns) / _REFERENCE_RESOLUTION
    image = tf.cast(image_uint8, tf.float32)
    image = blur(image, drawn.blur_sigma * scale, blur_radius(min(rows, columns), ranges.blur_sigma[1]))
    image = downsample(image, drawn.downscale)
    image = add_noise(image, drawn.noise, _image_seed(seed, index, _NOISE_STREAM))
    return compress_jpeg(image, drawn.jpeg_quality)


def blur_radius(side: int, largest_sigma: float = 10.0) -> int:
    """Pixels on each side of the centre of the blur's kernel, for an image of `side` pixels.

    Our reading: two of the largest standard deviations, and at least 20 pixels at 512 (41 taps), 2 pixels anywhere.
    """
    radius = max(20.0, 2.0 * largest_sigma) * side / _REFERENCE_RESOLUTION
    return min(max(2, math.ceil(radius)), side - 1)  # reflection has no more pixels to give


def blur(image: tf.Tensor, sigma: tf.Tensor, radius: int) -> tf.Tensor:
    """`y * k_sigma`: isotropic Gaussian blur of float32 `[H, W, 3]`, kernel of `2 * radius + 1` pixels a side.

    `sigma` is in pixels of this image; 0 leaves the image as it is. Our reading: the border is reflected, without
    repeating the edge.

    tensorflow-addons' `gaussian_filter2d` is not used: it compares sigma in Python, so inside tf.data, where sigma is a
    tensor, it fails; and called eagerly, it traces anew for each value.
    """
    sigma = tf.maximum(sigma, 1e-3)  # all the weight is on the centre long before
    distance = tf.range(-radius, radius + 1, dtype=tf.float32)
    kernel = tf.nn.softmax(-0.5 * tf.square(distance / sigma))
    kernel = tf.tile(kernel[:, tf.newaxis], [1, 3])  # [taps, channels]
    padded = tf.pad(image, [[radius, radius], [radius, radius], [0, 0]], "REFLECT")[tf.newaxis]
    columns_done = tf.nn.depthwise_conv2d(padded, kernel[:, tf.newaxis, :, tf.newaxis], [1, 1, 1, 1], "VALID")
    return tf.nn.depthwise_conv2d(columns_done, kernel[tf.newaxis, :, :, tf.newaxis], [1, 1, 1, 1], "VALID")[0]


def downsample(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """`resize_down_r`: float32 `[H, W, 3]` to `[round(H / r), round(W / r), 3]`, at least 4 pixels a side.

    Our reading: bilinear with antialiasing (a triangle as wide as r pixels). Sigma and r are drawn independently, so a
    strong reduction often follows a weak blur; without antialiasing it would alias, which no camera or viewer does.
    """
    rows, columns = _sides(image)
    size = tf.round(tf.constant([rows, columns], tf.float32) / factor)
    size = tf.maximum(tf.cast(size, tf.int32), _SMALLEST_SIDE)
    return tf.image.resize(image, size, "bilinear", antialias=True)


def add_noise(image: tf.Tensor, deviation: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """`+ n_delta`: Gaussian noise, independent in each value of float32 `[H, W, 3]`, clipped to 0..255."""
    noise = tf.random.stateless_normal(tf.shape(image), seed, stddev=deviation, alg=_GENERATOR)
    return tf.clip_by_value(image + noise, 0.0, 255.0)


def compress_jpeg(image: tf.Tensor, quality: tf.Tensor) -> tf.Tensor:
    """`JPEG_q`: float32 `[H, W, 3]` rounded to 8 bits, through a JPEG file of integer `quality` 1..100 (4:2:0)."""
    file = tf.raw_ops.EncodeJpegVariableQuality(images=_to_uint8(image), quality=quality)
    decoded = tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.cast(decoded, tf.float32)


def upsample(image: tf.Tensor, rows: int, columns: int) -> tf.Tensor:
    """Back to the size that the network takes: float32 `[h, w, 3]` to `[rows, columns, 3]`.

    Our reading: bilinear; the paper names no filter.
    """
    return tf.ensure_shape(tf.image.resize(image, [rows, columns], "bilinear"), [rows, columns, 3])


def super_resolution_input(images_uint8: tf.Tensor, factor: int) -> tf.Tensor:
    """Input of the tasks x8 and x16 (section 5.1): reduced by `factor`, enlarged again, both bicubic.

    Our reading: the reduction is antialiased, as in Pillow and MATLAB (Keys' cubic, a = -0.5), and the small image
    is rounded to 8 bits, since it would be a file.

    Args:
        images_uint8: `[H, W, 3]` or `[B, H, W, 3]`, uint8 RGB.
        factor: 2 or more.

    Returns: uint8, the shape of `images_uint8`.
    """
    if factor < 1:
        raise ValueError(f"super_resolution_input: expected a factor of at least 1, got {factor}")
    images = _checked(images_uint8)
    rows, columns = _sides(images)
    small = [max(1, round(rows / factor)), max(1, round(columns / factor))]
    with tf.device("CPU:0"):
        reduced = _to_uint8(tf.image.resize(images, small, "bicubic", antialias=True))
        return _to_uint8(tf.image.resize(reduced, [rows, columns], "bicubic", antialias=True))


def _checked(images_uint8: tf.Tensor) -> tf.Tensor:
    images = tf.convert_to_tensor(images_uint8)
    if images.dtype != tf.uint8:
        raise ValueError(f"expected uint8 images in 0..255, got {images.dtype.name}; convert with images.to_uint8")
    if images.shape.rank not in (3, 4) or images.shape[-1] != 3:
        raise ValueError(f"expected images [H, W, 3] or [B, H, W, 3], got {images.shape}")
    if min(_sides(images)) < SMALLEST_INPUT:
        raise ValueError(f"expected images of at least {SMALLEST_INPUT} x {SMALLEST_INPUT} pixels, got {images.shape}")
    return images


def _sides(images: tf.Tensor) -> Tuple[int, int]:
    rows, columns = images.shape[-3], images.shape[-2]
    if rows is None or columns is None:
        raise ValueError("the height and width of the images must be known when the graph is traced; use ensure_shape")
    return rows, columns


def _image_seed(seed: Index, index: Index, stream: int) -> tf.Tensor:
    pair = tf.stack([tf.cast(seed, tf.int64), tf.cast(index, tf.int64)])
    return tf.random.fold_in(pair, stream, alg=_GENERATOR)


def _between(limits: Tuple[float, float], uniform: tf.Tensor) -> tf.Tensor:
    return limits[0] + (limits[1] - limits[0]) * uniform


def _to_uint8(image: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
