"""Pixel losses."""

from __future__ import annotations

import tensorflow as tf


def l1_loss(clean: tf.Tensor, restored: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference (Eq. 9's L_1) of images `[B, H, W, 3]` in [-1, 1]."""
    return tf.reduce_mean(tf.abs(clean - restored))
