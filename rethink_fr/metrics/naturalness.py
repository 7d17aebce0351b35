"""NIQE: how far the statistics of an image are from those of pristine photographs. It needs no reference.

Mittal, Soundararajan and Bovik 2013, "Making a completely blind image quality analyzer". Luma is normalised by its
local mean and standard deviation. Each block of 96 x 96 pixels is then described by generalised Gaussians, fitted to
the block and to its products with itself, shifted by a pixel: 18 numbers at each of two scales. NIQE is the distance
between two multivariate Gaussians of such descriptions, the image's and the photographs'.

Local means and deviations are kept in float32, as in the code behind the figures that face restoration papers
publish. On smooth faces float64 would change the result by up to 0.014.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Tuple, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, special

from rethink_fr.files.names import printable
from rethink_fr.metrics.checks import check_no_negative, gaussian, load_arrays
from rethink_fr.metrics.fidelity import luma

_BLOCK = 96  # pixels at full scale, half as many at half scale
_FEATURES = 36
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows, columns

_SHAPES = np.arange(200, 10001) / 1000.0  # candidates for the exponent of a generalised Gaussian
_SHAPE_RATIOS = np.exp(
    2.0 * special.gammaln(2.0 / _SHAPES) - special.gammaln(1.0 / _SHAPES) - special.gammaln(3.0 / _SHAPES)
)  # (E|x|)^2 / E x^2 for each; grows with the exponent


def niqe(image_uint8: ArrayLike, pristine: Tuple[ArrayLike, ArrayLike]) -> float:
    """NIQE of one image: lower is better, good photographs have about 3 to 5.

    It is computed of luma (BT.601 in studio range, rounded), without the rest at the right and bottom that does not
    fill a block.

    Args:
        image_uint8: uint8 RGB `[H, W, 3]` of two whole blocks of 96 x 96 pixels or more.
        pristine: mean `[36]` and covariance `[36, 36]` of the block features of pristine photographs.

    Raises:
        ValueError: for another image or other statistics, or if fewer than two blocks can be described, as in a flat
            image.
    """
    image = np.asarray(image_uint8)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"niqe: {image.dtype} image of shape {image.shape}; expected uint8 [H, W, 3]")
    pristine_mean, pristine_covariance = (np.asarray(part, np.float64) for part in pristine)
    if pristine_mean.shape != (_FEATURES,) or pristine_covariance.shape != (_FEATURES, _FEATURES):
        raise ValueError(
            f"niqe: pristine statistics of shapes {pristine_mean.shape} and {pristine_covariance.shape}; "
            f"expected [{_FEATURES}] and [{_FEATURES}, {_FEATURES}]"
        )
    rows, columns = (side // _BLOCK for side in image.shape[:2])
    if rows * columns < 2:
        raise ValueError(
            f"niqe: {image.shape[1]} x {image.shape[0]} pixels hold {rows * columns} blocks of {_BLOCK} x {_BLOCK}; "
            "expected two or more"
        )
    plane = np.round(luma(image[: rows * _BLOCK, : columns * _BLOCK])[..., 0]).astype(np.float32)
    features = np.concatenate([_described(plane, _BLOCK), _described(half_size(plane), _BLOCK // 2)], axis=1)

    whole = features[np.isfinite(features).all(axis=1)]
    if len(whole) < 2:
        raise ValueError(f"niqe: {len(features) - len(whole)} of {len(features)} blocks are flat; expected a picture")
    difference = np.nanmean(features, axis=0) - pristine_mean
    pooled = (np.cov(whole.T) + pristine_covariance) / 2.0
    return float(np.sqrt(difference @ np.linalg.pinv(pooled) @ difference))


def load_niqe_statistics(path: Union[str, Path]) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pristine mean `[36]` and covariance `[36, 36]` from an NPZ file with `mu_pris_param` and `cov_pris_param`.

    The authors' release has these names for them.

    Raises:
        ValueError: naming `path`, if it is not such a file, or the second is not a covariance.
    """
    mean, covariance = load_arrays(
        path,
        ("mu_pris_param", "cov_pris_param"),
        "expected an NPZ file with mu_pris_param and cov_pris_param, the parameters of the NIQE release",
    )
    mean = mean.reshape(-1)
    if mean.shape != (_FEATURES,) or covariance.shape != (_FEATURES, _FEATURES):
        raise ValueError(
            f"{printable(path)}: parameters of shapes {mean.shape} and {covariance.shape}; expected 36 and 36 x 36"
        )
    names = f"{printable(path)}: mu_pris_param", f"{printable(path)}: cov_pris_param"
    mean, covariance = gaussian(mean, covariance, *names)
    check_no_negative(np.linalg.eigvalsh(covariance), names[1])
    return mean, covariance


