"""A type that rooms without a common one below them share. Does not import TensorFlow, so that `config` can use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class DegradationRanges:
    """Ranges of the degradation's parameters: for each image every parameter is drawn uniformly from its range.

    "Rethinking Deep Face Restoration" (Zhao et al., CVPR 2022), Eq. 13; the defaults are those of the paper.
    """

    blur_sigma: Tuple[float, float] = (0.2, 10.0)  # pixels of a 512 x 512 image; scales with the resolution
    downscale: Tuple[float, float] = (1.0, 8.0)  # the factor r
    noise: Tuple[float, float] = (0.0, 15.0)  # standard deviation, in 8-bit units
    jpeg_quality: Tuple[int, int] = (60, 100)  # JPEG's scale of 1 to 100; whole numbers are drawn
    anisotropic: float = 0.0  # probability of a blur that differs by direction; for the task `vqfr` only
