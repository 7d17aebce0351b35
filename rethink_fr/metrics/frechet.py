"""Frechet distance between two sets of features, taken as Gaussians. With features of Inception it is called FID.

Heusel et al. 2017 (arXiv:1706.08500), eq. 6: |m_a - m_b|^2 + tr(S_a) + tr(S_b) - 2 tr((S_a S_b)^(1/2)), with sample
means m and unbiased covariances S. The last trace is computed without a matrix square root: if S_a = A^T A and
S_b = B^T B, the eigenvalues of S_a S_b are the squared singular values of A B^T, and the trace is the sum of the
singular values. That is exact for singular covariances too (fewer samples than dimensions), where packages that use
`sqrtm` lose digits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Optional, Tuple, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from rethink_fr.files.names import printable
from rethink_fr.metrics.checks import check_no_negative, feature_matrix, gaussian, load_arrays


def frechet_distance(features_a: ArrayLike, features_b: ArrayLike) -> float:
    """Frechet distance between the Gaussians fitted to two sets of features.

        fid = frechet_distance(inception(restored), inception(clean))

    Args:
        features_a, features_b: `[N, D]` and `[M, D]`, at least two rows each; N and M may be below D.

    Returns:
        A float in squared units of the features: 0 for equal means and covariances, lower is closer. Exchanging the
        sets changes nothing, nor does the order of rows.

    Raises:
        ValueError: for other shapes, or values that are not finite (the first such row is named).
    """
    a, b = (
        feature_matrix(features, name, least=2).astype(np.float64)
        for features, name in ((features_a, "features_a"), (features_b, "features_b"))
    )
    _same_width(a.shape[1], b.shape[1])
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    return _distance(mean_a, _root_of_samples(a - mean_a), mean_b, _root_of_samples(b - mean_b))


class FeatureMoments:
    """Mean and covariance of features that arrive in batches, kept in `D + D^2` float64 numbers.

    Batches are joined by the exact update of Chan, Golub and LeVeque (1979). So neither their order nor their sizes
    matter beyond rounding, and a large common offset costs no digits.

        moments = FeatureMoments()
        for batch in batches:  # [N, D] each
            moments.update(batch)
        moments.count, moments.mean, moments.covariance  # the number of features, [D], [D, D]
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: Optional[NDArray[np.float64]] = None
        self._scatter: Optional[NDArray[np.float64]] = None

    @classmethod
    def of(cls, batches: Iterable[ArrayLike]) -> FeatureMoments:
        """The moments of all batches `[N, D]` together."""
        moments = cls()
        for batch in batches:
            moments.update(batch)
        return moments

    def update(self, features: ArrayLike) -> None:
        """Add a batch `[N, D]`.

        Raises:
            ValueError: for another shape or width, or values that are not finite; nothing is added then.
        """
        batch = feature_matrix(features, "features", least=0).astype(np.float64)
        if self._mean is None or self._scatter is None:
            self._mean, self._scatter = np.zeros(batch.shape[1]), np.zeros([batch.shape[1]] * 2)
        _same_width(len(self._mean), batch.shape[1])
        if not len(batch):
            return
        mean = batch.mean(axis=0)
        centred = batch - mean
        total = self.count + len(batch)
        shift = mean - self._mean
        self._scatter += centred.T @ centred + np.outer(shift, shift) * (self.count * len(batch) / total)
        self._mean += shift * (len(batch) / total)
        self.count = total

    @property
    def mean(self) -> NDArray[np.float64]:
        """Sample mean, float64 `[D]`."""
        if self._mean is None or not self.count:
            raise ValueError("no features were added; expected at least one for a mean")
        return self._mean.copy()

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Sample covariance, float64 `[D, D]`: sums divided by the number of features less one."""
        if self._scatter is None or self.count < 2:
            raise ValueError(f"{self.count} features were added; expected at least two for a covariance")
        return self._scatter / (self.count - 1)


def frechet_distance_of_moments(
    mean_a: ArrayLike, covariance_a: ArrayLike, mean_b: ArrayLike, covariance_b: ArrayLike
) -> float:
    """Frechet distance between two Gaussians, given by their means `[D]` and covariances `[D, D]`.

    This is for stored statistics. Where covariances are singular it is a little less exact than `frechet_distance`
    (about 1e-8 of their traces), because digits were lost when they were formed.

    Raises:
        ValueError: for other shapes, values that are not finite, or matrices that are not covariances (not symmetric,
            or with eigenvalues clearly below zero).
    """
    centre_a, root_a = _moments(mean_a, covariance_a, "a")
    centre_b, root_b = _moments(mean_b, covariance_b, "b")
    _same_width(len(centre_a), len(centre_b))
    return _distance(centre_a, root_a, centre_b, root_b)


def load_fid_statistics(path: Union[str, Path]) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean `[D]` and covariance `[D, D]` of the features of a data set, from an NPZ file with `mu` and `sigma`.

    Common packages write these names (`--save-stats` of pytorch-fid). The features must come from the network that
    they will be compared with, and from images that were prepared in the same way.

    Raises:
        ValueError: naming `path`, if it is not such a file, or `sigma` is not a covariance.
    """
    mean, covariance = load_arrays(
        path, ("mu", "sigma"), "expected an NPZ file with mu [D] and sigma [D, D], as pytorch-fid --save-stats writes"
    )
    return checked_statistics(mean, covariance, f"{printable(path)}: mu", f"{printable(path)}: sigma")