def half_size(plane: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """An image `[H, W]` at half its size, as MATLAB's bicubic imresize with antialiasing makes it; dtype is kept.

    The filter is Keys' cubic (a = -1/2), stretched to twice its width: 8 taps, rows first. The image is continued
    symmetrically at its borders, and odd sides are rounded up.
    """
    distances = np.array([3.5, 2.5, 1.5, 0.5]) / 2.0
    near = 1.5 * distances**3 - 2.5 * distances**2 + 1.0
    far = -0.5 * distances**3 + 2.5 * distances**2 - 4.0 * distances + 2.0
    weights = np.where(distances <= 1.0, near, far) / 2.0
    weights = np.concatenate([weights, weights[::-1]]).astype(plane.dtype)
    return _reduced(_reduced(plane, weights).T, weights).T


def _reduced(plane: NDArray[np.floating[Any]], weights: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Every second of the filtered rows: row i of the output is centred between rows 2 i and 2 i + 1."""
    half = (len(plane) + 1) // 2
    padded = np.pad(plane, [(3, 5), (0, 0)], mode="symmetric")
    result = np.zeros([half, plane.shape[1]], plane.dtype)
    for tap, weight in enumerate(weights):
        result += weight * padded[tap : tap + 2 * half : 2]
    return result


def _described(plane: NDArray[np.floating[Any]], block: int) -> NDArray[np.float64]:
    """18 features of each block, `[blocks, 18]`; those of flat blocks are not finite."""
    normalised = _normalised(plane)
    rows, columns = (side // block for side in plane.shape)
    blocks = normalised.reshape(rows, block, columns, block).swapaxes(1, 2).reshape(-1, block, block)
    return np.array([_block_features(one) for one in blocks])


def _normalised(plane: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """The image less its local mean, over its local deviation (eq. 1): Gaussian window of 7 x 7, sigma 7/6."""
    offsets = np.arange(-3, 4)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2.0 * (7.0 / 6.0) ** 2))
    window /= window.sum()
    mean = ndimage.correlate(plane, window, mode="nearest")
    variance = ndimage.correlate(np.square(plane), window, mode="nearest") - np.square(mean)
    normalised: NDArray[np.floating[Any]] = (plane - mean) / (np.sqrt(np.abs(variance)) + 1.0)
    return normalised


def _block_features(block: NDArray[np.floating[Any]]) -> List[float]:
    """Shape and width of the block's own distribution; shape, mean and both widths of four products with neighbours."""
    shape, left, right = _asymmetric_gaussian(block)
    features = [shape, (left + right) / 2.0]
    for shift in _SHIFTS:
        shape, left, right = _asymmetric_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        ratio = np.exp(special.gammaln(2.0 / shape) - special.gammaln(1.0 / shape))
        features += [shape, (right - left) * ratio, left, right]
    return features


def _asymmetric_gaussian(values: NDArray[np.floating[Any]]) -> Tuple[float, float, float]:
    """Exponent, left and right width of a generalised Gaussian with its mode at 0, by moments (Lasmar et al. 2009)."""
    values = values.ravel()
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (
            np.sqrt(np.square(side).sum() / np.float64(len(side))) for side in (values[values < 0], values[values > 0])
        )
        skew = left / right
        ratio = np.square(np.abs(values).mean()) / np.square(values).mean()
        ratio *= (skew**3 + 1.0) * (skew + 1.0) / np.square(skew**2 + 1.0)
    if not np.isfinite(ratio):
        return np.nan, np.nan, np.nan
    shape = _SHAPES[np.argmin(np.square(_SHAPE_RATIOS - ratio))]
    width = np.exp((special.gammaln(1.0 / shape) - special.gammaln(3.0 / shape)) / 2.0)
    return float(shape), float(left * width), float(right * width)
