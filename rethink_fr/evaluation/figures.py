"""From what was measured of each picture to one figure for each metric and folder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from rethink_fr.evaluation.measuring import Measured
from rethink_fr.evaluation.report.contents import Figure, Row, Share
from rethink_fr.metrics import error_ratio
from rethink_fr.metrics.bootstrap import mean_interval, ratio_interval
from rethink_fr.metrics.metric import FaceSet, Metric


class Made(NamedTuple):
    """What follows from what was measured."""

    figures: List[Figure]
    rows: List[Row]  # with each picture's answer to precision, recall and their identity versions
    impossible: List[Tuple[str, str]]  # (metric, reason) of the metrics that the pictures do not allow


def make_figures(
    metrics: Sequence[Metric],
    folders: Sequence[str],
    measured: Measured,
    tools: Mapping[str, Any],
    samples: Mapping[str, int],
    k: int,
    seed: int,
) -> Made:
    """A figure for each metric and folder, in that order.

    Means over pictures have a bootstrap interval: the pictures are resampled. So have precision, recall and their
    identity versions, where the spheres stay as they are and the pictures' answers are resampled. A Frechet distance
    has none: each resampling would cost another decomposition, and repeated pictures would bias it upwards. Nor has
    the usage of codes, which repeated pictures would bias downwards.

    Of a folder with several samples of each picture, a figure is the mean over the draws: draw k is the set of the k-th
    samples. Its interval is that of the pictures' means over their samples.

    Args:
        metrics: what to compute.
        folders: whose pictures, without the reference.
        measured: what is known of the pictures.
        tools: networks and statistics, by need.
        samples: how many there are of each picture, by folder; 1 where there is one restoration.
        k: neighbours of precision and recall.
        seed: of the resampling.
    """
    figures: Dict[Tuple[str, str], Figure] = {}
    answers: Dict[Tuple[str, str], np.ndarray] = {}  # for k = K, [N]: 1 for yes, 0 for no; means over the draws
    impossible: Dict[str, str] = {}
    rows = measured.rows
    identities = [row.identity or "" for row in rows] if "identities" in tools else None
    references = measured.features_of("reference")
    for folder in folders if rows else ():
        sets = [
            FaceSet(measured.features_of(folder, draw), references, identities, tools, k, len(rows))
            for draw in range(samples[folder])
        ]
        for metric in metrics:
            numbers = measured.numbers.get(folder, {}).get(metric.name, [])
            if metric.of_samples is not None and not numbers:  # a folder with one restoration of each picture
                continue
            try:
                figures[metric.name, folder], found = _figure(metric, folder, np.array(numbers), sets, seed)
            except ValueError as error:
                impossible[metric.name] = f"{folder}: {error}"
                continue
            if found is not None:
                answers[metric.name, folder] = found[:, -1]
    order = [(metric.name, folder) for metric in metrics for folder in folders if (metric.name, folder) in figures]
    names = [metric.name for metric in metrics]
    return Made(
        [figures[key] for key in order],
        [_with_answers(*one, answers, names) for one in enumerate(rows)],
        list(impossible.items()),
    )


def _with_answers(place: int, row: Row, answers: Mapping[Tuple[str, str], np.ndarray], names: Sequence[str]) -> Row:
    """The row with its answers, in the metrics' order."""
    values: Dict[str, Dict[str, float]] = {}
    for folder, of_folder in row.values.items():
        told = {name: float(of_all[place]) for (name, where), of_all in answers.items() if where == folder}
        told.update(of_folder)
        values[folder] = {name: told[name] for name in names if name in told}
    return replace(row, values=values)


def _figure(
    metric: Metric, folder: str, numbers: np.ndarray, sets: Sequence[FaceSet], seed: int
) -> Tuple[Figure, Optional[np.ndarray]]:
    """One figure, from the numbers of its rows `[N, S]`, or from the sets of its draws.

    And the pictures' answers `[N, K]`, where the figure is the share of those that are yes.
    """
    if metric.of_set is not None:
        return _of_sets(metric, folder, [np.asarray(metric.of_set(faces)) for faces in sets], sets, seed)
    if metric.of_samples is not None:
        ideal = None if metric.ideal is None else metric.ideal(len(sets))
        of_two = numbers.shape[1] == 2
        numbers = numbers if of_two else numbers[:, 0]
        value = error_ratio(numbers) if of_two else float(np.mean(numbers))
        interval = (ratio_interval if of_two else mean_interval)(numbers, seed)
        return Figure(metric, folder, value, interval, len(numbers), ideal=ideal), None
    counted = metric.counted or (lambda values: values)
    draws = tuple(float(np.mean(counted(of_draw))) for of_draw in numbers.T)
    kept = counted(numbers.mean(axis=1))
    return Figure(metric, folder, float(np.mean(draws)), mean_interval(kept, seed), len(kept), draws=draws), None


def _of_sets(
    metric: Metric, folder: str, results: List[np.ndarray], sets: Sequence[FaceSet], seed: int
) -> Tuple[Figure, Optional[np.ndarray]]:
    """The figure of a whole folder: the mean over its draws."""
    if results[0].ndim == 0:
        draws = tuple(float(result) for result in results)
        return Figure(metric, folder, float(np.mean(draws)), None, sets[0].count, draws=draws), None
    answers = np.mean(results, axis=0)  # [N, K]
    by_k = tuple(Share(float(one.mean()), mean_interval(one, seed)) for one in answers.T)
    draws = tuple(float(result[:, -1].mean()) for result in results)
    figure = Figure(metric, folder, by_k[-1].value, by_k[-1].interval, len(answers), by_k, draws=draws)
    return figure, answers
