"""What the evaluation scripts of VQFR do differently (Gu et al. 2022, arXiv:2205.06803).

Their PSNR and SSIM are computed after each channel of the image was matched to the reference, and their mean identity
angle leaves out pairs that are almost equal. Both flatter a method: compare such numbers with VQFR's tables only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SAME_FACE_DEGREES = 1.0


def match_mean_and_std(restored: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Gives each channel of each image the mean and the standard deviation that the reference's channel has.

    Two times over, the mean is shifted and then the values are scaled about 0 to the reference's population standard
    deviation, so that the mean is only nearly the reference's. Channels of a single value are only shifted.

    Args:
        restored, reference: images `[B, H, W, C]`.

    Returns:
        float64 `[B, H, W, C]`, neither clipped nor rounded.

    Raises:
        ValueError: if the shapes differ or are not `[B, H, W, C]`.
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
    """The identity angles that VQFR's mean counts: it takes a pair below one degree for the same image.

    Args:
        degrees: identity angles `[B]`.

    Returns:
        Those of one degree or more.

    Raises:
        ValueError: if no pair is left.
    """
    angles = np.asarray(degrees, np.float64)
    kept = angles[~(angles < _SAME_FACE_DEGREES)]
    if not len(kept):
        raise ValueError(f"all {len(angles)} pairs are below one degree; VQFR's mean has nothing to average")
    return kept


def mean_identity_angle(degrees: ArrayLike) -> float:
    """Mean of identity angles `[B]` in degrees, without those below one degree; see `different_faces`."""
    return float(different_faces(degrees).mean())
