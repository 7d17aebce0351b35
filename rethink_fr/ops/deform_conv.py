"""Modulated deformable convolution: the public function, its checks, and the gradient of the native operator."""

from __future__ import annotations

from typing import Any, List, Literal, Optional, Tuple, Union

import tensorflow as tf

from rethink_fr.ops.deform_conv_reference import DeformConvGeometry, deform_conv2d_reference
from rethink_fr.ops.implementation import Implementation, compiled_operators, computing_dtype
from rethink_fr.ops.native import native_ops

Pair = Union[int, Tuple[int, int]]
# "unrolled" is the reference without a loop, for a converter that cannot hold one. The graph gets long.
DeformConvImplementation = Union[Implementation, Literal["unrolled"]]


def deform_conv2d(
    inputs: tf.Tensor,
    offsets: tf.Tensor,
    mask: Optional[tf.Tensor],
    filters: tf.Tensor,
    bias: Optional[tf.Tensor] = None,
    *,
    strides: Pair = 1,
    padding: Pair = 1,
    dilations: Pair = 1,
    deformable_groups: int = 1,
    implementation: DeformConvImplementation = "auto",
) -> tf.Tensor:
    """Modulated deformable convolution (Zhu et al. 2019, "Deformable ConvNets v2", Eq. 1).

    A plain convolution reads the input at fixed places around each output pixel p, one for each position k of its
    kernel. Here each of these places is moved by a learned offset, and what is read there is multiplied by a learned
    mask:  `y(p) = sum_k w_k * x(p + p_k + offset_k) * mask_k`.

    A place between pixels is interpolated bilinearly, and pixels outside the image count as zero. A place that is a
    whole pixel or more outside (at row <= -1 or >= H, and likewise for columns), or whose offset is infinite or NaN,
    contributes nothing. The result is differentiable in all five tensors.

    bfloat16 and float16 inputs are computed in float32, by whichever implementation, and only the result is rounded.
    The other tensors may be of another dtype than `inputs`: offsets are better float32, as 10.3 pixels are 10.3125 in
    bfloat16.

    Args:
        inputs: `[B, H, W, C]`, float32, bfloat16 or float16; the reference takes float64 too. B may be 0.
        offsets: `[B, Ho, Wo, 2 * deformable_groups * kh * kw]` in pixels, in the order (deformable group, kernel row,
            kernel column, (dy, dx)).
        mask: `[B, Ho, Wo, deformable_groups * kh * kw]` in the same order, or None for ones.
        filters: `[kh, kw, C / g, F]`. The number of groups, g, follows from it, as in `tf.nn.conv2d`.
        bias: `[F]`, or None.
        strides, padding, dilations: an integer, or a pair for rows and columns. Padding is with zeros on all sides.
        deformable_groups: how many groups of consecutive channels have offsets and masks of their own.
        implementation: "compiled" uses the native operator, "reference" TensorFlow's own operations, and "auto" the
            native operator if there is one and the dtype is not float64. "unrolled" is the reference without a loop in
            its graph, for the export to TFLite; every size must be known.

    Returns:
        `[B, Ho, Wo, F]`, with the dtype of `inputs`. Ho and Wo are those of a plain convolution.

    Raises:
        ValueError: if shapes or numbers do not fit together. The message names which.
        NativeOpsError: if "compiled" is asked for and there is no native operator. The message says why.

    Example:
        >>> inputs, filters = tf.random.normal([1, 8, 8, 16]), tf.random.normal([3, 3, 16, 32])
        >>> offsets = tf.zeros([1, 8, 8, 2 * 9])  # a 3x3 kernel reads 9 places; without offsets it is a plain one
        >>> deform_conv2d(inputs, offsets, None, filters).shape
        TensorShape([1, 8, 8, 32])
    """
    inputs = tf.convert_to_tensor(inputs)
    given, dtype = inputs.dtype, computing_dtype("deform_conv2d", inputs.dtype)
    inputs, offsets, filters = (tf.cast(tensor, dtype) for tensor in (inputs, offsets, filters))
    if inputs.shape.rank != 4 or offsets.shape.rank != 4 or filters.shape.rank != 4:
        raise ValueError(
            f"deform_conv2d: inputs {inputs.shape}, offsets {offsets.shape} and filters {filters.shape} must have four "
            "dimensions each"
        )
    geometry = DeformConvGeometry(
        (int(filters.shape[0]), int(filters.shape[1])),
        _pair(strides, "strides", 1),
        _pair(padding, "padding", 0),
        _pair(dilations, "dilations", 1),
        deformable_groups,
    )
    if mask is None:
        mask_channels = deformable_groups * geometry.kernel[0] * geometry.kernel[1]
        mask = tf.ones(tf.concat([tf.shape(offsets)[:3], [mask_channels]], axis=0), dtype)
        mask.set_shape([*offsets.shape[:3], mask_channels])
    mask = tf.cast(mask, dtype)
    _check(inputs, offsets, mask, filters, bias, geometry)

    compiled = compiled_operators(
        "deform_conv2d", "reference" if implementation == "unrolled" else implementation, dtype
    )
    if compiled is None:
        unroll = implementation == "unrolled"
        outputs = deform_conv2d_reference(inputs, offsets, mask, filters, geometry, unroll)
    else:
        outputs = compiled.rethink_fr_deform_conv2d(
            inputs=inputs,
            offsets=offsets,
            mask=mask,
            filters=filters,
            strides=geometry.strides,
            padding=geometry.padding,
            dilations=geometry.dilations,
            deformable_groups=deformable_groups,
        )
    return tf.cast(outputs if bias is None else tf.nn.bias_add(outputs, tf.cast(bias, dtype)), given)


