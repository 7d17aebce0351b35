"""Precision and recall of generated faces, and their identity versions, from neighbourhoods in a feature space.

Every feature e' of a set has a sphere: its radius r_k(e') is the distance to its k-th nearest *other* feature of that
set. Precision is the share of fakes inside the sphere of some real; recall the share of reals inside that of some fake
(Kynkaanniemi et al. 2019, arXiv:1904.06991). iPrecision and iRecall count only spheres of the same identity
("Rethinking Deep Face Restoration", eqs. 11 and 12). Distances are Euclidean, the surface belongs to the sphere.

All pairs are looked at in blocks, so that memory does not grow with N M. Matrix products in float32 decide what is
clear; pairs closer to a radius than rounding can tell are computed again, directly and in float64. The result is that
of the definition, ties included, whatever the dtype.
"""

from __future__ import annotations

from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rethink_fr.metrics.checks import feature_matrix

_BLOCK = 2**22  # squared distances at a time
_EXACT = 2**21  # differences of coordinates at a time

_Floats = NDArray[np.floating[Any]]  # float32 or float64
_Rows = NDArray[np.intp]  # numbers of rows or columns


class Coverage(NamedTuple):
    """Which features lie in spheres of the other set, for k = 1..K (columns); the shares are properties, `[K]` each."""

    fake_inside: NDArray[np.bool_]  # bool [M, K]: in the sphere of some real
    real_inside: NDArray[np.bool_]  # bool [N, K]: in the sphere of some fake
    fake_inside_own: Optional[NDArray[np.bool_]] = None  # the same for spheres of its own identity
    real_inside_own: Optional[NDArray[np.bool_]] = None

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of fakes in the sphere of some real, float64 `[K]`."""
        return _shares(self.fake_inside)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of reals in the sphere of some fake, float64 `[K]`."""
        return _shares(self.real_inside)

    @property
    def iprecision(self) -> NDArray[np.float64]:
        """Share of fakes in the sphere of some real of their identity, float64 `[K]`."""
        return _shares(self.fake_inside_own)

    @property
    def irecall(self) -> NDArray[np.float64]:
        """Share of reals in the sphere of some fake of their identity, float64 `[K]`."""
        return _shares(self.real_inside_own)


def precision_recall(real: ArrayLike, fake: ArrayLike, k: int = 4) -> Tuple[float, float]:
    """Precision and recall for one k; see `coverage`.

    Features `[N, D]` and `[M, D]`; returns two floats in 0..1. Neither falls as k grows.
    """
    found = coverage(real, fake, k=k)
    return float(found.precision[-1]), float(found.recall[-1])


def identity_precision_recall(
    real: ArrayLike, fake: ArrayLike, real_ids: ArrayLike, fake_ids: ArrayLike, k: int = 4
) -> Tuple[float, float]:
    """iPrecision and iRecall for one k; see `coverage`.

    Features `[N, D]` and `[M, D]` with the identity of each, `[N]` and `[M]` (integers or strings); returns two floats
    in 0..1, at most precision and recall. Spheres are those of the whole set: neighbours may be of any identity.
    """
    found = coverage(real, fake, real_ids, fake_ids, k=k)
    return float(found.iprecision[-1]), float(found.irecall[-1])


