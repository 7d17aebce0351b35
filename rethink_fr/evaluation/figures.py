"""From what was measured of each picture to one figure for each metric and folder."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from rethink_fr.evaluation.measuring import Measured
from rethink_fr.evaluation.report.contents import Figure, Row, Share
from rethink_fr.metrics.bootstrap import mean_interval
from rethink_fr.metrics.metric import FaceSet, Metric


def make_figures(
    metrics: Sequence[Metric],
    folders: Sequence[str],
    measured: Measured,
    tools: Mapping[str, Any],
    k: int,
    seed: int,
) -> Tuple[List[Figure], List[Tuple[str, str]]]:
    """A figure for each metric and folder, in that order.

    Means over pictures have a bootstrap interval: the pictures are resampled. So have precision, recall and their
    identity versions, where the spheres stay as they are and the pictures' answers are resampled. A Frechet distance
    has none: each resampling would cost another decomposition, and repeated pictures would bias it upwards. Nor has
    the usage of codes, which repeated pictures would bias downwards.

    Args:
        metrics: what to compute.
        folders: whose pictures, without the reference.
        measured: what is known of the pictures.
        tools: networks and statistics, by need.
        k: neighbours of precision and recall.
        seed: of the resampling.

    Returns:
        The figures; and (metric, reason) of the metrics that the pictures do not allow.
    """
    figures: Dict[Tuple[str, str], Figure] = {}
    impossible: Dict[str, str] = {}
    rows = measured.rows
    identities = [row.identity or "" for row in rows] if "identities" in tools else None
    for folder in folders if rows else ():
        faces = FaceSet(measured.features_of(folder), measured.features_of("reference"), identities, tools, k)
        for metric in metrics:
            try:
                figures[metric.name, folder] = _figure(metric, folder, rows, faces, seed)
            except ValueError as error:
                impossible[metric.name] = f"{folder}: {error}"
    order = [(metric.name, folder) for metric in metrics for folder in folders if (metric.name, folder) in figures]
    return [figures[key] for key in order], list(impossible.items())


def _figure(metric: Metric, folder: str, rows: Sequence[Row], faces: FaceSet, seed: int) -> Figure:
    if metric.of_set is None:
        values = np.array([row.values[folder][metric.name] for row in rows])
        if metric.counted is not None:
            values = metric.counted(values)
        return Figure(metric, folder, float(np.mean(values)), mean_interval(values, seed), len(values))
    result = np.asarray(metric.of_set(faces))
    if result.ndim == 0:
        return Figure(metric, folder, float(result), None, len(rows))
    by_k = tuple(Share(float(answers.mean()), mean_interval(answers, seed)) for answers in result.T)
    return Figure(metric, folder, by_k[-1].value, by_k[-1].interval, len(result), by_k)