@tf.RegisterGradient("RethinkFr>DeformConv2d")
def _deform_conv2d_gradient(operation: tf.Operation, upstream: tf.Tensor) -> List[tf.Tensor]:
    attributes = {name: operation.get_attr(name) for name in ("strides", "padding", "dilations", "deformable_groups")}
    compiled: Any = native_ops(required=True)
    return list(compiled.rethink_fr_deform_conv2d_grad(*operation.inputs, upstream, **attributes))


def _pair(value: Pair, name: str, least: int) -> Tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or any(not isinstance(item, int) or item < least for item in pair):
        raise ValueError(
            f"deform_conv2d: {name} is {value!r}, expected an integer or a (row, column) pair of at least {least}"
        )
    return pair


def _check(
    inputs: tf.Tensor,
    offsets: tf.Tensor,
    mask: tf.Tensor,
    filters: tf.Tensor,
    bias: Optional[tf.Tensor],
    geometry: DeformConvGeometry,
) -> None:
    """Refuse static shapes that do not fit together. The operator checks what is unknown now when it runs."""
    channels, per_group, count = inputs.shape[3], filters.shape[2], filters.shape[3]
    groups = geometry.deformable_groups
    taps = geometry.kernel[0] * geometry.kernel[1]
    if None in (channels, per_group, count):
        raise ValueError("deform_conv2d: the channels of inputs and filters must be known")
    if not isinstance(groups, int) or groups < 1 or channels % groups:
        raise ValueError(f"deform_conv2d: {channels} channels do not fall in deformable_groups={groups!r} equal groups")
    if channels == 0 or per_group == 0 or channels % per_group or count % (channels // per_group):
        raise ValueError(
            f"deform_conv2d: inputs have {channels} channels, filters {filters.shape}: expected [kh, kw, channels / g, "
            "filters] with both divisible by g"
        )
    size = [
        None if inputs.shape[1 + axis] is None else geometry.output_size(inputs.shape[1 + axis], axis)
        for axis in range(2)
    ]
    if any(side is not None and side < 1 for side in size):
        raise ValueError(f"deform_conv2d: a kernel of {filters.shape[:2]} does not fit into inputs {inputs.shape}")
    for name, tensor, depth in (("offsets", offsets, 2 * groups * taps), ("mask", mask, groups * taps)):
        expected = [inputs.shape[0], *size, depth]
        if not tensor.shape.is_compatible_with(expected):
            raise ValueError(f"deform_conv2d: {name} are {tensor.shape}, expected {expected}")
    if bias is not None and not tf.TensorShape(bias.shape).is_compatible_with([count]):
        raise ValueError(f"deform_conv2d: bias is {bias.shape}, expected [{count}]")
