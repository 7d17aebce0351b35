"""Measures of samples: are several restorations of one picture draws from what it may have been?

All are of one picture: `samples` is `[S, ...]`, S restorations of it, and `clean` `[...]` the truth, usually
`[H, W, 3]` in 0..255. A restorer is calibrated if the truth could be one more of its samples. NumPy and SciPy, in
float64.
"""

from __future__ import annotations

import itertools
from typing import Dict, NamedTuple, Sequence, Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from rethink_fr.metrics.faces import identity_angle
from rethink_fr.metrics.perceptual import FeatureMaps
from rethink_fr.metrics.resampling import BANDS, bands


class SampleErrors(NamedTuple):
    """Mean squared errors, in squared units of the pictures."""

    one: float  # of one sample, averaged over the samples
    mean: float  # of the mean of the samples


def sample_errors(samples: ArrayLike, clean: ArrayLike) -> SampleErrors:
    """Mean squared error of one sample, and of the mean of all S samples.

    Raises:
        ValueError: if there are fewer than two samples, or the shapes do not fit; so do all functions here.
    """
    samples, clean = _checked(samples, clean)
    one = np.mean([np.mean(np.square(sample - clean)) for sample in samples])
    return SampleErrors(float(one), float(np.mean(np.square(samples.mean(axis=0) - clean))))


def band_errors(samples: ArrayLike, clean: ArrayLike) -> Dict[str, SampleErrors]:
    """`sample_errors` in each of the three bands of `rethink_fr.metrics.bands`: "fine", "middle" and "coarse"."""
    samples, clean = _checked(samples, clean)
    return {
        name: sample_errors(of_samples, of_clean)
        for name, of_samples, of_clean in zip(BANDS, bands(samples), bands(clean))
    }


def error_ratio(errors: Sequence[SampleErrors]) -> float:
    """Error of one sample over error of the mean of S samples, both summed over pictures.

    See `calibrated_ratio` for what it should be. Below it the samples are too much alike; 1 means that they are all
    the same. Above it they differ too much. (1 also where nothing is wrong at all.)
    """
    one, mean = np.sum(np.asarray(errors, np.float64).reshape(-1, 2), axis=0)
    if mean == 0.0:
        return 1.0 if one == 0.0 else float("inf")
    return float(one / mean)


def calibrated_ratio(count: int) -> float:
    """The `error_ratio` of a calibrated restorer with `count` samples: 2 / (1 + 1 / S), so 16 / 9 for eight.

    Truth and samples are then independent draws of one distribution with variance v: one sample is 2 v from the truth
    on average, the mean of S samples v + v / S (Bendel, Ahmad and Schniter, NeurIPS 2023, arXiv:2210.13389).
    """
    return 2.0 / (1.0 + 1.0 / count)


def sample_spread(samples: ArrayLike) -> NDArray[np.float64]:
    """Standard deviation of the samples at each pixel and channel (with S - 1), in the pictures' units: `[...]`."""
    samples = np.asarray(samples, np.float64)
    if samples.ndim < 1 or len(samples) < 2:
        raise ValueError(f"samples of shape {samples.shape}; expected two samples or more, [S, ...]")
    spread: NDArray[np.float64] = samples.std(axis=0, ddof=1)
    return spread


def spread_error_correlation(samples: ArrayLike, clean: ArrayLike) -> float:
    """Pearson's correlation, over pixels and channels, of `sample_spread` and the absolute error of the samples' mean.

    It tells whether the samples differ where the restoration is wrong. It is not 1 for a calibrated restorer, because
    an error is a draw, and the more even the true deviation is over the pixels, the lower it is: for Gaussian draws
    with log-normal deviations that vary by half their mean it is about 0.5, and 0.4 if there are eight samples. 0 if
    all spreads, or all errors, are equal.
    """
    samples, clean = _checked(samples, clean)
    spread, error = sample_spread(samples).ravel(), np.abs(samples.mean(axis=0) - clean).ravel()
    spread, error = spread - spread.mean(), error - error.mean()
    lengths = float(np.linalg.norm(spread) * np.linalg.norm(error))
    return float(spread @ error) / lengths if lengths > 0.0 else 0.0


