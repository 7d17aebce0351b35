"""Group normalization, alone and followed by swish, made of TensorFlow's own operations."""

from __future__ import annotations

import tensorflow as tf


def group_norm_swish_reference(
    inputs: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, groups: int, epsilon: float
) -> tf.Tensor:
    """Compute what `group_norm_swish` does; its arguments have been checked, and are float32 or float64."""
    return tf.nn.silu(group_norm(inputs, gamma, beta, groups=groups, epsilon=epsilon))


def group_norm(
    inputs: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, groups: int = 32, epsilon: float = 1e-6
) -> tf.Tensor:
    """Group normalization, `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, by TensorFlow's own operations.

    Statistics, accuracy, arguments and dtypes are those of `group_norm_swish`. There is no native operator for it.

    Returns:
        `[B, H, W, C]`, with the dtype of `inputs`. Differentiable in all three tensors.

    Example:
        >>> group_norm(tf.random.normal([1, 8, 8, 64]), tf.ones([64]), tf.zeros([64]), groups=32).shape
        TensorShape([1, 8, 8, 64])
    """
    dtype = tf.float64 if inputs.dtype == tf.float64 else tf.float32
    batch, rows, columns = tf.unstack(tf.shape(inputs)[:3])
    channels = inputs.shape[-1]
    features = tf.cast(inputs, dtype)
    # The mean is taken over columns, then over rows, then over channels: a long float32 sum would lose digits, these
    # short ones do not.
    row_means = tf.reduce_mean(features, axis=2, keepdims=True)
    mean = _group_mean(tf.reduce_mean(row_means, axis=1, keepdims=True), groups)  # [B, 1, 1, C]
    centred = features - mean
    squares = tf.reduce_mean(tf.reduce_mean(tf.square(centred), axis=2, keepdims=True), axis=1, keepdims=True)
    scale = tf.math.rsqrt(_group_mean(squares, groups) + epsilon) * tf.cast(gamma, dtype)
    outputs = tf.reshape(centred * scale + tf.cast(beta, dtype), [batch, rows, columns, channels])
    return tf.cast(tf.ensure_shape(outputs, inputs.shape), inputs.dtype)


def _group_mean(values: tf.Tensor, groups: int) -> tf.Tensor:
    """The mean over each group of channels, for each of its channels: `[B, 1, 1, C]` to `[B, 1, 1, C]`."""
    channels = values.shape[-1]
    grouped = tf.reshape(values, [-1, groups, channels // groups])
    means = tf.repeat(tf.reduce_mean(grouped, axis=-1), channels // groups, axis=-1)
    return means[:, None, None, :]
