"""Modulated deformable convolution made of TensorFlow's own operations.

This is the specification of the native operator: the tests compare the operator with it, and exported models contain
it. No tensor has more than five dimensions, because some converters refuse those. Memory is bounded: the output is
computed in tiles of some rows each, and the gradient computes each tile again instead of keeping its samples.
"""

from __future__ import annotations

from typing import Callable, List, NamedTuple, Tuple

import tensorflow as tf

# How much memory the samples of one tile may take. The four corners and their sum need about six times as much.
_TILE_BYTES = 16 << 20


class DeformConvGeometry(NamedTuple):
    """The sizes of a deformable convolution, except those of its tensors. Pairs are for rows and columns."""

    kernel: Tuple[int, int]
    strides: Tuple[int, int]
    padding: Tuple[int, int]
    dilations: Tuple[int, int]
    deformable_groups: int

    def output_size(self, size: tf.Tensor, axis: int) -> tf.Tensor:
        """How many rows (axis 0) or columns (axis 1) the output has, for an input with `size` of them.

        `size` may be an integer or a tensor; so is the result.
        """
        reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1
        return (size + 2 * self.padding[axis] - reach) // self.strides[axis] + 1


def deform_conv2d_reference(
    inputs: tf.Tensor,
    offsets: tf.Tensor,
    mask: tf.Tensor,
    filters: tf.Tensor,
    geometry: DeformConvGeometry,
    unroll: bool = False,
) -> tf.Tensor:
    """Deformable convolution as `deform_conv2d` defines it, without bias, and with a mask that is not None.

    Args:
        inputs, offsets, mask, filters: as in `deform_conv2d`, float32 or float64.
        geometry: the kernel's size, strides, padding, dilations and the number of deformable groups.
        unroll: whether the graph holds the operations of every tile instead of a loop. All shapes must be known then.

    Returns:
        `[B, Ho, Wo, F]`.

    Raises:
        ValueError: if `unroll` is set and a shape is not known.
    """
    rows_per_tile, tiles = _tiling(inputs, offsets, geometry)
    if unroll and not isinstance(tiles, int):
        raise ValueError(f"deform_conv2d: offsets are {offsets.shape}; without a loop, every size must be known")

    @tf.custom_gradient
    def convolve(inputs, offsets, mask, filters):
        def tile(first_row, inputs, offsets, mask, filters):
            columns = _sample(inputs, offsets, mask, first_row, geometry)
            return _multiply(columns, filters)

        def gradient(upstream):
            return _gradient_by_tiles(tile, rows_per_tile, tiles, (inputs, offsets, mask, filters), upstream)

        return _map_tiles(
            lambda first, offsets, mask: tile(first, inputs, offsets, mask, filters),
            rows_per_tile,
            tiles,
            (offsets, mask),
            unroll,
        ), gradient

    outputs = convolve(inputs, offsets, mask, filters)
    outputs.set_shape([*offsets.shape[:3], filters.shape[-1]])
    return outputs


