"""What VQFR's published evaluation does differently, by name (Gu et al. 2022, arXiv:2205.06803, metrics scripts).

Its PSNR and SSIM are of images whose channels were matched to the reference first, and its mean identity angle
leaves out the pairs that are almost equal. Both flatter; compare such numbers with VQFR's tables only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SAME_FACE_DEGREES = 1.0


def match_mean_and_std(restored: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """`restored` with each channel's mean and standard deviation brought to the reference's, image by image.

    Images `[B, H, W, C]`; returns float64 of that shape, neither clipped nor rounded. Twice over: the mean is shifted,
    then values are scaled about 0 to the reference's population standard deviation (so that the mean is only nearly
    the reference's). Channels of one value are shifted only, having nothing to scale.
    """
    result, target = np.array(restored, np.float64), np.asarray(reference, np.float64)
    if result.ndim != 4 or result.shape != target.shape:
        raise ValueError(f"images of shapes {result.shape} and {target.shape}; expected two of one shape [B, H, W, C]")
    axes = (1, 2)
    mean, deviation = target.mean(axes, keepdims=True), target.std(axes, keepdims=True)
    for _ in range(2):
        result += mean - result.mean(axes, keepdims=True)
        own = result.std(axes, keepdims=True)
        result *= np.divide(deviation, own, out=np.ones_like(own), where=own > 0)
    return result


def different_faces(degrees: ArrayLike) -> NDArray[np.float64]:
    """Of identity angles `[B]` in degrees those that VQFR's mean counts: below one degree a pair is the same image.

    Raises:
        ValueError: if no pair is left.
    """
    angles = np.asarray(degrees, np.float64)
    kept = angles[~(angles < _SAME_FACE_DEGREES)]
    if not len(kept):
        raise ValueError(f"all {len(angles)} pairs are below one degree; VQFR's mean has nothing to average")
    return kept


def mean_identity_angle(degrees: ArrayLike) -> float:
    """Mean of identity angles `[B]` in degrees without those below one degree; see `different_faces`."""
    return float(different_faces(degrees).mean())
