"""Augmentation of clean images before they are degraded: mirroring, and other light.

Changes of light are keras-cv's. Its layers draw random numbers from a generator with a state, so that an image would
depend on the order of the work. Therefore the numbers are drawn here, from a seed and the image's index, and given to
the layers' public method `augment_images`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from typing import Any, NamedTuple, Union

import tensorflow as tf

_GENERATOR = tf.random.Algorithm.PHILOX
_AUGMENTATION_STREAM = 2  # degradation/tasks.py uses 0 and 1

# The largest changes, at color_jitter = 1: brightness by half the range, contrast 0.5 to 1.5, saturation 0 to 2.
_BRIGHTNESS, _CONTRAST, _SATURATION = 127.5, 0.5, 1.0


class _Layers(NamedTuple):
    brightness: Any
    contrast: Any
    saturation: Any


@functools.lru_cache(maxsize=1)
def _layers() -> _Layers:
    # The import takes a second and may print. The limits given here are for keras-cv's own draws, which are not used.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import keras_cv

        return _Layers(
            brightness=keras_cv.layers.RandomBrightness(0.5),
            contrast=keras_cv.layers.RandomContrast((0, 255), 0.5),
            saturation=keras_cv.layers.RandomSaturation((0.0, 1.0)),
        )


def augment(
    image_uint8: tf.Tensor,
    seed: Union[int, tf.Tensor],
    index: Union[int, tf.Tensor],
    flip: float = 0.5,
    color_jitter: float = 0.0,
) -> tf.Tensor:
    """Randomly mirror one clean image and change its colours. This is not in the paper.

    Args:
        image_uint8: `[H, W, 3]`, uint8 RGB.
        seed, index: integer scalars; they decide what is drawn.
        flip: probability that the image is mirrored left to right, 0 to 1.
        color_jitter: strength of the changes, 0 to 1. Brightness changes by at most 127.5 * strength; contrast and
            saturation are multiplied by factors within 1 +- strength / 2 and 1 +- strength.

    Returns: uint8, the shape of `image_uint8`.

    Raises:
        ValueError: if the image is not uint8 `[H, W, 3]`, or a number is not within 0 to 1.
    """
    if not 0 <= flip <= 1 or not 0 <= color_jitter <= 1:
        raise ValueError(f"augment: expected flip and color_jitter within 0 to 1, got {flip} and {color_jitter}")
    image = tf.convert_to_tensor(image_uint8)
    if image.dtype != tf.uint8 or image.shape.rank != 3 or image.shape[-1] != 3:
        raise ValueError(f"augment: expected a uint8 image [H, W, 3], got {image.dtype.name} {image.shape}")
    if flip == 0 and color_jitter == 0:
        return image
    with tf.device("CPU:0"):  # as in `degrade`: the same random numbers and rounding everywhere
        pair = tf.stack([tf.cast(seed, tf.int64), tf.cast(index, tf.int64)])
        pair = tf.random.fold_in(pair, _AUGMENTATION_STREAM, alg=_GENERATOR)
        draws = tf.random.stateless_uniform([4], pair, alg=_GENERATOR)
        if flip > 0:
            # Not keras-cv's layer: it mirrors always and then chooses pixel by pixel, which took a third of the time
            # of a whole sample.
            image = tf.cond(draws[0] < flip, lambda: tf.reverse(image, [1]), lambda: image)
        if color_jitter > 0:
            image = _jitter(image[tf.newaxis], color_jitter, 2.0 * draws[1:] - 1.0)[0]
        return tf.ensure_shape(image, image_uint8.shape)


def _jitter(images: tf.Tensor, strength: float, draws: tf.Tensor) -> tf.Tensor:
    """Change uint8 `[1, H, W, 3]`. `draws` are three numbers in [-1, 1): for brightness, contrast and saturation."""
    layers = _layers()
    values = tf.cast(images, tf.float32)
    values = layers.brightness.augment_images(values, _BRIGHTNESS * strength * tf.reshape(draws[0], [1, 1, 1, 1]))
    values = layers.contrast.augment_images(values, 1.0 + _CONTRAST * strength * tf.reshape(draws[1], [1, 1, 1, 1]))
    # keras-cv multiplies the saturation by t / (1 - t).
    factor = 1.0 + _SATURATION * strength * draws[2]
    values = layers.saturation.augment_images(values, tf.reshape(factor / (1.0 + factor), [1]))
    return tf.cast(tf.round(tf.clip_by_value(values, 0.0, 255.0)), tf.uint8)
