"""Whether a restoration is one of its input: degraded again, it should be what it was made from."""

from __future__ import annotations

import functools
from typing import List, NamedTuple, Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from rethink_fr.metrics.resampling import bilinear

_SIGMAS = (0.0, 1.0, 2.0, 3.5, 6.0, 10.0)  # pixels of a picture whose shorter side has 512
_FACTORS = (1, 2, 3, 4, 6, 8, 16)
_REFERENCE_SIDE = 512
_SMALLEST_SIDE = 4  # pixels of a reduced picture


class LowPass(NamedTuple):
    """A blur and a reduction in size, and how far from the input a restoration is after them."""

    sigma: float  # of the Gaussian blur, in pixels
    factor: int  # by which the picture is reduced, and enlarged again
    error: float  # mean squared difference


def consistency(restored: ArrayLike, degraded: ArrayLike, max_value: float = 255.0) -> NDArray[np.float64]:
    """PSNR in dB between restorations, degraded again, and the degraded pictures that they were made from.

    Our reading of "degraded again" where nobody knows how a picture was degraded: by the low-pass that fits best, see
    `fit_low_pass`. What a degradation took away (detail) then does not count, and what it left (light, colour, coarse
    shape) does. Noise and compression artefacts of the input limit the result, for all methods alike; and an input
    that is returned as it is has an infinite one. So it tells something only beside metrics of the restoration itself.

    Args:
        restored, degraded: images `[B, H, W, C]` of any real type, sides of 8 pixels or more.
        max_value: the length of the images' range: 255 for uint8, 2 for [-1, 1].

    Returns:
        float64 `[B]`, higher is more consistent.

    Raises:
        ValueError: if the shapes differ or are not `[B, H, W, C]`.
    """
    restored, degraded = np.asarray(restored), np.asarray(degraded)
    if restored.ndim != 4 or restored.shape != degraded.shape or min(restored.shape[1:3]) < 2 * _SMALLEST_SIDE:
        raise ValueError(
            f"images of shapes {restored.shape} and {degraded.shape}; expected two of one shape [B, H, W, C], with "
            f"sides of {2 * _SMALLEST_SIDE} or more"
        )
    errors = np.array([fit_low_pass(one, other).error for one, other in zip(restored, degraded)])
    with np.errstate(divide="ignore"):
        decibels: NDArray[np.float64] = 10.0 * np.log10(max_value**2 / errors)
    return decibels


def fit_low_pass(restored: ArrayLike, degraded: ArrayLike) -> LowPass:
    """The Gaussian blur and reduction in size that bring a restoration nearest to its input, by least squares.

    They are the linear part of Eq. 13 of "Rethinking Deep Face Restoration", as this package degrades: blur, bilinear
    reduction with antialiasing, bilinear enlargement. All pairs of a small grid are tried: sigma from 0 to 10 pixels of
    a picture of 512, which scale with the shorter side, and factors from 1 to 16.

    Args:
        restored, degraded: one image each, `[H, W, C]`.
    """
    # Contiguous, for otherwise NumPy multiplies without BLAS, which takes a hundred times as long.
    planes, target = (
        np.ascontiguousarray(np.moveaxis(np.asarray(image), -1, 0), np.float32) for image in (restored, degraded)
    )
    rows, columns = planes.shape[1:]
    scale = min(rows, columns) / _REFERENCE_SIDE
    fits: List[LowPass] = []
    for sigma in (scale * one for one in _SIGMAS):
        for factor in _FACTORS:
            if min(rows, columns) / factor < _SMALLEST_SIDE:
                continue
            (down, up), (across, back) = (_operators(side, sigma, factor) for side in (rows, columns))
            low = down @ planes @ across.T if factor > 1 or sigma > 0.0 else planes
            low = up @ low @ back.T if factor > 1 else low
            fits.append(LowPass(sigma, factor, float(np.mean(np.square(low - target), dtype=np.float64))))
            if fits[-1].error == 0.0:  # the input itself
                return fits[-1]
    return min(fits, key=lambda fit: fit.error)


@functools.lru_cache(maxsize=4 * len(_SIGMAS) * len(_FACTORS))
def _operators(side: int, sigma: float, factor: int) -> Tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Blurring and reducing one axis, `[side / factor, side]`, and enlarging it again, `[side, side / factor]`."""
    reduced = max(round(side / factor), _SMALLEST_SIDE)
    blurred = np.eye(side)
    if sigma > 0.0:
        blurred = ndimage.gaussian_filter1d(blurred, sigma, axis=0, mode="mirror")
    down = bilinear(side, reduced) @ blurred
    return down.astype(np.float32), bilinear(reduced, side).astype(np.float32)
