"""Resampling by a factor of two, as StyleGAN2's bilinear filter does it."""

from __future__ import annotations

import tensorflow as tf


def upsample_2x(features: tf.Tensor) -> tf.Tensor:
    """Double the resolution, bilinear: `[B, h, w, C]` -> `[B, 2h, 2w, C]`.

    The filter is [1, 3, 3, 1] / 4, and edges are repeated.

    Example:
        >>> upsample_2x(tf.constant([0.0, 4.0])[None, None, :, None])[0, 0, :, 0].numpy()
        array([0., 1., 3., 4.], dtype=float32)
    """
    height, width = tf.shape(features)[1], tf.shape(features)[2]
    outputs = tf.image.resize(features, [2 * height, 2 * width], "bilinear")
    rows, columns = features.shape[1], features.shape[2]
    outputs.set_shape([features.shape[0], rows and 2 * rows, columns and 2 * columns, features.shape[3]])
    return tf.cast(outputs, features.dtype)


def downsample_2x(features: tf.Tensor) -> tf.Tensor:
    """Halve the resolution, bilinear, which is the mean of each 2 x 2 block: `[B, h, w, C]` -> `[B, h/2, w/2, C]`."""
    return tf.nn.avg_pool2d(features, 2, 2, "VALID")
