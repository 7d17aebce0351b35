"""The bootstrap: how uncertain a mean over images is."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numpy.typing import ArrayLike

DRAWS = 2000


def mean_interval(values: ArrayLike, seed: int = 0, level: float = 0.95, draws: int = DRAWS) -> Tuple[float, float]:
    """Percentile bootstrap interval of a mean (Efron 1979): the values are resampled with replacement.

    Args:
        values: `[N]`, one for each image; they may be infinite.
        seed: of the resampling; the same seed gives the same interval.
        level: share of the resampled means that lie inside, above 0 and below 1.
        draws: number of resampled means.

    Returns:
        Lower and upper end, in the values' unit; both are the value itself if there is only one.

    Raises:
        ValueError: if there is no value, or one is NaN.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not len(array) or np.isnan(array).any():
        raise ValueError(f"values of shape {array.shape}; expected one or more numbers, none of them NaN")
    generator = np.random.default_rng(seed)
    means = np.array([array[generator.integers(0, len(array), len(array))].mean() for _ in range(draws)])
    # Quantiles without interpolation: there is no number between an infinite mean and a finite one.
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], method="inverted_cdf")
    return float(low), float(high)
