"""Rank correlations of metrics, from reports of `evaluate`, with people's preferences: which order methods alike?"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from scipy import stats

from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_json

MIN_METHODS = 3  # two can only be in the same order or in the reverse, which says nothing

_REPORT = "a report of rethink-fr evaluate --output"


@dataclass(frozen=True)
class RankCorrelation:
    """How much a metric's order of the methods is like that of people: 1 for the same order, -1 for the reverse.

    None if all methods are equal in one of the two.
    """

    metric: str
    definition: str
    methods: int
    spearman: Optional[float]
    kendall: Optional[float]  # tau-b


@dataclass(frozen=True)
class MeasuredMetric:
    """One metric, from all reports: its value for each method of the study for which it was measured."""

    name: str
    definition: str
    better: str  # "higher", "lower", or "nearer" to `ideals`
    resize: Any  # the size that the report resized its pictures to; None if it did not
    values: Dict[str, float] = field(default_factory=dict)
    ideals: Dict[str, float] = field(default_factory=dict)  # by method, if it is better to be nearer to them

    def goodness(self, method: str) -> float:
        """The higher the better, whichever way the metric has it."""
        value = self.values[method]
        if self.better == "nearer":
            return -abs(value - self.ideals[method])
        return value if self.better == "higher" else -value


def read_metrics(
    paths: Sequence[Union[str, Path]], methods: Sequence[str]
) -> Tuple[List[MeasuredMetric], List[Tuple[str, str]]]:
    """Read the metrics of all reports.

    Args:
        paths: JSON files of `evaluate --output`.
        methods: those of the study; others are ignored.

    Returns:
        The metrics; and (file, reason) of the reports that cannot be used.
    """
    metrics: Dict[str, MeasuredMetric] = {}
    failed: List[Tuple[str, str]] = []
    for path in paths:
        try:
            found = _read_report(path, methods)
            for one in found:
                _check_fits(path, one, metrics.get(one.name))
        except UnreadableFile as error:
            failed.append((printable(path), error.reason))
            continue
        for one in found:
            metrics.setdefault(one.name, one).values.update(one.values)
            metrics[one.name].ideals.update(one.ideals)
    return list(metrics.values()), failed


def rank_correlation(metric: MeasuredMetric, shares: Mapping[str, float]) -> RankCorrelation:
    """Correlate a metric with the methods' preference shares; 1 means that what it calls better is preferred."""
    ours = [metric.goodness(method) for method in metric.values]
    theirs = [shares[method] for method in metric.values]
    if len(set(ours)) == 1 or len(set(theirs)) == 1:
        return RankCorrelation(metric.name, metric.definition, len(ours), None, None)
    spearman, kendall = stats.spearmanr(ours, theirs).statistic, stats.kendalltau(ours, theirs).statistic
    return RankCorrelation(metric.name, metric.definition, len(ours), float(spearman), float(kendall))


def why_none(
    metrics: Sequence[MeasuredMetric], correlations: Sequence[RankCorrelation], methods: Sequence[str]
) -> Optional[str]:
    """Why no metric has a rank correlation, and what to do about it; None if some metric has one."""
    if any(one.spearman is not None for one in correlations):
        return None
    if correlations:
        return "all methods have the same value of each metric, or were preferred equally often"
    known = ", ".join(dict.fromkeys(printable(method) for one in metrics for method in one.values)) or "none"
    return (
        f"it needs {MIN_METHODS} methods of the study ({', '.join(map(printable, methods))}); the reports have {known}"
        + ("" if len(methods) < MIN_METHODS else "; evaluate them with --restored NAME=DIR")
    )


def _read_report(path: Union[str, Path], methods: Sequence[str]) -> List[MeasuredMetric]:
    report = read_json(path, _REPORT)
    try:
        resize = report["resize"]["to"] if report.get("resize") else None
        found = [
            MeasuredMetric(
                name,
                _text(about["definition"]),
                {"higher": "higher", "lower": "lower", "nearer": "nearer"}[about["better"]],
                resize,
                {method: _value(about[method]) for method in methods if method in about},
                {
                    method: _value({"value": about[method]["ideal"]})
                    for method in methods
                    if method in about and about["better"] == "nearer"
                },
            )
            for name, about in report["metrics"].items()
        ]
    except (AttributeError, KeyError, TypeError, OverflowError) as error:
        raise UnreadableFile(path, f"not {_REPORT}") from error
    return [one for one in found if one.values]


def _check_fits(path: Union[str, Path], one: MeasuredMetric, before: Optional[MeasuredMetric]) -> None:
    """Refuse values that cannot be compared with those of the same metric in the reports before."""
    if before is None:
        return
    name = printable(one.name)
    if (one.definition, one.better) != (before.definition, before.better):
        raise UnreadableFile(path, f"{name} is defined otherwise than in a report before it; leave one of them out")
    if one.resize != before.resize:
        raise UnreadableFile(path, f"{name} is of another --resize than in a report before it; leave one of them out")
    twice = [method for method in one.values if method in before.values]
    if twice:
        raise UnreadableFile(path, f"{name} of {printable(twice[0])} is in a report before it; leave one of them out")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _value(entry: Dict[str, Any]) -> float:
    value = entry["mean"] if "mean" in entry else entry["value"]
    if value in ("inf", "-inf"):  # as evaluate writes what JSON lacks
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise TypeError("not a number")
    return float(value)
