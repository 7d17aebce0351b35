"""Small tools for painting: noise that is fixed to a surface, soft steps, and blending.

Points are float32 vectors of N, colours are `[3, N]`, linear-light reflectances.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np
from scipy import ndimage

from rethink_fr.drawn_faces.person import generator

Vector = np.ndarray  # float32 [N]

_LATTICE = 256


def _make_noise() -> np.ndarray:
    """A periodic lattice of smooth noise, float32 [257 * 257]; the last row and column repeat the first ones."""
    white = ndimage.gaussian_filter(generator(7003).normal(size=(_LATTICE, _LATTICE)), 0.7, mode="wrap")
    return np.pad(np.clip(white / white.std(), -2.5, 2.5), (0, 1), mode="wrap").astype(np.float32).ravel()


_NOISE = _make_noise()


class Noise:
    """Smooth noise with standard deviation 1 as a function of surface coordinates.

    So it stays in its place on the head, at any resolution.

    Args:
        pixel: size of a pixel of the picture on the head, in head units. Finer patterns are faded out.
        offset: the place of this person's patterns in the lattice, two numbers of 0 to 256.
    """

    def __init__(self, pixel: float, offset: Tuple[float, float]) -> None:
        self.pixel = pixel
        self.offset = offset

    def __call__(self, x: Vector, y: Vector, cells_x: float, cells_y: float) -> Vector:
        """Noise with so many cells per unit of x and of y; 0 if a cell is much smaller than a pixel."""
        fade = float(np.clip(2.0 - max(cells_x, cells_y) * self.pixel, 0.0, 1.0))
        if fade == 0.0:
            return np.zeros_like(x)
        # 4 lattices are added so that coordinates are positive and truncation is the floor.
        right = x * cells_x
        right += self.offset[0] + cells_x + 4 * _LATTICE
        below = y * cells_y
        below += self.offset[1] + 3.0 * cells_y + 4 * _LATTICE
        column, index = right.astype(np.intp), below.astype(np.intp)
        right -= column
        below -= index
        index &= _LATTICE - 1
        index *= _LATTICE + 1
        column &= _LATTICE - 1
        index += column
        value = bilinear(_NOISE, _LATTICE + 1, index, right, below)
        value *= fade
        return value


def bilinear(flat: np.ndarray, width: int, index: np.ndarray, right: Vector, below: Vector) -> Vector:
    """Interpolate in a flat table with rows of `width`; `index` is of the upper left samples."""
    top = flat.take(index)
    side = flat[1:].take(index)
    side -= top
    side *= right
    top += side
    bottom = flat[width:].take(index)
    side = flat[width + 1 :].take(index)
    side -= bottom
    side *= right
    bottom += side
    bottom -= top
    bottom *= below
    top += bottom
    return top


def ramp(value: Vector, width: float) -> Vector:
    """A smooth step: 0 below 0, 1 above `width`."""
    step = np.clip(value * (1.0 / width), 0.0, 1.0)
    return step * step * (3.0 - 2.0 * step)


def bell(value: Vector, width: float) -> Vector:
    """A Gaussian: 1 at 0, 1 / e at `width`."""
    scaled = value * (1.0 / width)
    return np.exp(-scaled * scaled)


def mix(colours: np.ndarray, target: np.ndarray | Tuple[float, float, float], weight: Vector) -> None:
    """Blend `colours` towards `target` in place."""
    wanted = np.asarray(target, np.float32)
    wanted = wanted[:, None] if wanted.ndim == 1 else wanted
    colours += (wanted - colours) * weight


def put(colours: np.ndarray, chosen: np.ndarray, values: np.ndarray) -> None:
    """`colours[:, chosen] = values`, row by row, which is several times faster."""
    for channel in range(3):
        colours[channel][chosen] = values[channel]


def norm(vectors: np.ndarray) -> Vector:
    """Lengths of vectors `[3, N]`."""
    x, y, z = vectors
    return np.sqrt(x * x + y * y + z * z)


def dot(first: np.ndarray, second: np.ndarray) -> Vector:
    """Scalar products of vectors `[3, N]`."""
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