def coverage(
    real: ArrayLike,
    fake: ArrayLike,
    real_ids: Optional[ArrayLike] = None,
    fake_ids: Optional[ArrayLike] = None,
    k: int = 4,
) -> Coverage:
    """Which fakes lie in spheres of reals and which reals in spheres of fakes, for all k = 1..`k` in one pass.

    Args:
        real, fake: features `[N, D]` and `[M, D]`, float32 or float64.
        real_ids, fake_ids: identity of each, `[N]` and `[M]`, integers or strings; both or neither.
        k: neighbours; at most min(N, M) - 1.

    Raises:
        ValueError: for other shapes, values that are not finite, missing identities, or k out of range.
    """
    real, fake = feature_matrix(real, "real", least=2), feature_matrix(fake, "fake", least=2)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(
            f"features of {real.shape[1]} and {fake.shape[1]} dimensions; expected the same network for both sets"
        )
    smaller = min(len(real), len(fake))
    if not 1 <= k < smaller:
        raise ValueError(f"k = {k}: expected 1 to {smaller - 1}, since the smaller set has {smaller} features")
    identities = _identities(real_ids, fake_ids, len(real), len(fake))

    real_radii, fake_radii = squared_radii(real, k), squared_radii(fake, k)
    # The smallest k whose sphere holds the feature, k + 1 if none does: row 0 for any identity, row 1 for its own.
    first_fake = np.full([2, len(fake)], k + 1)
    first_real = np.full([2, len(real)], k + 1)
    for pairs in _near_pairs(fake, real, fake_radii[:, -1], real_radii[:, -1]):
        own = None if identities is None else identities[1][pairs.rows] == identities[0][pairs.columns]
        for first, inside, radii in (
            (first_fake, pairs.rows, real_radii[pairs.columns]),
            (first_real, pairs.columns, fake_radii[pairs.rows]),
        ):
            needed = _neighbours_needed(fake, real, pairs, radii)
            np.minimum.at(first[0], inside, needed)
            if own is not None:
                np.minimum.at(first[1], inside[own], needed[own])
    inside_fake, inside_real = (first[..., None] <= np.arange(1, k + 1) for first in (first_fake, first_real))
    if identities is None:
        return Coverage(inside_fake[0], inside_real[0])
    return Coverage(inside_fake[0], inside_real[0], inside_fake[1], inside_real[1])


def squared_radii(features: ArrayLike, k: int) -> NDArray[np.float64]:
    """Squared distance from each feature `[N, D]` to its 1st to k-th nearest other: float64 `[N, k]`, k below N."""
    points = feature_matrix(features, "features", least=k + 1)
    (scaled,), _ = _scaled(points)
    lengths = _squared_lengths(scaled)
    radii = np.empty([len(points), k])
    for start, lower in _lower_bounds(scaled, scaled):
        here = np.arange(len(lower))
        lower[here, here + start] = np.inf  # not its own neighbour
        nearest = np.argpartition(lower, k - 1, axis=1)[:, :k]
        upper = lower[here[:, None], nearest] + _gap(scaled, lengths[here + start][:, None], lengths[nearest])
        rows, columns = np.nonzero(lower <= _above(upper.max(axis=1))[:, None])  # k or more of each row, rows in order
        exact = _exact_squared(points, rows + start, points, columns)
        exact = exact[np.lexsort([exact, rows])]
        radii[here + start] = exact[np.searchsorted(rows, here)[:, None] + np.arange(k)]
    return radii


class _Pairs(NamedTuple):
    """Pairs of features (row of the first set, row of the second) with bounds of their squared distances."""

    rows: _Rows
    columns: _Rows
    lower: _Floats
    upper: _Floats


def _near_pairs(a: _Floats, b: _Floats, radii_a: _Floats, radii_b: _Floats) -> Iterator[_Pairs]:
    """All pairs with one in the sphere of the other (squared radii `[N]`, `[M]`), and perhaps a few more."""
    (scaled_a, scaled_b), unit = _scaled(a, b)
    lengths_a, lengths_b = _squared_lengths(scaled_a), _squared_lengths(scaled_b)
    limits_a, limits_b = _above(radii_a / unit**2), _above(radii_b / unit**2)
    for start, lower in _lower_bounds(scaled_a, scaled_b):
        near = lower <= limits_b
        near |= lower <= limits_a[start : start + len(lower), None]
        rows, columns = np.nonzero(near)
        least = lower[rows, columns].astype(np.float64)
        rows += start
        most = least + _gap(scaled_a, lengths_a[rows], lengths_b[columns])
        yield _Pairs(rows, columns, least * unit**2, most * unit**2)


def _neighbours_needed(a: _Floats, b: _Floats, pairs: _Pairs, radii: _Floats) -> _Rows:
    """For each pair the smallest k with squared distance <= `radii[:, k - 1]`, K + 1 if there is none."""
    needed: _Rows = 1 + np.sum(radii < pairs.lower[:, None], axis=1)
    unclear = np.flatnonzero(needed <= np.sum(radii < pairs.upper[:, None], axis=1))
    exact = _exact_squared(a, pairs.rows[unclear], b, pairs.columns[unclear])
    needed[unclear] = 1 + np.sum(radii[unclear] < exact[:, None], axis=1)
    return needed