def interval_coverage(samples: ArrayLike, clean: ArrayLike, level: float) -> float:
    """Share of the pixels and channels at which the truth lies in the central prediction interval of the samples.

    The interval is that for one more draw of a Gaussian of unknown mean and variance: |x - mean| <= t sd sqrt(1 + 1/S),
    with the quantile t of Student's distribution with S - 1 degrees of freedom. A calibrated restorer whose posterior
    is about Gaussian covers `level`.

    Args:
        level: of the interval, above 0 and below 1, such as 0.8.
    """
    samples, clean = _checked(samples, clean)
    count = len(samples)
    quantile = float(special.stdtrit(count - 1, 0.5 + 0.5 * level))
    reach = quantile * np.sqrt(1.0 + 1.0 / count) * sample_spread(samples)
    return float(np.mean(np.abs(samples.mean(axis=0) - clean) <= reach))


def fair_crps(samples: ArrayLike, clean: ArrayLike) -> float:
    """Continuous ranked probability score, averaged over pixels and channels, in the pictures' units; lower is better.

        mean_i |y_i - x|  -  1 / (2 S (S - 1)) sum_ij |y_i - y_j|

    Gneiting and Raftery 2007 (J. Am. Stat. Assoc. 102), eq. 21, in the fair version of Ferro 2014 (Q. J. R. Meteorol.
    Soc. 140), whose expectation does not depend on S. It is least, in expectation, for the true posterior, and
    is the absolute error for samples that are all the same.
    """
    samples, clean = _checked(samples, clean)
    count = len(samples)
    error = np.mean([np.mean(np.abs(sample - clean)) for sample in samples])
    # Of sorted values: sum over pairs of |y_i - y_j| = sum_k (2 k - S - 1) y_(k).
    ranks = 2.0 * np.arange(1, count + 1) - count - 1.0
    pairs = float(np.mean(np.tensordot(ranks, np.sort(samples, axis=0), axes=1)))
    return float(error - pairs / (count * (count - 1)))


def diversity(samples: ArrayLike, network: FeatureMaps) -> float:
    """Mean perceptual distance between two samples of one picture, over all pairs; higher is more diverse.

    The distance is `rethink_fr.metrics.perceptual_distance`. It has no best value: samples may differ too much, which
    the error ratios tell.

    Args:
        samples: RGB images `[S, H, W, 3]` in [-1, 1].
        network: whose features are compared.
    """
    import tensorflow as tf  # the networks need it anyway; the other measures do without

    from rethink_fr.losses.lpips import unit_vectors

    samples = np.asarray(samples, np.float32)
    if samples.ndim != 4 or len(samples) < 2:
        raise ValueError(f"samples of shape {samples.shape}; expected two samples or more, [S, H, W, 3]")
    count = len(samples)
    sums: Dict[int, NDArray[np.float64]] = {}
    squares: Dict[int, float] = {}
    for sample in samples:  # one at a time: the feature maps of several large pictures may not fit
        for place, features in enumerate(network(sample[None])):
            units = unit_vectors(tf.cast(features, tf.float64)).numpy()[0]
            sums[place] = sums.get(place, 0.0) + units
            squares[place] = squares.get(place, 0.0) + float(np.mean(np.square(units)))
    # The mean squared difference of two of S values is twice their variance (with S - 1).
    variances = [(squares[place] - np.mean(np.square(sums[place])) / count) / (count - 1) for place in sums]
    return max(0.0, float(2.0 * np.sum(variances)))  # rounding may leave a little below nothing


def identity_spread(embeddings: ArrayLike) -> float:
    """Mean angle in degrees between the identity embeddings of two samples of one picture, over all pairs.

    Args:
        embeddings: of the samples, `[S, D]`.

    Returns:
        0 to 180; lower means that the samples show more the same person. Raises as `identity_angle`.
    """
    embeddings = np.asarray(embeddings)
    if len(embeddings) < 2:
        raise ValueError(f"embeddings of shape {embeddings.shape}; expected those of two samples or more, [S, D]")
    first, second = zip(*itertools.combinations(range(len(embeddings)), 2))
    return float(np.mean(identity_angle(embeddings[list(first)], embeddings[list(second)])))


def _checked(samples: ArrayLike, clean: ArrayLike) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
    samples, clean = np.asarray(samples, np.float64), np.asarray(clean, np.float64)
    if samples.ndim < 1 or len(samples) < 2 or samples.shape[1:] != clean.shape:
        raise ValueError(
            f"samples of shape {samples.shape} and clean of {clean.shape}; expected two samples or more, [S, ...], and "
            "the truth in the shape of one"
        )
    return samples, clean
