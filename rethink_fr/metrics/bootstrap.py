"""The bootstrap: how uncertain a mean over images is, or a ratio of two means."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    return _percentiles(_resampled_means(array, seed, draws), level)


def ratio_interval(pairs: ArrayLike, seed: int = 0, level: float = 0.95, draws: int = DRAWS) -> Tuple[float, float]:
    """As `mean_interval`, of a ratio of two means: the pairs are resampled.

    Args:
        pairs: `[N, 2]`, numerator and denominator of each image, none negative or infinite.
    """
    array = np.asarray(pairs, np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or not len(array) or not np.isfinite(array).all() or array.min() < 0:
        raise ValueError(f"pairs of shape {array.shape}; expected one or more pairs of finite numbers from 0 on")
    numerators, denominators = _resampled_means(array, seed, draws).T
    ratios = np.full(draws, np.inf)
    np.divide(numerators, denominators, out=ratios, where=denominators > 0.0)
    ratios[(numerators == 0.0) & (denominators == 0.0)] = 1.0
    return _percentiles(ratios, level)


def _resampled_means(array: NDArray[np.float64], seed: int, draws: int) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    return np.array([array[generator.integers(0, len(array), len(array))].mean(axis=0) for _ in range(draws)])


def _percentiles(values: NDArray[np.float64], level: float) -> Tuple[float, float]:
    # Quantiles without interpolation: there is no number between an infinite mean and a finite one.
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], method="inverted_cdf")
    return float(low), float(high)
