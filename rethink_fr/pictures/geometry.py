"""Where a face is in a picture, and the aligned square that is cut out of it; `pictures.pasting` goes the way back.

Points are `(x, y)` in pixels; the centre of the first pixel is (0, 0). Maps are `[2, 3]` matrices of points. Pictures
are Pillow's, of mode L, LA, RGB or RGBA.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from rethink_fr.addons import warp
from rethink_fr.pictures.files import over_white

Matrix = NDArray[np.float64]  # [2, 3]: (x, y, 1) to (x, y)
Box = Tuple[int, int, int, int]  # left, top, right, bottom

# FFHQ's frame at 512 px: left eye, right eye, nose, left and right corner of the mouth, as they stand in a picture.
FFHQ_POINTS_512 = np.array(
    [[192.98, 239.95], [318.90, 240.19], [256.63, 314.02], [201.26, 371.41], [313.09, 371.15]], np.float64
)


def ffhq_points(side: int) -> NDArray[np.float64]:
    """The five points of a face that FFHQ frames, in a picture of `side` px: `[5, 2]`."""
    return (FFHQ_POINTS_512 + 0.5) * (side / 512) - 0.5


def similarity(source: ArrayLike, target: ArrayLike) -> Matrix:
    """Find the turn, scale and shift that bring points `[N, 2]` closest to others, by least squares.

    Umeyama 1991 (IEEE PAMI 13, 4), Eqs. 40 to 43. Mirrored solutions are left out.

    Raises:
        ValueError: if there are fewer than two points, or all of `source` are one point.

    Example:
        >>> similarity([[0, 0], [1, 0]], [[1, 1], [1, 3]]).round(6) + 0.0
        array([[ 0., -2.,  1.],
               [ 2.,  0.,  1.]])
    """
    a, b = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != 2 or len(a) < 2:
        raise ValueError(f"points of shapes {a.shape} and {b.shape}; expected two of one shape [N, 2], N at least 2")
    centre_a, centre_b = a.mean(axis=0), b.mean(axis=0)
    spread = np.mean(np.sum(np.square(a - centre_a), axis=1))
    if not spread > 0:
        raise ValueError("all points lie at one place; expected the points of a face")
    left, values, right = np.linalg.svd((b - centre_b).T @ (a - centre_a) / len(a))
    signs = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left @ np.diag(signs) @ right
    linear = rotation * (values @ signs / spread)
    return np.column_stack([linear, centre_b - linear @ centre_a])


def inverse(matrix: Matrix) -> Matrix:
    """The way back of a map."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def composed(second: Matrix, first: Matrix) -> Matrix:
    """The map that does `first`, and then `second`."""
    return np.column_stack([second[:, :2] @ first[:, :2], mapped(second, first[:, 2][None])[0]])


def scale_of(matrix: Matrix) -> float:
    """How many pixels of the square one pixel of the picture becomes."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def from_enlarged(matrix: Matrix, factor: int) -> Matrix:
    """The map to a square from a picture that was enlarged `factor` times; `matrix` is that from the picture itself."""
    shrink = np.array([[1 / factor, 0.0], [0.0, 1 / factor]])
    shift = np.full(2, 0.5 / factor - 0.5)
    return np.column_stack([matrix[:, :2] @ shrink, matrix[:, :2] @ shift + matrix[:, 2]])


def share_outside(matrix: Matrix, side: int, size: Tuple[int, int]) -> float:
    """Which part of an aligned square lies outside of a picture of this size (width, height); 0 to 1."""
    steps = (np.arange(32) + 0.5) * side / 32 - 0.5
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    places = mapped(inverse(matrix), grid) + 0.5
    return float(np.mean(~((places >= 0) & (places <= size)).all(axis=1)))


def crop(picture: Image.Image, matrix: Matrix, side: int) -> NDArray[np.uint8]:
    """Cut an aligned square out of a picture; outside of the picture its border is repeated.

    A face that is larger than the square is reduced first, so that no pixel is skipped.

    Args:
        picture: transparency is laid over white.
        matrix: from the picture to the square, as `similarity(points, ffhq_points(side))` gives it.
        side: of the square, in pixels.

    Returns:
        `[side, side, 3]`, sampled bilinearly.
    """
    scale = scale_of(matrix)
    box = reached(picture.size, matrix, side, margin=2 + int(2 / scale))
    if box[0] >= box[2] or box[1] >= box[3]:  # a square beside the picture: the nearest pixel of it
        left, top = (min(max(0, start), length - 1) for start, length in zip(box, picture.size))
        box = (left, top, left + 1, top + 1)
    size = (box[2] - box[0], box[3] - box[1])
    part, step = picture.crop(box) if scale >= 1 else None, np.ones(2)
    if part is None:
        shorter = (int(np.ceil(size[0] * scale)), int(np.ceil(size[1] * scale)))
        part = picture.resize(shorter, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)
        step = np.array(size) / shorter
    pixels = np.asarray(over_white(part), np.float32)
    square = warp(pixels, inverse(in_part(matrix, box, step)), (side, side))
    return np.clip(np.rint(square), 0, 255).astype(np.uint8)


def reached(size: Tuple[int, int], matrix: Matrix, side: int, margin: int = 1) -> Box:
    """The part of a picture of this size (width, height) in which a square may show; empty if it lies beside it."""
    corners = np.array([[-1, -1], [side, -1], [-1, side], [side, side]], np.float64)
    places = mapped(inverse(matrix), corners)
    low = np.maximum(np.floor(places.min(axis=0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(places.max(axis=0)).astype(int) + 1 + margin, size)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def mapped(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points `[N, 2]` after a map."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def in_part(matrix: Matrix, box: Box, step: ArrayLike = (1.0, 1.0)) -> Matrix:
    """The map from the part of the picture in `box`, of which a pixel is `step` (x, y) pixels of the picture."""
    steps = np.asarray(step, np.float64)
    corner = np.array(box[:2], np.float64) + (steps - 1) / 2
    return np.column_stack([matrix[:, :2] * steps, mapped(matrix, corner[None])[0]])


def in_square(matrix: Matrix, factor: float) -> Matrix:
    """The map to the same square with `factor` times the pixels a side."""
    return np.column_stack([matrix[:, :2] * factor, (matrix[:, 2] + 0.5) * factor - 0.5])