def _scaled(*sets: _Floats) -> Tuple[List[_Floats], float]:
    """The sets in float32, moved near 0 together and divided by the returned unit: offset and size cost no digits."""
    centre = sets[0].mean(axis=0)
    unit = max(max(float((one.max(axis=0) - centre).max()), float((centre - one.min(axis=0)).max())) for one in sets)
    unit = unit if unit > 0.0 else 1.0
    return [((one - centre) / unit).astype(np.float32, copy=False) for one in sets], unit


def _lower_bounds(a: _Floats, b: _Floats) -> Iterator[Tuple[int, _Floats]]:
    """Blocks of rows of the squared distances `[N, M]`, less what rounding may have added; with their first row."""
    sure, floor = np.float32(1.0 - _rounding(a)), np.float32(_underflow(a))
    lengths_a, lengths_b = (_squared_lengths(points) * sure - floor for points in (a, b))
    size = max(1, _BLOCK // len(b))
    for start in range(0, len(a), size):
        lower = (-2.0 * a[start : start + size]) @ b.T
        lower += lengths_a[start : start + size, None]
        lower += lengths_b
        yield start, lower


def _rounding(points: _Floats) -> float:
    """Bound of the error of a squared distance |a|^2 + |b|^2 - 2 a b in float32, relative to |a|^2 + |b|^2.

    D roundings in each product, whatever the order of summation, and a few for the coordinates and the sums.
    """
    return (points.shape[1] + 16) * float(np.finfo(np.float32).eps)


def _underflow(points: _Floats) -> float:
    """Bound of what squares too small for float32 lose, once one far outlier has made the others small."""
    return 8.0 * points.shape[1] * float(np.finfo(np.float32).tiny)


def _gap(points: _Floats, lengths_a: _Floats, lengths_b: _Floats) -> _Floats:
    """How far a squared distance may be above its lower bound; float64."""
    return 2.0 * _rounding(points) * (lengths_a.astype(np.float64) + lengths_b) + 4.0 * _underflow(points)


def _above(limits: _Floats) -> _Floats:
    """In float32, and not below."""
    above: _Floats = np.nextafter(limits.astype(np.float32), np.float32(np.inf))
    return above


def _squared_lengths(points: _Floats) -> _Floats:
    lengths: _Floats = np.einsum("nd,nd->n", points, points)
    return lengths


def _exact_squared(a: _Floats, rows: _Rows, b: _Floats, columns: _Rows) -> _Floats:
    """Squared distances of the given pairs from their differences, float64; equal distances come out equal."""
    squared = np.empty(len(rows))
    size = max(1, _EXACT // a.shape[1])
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        difference = a[rows[part]].astype(np.float64) - b[columns[part]]
        squared[part] = np.square(difference).sum(axis=1)
    return squared


def _identities(
    real_ids: Optional[ArrayLike], fake_ids: Optional[ArrayLike], real_count: int, fake_count: int
) -> Optional[Tuple[_Rows, _Rows]]:
    """Both sets' identities as numbers that can be compared."""
    if real_ids is None and fake_ids is None:
        return None
    given = []
    for ids, name, count in ((real_ids, "real_ids", real_count), (fake_ids, "fake_ids", fake_count)):
        if ids is None:
            raise ValueError(f"{name}: missing; expected an identity for each of the {count} features")
        array = np.asarray(ids)
        if array.shape != (count,):
            raise ValueError(f"{name}: shape {array.shape}; expected an identity for each of the {count} features")
        if array.dtype.kind not in "iuU" or (array.dtype.kind == "U" and (array == "").any()):
            raise ValueError(f"{name}: expected integers or strings, none of them missing or empty")
        given.append(array)
    if (given[0].dtype.kind == "U") != (given[1].dtype.kind == "U"):
        raise ValueError("real_ids, fake_ids: one has strings, the other integers; expected the same kind")
    _, numbers = np.unique(np.concatenate(given), return_inverse=True)
    return numbers[:real_count], numbers[real_count:]


def _shares(inside: Optional[NDArray[np.bool_]]) -> NDArray[np.float64]:
    if inside is None:
        raise ValueError("no identities were given; expected real_ids and fake_ids for iprecision and irecall")
    shares: NDArray[np.float64] = inside.mean(axis=0)
    return shares
