"""Metrics of fidelity to a reference: PSNR and SSIM, over RGB or luma. NumPy and SciPy, float64 throughout."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

_WINDOW, _SIGMA = 11, 1.5  # Wang et al. 2004, section III-C
_K1, _K2 = 0.01, 0.03

# ITU-R BT.601 with the foot- and headroom of studio video: black is 16, white 235.
_LUMA = np.array([65.481, 128.553, 24.966]) / 255.0
_LUMA_BLACK = 16.0


def psnr(a: ArrayLike, b: ArrayLike, max_value: float = 255.0) -> np.ndarray:
    """Peak signal-to-noise ratio in dB: 10 log10(max_value^2 / MSE over all pixels and channels).

    Images `[B, H, W, C]` of any real dtype with values 0..max_value (or a range of that length); returns float64 `[B]`,
    infinite for equal images. Symmetric.

    Raises:
        ValueError: if the shapes differ or are not `[B, H, W, C]`.
    """
    a, b = _pair(a, b)
    error = np.square(a - b).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10.0 * np.log10(max_value**2 / error)


def ssim(a: ArrayLike, b: ArrayLike, max_value: float = 255.0) -> np.ndarray:
    """Structural similarity (Wang et al. 2004, eq. 13): 11 x 11 Gaussian window of sigma 1.5, K1 0.01, K2 0.03.

    Images `[B, H, W, C]` with values 0..max_value and sides of at least 11. Only whole windows count, variances are
    the biased ones; the mean over positions, then channels. Returns float64 `[B]`, at most 1 (equal images). Symmetric.

    Raises:
        ValueError: if the shapes differ, are not `[B, H, W, C]`, or a side is shorter than the window.
    """
    a, b = _pair(a, b)
    if min(a.shape[1:3]) < _WINDOW:
        raise ValueError(f"ssim: images of {a.shape[1]} x {a.shape[2]} pixels, expected {_WINDOW} x {_WINDOW} or more")
    return np.array([np.mean([_ssim_of_plane(x, y, max_value) for x, y in _planes(*pair)]) for pair in zip(a, b)])


def luma(images: ArrayLike) -> np.ndarray:
    """Luma Y of ITU-R BT.601 in studio range, not rounded: 16 + 65.481 R + 128.553 G + 24.966 B for R, G, B in [0, 1].

    RGB `[..., 3]` with values 0..255; returns float64 `[..., 1]` in 16..235. Compare with `max_value` 255, as is
    the custom (MATLAB's rgb2ycbcr and the papers that follow it).
    """
    return (np.asarray(images, np.float64) @ _LUMA)[..., None] + _LUMA_BLACK


def _ssim_of_plane(x: np.ndarray, y: np.ndarray, max_value: float) -> float:
    c1, c2 = (_K1 * max_value) ** 2, (_K2 * max_value) ** 2
    mean_x, mean_y = _windowed(x), _windowed(y)
    product = mean_x * mean_y
    squares = np.square(mean_x) + np.square(mean_y)
    covariance = _windowed(x * y) - product
    variances = _windowed(np.square(x) + np.square(y)) - squares  # SSIM needs only their sum
    similarity = (2.0 * product + c1) * (2.0 * covariance + c2) / ((squares + c1) * (variances + c2))
    return float(similarity.mean())


def _windowed(plane: np.ndarray) -> np.ndarray:
    """Gaussian-weighted means over the whole windows in `[H, W]`: `[H - 10, W - 10]`."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-np.square(offsets) / (2.0 * _SIGMA**2))
    weights /= weights.sum()
    margin = _WINDOW // 2
    rows = ndimage.correlate1d(plane, weights, axis=0)[margin:-margin]
    return ndimage.correlate1d(rows, weights, axis=1)[:, margin:-margin]


def _planes(a: np.ndarray, b: np.ndarray) -> zip:
    """The channels of two `[H, W, C]` images, side by side."""
    return zip(np.moveaxis(a, -1, 0).copy(), np.moveaxis(b, -1, 0).copy())


def _pair(a: ArrayLike, b: ArrayLike) -> Tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 4 or a.shape != b.shape:
        raise ValueError(f"images of shapes {a.shape} and {b.shape}; expected two of one shape [B, H, W, C]")
    return a, b
