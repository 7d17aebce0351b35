"""Group normalization followed by swish. The native operator does both in one pass over memory."""

from __future__ import annotations

from typing import Any, List

import tensorflow as tf

from rethink_fr.ops.implementation import Implementation, compiled_operators
from rethink_fr.ops.native import native_ops


def group_norm_swish(
    inputs: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    *,
    groups: int = 32,
    epsilon: float = 1e-6,
    implementation: Implementation = "auto",
) -> tf.Tensor:
    """Group normalization followed by swish: `swish(gamma * (x - mean) / sqrt(variance + epsilon) + beta)`.

    Mean and variance are those of all pixels of an image and of the channels of one group (Wu and He 2018, Eqs. 1 to 6;
    the variance is the biased one); swish(z) = z * sigmoid(z) (Ramachandran et al. 2017). The statistics are accurate
    to about 1e-7 of the standard deviation at any size. A plain float32 sum would lose four digits at 512x512 pixels,
    a size that VQFR normalizes.

    Args:
        inputs: `[B, H, W, C]`, float32. The reference takes float64 and bfloat16 too; for these it computes in float64
            and float32.
        gamma, beta: `[C]`.
        groups: how many groups of consecutive channels there are; it divides C.
        epsilon: added to the variance.
        implementation: as in `deform_conv2d`.

    Returns:
        `[B, H, W, C]`, with the dtype of `inputs`. Differentiable in all three tensors.

    Raises:
        ValueError: if shapes or numbers do not fit together. The message names which.
        NativeOpsError: if "compiled" is asked for and there is no native operator. The message says why.

    Example:
        >>> group_norm_swish(tf.random.normal([1, 8, 8, 64]), tf.ones([64]), tf.zeros([64]), groups=32).shape
        TensorShape([1, 8, 8, 64])
    """
    inputs = tf.convert_to_tensor(inputs)
    channels = inputs.shape[-1]
    if inputs.shape.rank != 4 or channels is None:
        raise ValueError(f"group_norm_swish: inputs are {inputs.shape}, expected [B, H, W, C] with C known")
    if groups < 1 or channels % groups:
        raise ValueError(f"group_norm_swish: {channels} channels do not fall in {groups} equal groups")
    for name, tensor in (("gamma", gamma), ("beta", beta)):
        if not tf.TensorShape(tensor.shape).is_compatible_with([channels]):
            raise ValueError(f"group_norm_swish: {name} is {tensor.shape}, expected [{channels}]")
    compiled = compiled_operators("group_norm_swish", implementation, inputs.dtype)
    if compiled is None:
        # In bfloat16, the normalized value would lose digits before it is multiplied.
        precise = inputs if inputs.dtype == tf.float64 else tf.cast(inputs, tf.float32)
        return tf.cast(tf.nn.silu(group_norm(precise, gamma, beta, groups=groups, epsilon=epsilon)), inputs.dtype)
    outputs, _, _ = compiled.rethink_fr_group_norm_swish(
        inputs=inputs, gamma=gamma, beta=beta, groups=groups, epsilon=epsilon
    )
    return outputs


@tf.RegisterGradient("RethinkFr>GroupNormSwish")
def _group_norm_swish_gradient(operation: tf.Operation, upstream: tf.Tensor, *_: tf.Tensor) -> List[tf.Tensor]:
    compiled: Any = native_ops(required=True)
    _, *statistics = operation.outputs
    return list(
        compiled.rethink_fr_group_norm_swish_grad(
            *operation.inputs, *statistics, upstream, groups=operation.get_attr("groups")
        )
    )


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
