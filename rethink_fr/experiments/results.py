"""From what was measured of each variant and seed to the experiment's table, as one value in JSON's types.

Everything that is shown, in Markdown, LaTeX and on the page, is made of this value, which is `table.json`.
"""

from __future__ import annotations

import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

import numpy as np

from rethink_fr.evaluation.report.contents import json_number
from rethink_fr.experiments.faces import faces_record, people
from rethink_fr.experiments.folder import TRAINED, Folder
from rethink_fr.experiments.intervals import Estimate, of_pictures, of_sets, verdict
from rethink_fr.experiments.measuring import ANSWER, SAMPLES
from rethink_fr.experiments.plan import Plan, Run, shown_command
from rethink_fr.experiments.work import asked, failure
from rethink_fr.metrics.metric import Metric
from rethink_fr.metrics.table import GROUPS, METRICS

DEGRADED = "degraded"
INTERVALS = (
    "95 %, of a mean over seeds and people: the half-widths of Student's t of each, squared and added (Howe 1974); "
    "pictures of one person count as one draw; of numbers of a whole set ("
    "Frechet distances, precision and recall, error ratios) over seeds only; with one seed over people only; "
    "differences are those of the same seed and picture"
)


class Values(NamedTuple):
    """One metric of one row of a table."""

    seeds: Tuple[int, ...]
    of_set: List[float]  # the figure of each seed
    pictures: Optional[np.ndarray]  # [S, N], if the figure is the mean over them
    deviation: Optional[float]  # over draws, mean over seeds
    ideal: Optional[float]
    measured: int  # number of pictures


def make_table(plan: Plan, folder: Folder, command: Sequence[str]) -> Dict[str, Any]:
    """Everything that is known of an experiment; what is not done yet, or failed, is said.

    Args:
        plan: of the experiment.
        folder: its folder.
        command: what followed `rethink-fr` in the call.
    """
    done: Dict[str, Mapping[str, Any]] = {}  # by the cells' places
    reports: Dict[Tuple[str, int], Mapping[str, Any]] = {}
    for cell in plan.cells:
        record = folder.measured(cell, asked(plan, cell))
        if record is not None:
            done[cell.place] = record
            reports[cell.variant.name, cell.seed] = record["report"]
    who = people(folder) or {}
    tables = [_table(plan, reports, kind, who) for kind in (ANSWER, SAMPLES)]
    tables = [table for table in tables if len(table["rows"]) > 1 or table["kind"] == ANSWER]
    names = dict.fromkeys(name for table in tables for row in table["rows"] for name in row["cells"])
    faces = dict(faces_record(folder))
    faces["degrade"] = shown_command(faces["degrade"])
    variants = [_variant(plan, folder, name.name, done) for name in plan.definition.variants]
    return {
        "name": plan.name,
        "title": plan.definition.title,
        "source": plan.definition.source,
        "command": shown_command(command),
        "date": time.strftime("%Y-%m-%d"),
        "commits": sorted({run["commit"] for one in variants for run in one["runs"]}),
        "hours": round(_hours(plan, folder) + sum(one["seconds"] for one in done.values()) / 3600, 3),
        "seeds": list(plan.definition.seeds),
        "faces": faces,
        "draws": plan.definition.measure.draws,
        "k": plan.definition.measure.k,
        "compare_to": plan.definition.compare_to,
        "intervals": INTERVALS,
        "metrics": {name: _about(METRICS["ours"][name]) for name in names},
        "tables": tables,
        "variants": variants,
        "left_out": _left_out(reports.values(), set(names)),
    }


def _about(metric: Metric) -> Dict[str, Any]:
    return {
        "title": metric.title,
        "unit": metric.unit,
        "better": metric.better,
        "arrow": metric.arrow,
        "decimals": metric.decimals,
        "definition": metric.definition,
    }


