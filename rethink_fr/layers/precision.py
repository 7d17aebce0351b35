"""In which precision convolutions multiply; everything else stays float32."""

from __future__ import annotations

import tensorflow as tf


def convolve(features: tf.Tensor, kernel: tf.Tensor, strides: int, precision: tf.DType) -> tf.Tensor:
    """Convolve float32 `[B, H, W, C]` with zeros around, in bfloat16 if that is the `precision`.

    bfloat16 halves the time of the products on processors that have it (AVX512_BF16, AMX); the products' sums are
    float32 there. Features of another dtype are convolved as they are.

    Args:
        features: `[B, H, W, C]`.
        kernel: `[k, k, C, filters]`.
        strides: step in pixels, the same in both directions.
        precision: tf.float32 or tf.bfloat16.

    Returns:
        `[B, H / strides, W / strides, filters]` in the features' dtype.
    """
    if features.dtype != tf.float32 or precision == tf.float32:
        return tf.nn.conv2d(features, kernel, strides, "SAME")
    products = tf.nn.conv2d(tf.cast(features, precision), tf.cast(kernel, precision), strides, "SAME")
    return tf.cast(products, tf.float32)


def set_precision(network: tf.Module, precision: str) -> None:
    """Let all convolutions of a network multiply in "float32" or "bfloat16". It takes effect when they are traced."""
    for layer in network.submodules:
        if hasattr(layer, "precision"):
            layer.precision = tf.as_dtype(precision)
