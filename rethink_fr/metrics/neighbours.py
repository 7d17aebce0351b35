"""Precision and recall of generated faces, and their identity versions, from neighbourhoods in a feature space.

Each feature of a set is the centre of a sphere that reaches to its k-th nearest *other* feature of the same set.
Precision is the share of generated features that lie in the sphere of some real one; recall is the share of real
features that lie in the sphere of some generated one (Kynkaanniemi et al. 2019, arXiv:1904.06991). iPrecision and
iRecall count only spheres of the same person ("Rethinking Deep Face Restoration", eqs. 11 and 12). Distances are
Euclidean, and the surface belongs to the sphere. Generated features are called "fake" here, as in the literature.

Pairs are looked at in blocks, so that memory does not grow with N times M. Matrix products in float32 decide what is
clear. Pairs that are closer to a radius than rounding can tell are computed again, directly and in float64. So the
result is exactly that of the definition, ties included, whatever the dtype.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Tuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rethink_fr.metrics.checks import feature_matrix

_BLOCK = 2**22  # squared distances at a time
_EXACT = 2**21  # differences of coordinates at a time
_GROUPS = 512  # of columns, in the search for small distances
_THREADS = 8  # at most; each holds a block and masks of it, some 50 MB

_Floats = NDArray[np.floating[Any]]  # float32 or float64
_Rows = NDArray[np.intp]  # numbers of rows or columns
_Result = TypeVar("_Result")


class Coverage(NamedTuple):
    """Which features lie in spheres of the other set. Column k - 1 is for k neighbours; the shares are properties."""

    fake_inside: NDArray[np.bool_]  # bool [M, K]: in the sphere of some real
    real_inside: NDArray[np.bool_]  # bool [N, K]: in the sphere of some fake
    fake_inside_own: Optional[NDArray[np.bool_]] = None  # of the same person; None if identities are not known
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
        """Share of fakes in the sphere of some real of the same person, float64 `[K]`."""
        return _shares(self.fake_inside_own)

    @property
    def irecall(self) -> NDArray[np.float64]:
        """Share of reals in the sphere of some fake of the same person, float64 `[K]`."""
        return _shares(self.real_inside_own)


def precision_recall(real: ArrayLike, fake: ArrayLike, k: int = 4) -> Tuple[float, float]:
    """Precision and recall for one number of neighbours.

        precision, recall = precision_recall(embeddings_of_clean, embeddings_of_restored)

    Args:
        real, fake: features `[N, D]` and `[M, D]`.
        k: number of neighbours.

    Returns:
        Two floats in 0..1, higher is better. They never fall as k grows.

    Raises:
        ValueError: as `coverage`.
    """
    found = coverage(real, fake, k=k)
    return float(found.precision[-1]), float(found.recall[-1])


def identity_precision_recall(
    real: ArrayLike, fake: ArrayLike, real_ids: ArrayLike, fake_ids: ArrayLike, k: int = 4
) -> Tuple[float, float]:
    """iPrecision and iRecall for one number of neighbours.

    The spheres are those of the whole set: the neighbours that their radius is measured to may be of any person.

    Args:
        real, fake: features `[N, D]` and `[M, D]`.
        real_ids, fake_ids: who each feature is of, `[N]` and `[M]`, integers or strings.
        k: number of neighbours.

    Returns:
        Two floats in 0..1, higher is better; at most precision and recall.

    Raises:
        ValueError: as `coverage`.
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
    """Which fakes lie in spheres of reals and which reals in spheres of fakes, for 1 to `k` neighbours in one pass.

    Args:
        real, fake: features `[N, D]` and `[M, D]`, float32 or float64.
        real_ids, fake_ids: who each feature is of, `[N]` and `[M]`, integers or strings; both or neither.
        k: largest number of neighbours, at most min(N, M) - 1.

    Raises:
        ValueError: for other shapes, values that are not finite, missing identities, or a `k` out of range.
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
    """Squared distances from each feature `[N, D]` to its 1st to k-th nearest others: float64 `[N, k]`; k < N."""
    points = feature_matrix(features, "features", least=k + 1)
    (scaled,), _ = _scaled(points)
    lengths = _squared_lengths(scaled)
    radii = np.empty([len(points), k])

    def fill(start: int, lower: _Floats) -> None:
        here = np.arange(len(lower))
        lower[here, here + start] = np.inf  # not its own neighbour
        nearest = _k_small(lower, k)
        upper = lower[here[:, None], nearest] + _gap(scaled, lengths[here + start][:, None], lengths[nearest])
        rows, columns = np.nonzero(lower <= _above(upper.max(axis=1))[:, None])  # k or more of each row, rows in order
        exact = _exact_squared(points, rows + start, points, columns)
        exact = exact[np.lexsort([exact, rows])]
        radii[here + start] = exact[np.searchsorted(rows, here)[:, None] + np.arange(k)]

    for _ in _over_blocks(fill, scaled, scaled):
        pass
    return radii


def _k_small(values: _Floats, k: int) -> _Rows:
    """Columns `[R, k]` of k small values in each row of `values` `[R, N]`: the least ones of k groups of columns.

    The groups are those with the smallest minima, so that these are at most a little above the k smallest of the row.
    It takes a fraction of the time of a partition of the whole row: minima of groups are one pass in vector registers.
    """
    rows, columns = values.shape
    groups = min(columns, max(_GROUPS, 8 * k))
    members = columns // groups
    grouped = values[:, : members * groups].reshape(rows, members, groups)
    least = np.concatenate([grouped.min(axis=1), values[:, members * groups :]], axis=1)
    chosen = np.argpartition(least, k - 1, axis=1)[:, :k]
    here = np.arange(rows)[:, None]
    member = grouped[here, :, np.minimum(chosen, groups - 1)].argmin(axis=2)
    # Numbers from `groups` on are those of the columns that are left over, each its own group.
    return np.where(chosen < groups, member * groups + chosen, chosen + (members - 1) * groups)


class _Pairs(NamedTuple):
    """Pairs of a feature of one set and one of the other, with bounds of their squared distances."""

    rows: _Rows  # of the first set
    columns: _Rows  # rows of the second set
    lower: _Floats
    upper: _Floats


def _near_pairs(a: _Floats, b: _Floats, radii_a: _Floats, radii_b: _Floats) -> Iterator[_Pairs]:
    """All pairs in which one lies in the sphere of the other (squared radii `[N]`, `[M]`), and perhaps a few more."""
    (scaled_a, scaled_b), unit = _scaled(a, b)
    lengths_a, lengths_b = _squared_lengths(scaled_a), _squared_lengths(scaled_b)
    limits_a, limits_b = _above(radii_a / unit**2), _above(radii_b / unit**2)

    def find(start: int, lower: _Floats) -> _Pairs:
        near = lower <= limits_b
        near |= lower <= limits_a[start : start + len(lower), None]
        rows, columns = np.nonzero(near)
        least = lower[rows, columns].astype(np.float64)
        rows += start
        most = least + _gap(scaled_a, lengths_a[rows], lengths_b[columns])
        return _Pairs(rows, columns, least * unit**2, most * unit**2)

    return _over_blocks(find, scaled_a, scaled_b)


def _neighbours_needed(a: _Floats, b: _Floats, pairs: _Pairs, radii: _Floats) -> _Rows:
    """For each pair, the smallest k for which the squared distance is at most `radii[:, k - 1]`; K + 1 if none is."""
    needed: _Rows = 1 + np.sum(radii < pairs.lower[:, None], axis=1)
    unclear = np.flatnonzero(needed <= np.sum(radii < pairs.upper[:, None], axis=1))
    exact = _exact_squared(a, pairs.rows[unclear], b, pairs.columns[unclear])
    needed[unclear] = 1 + np.sum(radii[unclear] < exact[:, None], axis=1)
    return needed


def _scaled(*sets: _Floats) -> Tuple[List[_Floats], float]:
    """The sets in float32, moved near 0 and divided by the returned unit, so that offset and size cost no digits."""
    centre = sets[0].mean(axis=0)
    unit = max(max(float((one.max(axis=0) - centre).max()), float((centre - one.min(axis=0)).max())) for one in sets)
    unit = unit if unit > 0.0 else 1.0
    return [((one - centre) / unit).astype(np.float32, copy=False) for one in sets], unit


def _over_blocks(work: Callable[[int, _Floats], _Result], a: _Floats, b: _Floats) -> Iterator[_Result]:
    """What `work` makes of lower bounds of the squared distances `[N, M]`, block of rows by block of rows, in order.

    It gets the number of the block's first row, and the block, which it may change. Some blocks are in work at once,
    each in a thread of its own: the passes over a block take longer than its matrix product, which uses all cores.
    """
    sure, floor = np.float32(1.0 - _rounding(a)), np.float32(_underflow(a))
    lengths_a, lengths_b = (_squared_lengths(points) * sure - floor for points in (a, b))
    size = max(1, _BLOCK // len(b))

    def block(start: int) -> _Result:
        lower = (-2.0 * a[start : start + size]) @ b.T
        lower += lengths_a[start : start + size, None]
        lower += lengths_b
        return work(start, lower)

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        yield from pool.map(block, range(0, len(a), size))


def _rounding(points: _Floats) -> float:
    """Bound of the error of a squared distance |a|^2 + |b|^2 - 2 a b in float32, relative to |a|^2 + |b|^2.

    There are D roundings in each product, whatever the order of summation, and a few for coordinates and sums.
    """
    return (points.shape[1] + 16) * float(np.finfo(np.float32).eps)


def _underflow(points: _Floats) -> float:
    """Bound of what is lost in squares too small for float32, where one far outlier has made the others small."""
    return 8.0 * points.shape[1] * float(np.finfo(np.float32).tiny)


def _gap(points: _Floats, lengths_a: _Floats, lengths_b: _Floats) -> _Floats:
    """How far a squared distance can be above its lower bound; float64."""
    return 2.0 * _rounding(points) * (lengths_a.astype(np.float64) + lengths_b) + 4.0 * _underflow(points)


def _above(limits: _Floats) -> _Floats:
    """The limits in float32, never below what they were."""
    above: _Floats = np.nextafter(limits.astype(np.float32), np.float32(np.inf))
    return above


def _squared_lengths(points: _Floats) -> _Floats:
    lengths: _Floats = np.einsum("nd,nd->n", points, points)
    return lengths


def _exact_squared(a: _Floats, rows: _Rows, b: _Floats, columns: _Rows) -> _Floats:
    """Squared distances of these pairs, from differences in float64: equal distances come out equal."""
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
    """The identities of both sets as numbers that can be compared; None if there are none."""
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
