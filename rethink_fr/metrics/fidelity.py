"""Metrics of fidelity to a reference."""

from __future__ import annotations

import tensorflow as tf


def psnr(a: tf.Tensor, b: tf.Tensor, max_value: float = 255.0) -> tf.Tensor:
    """Peak signal-to-noise ratio in dB: 10 log10(max_value^2 / MSE over all pixels and channels).

    Images `[B, H, W, C]` of any real dtype with values 0..max_value (or a range of that length); returns float64 `[B]`,
    infinite for equal images.
    """
    error = tf.math.squared_difference(tf.cast(a, tf.float64), tf.cast(b, tf.float64))
    mean = tf.reduce_mean(error, axis=[1, 2, 3])
    return 10.0 * tf.math.log(max_value**2 / mean) / tf.math.log(tf.constant(10.0, tf.float64))


def ssim(a: tf.Tensor, b: tf.Tensor, max_value: float = 255.0) -> tf.Tensor:
    """Structural similarity (Wang et al. 2004): 11 x 11 Gaussian window of sigma 1.5, K1 0.01, K2 0.03.

    Images `[B, H, W, C]` with values 0..max_value and sides of at least 11. Only full windows count; the mean over
    channels and positions, float32 `[B]`. TensorFlow's implementation; it agrees with a float64 one to 1e-4.
    """
    return tf.image.ssim(tf.cast(a, tf.float32), tf.cast(b, tf.float32), max_value)
