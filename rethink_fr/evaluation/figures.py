"""From what was measured of each image to one figure for each metric and folder."""

from __future__ import annotations

import functools
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rethink_fr.evaluation.measures import Metric
from rethink_fr.evaluation.report.contents import Figure, Interval, Row, Share
from rethink_fr.metrics import FeatureMoments, code_usage, coverage, frechet_distance, frechet_distance_of_moments
from rethink_fr.metrics.bootstrap import mean_interval


class FeatureStore:
    """Features of images that arrive one at a time, by network and folder: 8 kB an image for 2048 dimensions.

    They are kept rather than their moments, because the Frechet distance is exact from features even when there are
    fewer images than dimensions, and because neighbours need them all.
    """

    def __init__(self) -> None:
        self._kept: Dict[Tuple[str, str], List[np.ndarray]] = {}

    def add(self, network: str, folder: str, features: np.ndarray) -> None:
        """Add features `[1, D]`."""
        self._kept.setdefault((network, folder), []).append(np.asarray(features, np.float32))

    def get(self, network: str, folder: str) -> np.ndarray:
        """All of them, float32 `[N, D]`."""
        return np.concatenate(self._kept[network, folder])


def make_figures(
    chosen: Mapping[str, Metric],
    columns: Sequence[str],
    rows: Sequence[Row],
    store: FeatureStore,
    tools: Mapping[str, Any],
    k: int,
    seed: int,
) -> Tuple[List[Figure], List[Tuple[str, str]]]:
    """A figure for each metric and folder, in that order, and the metrics that the images do not allow, with reasons.

    Means over images have intervals by resampling the images; precision, recall and their identity versions by
    resampling the answers of the images, the spheres staying as they are. A Frechet distance has none: each
    resampling would cost another decomposition, and repeated images bias it upwards; nor has the usage of codes, which
    repeated images bias downwards.
    """
    figures: Dict[Tuple[str, str], Figure] = {}
    impossible: Dict[str, str] = {}
    for what in columns if rows else ():
        whole_set = _WholeSet(store, what, rows, tools, k, seed)
        for name, metric in chosen.items():
            try:
                measured = _mean(metric, name, what, rows, seed) if metric.of_image else whole_set.measured(name)
            except ValueError as error:
                impossible[name] = f"{what}: {error}"
            else:
                figures[name, what] = Figure(
                    name, metric.title, metric.definition, metric.unit, metric.better, what, *measured
                )
    order = [(name, what) for name in chosen for what in columns if (name, what) in figures]
    return [figures[key] for key in order], list(impossible.items())


class _Measured(NamedTuple):
    value: float
    interval: Optional[Interval]
    samples: int
    by_k: Tuple[Share, ...] = ()


def _mean(metric: Metric, name: str, what: str, rows: Sequence[Row], seed: int) -> _Measured:
    values = np.array([row.values[what][name] for row in rows])
    if metric.counted:
        values = metric.counted(values)
    return _Measured(float(np.mean(values)), mean_interval(values, seed), len(values))


class _WholeSet:
    """The images of one folder against all references."""

    def __init__(
        self, store: FeatureStore, folder: str, rows: Sequence[Row], tools: Mapping[str, Any], k: int, seed: int
    ) -> None:
        self._store, self._folder, self._rows, self._tools, self._k, self._seed = store, folder, rows, tools, k, seed

    def measured(self, name: str) -> _Measured:
        if name == "fid_paired":
            images = self._store.get("inception", self._folder)
            return _Measured(frechet_distance(images, self._store.get("inception", "reference")), None, len(images))
        if name == "fid_statistics":
            moments = FeatureMoments.of([self._store.get("inception", self._folder)])
            distance = frechet_distance_of_moments(moments.mean, moments.covariance, *self._tools["fid_statistics"])
            return _Measured(distance, None, moments.count)
        if name in ("code_usage", "code_perplexity"):
            indices = self._store.get("codes", self._folder).astype(np.int64)
            usage = code_usage(indices, self._tools["codes"].codebook_size)
            return _Measured(usage.share if name == "code_usage" else usage.perplexity, None, len(indices))
        inside = np.asarray(self._inside[name], np.float64)  # [N, k]
        by_k = tuple(Share(float(answers.mean()), mean_interval(answers, self._seed)) for answers in inside.T)
        return _Measured(by_k[-1].value, by_k[-1].interval, len(inside), by_k)

    @functools.cached_property
    def _inside(self) -> Dict[str, Any]:
        real, fake = (self._store.get("neighbours", what) for what in ("reference", self._folder))
        identities = [row.identity or "" for row in self._rows] if "identities" in self._tools else None
        found = coverage(real, fake, identities, identities, self._k)
        return {
            "precision": found.fake_inside,
            "recall": found.real_inside,
            "iprecision": found.fake_inside_own,
            "irecall": found.real_inside_own,
        }
