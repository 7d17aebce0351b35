"""Where a face is in a picture, and the way there and back: aligned crops, and pasting what became of them.

Points are `(x, y)` in pixels; the centre of the first pixel is (0, 0). Maps are `[2, 3]` matrices of points.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rethink_fr.addons import distance_to_edge, warp

Matrix = NDArray[np.float64]  # [2, 3]: (x, y, 1) to (x, y)

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


def crop(picture: NDArray[np.uint8], matrix: Matrix, side: int) -> NDArray[np.float32]:
    """Cut an aligned square out of a picture; outside of the picture its border is repeated.

    Args:
        picture: `[H, W, 3]`.
        matrix: from the picture to the square, as `similarity(points, ffhq_points(side))` gives it.
        side: of the square, in pixels.

    Returns:
        float32 `[side, side, 3]`, 0 to 255, sampled bilinearly.
    """
    return warp(picture.astype(np.float32), inverse(matrix), (side, side))


def feathered_mask(side: int, margin: float = 0.05, feather: float = 0.1) -> NDArray[np.float32]:
    """Weights of an aligned square when it is pasted: 0 at its margin, 1 in its middle, a smooth rise between.

    Args:
        side: of the square, in pixels.
        margin: width of the border that is not pasted at all, in parts of `side`.
        feather: width of the rise, in parts of `side`.

    Returns:
        float32 `[side, side]`, 0 to 1.
    """
    border = max(1, round(margin * side))
    inside = np.zeros([side, side], np.bool_)
    inside[border : side - border, border : side - border] = True
    rise = np.clip(distance_to_edge(inside) / max(1.0, feather * side), 0.0, 1.0)
    return np.asarray(rise * rise * (3.0 - 2.0 * rise), np.float32)  # no kink where it begins and ends


def paste(
    picture: NDArray[np.uint8], square: NDArray[np.float32], matrix: Matrix, mask: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Put an aligned square back where it was cut out.

    Args:
        picture: `[H, W, 3]`; it is not changed.
        square: `[side, side, 3]`, 0 to 255.
        matrix: from the picture to the square, as for `crop`.
        mask: weights of the square, `[side, side]`, 0 to 1.

    Returns:
        The picture with the square in it. Where the mask has no weight every pixel is as it was.
    """
    result = picture.copy()
    rows, columns = _reached(picture.shape[:2], square.shape[0], matrix)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return result
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ np.array([columns.start, rows.start], np.float64)
    size = (rows.stop - rows.start, columns.stop - columns.start)
    layers = warp(np.concatenate([square, mask[..., None] * 255.0], axis=2), shifted, size)
    weight = np.clip(layers[..., 3:] / 255.0, 0.0, 1.0)
    below = picture[rows, columns].astype(np.float32)
    blended = below + weight * (layers[..., :3] - below)
    result[rows, columns] = np.where(weight > 0, np.clip(np.rint(blended), 0, 255), below).astype(np.uint8)
    return result


def _reached(shape: Tuple[int, ...], side: int, matrix: Matrix) -> Tuple[slice, slice]:
    """The rows and columns of a picture in which a square may show."""
    corners = np.array([[-1, -1, 1], [side, -1, 1], [-1, side, 1], [side, side, 1]], np.float64) @ inverse(matrix).T
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, [shape[1], shape[0]])
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
