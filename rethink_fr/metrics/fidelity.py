"""PSNR and SSIM: how close images are to a reference, in RGB or luma. NumPy and SciPy, in float64."""

from __future__ import annotations

from typing import Any, Iterator, Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

_WINDOW, _SIGMA = 11, 1.5  # Wang et al. 2004, section III-C
_K1, _K2 = 0.01, 0.03
_BAND = 64  # rows of windows at a time
_WEIGHTS = np.exp(-np.square(np.arange(_WINDOW) - _WINDOW // 2) / (2.0 * _SIGMA**2))
_WEIGHTS /= _WEIGHTS.sum()

# ITU-R BT.601 with the foot- and headroom of studio video: black is 16, white 235.
_LUMA = np.array([65.481, 128.553, 24.966]) / 255.0
_LUMA_BLACK = 16.0


def psnr(a: ArrayLike, b: ArrayLike, max_value: float = 255.0) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio in dB: 10 log10(max_value^2 / MSE over all pixels and channels).

    Args:
        a, b: images `[B, H, W, C]` of any real dtype.
        max_value: the length of the images' range: 255 for uint8, 2 for [-1, 1].

    Returns:
        float64 `[B]`, higher is closer; infinite for equal images. Exchanging the images changes nothing.

    Raises:
        ValueError: if the shapes differ or are not `[B, H, W, C]`.
    """
    a, b = _pair(a, b)
    error = np.array([np.square(x.astype(np.float64) - y).mean() for x, y in zip(a, b)])
    with np.errstate(divide="ignore"):
        decibels: NDArray[np.float64] = 10.0 * np.log10(max_value**2 / error)
    return decibels


def ssim(a: ArrayLike, b: ArrayLike, max_value: float = 255.0) -> NDArray[np.float64]:
    """Structural similarity (Wang et al. 2004, eq. 13): 11 x 11 Gaussian window of sigma 1.5, K1 0.01, K2 0.03.

    Only windows that lie wholly inside count, and variances are the biased ones. The result is the mean over positions,
    then over channels.

    Args:
        a, b: images `[B, H, W, C]` with values 0..max_value and sides of at least 11.
        max_value: 255 for uint8.

    Returns:
        float64 `[B]`, at most 1, which equal images have. Exchanging the images changes nothing.

    Raises:
        ValueError: if the shapes differ, are not `[B, H, W, C]`, or a side is shorter than the window.
    """
    a, b = _pair(a, b)
    if min(a.shape[1:3]) < _WINDOW:
        raise ValueError(f"ssim: images of {a.shape[1]} x {a.shape[2]} pixels, expected {_WINDOW} x {_WINDOW} or more")
    return np.array([np.mean([_ssim_of_plane(x, y, max_value) for x, y in _planes(*pair)]) for pair in zip(a, b)])


def luma(images: ArrayLike) -> NDArray[np.float64]:
    """Luma Y of ITU-R BT.601 in studio range, not rounded: 16 + 65.481 R + 128.553 G + 24.966 B for R, G, B in [0, 1].

    Takes RGB `[..., 3]` with values 0..255; returns float64 `[..., 1]` in 16..235. By custom it is compared with a
    `max_value` of 255 all the same (MATLAB's rgb2ycbcr, and the papers that use it).
    """
    return (np.asarray(images, np.float64) @ _LUMA)[..., None] + _LUMA_BLACK


def _ssim_of_plane(x: NDArray[np.float64], y: NDArray[np.float64], max_value: float) -> float:
    """Mean SSIM of two `[H, W]`. A band of rows at a time stays in the processor's cache, which is twice as fast."""
    rows, columns = (side - _WINDOW + 1 for side in x.shape)
    total = 0.0
    for start in range(0, rows, _BAND):
        needed = slice(start, min(start + _BAND, rows) + _WINDOW - 1)
        total += _similarity(x[needed], y[needed], max_value).sum()
    return total / (rows * columns)


def _similarity(x: NDArray[np.float64], y: NDArray[np.float64], max_value: float) -> NDArray[np.float64]:
    """SSIM at each whole window (eq. 13)."""
    c1, c2 = (_K1 * max_value) ** 2, (_K2 * max_value) ** 2
    mean_x, mean_y = _windowed(x), _windowed(y)
    covariance, variances = _windowed(x * y), _windowed(x * x + y * y)  # SSIM needs only the sum of both variances
    product = mean_x * mean_y
    squares = mean_x * mean_x + mean_y * mean_y
    covariance -= product
    variances -= squares
    return (2.0 * product + c1) * (2.0 * covariance + c2) / ((squares + c1) * (variances + c2))


def _windowed(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian-weighted means over the whole windows in `[H, W]`: `[H - 10, W - 10]`."""
    last, margin = _WINDOW - 1, _WINDOW // 2
    rows = len(plane) - last
    # Down the columns as sums of whole rows, since the weights are symmetric: five times as fast as SciPy's filter.
    means = _WEIGHTS[margin] * plane[margin : margin + rows]
    for offset in range(margin):
        means += _WEIGHTS[offset] * (plane[offset : offset + rows] + plane[last - offset : last - offset + rows])
    windowed: NDArray[np.float64] = ndimage.correlate1d(means, _WEIGHTS, axis=1)[:, margin:-margin]
    return windowed


def _planes(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> Iterator[Tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The channels of two `[H, W, C]` images, side by side, in float64."""
    return zip(*(np.ascontiguousarray(np.moveaxis(image, -1, 0), np.float64) for image in (a, b)))


def _pair(a: ArrayLike, b: ArrayLike) -> Tuple[NDArray[Any], NDArray[Any]]:
    a, b = np.asarray(a), np.asarray(b)  # an image at a time becomes float64: a folder of uint8 may not fit as such
    if a.ndim != 4 or a.shape != b.shape:
        raise ValueError(f"images of shapes {a.shape} and {b.shape}; expected two of one shape [B, H, W, C]")
    return a, b
