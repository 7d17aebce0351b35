"""Follows a face from one frame to another by its pixels: much cheaper than finding it anew, and steadier.

First by the best correlation among shifts, roughly; from there by the inverse compositional alignment of Baker and
Matthews 2004 (International Journal of Computer Vision 56, 3, section 3.2), for a turn, a scale and a shift, from
coarse to fine. Brightness and contrast are matched in each step.
"""

from __future__ import annotations

from typing import NamedTuple, Tuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from rethink_fr.pictures.geometry import Matrix, composed, ffhq_points, inverse, mapped, scale_of, similarity

_SIDE = 64  # px: of the square in which a face is compared
_FRAME = 96  # px: of FFHQ's frame, of which that square is the middle
_STRIDES = (4, 2, 1)  # px between the pixels that are compared, from coarse to fine
_FARTHEST = 40  # px of the square: the longest shift along either side that is looked at
_STAYING = 0.02  # of correlation that a shift as long as that must gain over none: still faces stay still
_ITERATIONS = 12
_ENOUGH = 0.01  # px of the square: a smaller step ends the iterations
_ALIKE = 0.75  # correlation of what was followed and what was found: below, the face is lost
_MOST_SCALE = 1.25  # by which a face may grow or shrink from one frame to the next


class Followed(NamedTuple):
    """Where a face went."""

    motion: Matrix  # from the first frame to the second, around the face
    likeness: float  # correlation of the two, -1 to 1
    found: bool  # whether the face is still there


def follow(before: Image.Image, after: Image.Image, points: NDArray[np.float64]) -> Followed:
    """Find the motion of a face between two frames.

    Args:
        before: a frame, of mode L.
        after: the other one, of the same size.
        points: the five points of the face in `before`, `[5, 2]`.
    """
    to_square = similarity(points, ffhq_points(_FRAME) - (_FRAME - _SIDE) / 2)
    box, step = _region(to_square, before.size)
    size = (max(8, round((box[2] - box[0]) / step)), max(8, round((box[3] - box[1]) / step)))
    old, new = (np.asarray(one.resize(size, Image.Resampling.BILINEAR, box=box), np.float32) for one in (before, after))
    # From the region's pixels to the frame's.
    steps = np.array([(box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]])
    to_frame = np.column_stack([np.diag(steps), np.array(box[:2]) + steps / 2 - 0.5])
    start = composed(inverse(to_frame), inverse(to_square))  # from the square to the region
    warp, likeness = _shifted(old, new, start), -1.0
    for stride in _STRIDES:
        warp, likeness = _aligned(old, new, start, warp, stride)
    motion = composed(composed(to_frame, warp), composed(inverse(start), inverse(to_frame)))
    centre = mapped(warp, np.full([1, 2], (_SIDE - 1) / 2))[0]
    inside = bool((centre >= 0).all() and (centre <= np.array(size) - 1).all())
    scale = scale_of(motion)
    return Followed(motion, likeness, inside and likeness >= _ALIKE and 1 / _MOST_SCALE < scale < _MOST_SCALE)


def _shifted(old: NDArray[np.float32], new: NDArray[np.float32], start: Matrix) -> Matrix:
    """`start`, shifted to where `new` looks most as `old` does there."""
    stride = _STRIDES[0]
    places, weight = _grid(stride)
    old, new = (ndimage.gaussian_filter(one, 0.6 * stride) for one in (old, new))
    template = _sampled(old, mapped(start, places))
    mean, spread = _moments(template, weight)
    side, reach = _SIDE // stride, _FARTHEST // stride
    axis = np.arange(-reach, side + reach) * stride + (stride - 1) / 2
    around = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    wide = _sampled(new, mapped(start, around)).reshape(len(axis), len(axis))
    windows = np.lib.stride_tricks.sliding_window_view(wide, (side, side))
    weights = weight.reshape(side, side)
    means = np.einsum("abij,ij->ab", windows, weights)
    squares = np.einsum("abij,ij->ab", np.square(windows), weights)
    products = np.einsum("abij,ij->ab", windows, weights * (template.reshape(side, side) - mean))
    likeness = products / (np.sqrt(np.maximum(squares - means**2, 1.0)) * spread)
    lengths = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) / reach
    row, column = np.unravel_index(np.argmax(likeness - _STAYING * lengths), likeness.shape)
    shift = np.array([column - reach, row - reach], np.float64) * stride
    return np.column_stack([start[:, :2], mapped(start, shift[None])[0]])


