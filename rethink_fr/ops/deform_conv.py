"""Modulated deformable convolution: the public function, and the choice between its two implementations."""

from __future__ import annotations

from typing import Any, List, Optional, Tuple, Union

import tensorflow as tf

from rethink_fr.ops.deform_conv_reference import DeformConvGeometry, deform_conv2d_reference
from rethink_fr.ops.native import Implementation, native_ops

Pair = Union[int, Tuple[int, int]]


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
    implementation: Implementation = "auto",
) -> tf.Tensor:
    """Modulated deformable convolution (Zhu et al. 2019, "Deformable ConvNets v2", Eq. 1).

    `y(p) = sum_k w_k * x(p + p_k + dp_k) * dm_k`: the k-th tap of the kernel samples the input, bilinearly, at its
    regular place plus a learned offset, and the sample is multiplied by a mask. What lies outside the image is zero: a
    sample at row <= -1 or >= H (or so in columns) is zero, and so is one whose offset is infinite or NaN; of a sample
    on the border the corners that are outside count as zero. Differentiable in all five tensors.

    Args:
        inputs: `[B, H, W, C]`, float32; float64 too in the reference. An empty batch is allowed.
        offsets: `[B, Ho, Wo, 2 * deformable_groups * kh * kw]` in pixels, ordered (group, kernel row, kernel column,
            (dy, dx)).
        mask: `[B, Ho, Wo, deformable_groups * kh * kw]`, ordered likewise, or None for ones.
        filters: `[kh, kw, C / g, F]`; g groups of channels are inferred, as in `tf.nn.conv2d`.
        bias: `[F]`, or None.
        strides, padding, dilations: an integer or a (row, column) pair; padding is by zeros on all sides.
        deformable_groups: the channels fall in so many contiguous groups with offsets and masks of their own.
        implementation: "compiled" is the native operator, or an error that says why there is none; "reference" the
            composition of TensorFlow operations; "auto" the native one where it can be had and the dtype is float32.

    Returns:
        `[B, Ho, Wo, F]`, dtype of `inputs`.

    Raises:
        ValueError: if a shape or a number does not fit the others; the message names it.
        NativeOpsError: if "compiled" is asked for and there is no native operator.
    """
    if implementation not in ("auto", "reference", "compiled"):
        raise ValueError(f"deform_conv2d: implementation is {implementation!r}, expected auto, reference or compiled")
    inputs = tf.convert_to_tensor(inputs)
    dtype = inputs.dtype
    offsets, filters = tf.convert_to_tensor(offsets, dtype), tf.convert_to_tensor(filters, dtype)
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
    mask = tf.convert_to_tensor(mask, dtype)
    _check(inputs, offsets, mask, filters, bias, geometry)

    compiled = None
    if implementation == "compiled" or (implementation == "auto" and dtype == tf.float32):
        if dtype != tf.float32:
            raise ValueError(f"deform_conv2d: the compiled operator takes float32, got {dtype.name}")
        compiled = native_ops(required=implementation == "compiled")
    if compiled is None:
        outputs = deform_conv2d_reference(inputs, offsets, mask, filters, geometry)
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
    return outputs if bias is None else tf.nn.bias_add(outputs, tf.cast(bias, dtype))


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
    """Static shapes that do not belong together are refused here; what is unknown now, the operator checks later."""
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