def _table(
    plan: Plan, reports: Mapping[Tuple[str, int], Mapping[str, Any]], kind: str, who: Mapping[str, str]
) -> Dict[str, Any]:
    """The rows of one kind of restoration, the degraded pictures before them."""
    definition = plan.definition
    found: Dict[str, Dict[str, Values]] = {}
    for variant in definition.variants:
        of_seeds = {seed: reports[variant.name, seed] for seed in definition.seeds if (variant.name, seed) in reports}
        found[variant.name] = _values(of_seeds, kind)
    first = next(iter(reports.values()), None)  # the degraded pictures are the same for all
    degraded = {} if first is None else _values({0: first}, DEGRADED)
    # What compares with the degraded pictures says nothing of these themselves.
    degraded = {name: one for name, one in degraded.items() if "degraded" not in METRICS["ours"][name].needs}
    names = [] if first is None else [row["name"] for row in first["rows"]]
    identities = [who.get(name, name) for name in names]
    shown = [name for name in METRICS["ours"] if any(name in one for one in found.values())]
    best = {name: _best(name, found, degraded.get(name)) for name in shown}
    base = found[definition.compare_to]
    rows = [{"name": DEGRADED, "label": "degraded input", "cells": {}, "paper": {}}]
    rows[0]["cells"] = {
        name: _cell(METRICS["ours"][name], degraded[name], None, identities) for name in shown if name in degraded
    }
    for variant in definition.variants:
        values = found[variant.name]
        cells = {}
        for name in shown:
            if name in values:
                other = base.get(name) if variant.name != definition.compare_to else None
                cells[name] = _cell(METRICS["ours"][name], values[name], other, identities)
                cells[name]["best"] = variant.name in best[name]
        if cells or kind == ANSWER:
            paper = _paper(variant.paper, shown)
            rows.append({"name": variant.name, "label": variant.label, "cells": cells, "paper": paper})
    return {"kind": kind, "rows": rows}


def _values(of_seeds: Mapping[int, Mapping[str, Any]], kind: str) -> Dict[str, Values]:
    """All metrics of one row, by name."""
    found: Dict[str, Values] = {}
    for name, metric in METRICS["ours"].items():
        figures = {seed: report["metrics"].get(name, {}).get(kind) for seed, report in of_seeds.items()}
        figures = {seed: one for seed, one in figures.items() if one is not None}
        if not figures:
            continue
        # Infinite numbers are text in a report.
        of_set = [float(one.get("mean", one.get("value"))) for one in figures.values()]
        pictures = [[row[kind].get(name) for row in of_seeds[seed]["rows"]] for seed in figures]
        matrix = None
        if metric.of_set is None and all(value is not None for row in pictures for value in row):
            matrix = np.array([[float(value) for value in row] for row in pictures])
            # A ratio of two means, such as an error ratio, is no mean over pictures.
            if not np.allclose(matrix.mean(axis=1), of_set, rtol=1e-6, atol=1e-9, equal_nan=True):
                matrix = None
        one = next(iter(figures.values()))
        draws = [figure["draws"]["deviation"] for figure in figures.values() if figure.get("draws")]
        draws = [deviation for deviation in draws if deviation is not None]
        deviation = float(np.mean(draws)) if draws else None
        found[name] = Values(tuple(figures), of_set, matrix, deviation, one.get("ideal"), one["count"])
    return found


def _cell(metric: Metric, values: Values, base: Optional[Values], people: Sequence[str]) -> Dict[str, Any]:
    """One figure, with its difference to the same one of the variant that all are compared to."""
    estimate = _estimate(values, people)
    cell: Dict[str, Any] = {
        "mean": as_json(estimate.mean),
        "interval": _interval(estimate),
        "by_seed": {str(seed): as_json(one) for seed, one in zip(values.seeds, estimate.by_seed)},
        "pictures": values.measured,
    }
    if values.deviation is not None:
        cell["deviation_over_draws"] = values.deviation
    if values.ideal is not None:
        cell["ideal"] = values.ideal
    if base is not None:
        difference = _difference(metric, values, base, people)
        if difference is not None:
            cell["difference"] = {
                "mean": as_json(difference.mean),
                "interval": _interval(difference),
                "of": "distance from where it should be" if metric.better == "nearer" else "value",
                "verdict": verdict(difference, "higher" if metric.better == "higher" else "lower"),
            }
    return cell


def _estimate(values: Values, people: Sequence[str]) -> Estimate:
    return of_sets(values.of_set) if values.pictures is None else of_pictures(values.pictures, people)


