"""Group normalization followed by swish, in one pass over memory where the native operator is there."""

from __future__ import annotations

from typing import Any, List

import tensorflow as tf

from rethink_fr.ops.native import Implementation, native_ops


def group_norm_swish(
    inputs: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    *,
    groups: int = 32,
    epsilon: float = 1e-6,
    implementation: Implementation = "auto",
) -> tf.Tensor:
    """`swish(gamma * (x - mean) / sqrt(variance + epsilon) + beta)`, statistics over space and a group of channels.

    Group normalization: Wu and He 2018, Eqs. 1 to 6, biased variance; swish(z) = z * sigmoid(z): Ramachandran et al.
    2017. Statistics are accurate to about 1e-7 of the deviation at any size: VQFR normalizes 512x512 pixels at once,
    where a plain float32 sum loses four digits.

    Args:
        inputs: `[B, H, W, C]`, float32; float64 and bfloat16 too in the reference (which computes in float32 at least).
        gamma, beta: `[C]`.
        groups: contiguous groups of channels; divides C.
        epsilon: added to the variance.
        implementation: as in `deform_conv2d`.

    Returns:
        `[B, H, W, C]`, dtype of `inputs`. Differentiable in all three tensors.

    Raises:
        ValueError: if a shape does not fit.
        NativeOpsError: if "compiled" is asked for and there is no native operator.
    """
    if implementation not in ("auto", "reference", "compiled"):
        raise ValueError(
            f"group_norm_swish: implementation is {implementation!r}, expected auto, reference or compiled"
        )
    inputs = tf.convert_to_tensor(inputs)
    channels = inputs.shape[-1]
    if inputs.shape.rank != 4 or channels is None:
        raise ValueError(f"group_norm_swish: inputs are {inputs.shape}, expected [B, H, W, C] with C known")
    if groups < 1 or channels % groups:
        raise ValueError(f"group_norm_swish: {channels} channels do not fall in {groups} equal groups")
    for name, tensor in (("gamma", gamma), ("beta", beta)):
        if not tf.TensorShape(tensor.shape).is_compatible_with([channels]):
            raise ValueError(f"group_norm_swish: {name} is {tensor.shape}, expected [{channels}]")
    compiled = None
    if implementation == "compiled" or (implementation == "auto" and inputs.dtype == tf.float32):
        if inputs.dtype != tf.float32:
            raise ValueError(f"group_norm_swish: the compiled operator takes float32, got {inputs.dtype.name}")
        compiled = native_ops(required=implementation == "compiled")
    if compiled is None:
        # bfloat16 would lose the normalized value's digits before the product.
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
    """`gamma * (x - mean) / sqrt(variance + epsilon) + beta`, as `group_norm_swish` normalizes, by TensorFlow's own
    operations: tensors, accuracy and dtypes as there."""
    dtype = tf.float64 if inputs.dtype == tf.float64 else tf.float32
    batch, rows, columns = tf.unstack(tf.shape(inputs)[:3])
    channels = inputs.shape[-1]
    features = tf.cast(inputs, dtype)
    # Means first over columns, then over rows, then over channels: short sums lose nothing, one long one would.
    row_means = tf.reduce_mean(features, axis=2, keepdims=True)
    mean = _group_mean(tf.reduce_mean(row_means, axis=1, keepdims=True), groups)  # [B, 1, 1, C]
    centred = features - mean
    squares = tf.reduce_mean(tf.reduce_mean(tf.square(centred), axis=2, keepdims=True), axis=1, keepdims=True)
    scale = tf.math.rsqrt(_group_mean(squares, groups) + epsilon) * tf.cast(gamma, dtype)
    outputs = tf.reshape(centred * scale + tf.cast(beta, dtype), [batch, rows, columns, channels])
    return tf.cast(tf.ensure_shape(outputs, inputs.shape), inputs.dtype)


def _group_mean(values: tf.Tensor, groups: int) -> tf.Tensor:
    """`[B, 1, 1, C]` averaged over each group, at the same shape."""
    channels = values.shape[-1]
    grouped = tf.reshape(values, [-1, groups, channels // groups])
    means = tf.repeat(tf.reduce_mean(grouped, axis=-1), channels // groups, axis=-1)
    return means[:, None, None, :]
