"""Haar wavelets and blurring, for the discriminators. All functions are linear and have gradients of every order."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

_BINOMIAL = np.array([1.0, 3.0, 3.0, 1.0]) / 8.0
_BLUR_TAPS = len(_BINOMIAL)


def haar(images: tf.Tensor) -> tf.Tensor:
    """The orthonormal Haar transform: `[B, H, W, C]`, H and W even, to `[B, H / 2, W / 2, 4C]`.

    A 2 x 2 block with the pixels a, b above and c, d below becomes the sum (a + b + c + d) / 2, top minus bottom
    (a + b - c - d) / 2, left minus right (a - b + c - d) / 2 and the diagonals (a - b - c + d) / 2, in this order, with
    C channels each. Gal et al. 2021 (SWAGAN, arXiv:2102.06108), section 3.
    """
    return tf.nn.conv2d(images, _haar_kernel(images.shape[-1], images.dtype), 2, "VALID")


def inverse_haar(coefficients: tf.Tensor) -> tf.Tensor:
    """The inverse of `haar`: `[B, h, w, 4C]` to `[B, 2h, 2w, C]`."""
    shape, channels = tf.shape(coefficients), coefficients.shape[-1] // 4
    size = tf.stack([shape[0], 2 * shape[1], 2 * shape[2], channels])
    images = tf.nn.conv2d_transpose(coefficients, _haar_kernel(channels, coefficients.dtype), size, 2, "VALID")
    rows, columns = coefficients.shape[1], coefficients.shape[2]
    return tf.ensure_shape(images, [coefficients.shape[0], rows and 2 * rows, columns and 2 * columns, channels])


def blur(features: tf.Tensor, padding: int) -> tf.Tensor:
    """Filter by [1, 3, 3, 1] / 8 in both directions.

    Args:
        features: `[B, H, W, C]`.
        padding: number of zeros added on each of the four sides, 0 to 3.

    Returns: `[B, H + 2 * padding - 3, W + 2 * padding - 3, C]`.
    """

    # The gradient of a symmetric filter is the same filter with the rest of the padding. TensorFlow's own gradient
    # would run a slower kernel, and for R1's second derivative also compute the gradient of the constant filter.
    @tf.custom_gradient
    def blurred(inputs: tf.Tensor):
        channels = inputs.shape[-1]
        kernel = np.tile(np.outer(_BINOMIAL, _BINOMIAL)[:, :, None, None], [1, 1, channels, 1])
        border = [padding, padding]
        outputs = tf.nn.depthwise_conv2d(
            inputs, tf.constant(kernel, inputs.dtype), [1, 1, 1, 1], [[0, 0], border, border, [0, 0]]
        )
        return outputs, lambda upstream: blur(upstream, _BLUR_TAPS - 1 - padding)

    return blurred(features)


def halve(images: tf.Tensor) -> tf.Tensor:
    """Blur, and take every second pixel: `[B, H, W, C]`, H and W even, to `[B, H / 2, W / 2, C]`.

    Meant for few channels. A plain convolution is faster for these than a depthwise one.
    """
    filters = np.outer(_BINOMIAL, _BINOMIAL)[:, :, None, None] * np.eye(images.shape[-1])
    border = [1, 1]
    return tf.nn.conv2d(images, tf.constant(filters, images.dtype), 2, [[0, 0], border, border, [0, 0]])


def _haar_kernel(channels: int, dtype: tf.DType) -> tf.Tensor:
    """`[2, 2, C, 4C]`: four filters, each applied to every channel on its own."""
    signs = [[[1, 1], [1, 1]], [[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]]]
    filters = np.transpose(signs, [1, 2, 0])[:, :, None, :, None] / 2  # [row, column, 1, filter, 1]
    kernel = filters * np.eye(channels)[:, None, :]  # [row, column, C, filter, C]
    return tf.constant(kernel.reshape([2, 2, channels, 4 * channels]), dtype)
