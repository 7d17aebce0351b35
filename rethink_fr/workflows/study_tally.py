"""`rethink-fr study tally`: what people preferred, and which metrics agree with them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from scipy import stats

from rethink_fr.data.image_files import write_atomically
from rethink_fr.metrics.bootstrap import mean_interval
from rethink_fr.workflows.study_files import Answers, StudyKey, read_answers, read_json, read_key

Interval = Tuple[float, float]


@dataclass(frozen=True)
class Preference:
    """How often one method was chosen; both intervals are of 95 %.

    `wilson` takes all answers as independent; `over_trials` (bootstrap) takes the answers to one trial together, as
    is right for several raters of the same trials, but is too narrow near 0 and 1.
    """

    method: str
    chosen: int
    share: float
    wilson: Interval
    over_trials: Interval


@dataclass(frozen=True)
class RankCorrelation:
    """How a metric orders the methods compared with their preference shares: 1 is the same order, -1 the reverse.

    None where all methods are equal in one of the two.
    """

    metric: str
    definition: str
    methods: int
    spearman: Optional[float]
    kendall: Optional[float]  # tau-b


@dataclass(frozen=True)
class Tally:
    """All of a study's answers. `failed` are (file, reason) of answers that do not count."""

    study: str
    question: str
    trials: int
    raters: Tuple[str, ...]
    preferences: Tuple[Preference, ...]
    agreement: Optional[float]  # share of pairs of raters who chose the same, over trials; None for one rater
    kappa: Optional[float]  # that beyond chance (Fleiss 1971); None for one rater, or if all chose the same
    correlations: Tuple[RankCorrelation, ...]
    failed: Tuple[Tuple[str, str], ...]

    def table(self) -> List[str]:
        """Lines for the terminal."""
        lines = [f"{self.trials} trials, raters: {len(self.raters)}; 95 % intervals: Wilson, bootstrap over trials"]
        rows = [
            (one.method, f"{one.chosen}", f"{100 * one.share:.1f} %", _percent(one.wilson), _percent(one.over_trials))
            for one in self.preferences
        ]
        lines += _aligned([("method", "chosen", "share", "Wilson", "over trials"), *rows])
        if self.agreement is not None:
            kappa = "not defined" if self.kappa is None else f"{self.kappa:.3f}"
            lines.append(f"pairs of raters who agree: {100 * self.agreement:.1f} %, Fleiss' kappa {kappa}")
        if self.correlations:
            found = [
                (one.metric, f"{one.methods}", _plain(one.spearman), _plain(one.kendall)) for one in self.correlations
            ]
            lines += _aligned([("metric", "methods", "Spearman", "Kendall"), *found])
        return lines

    def write(self, path: Union[str, Path]) -> None:
        """Write all of it as JSON; the file appears whole.

        Raises:
            ValueError: naming `path` if it cannot be written.
        """
        write_atomically(
            path, (json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
        )


def tally_study(
    key: Union[str, Path],
    answers: Sequence[Union[str, Path]],
    evaluations: Sequence[Union[str, Path]] = (),
    seed: int = 0,
) -> Tally:
    """Count preferences, and correlate them with metrics.

    Args:
        key: what `study make` wrote beside the page.
        answers: what the raters sent, a file each.
        evaluations: JSON reports of `evaluate` with the methods called as in the study, for the rank correlations.
        seed: of the bootstrap.

    Raises:
        ValueError: naming an unusable key or report, or if no file of answers can be used.
    """
    found = read_key(key)
    metrics = _read_metrics(evaluations, found.methods)
    given: List[Answers] = []
    failed: List[Tuple[str, str]] = []
    raters: Dict[str, Union[str, Path]] = {}
    for path in answers:
        try:
            one = read_answers(path, found)
            if one.rater in raters:
                raise ValueError(f"{path}: is of the same rater as {raters[one.rater]}; expected one file of each")
        except ValueError as error:
            failed.append((str(path), str(error).removeprefix(f"{path}: ")))
            continue
        raters[one.rater] = path
        given.append(one)
    if not given:
        what = f"{failed[0][0]}: {failed[0][1]}" if failed else "there are none"
        raise ValueError(f"no answers can be used; {what}")

    preferences = _preferences(found, given, seed)
    agreement, kappa = _agreement(found, given)
    shares = {one.method: one.share for one in preferences}
    return Tally(
        study=found.study,
        question=found.question,
        trials=len(found.trials),
        raters=tuple(raters),
        preferences=tuple(preferences),
        agreement=agreement,
        kappa=kappa,
        correlations=tuple(_correlation(name, about, shares) for name, about in metrics.items()),
        failed=tuple(failed),
    )


def wilson_interval(chosen: int, count: int, level: float = 0.95) -> Interval:
    """Interval of a share of `count` independent answers (Wilson 1927): inside 0..1 and sensible at both ends."""
    z = stats.norm.ppf((1.0 + level) / 2.0)
    share, weight = chosen / count, z * z / count
    centre = (share + weight / 2.0) / (1.0 + weight)
    half = np.sqrt(weight * (share * (1.0 - share) + weight / 4.0)) / (1.0 + weight)
    return max(float(centre - half), 0.0), min(float(centre + half), 1.0)


def _preferences(key: StudyKey, given: Sequence[Answers], seed: int) -> List[Preference]:
    """Of all methods, the most preferred first."""
    count = len(given) * len(key.trials)
    preferences = []
    for method in key.methods:
        chose = np.array([[choice == method for choice in one.methods] for one in given])  # [raters, trials]
        chosen = int(chose.sum())
        interval = mean_interval(chose.mean(axis=0), seed)
        preferences.append(Preference(method, chosen, chosen / count, wilson_interval(chosen, count), interval))
    return sorted(preferences, key=lambda one: -one.chosen)


def _agreement(key: StudyKey, given: Sequence[Answers]) -> Tuple[Optional[float], Optional[float]]:
    """Fleiss 1971, eqs. 2, 3 and 7: observed agreement of pairs, and kappa."""
    raters = len(given)
    if raters < 2:
        return None, None
    counts = np.array(
        [[choices.count(method) for method in key.methods] for choices in zip(*(a.methods for a in given))]
    )
    observed = float(np.mean((np.square(counts).sum(axis=1) - raters) / (raters * (raters - 1))))
    by_chance = float(np.square(counts.sum(axis=0) / counts.sum()).sum())
    return observed, None if by_chance == 1.0 else (observed - by_chance) / (1.0 - by_chance)


def _correlation(name: str, about: Dict[str, Any], shares: Dict[str, float]) -> RankCorrelation:
    sign = 1.0 if about["better"] == "higher" else -1.0
    ours = [sign * value for value in about["values"].values()]
    theirs = [shares[method] for method in about["values"]]
    if len(set(ours)) == 1 or len(set(theirs)) == 1:
        return RankCorrelation(name, about["definition"], len(ours), None, None)
    spearman, kendall = stats.spearmanr(ours, theirs).statistic, stats.kendalltau(ours, theirs).statistic
    return RankCorrelation(name, about["definition"], len(ours), float(spearman), float(kendall))


def _read_metrics(paths: Sequence[Union[str, Path]], methods: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """`{metric: {"definition", "better", "values": {method: number}}}` of all reports, with three methods or more."""
    metrics: Dict[str, Dict[str, Any]] = {}
    for path in paths:
        report = read_json(path, "a report of rethink-fr evaluate --output")
        try:
            for name, about in report["metrics"].items():
                found = {method: _value(about[method]) for method in methods if method in about}
                kept = metrics.setdefault(
                    name, {key: str(about[key]) for key in ("definition", "better")} | {"values": {}}
                )
                if found and kept["definition"] != about["definition"]:
                    raise ValueError(
                        f"{path}: {name} is defined otherwise than in a report before it; leave one of them out"
                    )
                twice = [method for method in found if method in kept["values"]]
                if twice:
                    raise ValueError(f"{path}: {name} of {twice[0]} is in a report before it; leave one of them out")
                kept["values"].update(found)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: not a report of rethink-fr evaluate --output") from error
    usable = {name: about for name, about in metrics.items() if len(about["values"]) >= 3}
    if metrics and not usable:
        known = ", ".join(dict.fromkeys(method for about in metrics.values() for method in about["values"])) or "none"
        raise ValueError(
            f"{paths[0]}: a rank correlation needs 3 methods of the study ({', '.join(methods)}); "
            f"the reports have {known}; evaluate them with --restored NAME=DIR"
        )
    return usable


def _value(entry: Dict[str, Any]) -> float:
    value = entry["mean"] if "mean" in entry else entry["value"]
    if value in ("inf", "-inf"):  # as evaluate writes what JSON lacks
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or np.isnan(value):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _percent(interval: Interval) -> str:
    return f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _plain(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _aligned(rows: Sequence[Tuple[str, ...]]) -> List[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