def _difference(metric: Metric, values: Values, base: Values, people: Sequence[str]) -> Optional[Estimate]:
    """The differences of the seeds that both have; of a metric that should be near a value, those of the distances."""
    common = [seed for seed in values.seeds if seed in base.seeds]
    if not common:
        return None
    here, there = ([one.seeds.index(seed) for seed in common] for one in (values, base))
    if metric.better == "nearer" and values.ideal is not None and base.ideal is not None:
        return of_sets(
            [abs(values.of_set[a] - values.ideal) - abs(base.of_set[b] - base.ideal) for a, b in zip(here, there)]
        )
    if values.pictures is not None and base.pictures is not None:
        with np.errstate(invalid="ignore"):  # infinite less infinite
            return of_pictures(values.pictures[here] - base.pictures[there], people)
    return of_sets([values.of_set[a] - base.of_set[b] for a, b in zip(here, there)])


def _best(name: str, found: Mapping[str, Mapping[str, Values]], degraded: Optional[Values]) -> Set[str]:
    """The variants whose figure is the best as far as the digits tell; none where the degraded input is better."""
    metric = METRICS["ours"][name]

    def badness(values: Values) -> float:
        mean = float(np.mean(values.of_set))
        if values.ideal is not None:
            return abs(mean - values.ideal)
        return -mean if metric.better == "higher" else mean

    def text(values: Values) -> str:
        return f"{np.mean(values.of_set):.{metric.decimals}f}"

    rows = {variant: values[name] for variant, values in found.items() if name in values}
    if len(rows) < 2:
        return set()
    top = min(rows.values(), key=badness)
    if degraded is not None and badness(degraded) < badness(top):
        return set()
    return {variant for variant, values in rows.items() if text(values) == text(top)}


def _paper(paper: Mapping[str, Any], shown: Sequence[str]) -> Dict[str, Any]:
    """The paper's figures by the metrics of ours that they stand beside; by their own names where there is none."""
    found: Dict[str, Any] = {}
    for name, figure in paper.items():
        members = [one for one in GROUPS.get(name, (name,)) if one in shown]
        found[members[0] if members else name] = figure
    return found


def _variant(plan: Plan, folder: Folder, name: str, done: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    """The runs of a variant, with what it takes to repeat each, and what is missing."""
    cells = [cell for cell in plan.cells if cell.variant.name == name]
    variant = cells[0].variant
    runs = []
    for cell in cells:
        if cell.place in done:
            record = done[cell.place]
            trained = _trained(folder, cell.run)
            start = None if cell.run.start is None else _trained(folder, cell.run.start)
            runs.append(
                {
                    "seed": cell.seed,
                    **trained,
                    **({"start": start} if start else {}),
                    "measured_in_hours": round(record["seconds"] / 3600, 4),
                    "measured_by": record["commands"],
                    "measured_at": record["commit"],
                }
            )
    failed = [(cell.seed, failure(folder, cell)) for cell in cells if cell.place not in done]
    return {
        "name": name,
        "label": variant.label,
        "settings": dict(variant.set),
        "noise_scale": variant.restore.noise_scale,
        "runs": runs,
        "failed": [{"seed": seed, "reason": reason} for seed, reason in failed if reason is not None],
        "not_done": [seed for seed, reason in failed if reason is None],
    }


def _trained(folder: Folder, run: Run) -> Dict[str, Any]:
    record = folder.read(run.place, TRAINED) or {}
    return {
        "steps": record.get("steps"),
        "hours": round(record.get("seconds", 0.0) / 3600, 4),
        "command": record.get("command"),
        "commit": record.get("commit", "unknown"),
    }


def _hours(plan: Plan, folder: Folder) -> float:
    return sum((folder.read(run.place, TRAINED) or {}).get("seconds", 0.0) for run in plan.runs) / 3600


def _left_out(reports: Any, shown: Set[str]) -> List[Dict[str, str]]:
    """Metrics that no variant has, with the reason."""
    found: Dict[str, str] = {}
    for report in reports:
        for one in (*report["missing"], *report["left_out"]):
            if one["metric"] not in shown:
                found.setdefault(one["metric"], one["reason"])
    return [{"metric": name, "reason": reason} for name, reason in found.items()]


def _interval(estimate: Estimate) -> Optional[List[Union[float, str]]]:
    return None if estimate.interval is None else [as_json(end) for end in estimate.interval]


def as_json(value: float) -> Union[float, str]:
    """A number in JSON's types: rounded to seven digits, or "inf", which JSON lacks."""
    return json_number(float(f"{value:.7g}"))
