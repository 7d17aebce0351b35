"""How far a mean over seeds and pictures may be trusted, and whether a difference of two variants means anything.

There are two sources of chance. Another seed would give another network, and other people would give other pictures.
The same pictures are restored with every seed, so the two are crossed, and their variances add up:

* seeds: the variance of the S means over all pictures, divided by S, with S - 1 degrees of freedom;
* people: the variance of the mean over pictures, which are averaged over the seeds first. Pictures of one person are
  alike, so people are what is drawn, not pictures: the sum of the squared sums of the deviations of each person's
  pictures (the cluster-robust variance of a mean; Cameron and Miller 2015, equation 11), with P - 1 degrees of freedom.

The interval is that of Howe (1974): the half-widths of Student's t of each, squared and added. It contains the truth at
least as often as it says, for three seeds and 26 people 95.6 to 98 times of 100, depending on which source is larger;
with the degrees of freedom of Satterthwaite (1946) it would be 92 to 95 times, and a bootstrap over seeds and people,
where three seeds have ten different resamples, 74 to 94 times.

With one seed only the people count, and the interval says nothing about another training. Numbers of a whole set, such
as a Frechet distance, have the seeds only.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from scipy import stats

LEVEL = 0.95
Verdict = Literal["better", "worse", "too close to tell", "one seed"]


class Estimate(NamedTuple):
    """A mean over seeds."""

    mean: float
    interval: Optional[Tuple[float, float]]  # of 95 %; None if nothing is known of its chance
    by_seed: Tuple[float, ...]


def of_pictures(values: np.ndarray, people: Sequence[str]) -> Estimate:
    """The mean over seeds and pictures.

    Args:
        values: `[S, N]`, of N pictures with S seeds.
        people: who is on each picture, `[N]`; different names for all where that is not known.

    Raises:
        ValueError: if there is no value, or the shapes do not fit.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not values.size or len(people) != values.shape[1]:
        raise ValueError(f"values of shape {values.shape} of {len(people)} pictures; expected [S, N] and N names")
    by_seed = values.mean(axis=1)
    mean = float(by_seed.mean())
    if not np.isfinite(values).all():
        return Estimate(mean, None, tuple(map(float, by_seed)))
    _, person = np.unique(np.asarray(list(people)), return_inverse=True)
    count = int(person.max()) + 1
    parts = [_of_seeds(by_seed)]
    if count > 1:
        sums = np.bincount(person, values.mean(axis=0) - mean)
        # With the correction for few clusters, P / (P - 1).
        variance = float(np.sum(np.square(sums))) / values.shape[1] ** 2 * count / (count - 1)
        parts.append((variance, count - 1))
    return Estimate(mean, _interval(mean, [one for one in parts if one is not None]), tuple(map(float, by_seed)))


def of_sets(values: Sequence[float]) -> Estimate:
    """The mean over seeds of a number of a whole set of pictures, of each seed one."""
    by_seed = np.asarray(values, np.float64)
    if by_seed.ndim != 1 or not by_seed.size:
        raise ValueError(f"values of shape {by_seed.shape}; expected one for each seed")
    mean = float(by_seed.mean())
    part = _of_seeds(by_seed) if np.isfinite(by_seed).all() else None
    return Estimate(mean, None if part is None else _interval(mean, [part]), tuple(map(float, by_seed)))


def verdict(difference: Estimate, better: Literal["higher", "lower"]) -> Verdict:
    """What a difference to another variant says: nothing, unless its interval leaves out 0."""
    if len(difference.by_seed) < 2:
        return "one seed"
    low, high = difference.interval or (-np.inf, np.inf)
    if low <= 0.0 <= high:
        return "too close to tell"
    return "better" if (low > 0.0) == (better == "higher") else "worse"


def _of_seeds(by_seed: np.ndarray) -> Optional[Tuple[float, int]]:
    """Variance of the mean over seeds, and its degrees of freedom; None if there is one seed."""
    count = len(by_seed)
    return None if count < 2 else (float(np.var(by_seed, ddof=1)) / count, count - 1)


def _interval(mean: float, parts: Sequence[Optional[Tuple[float, int]]]) -> Optional[Tuple[float, float]]:
    known = [part for part in parts if part is not None]
    if not known:
        return None
    half = float(np.sqrt(sum(float(stats.t.ppf(0.5 + LEVEL / 2, freedom)) ** 2 * part for part, freedom in known)))
    return mean - half, mean + half
