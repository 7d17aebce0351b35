"""`rethink-fr study tally`: counts which methods people preferred, and which metrics agree with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from scipy import stats

from rethink_fr.evaluation.report.tables import aligned
from rethink_fr.evaluation.study.correlation import (
    MIN_METHODS,
    RankCorrelation,
    rank_correlation,
    read_metrics,
    why_none,
)
from rethink_fr.evaluation.study.files import Answers, StudyKey, read_answers, read_key
from rethink_fr.files.names import printable
from rethink_fr.metrics.bootstrap import mean_interval

Interval = Tuple[float, float]


@dataclass(frozen=True)
class Preference:
    """How often one method was chosen, with two intervals of 95 %.

    `wilson` treats all answers as independent. `over_trials` (bootstrap) keeps the answers to one trial together, as is
    right when several raters saw the same trials; but it is too narrow near 0 and 1.
    """

    method: str
    chosen: int
    share: float
    wilson: Interval
    over_trials: Interval


@dataclass(frozen=True)
class OfQuestion:
    """What the answers to one of several questions say."""

    question: str
    preferences: Tuple[Preference, ...]
    correlations: Tuple[RankCorrelation, ...]


@dataclass(frozen=True)
class Tally:
    """What all answers to a study say together; with several questions, the answers to each of them too."""

    study: str
    question: str  # several questions in one line
    trials: int
    raters: Tuple[str, ...]
    preferences: Tuple[Preference, ...]
    agreement: Optional[float]  # share of pairs of raters who chose the same in a trial; None for a single rater
    kappa: Optional[float]  # agreement beyond chance (Fleiss 1971); None for a single rater, or if all chose the same
    correlations: Tuple[RankCorrelation, ...]
    no_correlation: Optional[str]  # why there is no rank correlation, although reports were given
    failed: Tuple[Tuple[str, str], ...]  # (file, reason): answers and reports that do not count
    of_questions: Tuple[OfQuestion, ...]  # empty if there is one question

    def table(self) -> List[str]:
        """Lines for the terminal."""
        lines = [f"{self.trials} trials, raters: {len(self.raters)}; 95 % intervals: Wilson, bootstrap over trials"]
        if self.of_questions:
            lines.append(f"all {len(self.of_questions)} questions together:")
        lines += _preference_lines(self.preferences)
        if self.agreement is not None:
            kappa = "not defined" if self.kappa is None else f"{self.kappa:.3f}"
            lines.append(f"pairs of raters who agree: {100 * self.agreement:.1f} %, Fleiss' kappa {kappa}")
        if self.correlations:
            lines += _correlation_lines(self.correlations)
            if not self.no_correlation and any(one.spearman is None for one in self.correlations):
                lines.append("-: all methods have the same value")
        if self.no_correlation:
            lines.append(f"no rank correlation: {self.no_correlation}")
        for one in self.of_questions:
            lines += [printable(one.question), *_preference_lines(one.preferences)]
            lines += _correlation_lines(one.correlations) if one.correlations else []
        return lines


def tally_study(
    key: Union[str, Path],
    answers: Sequence[Union[str, Path]],
    evaluations: Sequence[Union[str, Path]] = (),
    seed: int = 0,
) -> Tally:
    """Count preferences, and correlate them with metrics.

    Args:
        key: the file that `study make` wrote beside the page.
        answers: the files that the raters sent, one of each.
        evaluations: JSON reports of `evaluate` for the rank correlations; the methods must have the study's names.
        seed: of the bootstrap.

    Raises:
        ValueError: if the key, or every file of answers, cannot be used.
    """
    found = read_key(key)
    given: List[Answers] = []
    failed: List[Tuple[str, str]] = []
    raters: Dict[str, Union[str, Path]] = {}
    for path in answers:
        try:
            one = read_answers(path, found)
            if one.rater in raters:
                first = printable(raters[one.rater])
                raise ValueError(f"{printable(path)}: is of the same rater as {first}; expected one file of each")
        except ValueError as error:
            failed.append(_reason(path, error))
            continue
        raters[one.rater] = path
        given.append(one)
    if not given:
        what = f"{failed[0][0]}: {failed[0][1]}" if failed else "there are none"
        raise ValueError(f"no answers can be used; {what}")

    preferences = _preferences(found, given, seed)
    agreement, kappa = _agreement(found, given)
    metrics, unusable = read_metrics(evaluations, found.methods)

    def correlated(preferences: Sequence[Preference]) -> List[RankCorrelation]:
        shares = {one.method: one.share for one in preferences}
        return [rank_correlation(about, shares) for about in metrics if len(about.values) >= MIN_METHODS]

    correlations = correlated(preferences)
    of_questions = []
    for number, question in enumerate(found.questions if len(found.questions) > 1 else ()):
        preferred = _preferences(found, given, seed, number)
        of_questions.append(OfQuestion(question, tuple(preferred), tuple(correlated(preferred))))
    return Tally(
        study=found.study,
        question=" ".join(found.questions),
        trials=len(found.trials),
        raters=tuple(raters),
        preferences=tuple(preferences),
        agreement=agreement,
        kappa=kappa,
        correlations=tuple(correlations),
        no_correlation=why_none(metrics, correlations, found.methods) if evaluations else None,
        failed=(*failed, *unusable),
        of_questions=tuple(of_questions),
    )


def wilson_interval(chosen: int, count: int, level: float = 0.95) -> Interval:
    """Interval of the share `chosen / count` of independent answers (Wilson 1927); it lies inside 0..1."""
    z = stats.norm.ppf((1.0 + level) / 2.0)
    share, weight = chosen / count, z * z / count
    centre = (share + weight / 2.0) / (1.0 + weight)
    half = np.sqrt(weight * (share * (1.0 - share) + weight / 4.0)) / (1.0 + weight)
    return max(float(centre - half), 0.0), min(float(centre + half), 1.0)


def _preferences(
    key: StudyKey, given: Sequence[Answers], seed: int, question: Optional[int] = None
) -> List[Preference]:
    """The preferences for all methods, the most preferred first: of one question, or of all of them together."""
    asked = range(len(key.questions)) if question is None else [question]
    count = len(given) * len(key.trials) * len(asked)
    preferences = []
    for method in key.methods:
        chose = np.array([[choice == method for choice in one.methods] for one in given])  # [raters, items]
        of_trials = chose.reshape(len(given), len(key.trials), len(key.questions))[:, :, asked]
        chosen = int(of_trials.sum())
        interval = mean_interval(of_trials.mean(axis=(0, 2)), seed)
        preferences.append(Preference(method, chosen, chosen / count, wilson_interval(chosen, count), interval))
    return sorted(preferences, key=lambda one: -one.chosen)


def _agreement(key: StudyKey, given: Sequence[Answers]) -> Tuple[Optional[float], Optional[float]]:
    """Observed agreement of pairs of raters, and kappa (Fleiss 1971, eqs. 2, 3 and 7)."""
    raters = len(given)
    if raters < 2:
        return None, None
    counts = np.array(
        [[choices.count(method) for method in key.methods] for choices in zip(*(a.methods for a in given))]
    )
    observed = float(np.mean((np.square(counts).sum(axis=1) - raters) / (raters * (raters - 1))))
    by_chance = float(np.square(counts.sum(axis=0) / counts.sum()).sum())
    return observed, None if by_chance == 1.0 else (observed - by_chance) / (1.0 - by_chance)


def _preference_lines(preferences: Sequence[Preference]) -> List[str]:
    rows = [
        (
            printable(one.method),
            f"{one.chosen}",
            f"{100 * one.share:.1f} %",
            _percent(one.wilson),
            _percent(one.over_trials),
        )
        for one in preferences
    ]
    return aligned([("method", "chosen", "share", "Wilson", "over trials"), *rows])


def _correlation_lines(correlations: Sequence[RankCorrelation]) -> List[str]:
    found = [
        (printable(one.metric), f"{one.methods}", _plain(one.spearman), _plain(one.kendall)) for one in correlations
    ]
    return aligned([("metric", "methods", "Spearman", "Kendall"), *found])


def _reason(path: Union[str, Path], error: ValueError) -> Tuple[str, str]:
    shown = printable(path)
    return shown, str(error).replace(f"{shown}: ", "", 1)


def _percent(interval: Interval) -> str:
    return f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _plain(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:+.3f}"