def _tiling(inputs: tf.Tensor, offsets: tf.Tensor, geometry: DeformConvGeometry) -> Tuple[tf.Tensor, tf.Tensor]:
    """How many rows of the output a tile has, and how many tiles there are: integers if the shapes are known."""
    taps = geometry.kernel[0] * geometry.kernel[1]
    row_bytes = taps * inputs.shape[-1] * inputs.dtype.size
    batch, rows, columns = offsets.shape[:3]
    if None not in (batch, rows, columns):
        rows_per_tile = min(max(rows, 1), max(1, _TILE_BYTES // max(1, row_bytes * batch * columns)))
        return rows_per_tile, -(-rows // rows_per_tile)
    batch, rows, columns = tf.unstack(tf.shape(offsets)[:3])
    pixels = tf.maximum(1, batch * columns)
    rows_per_tile = tf.clip_by_value(max(1, _TILE_BYTES // row_bytes) // pixels, 1, tf.maximum(rows, 1))
    return rows_per_tile, -(-rows // rows_per_tile)


def _sample(
    inputs: tf.Tensor, offsets: tf.Tensor, mask: tf.Tensor, first_row: tf.Tensor, geometry: DeformConvGeometry
) -> tf.Tensor:
    """The samples, times their masks, of output rows from `first_row` on: `[B, rows, columns, taps, C]`.

    `offsets` and `mask` are of these rows only. A tap is one of the kernel's positions.
    """
    batch, rows, columns = tf.unstack(tf.shape(offsets)[:3])
    height, width = tf.shape(inputs)[1], tf.shape(inputs)[2]
    channels, groups = inputs.shape[-1], geometry.deformable_groups
    taps = geometry.kernel[0] * geometry.kernel[1]
    dtype = inputs.dtype

    # Where each tap samples if its offset is zero: [rows, 1, taps] and [1, columns, taps].
    tap_rows, tap_columns = (
        tf.cast(tf.reshape(grid, [taps]), dtype)
        for grid in tf.meshgrid(
            tf.range(geometry.kernel[0]) * geometry.dilations[0] - geometry.padding[0],
            tf.range(geometry.kernel[1]) * geometry.dilations[1] - geometry.padding[1],
            indexing="ij",
        )
    )
    start_y = tf.cast((first_row + tf.range(rows)) * geometry.strides[0], dtype)[:, None, None] + tap_rows
    start_x = tf.cast(tf.range(columns) * geometry.strides[1], dtype)[None, :, None] + tap_columns

    offsets = tf.reshape(offsets, [batch, rows, columns, groups * taps, 2])
    y = tf.tile(start_y, [1, 1, groups]) + offsets[..., 0]  # [B, rows, columns, groups * taps]
    x = tf.tile(start_x, [1, 1, groups]) + offsets[..., 1]
    # A comparison with NaN is false: a sample with such an offset counts as outside, as an infinite one does.
    inside = (y > -1) & (y < tf.cast(height, dtype)) & (x > -1) & (x < tf.cast(width, dtype))
    y, x = tf.where(inside, y, tf.zeros_like(y)), tf.where(inside, x, tf.zeros_like(x))
    top, left = tf.floor(y), tf.floor(x)
    down, right = y - top, x - left
    top, left = tf.cast(top, tf.int32), tf.cast(left, tf.int32)

    # The table from which samples are gathered has a row for each pixel and deformable group of an image, and then a
    # row of zeros for what lies outside. The images follow one after the other in it. A gather with batch dimensions
    # would be the obvious way, but its gradient fails for an empty batch.
    places = height * width * groups
    table = tf.reshape(inputs, [batch, places, channels // groups])
    table = tf.reshape(tf.pad(table, [[0, 0], [0, 1], [0, 0]]), [-1, channels // groups])
    start = tf.reshape(tf.range(batch) * (places + 1), [batch, 1, 1, 1])
    group = tf.repeat(tf.range(groups), taps)
    samples = tf.zeros([], dtype)
    for corner_y, weight_y in ((top, 1 - down), (top + 1, down)):
        for corner_x, weight_x in ((left, 1 - right), (left + 1, right)):
            within = inside & (corner_y >= 0) & (corner_y < height) & (corner_x >= 0) & (corner_x < width)
            place = tf.where(within, (corner_y * width + corner_x) * groups + group, places)
            values = tf.gather(table, tf.reshape(start + place, [-1]))
            samples += values * tf.reshape(weight_y * weight_x, [-1, 1])
    # A sample outside is zero even if its mask is infinite or NaN.
    samples *= tf.reshape(tf.where(inside, mask, tf.zeros_like(mask)), [-1, 1])
    samples = tf.reshape(samples, [batch * rows * columns, groups, taps, channels // groups])
    return tf.reshape(tf.transpose(samples, [0, 2, 1, 3]), [batch, rows, columns, taps, channels])


def _multiply(columns: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
    """The product of samples `[B, rows, columns, taps, C]` and filters `[kh, kw, C / g, F]`, for each group."""
    size = tf.shape(columns)[:3]
    taps, channels = columns.shape[3:]
    per_group, count = filters.shape[2:]
    groups = channels // per_group
    columns = tf.reshape(columns, [-1, taps, channels])
    filters = tf.reshape(filters, [taps * per_group, count])
    outputs = [
        tf.reshape(part, [-1, taps * per_group]) @ kernel
        for part, kernel in zip(tf.split(columns, groups, axis=2), tf.split(filters, groups, axis=1))
    ]
    return tf.reshape(tf.concat(outputs, axis=1), tf.concat([size, [count]], axis=0))


def _map_tiles(
    function: Callable[..., tf.Tensor],
    rows_per_tile: tf.Tensor,
    tiles: tf.Tensor,
    by_rows: Tuple[tf.Tensor, ...],
    unroll: bool,
) -> tf.Tensor:
    """Call `function(first_row, *tiles)` for each tile of the tensors `by_rows`, and join the results along rows."""
    if isinstance(tiles, int) and tiles <= 1:
        return function(0, *by_rows)
    if unroll:
        starts = range(0, by_rows[0].shape[1], rows_per_tile)
        return tf.concat(
            [function(first, *(t[:, first : first + rows_per_tile] for t in by_rows)) for first in starts], 1
        )
    padded = [_padded(tensor, rows_per_tile, tiles) for tensor in by_rows]

    def body(index, results):
        first = index * rows_per_tile
        return index + 1, results.write(index, function(first, *(_rows(t, first, rows_per_tile) for t in padded)))

    results = tf.TensorArray(by_rows[0].dtype, size=tiles, infer_shape=False)
    _, results = tf.while_loop(lambda index, _: index < tiles, body, (0, results), parallel_iterations=1)
    return _joined(results.stack(), tf.shape(by_rows[0])[1])


def _gradient_by_tiles(
    tile: Callable[..., tf.Tensor],
    rows_per_tile: tf.Tensor,
    tiles: tf.Tensor,
    tensors: Tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor],
    upstream: tf.Tensor,
) -> List[tf.Tensor]:
    """The gradients with respect to `tensors`: inputs, offsets, mask and filters. One tile after the other."""
    inputs, offsets, mask, filters = tensors

    def differentiate(first, offsets, mask, upstream):
        sources = [inputs, offsets, mask, filters]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            outputs = tile(first, *sources)
        return tape.gradient(outputs, sources, upstream)

    if isinstance(tiles, int) and tiles <= 1:
        return differentiate(0, offsets, mask, upstream)
    padded = [_padded(tensor, rows_per_tile, tiles) for tensor in (offsets, mask, upstream)]

    def body(index, of_inputs, of_filters, of_offsets, of_mask):
        first = index * rows_per_tile
        gradients = differentiate(first, *(_rows(tensor, first, rows_per_tile) for tensor in padded))
        return (
            index + 1,
            of_inputs + gradients[0],
            of_filters + gradients[3],
            of_offsets.write(index, gradients[1]),
            of_mask.write(index, gradients[2]),
        )

    arrays = [tf.TensorArray(inputs.dtype, size=tiles, infer_shape=False) for _ in range(2)]
    start = (0, tf.zeros_like(inputs), tf.zeros_like(filters), *arrays)
    _, of_inputs, of_filters, of_offsets, of_mask = tf.while_loop(
        lambda index, *_: index < tiles, body, start, parallel_iterations=1
    )
    rows = tf.shape(offsets)[1]
    return [of_inputs, _joined(of_offsets.stack(), rows), _joined(of_mask.stack(), rows), of_filters]


def _padded(tensor: tf.Tensor, rows_per_tile: tf.Tensor, tiles: tf.Tensor) -> tf.Tensor:
    return tf.pad(tensor, [[0, 0], [0, rows_per_tile * tiles - tf.shape(tensor)[1]], [0, 0], [0, 0]])


def _rows(tensor: tf.Tensor, first: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    part = tensor[:, first : first + count]
    part.set_shape([tensor.shape[0], None, *tensor.shape[2:]])
    return part


def _joined(tiles: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """`[tiles, B, r, columns, C]` to `[B, rows, columns, C]`."""
    count, batch, per_tile, columns, channels = tf.unstack(tf.shape(tiles), num=5)
    joined = tf.reshape(tf.transpose(tiles, [1, 0, 2, 3, 4]), [batch, count * per_tile, columns, channels])
    return joined[:, :rows]