def _grid(stride: int) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The pixels of the square that are compared at a level, `[N, 2]`, and how much each counts."""
    axis = np.arange(stride / 2 - 0.5, _SIDE, stride)
    places = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    weight = np.exp(-np.square(places - (_SIDE - 1) / 2).sum(axis=1) / (2 * (0.3 * _SIDE) ** 2))
    return places, weight / weight.sum()


def _aligned(
    old: NDArray[np.float32], new: NDArray[np.float32], start: Matrix, warp: Matrix, stride: int
) -> Tuple[Matrix, float]:
    """Improve `warp`, from the square to `new`, at one level; and how alike the two are then."""
    if stride > 1:
        old, new = (ndimage.gaussian_filter(one, 0.6 * stride) for one in (old, new))
    places, weight = _grid(stride)
    middle = (_SIDE - 1) / 2
    u, v = (places - middle).T
    template = _sampled(old, mapped(start, places))
    rows = template.reshape(_SIDE // stride, _SIDE // stride)
    down, across = (gradient.ravel() / stride for gradient in np.gradient(rows))
    # How the template changes with scale, turn and shift about the middle.
    steepest = np.stack([across * u + down * v, down * u - across * v, across, down], axis=1)
    weighted = steepest * weight[:, None]
    hessian = weighted.T @ steepest + 1e-6 * np.eye(4)
    mean, spread = _moments(template, weight)
    for _ in range(_ITERATIONS):
        found = _sampled(new, mapped(warp, places))
        found_mean, found_spread = _moments(found, weight)
        error = (found - found_mean) * (spread / found_spread) - (template - mean)
        scale, turn, right, low = np.linalg.solve(hessian, weighted.T @ error)
        linear = np.array([[1 + scale, -turn], [turn, 1 + scale]])
        if abs(np.linalg.det(linear)) < 0.25:
            return warp, -1.0
        shift = np.array([right, low]) + middle - linear @ np.full(2, middle)
        warp = composed(warp, inverse(np.column_stack([linear, shift])))
        if not np.isfinite(warp).all() or not 0.2 < scale_of(warp) / scale_of(start) < 5:
            return start, -1.0
        if max(abs(right), abs(low), abs(scale) * middle, abs(turn) * middle) < _ENOUGH:
            break
    found = _sampled(new, mapped(warp, places))
    found_mean, found_spread = _moments(found, weight)
    likeness = float(np.sum(weight * (found - found_mean) * (template - mean)) / (found_spread * spread))
    return warp, likeness


def _region(to_square: Matrix, size: Tuple[int, int]) -> Tuple[Tuple[float, float, float, float], float]:
    """The part of a frame in which a face is followed, and how many pixels of it one pixel there becomes."""
    step = max(1.0, 1.0 / scale_of(to_square))
    centre = mapped(inverse(to_square), np.full([1, 2], (_SIDE - 1) / 2))[0]
    reach = (_SIDE / 2 + _FARTHEST) / scale_of(to_square)
    low = np.clip(np.floor(centre - reach), 0, np.maximum(np.array(size) - 8, 0))
    high = np.clip(np.ceil(centre + reach), np.minimum(low + 8, size), size)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1])), step


def _sampled(image: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float64]:
    found = ndimage.map_coordinates(image, places[:, ::-1].T, order=1, mode="nearest")
    return np.asarray(found, np.float64)


def _moments(values: NDArray[np.float64], weight: NDArray[np.float64]) -> Tuple[float, float]:
    mean = float(np.sum(weight * values))
    return mean, max(1e-3, float(np.sqrt(np.sum(weight * np.square(values - mean)))))
