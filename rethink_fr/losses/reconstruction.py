"""The loss of pixels."""

from __future__ import annotations

import tensorflow as tf


def l1_loss(clean: tf.Tensor, restored: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference of images `[B, H, W, 3]` in [-1, 1], a scalar: L_1 in Eq. 10 of the restorer's paper."""
    return tf.reduce_mean(tf.abs(clean - restored))
