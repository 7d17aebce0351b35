"""Value ranges of images, and nothing else: the only place that knows 127.5.

Inside the package images are float32 RGB `[B, H, W, 3]` in [-1, 1]; uint8 appears only at the borders (files,
data pipeline, exported signatures).
"""

from __future__ import annotations

import tensorflow as tf

_HALF_RANGE = 127.5


def to_model(images: tf.Tensor) -> tf.Tensor:
    """uint8 `[..., 3]` in 0..255 to float32 in [-1, 1]."""
    return tf.cast(images, tf.float32) / _HALF_RANGE - 1.0


def to_levels(images: tf.Tensor) -> tf.Tensor:
    """float `[..., 3]` in [-1, 1] to 0..255, neither clipped nor rounded."""
    return (images + 1.0) * _HALF_RANGE


def to_uint8(images: tf.Tensor) -> tf.Tensor:
    """float `[..., 3]` in [-1, 1] to uint8: clipped, then rounded half to even. `to_uint8(to_model(x)) == x`."""
    levels = to_levels(tf.cast(images, tf.float32))
    return tf.cast(tf.round(tf.clip_by_value(levels, 0.0, 255.0)), tf.uint8)
