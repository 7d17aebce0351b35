"""Resizing as matrices, and the bands of a pyramid. NumPy only."""

from __future__ import annotations

import functools
from typing import List

import numpy as np
from numpy.typing import ArrayLike, NDArray

BANDS = ("fine", "middle", "coarse")


@functools.lru_cache(maxsize=256)
def bilinear(size: int, wanted: int) -> NDArray[np.float64]:
    """The matrix `[wanted, size]` that resizes one axis bilinearly, with pixels' centres at halves.

    A reduction is antialiased: the triangle is as wide as the reduction, as `tf.image.resize(antialias=True)` has it.
    """
    step = size / wanted
    centres = (np.arange(wanted) + 0.5) * step - 0.5
    distance = np.abs(np.arange(size) - centres[:, None]) / max(step, 1.0)
    weights: NDArray[np.float64] = np.maximum(1.0 - distance, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)  # beyond the border there is nothing to weigh
    weights.setflags(write=False)
    return weights


def bands(images: ArrayLike) -> List[NDArray[np.float64]]:
    """Split images `[..., H, W, C]` into the three bands of a Laplacian pyramid: `BANDS`.

    Burt and Adelson 1983, with a mean of 2 x 2 pixels to reduce and bilinear interpolation to enlarge; a band is what
    is lost by one reduction, the coarse one what is left after two. The same definition as
    `rethink_fr.losses.posterior.bands`, but sides may be odd: their last row or column is not in the mean.

    Returns:
        float64 `[..., H, W, C]`, `[..., H // 2, W // 2, C]` and `[..., H // 4, W // 4, C]`.

    Raises:
        ValueError: if a side is shorter than 4 pixels.
    """
    rest = np.asarray(images, np.float64)
    if rest.ndim < 3 or min(rest.shape[-3:-1]) < 4:
        raise ValueError(f"bands: images of shape {rest.shape}; expected [..., H, W, C] with sides of 4 or more")
    split: List[NDArray[np.float64]] = []
    for _ in BANDS[1:]:
        rows, columns = rest.shape[-3:-1]
        rows_of_two = rest[..., 0 : rows - 1 : 2, :, :] + rest[..., 1::2, :, :]
        reduced = 0.25 * (rows_of_two[..., 0 : columns - 1 : 2, :] + rows_of_two[..., 1::2, :])
        split.append(rest - resized(reduced, rows, columns))
        rest = reduced
    return [*split, rest]


def resized(images: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Images `[..., H, W, C]` resized by `bilinear` to `[..., rows, columns, C]`."""
    down, across = bilinear(images.shape[-3], rows), bilinear(images.shape[-2], columns)
    result: NDArray[np.float64] = np.einsum("rh,...hwk,cw->...rck", down, images, across, optimize=True)
    return result