def checked_statistics(
    mean: ArrayLike, covariance: ArrayLike, mean_name: str, covariance_name: str
) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A mean `[D]` and a covariance `[D, D]` as float64.

    Raises:
        ValueError: naming the one, by the names given, that is none: for its shape, its values or its eigenvalues.
    """
    mean, covariance = gaussian(mean, covariance, mean_name, covariance_name)
    check_no_negative(linalg.eigvalsh(covariance), covariance_name)
    return mean, covariance


def _distance(
    mean_a: NDArray[np.float64], root_a: NDArray[np.float64], mean_b: NDArray[np.float64], root_b: NDArray[np.float64]
) -> float:
    """Of Gaussians with covariances `root^T root`, whose traces are the sums of the squared roots."""
    cross = linalg.svdvals(root_a @ root_b.T).sum()
    distance = np.square(mean_a - mean_b).sum() + np.square(root_a).sum() + np.square(root_b).sum() - 2.0 * cross
    return max(float(distance), 0.0)  # equal sets: rounding leaves something like -1e-14


def _root_of_samples(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """A root `[min(N, D), D]` such that `root^T root` is the covariance of centred samples `[N, D]`."""
    root: NDArray[np.float64] = centred / np.sqrt(len(centred) - 1)
    if len(root) > root.shape[1]:
        root = linalg.qr(root, mode="r", check_finite=False, overwrite_a=True)[0][: root.shape[1]]
    return root


def _moments(mean: ArrayLike, covariance: ArrayLike, name: str) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean `[D]`, and a root `[D, D]` such that `root^T root` is the covariance."""
    mean, covariance = gaussian(mean, covariance, f"mean_{name}", f"covariance_{name}")
    values, vectors = linalg.eigh(covariance)
    check_no_negative(values, f"covariance_{name}")
    # Rounding makes about 1e-16 of the largest eigenvalue out of 0; the roots of these would be 1e-8 each.
    values = np.where(values > len(values) * np.finfo(np.float64).eps * values.max(initial=0.0), values, 0.0)
    return mean, np.sqrt(values)[:, None] * vectors.T


def _same_width(width_a: int, width_b: int) -> None:
    if width_a != width_b:
        raise ValueError(f"features of {width_a} and {width_b} dimensions; expected the same network for both sets")
