"""Classical denoisers and a restorer on the same degraded faces, through the same `evaluate`, as a table for docs/.

    python tools/compare_methods.py --model mini128 --config mini128 --tune faces/train --images faces/test \\
        --output tables --publish docs/peers/mini128 -- --identities people.csv --identity-net FACES.onnx \\
        --perceptual-net squeezenet.npz --metrics psnr,ssim,perceptual,deg,samples

What follows `--` goes to `rethink-fr evaluate`. The command calls `tools/classical_baselines.py` (needs scikit-image,
PyWavelets, opencv-python-headless), `tools/evaluate_restorer.py` and `rethink-fr evaluate`, one after the other. It
writes PUBLISH.json and, made of it alone, PUBLISH.md: figures with intervals, strengths, commands, commit, seeds and
hours.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from rethink_fr.evaluation.report.tables import in_markdown, markdown_lines, with_unit
from rethink_fr.experiments.version import source_version
from rethink_fr.files.writing import write_json, write_text
from rethink_fr.metrics.bootstrap import mean_interval
from rethink_fr.metrics.metric import Metric
from rethink_fr.metrics.table import METRICS

TOOLS = Path(__file__).resolve().parent
DEGRADED = "degraded"
CLASSICAL = {
    "bicubic": "bicubic enlargement of the small picture",
    "bilateral": "bilateral (scikit-image)",
    "non_local_means": "non-local means (scikit-image)",
    "wavelets": "wavelets, BayesShrink (scikit-image)",
    "total_variation": "total variation (scikit-image)",
    "opencv_bilateral": "bilateral (OpenCV)",
    "opencv_non_local_means": "non-local means (OpenCV)",
}
RESTORED = {"restored": "noise 0", "mean": "mean of {} samples", "samples": "one sample of {}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini128", help="a run, or the name of a model of the package")
    parser.add_argument("--config", default="mini128", help="whose degradation is meant")
    parser.add_argument("--tune", required=True, help="a folder of faces, for the strengths of classical methods")
    parser.add_argument("--images", required=True, help="a folder of faces")
    parser.add_argument("--seed", type=int, default=12345, help="of the degradation")
    parser.add_argument("--samples", type=int, default=8, help="two or more")
    parser.add_argument("--output", type=Path, required=True, help="where pictures and the whole report go")
    parser.add_argument("--publish", type=Path, required=True, metavar="FILE", help="without ending")
    parser.add_argument("evaluate", nargs="*", help="after --: what `rethink-fr evaluate` is told")
    arguments = parser.parse_args()

    output, commit = arguments.output, source_version()
    given = ["--config", arguments.config, "--images", arguments.images]
    given += ["--seed", str(arguments.seed), "--output", str(output)]
    methods = [f"{name}={output / name}" for name in (*CLASSICAL, *RESTORED)]
    folders = ["--reference", str(output / "clean"), "--degraded", str(output / DEGRADED)]
    report = ["--output", str(output / "report.json"), "--overwrite"]
    steps = [
        step(["python", "tools/classical_baselines.py", "--tune", arguments.tune, *given]),
        step(
            ["python", "tools/evaluate_restorer.py", "--model", arguments.model, "--samples", str(arguments.samples)]
            + given
        ),
        step(["rethink-fr", "evaluate", "--restored", *methods, *folders, *arguments.evaluate, *report]),
    ]
    table = table_of(
        json.loads((output / "report.json").read_text(encoding="utf-8")),
        json.loads((output / "strengths.json").read_text(encoding="utf-8")),
        title=f"{arguments.model} and classical methods on the same faces",
        command=shlex.join(["python", "tools/compare_methods.py", *sys.argv[1:]]),
        date=time.strftime("%Y-%m-%d"),
        commit=commit,
        seed=arguments.seed,
        hours=round(sum(one["hours"] for one in steps), 3),
        steps=steps,
        labels={
            DEGRADED: DEGRADED,
            **CLASSICAL,
            **{name: f"{arguments.model}, {text.format(arguments.samples)}" for name, text in RESTORED.items()},
        },
    )
    arguments.publish.parent.mkdir(parents=True, exist_ok=True)
    write_json(arguments.publish.with_suffix(".json"), table)
    write_text(arguments.publish.with_suffix(".md"), as_markdown(table))
    print(as_markdown(table))


def step(command: Sequence[str]) -> Dict[str, Any]:
    """Carry out one command, and return it with the hours that it took."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "rethink_fr", *command[1:]]
    if command[0] == "python":
        words = [sys.executable, str(TOOLS / Path(command[1]).name), *command[2:]]
    subprocess.run(words, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    hours = {"hours": round((time.perf_counter() - started) / 3600, 3), "processor_hours": round(processor / 3600, 3)}
    return {"command": shlex.join(command), **hours}


def table_of(report: Mapping[str, Any], strengths: Mapping[str, Any], **about: Any) -> Dict[str, Any]:
    """What is published: the figures of a report of `evaluate` without its rows, and how they came about.

    Args:
        report: of `rethink-fr evaluate`; its methods are the keys of `labels`.
        strengths: what `tools/classical_baselines.py` chose.
        about: title, command, date, commit, seed, hours, steps and labels.
    """
    metrics = {}
    for name, found in report["metrics"].items():
        metric = METRICS[report["protocol"]][name]
        keys = ("title", "unit", "better", "arrow", "decimals", "definition")
        cells = {method: _cell(found[method]) for method in about["labels"] if method in found}
        metrics[name] = {**{key: getattr(metric, key) for key in keys}, "kind": _kind(metric), "cells": cells}
    gains = {}
    for method in about["labels"]:
        if method != DEGRADED:
            values = np.array([row[method]["psnr"] - row[DEGRADED]["psnr"] for row in report["rows"]])
            low, high = mean_interval(values, report["interval"]["seed"])
            gains[method] = {
                "mean": round(float(values.mean()), 5),
                "interval": [round(low, 5), round(high, 5)],
                "better_share": round(float((values > 0.0).mean()), 5),
            }
    kept = ("images", "k", "networks", "interval", "versions")
    return {**about, **{key: report[key] for key in kept}, "metrics": metrics, "gains": gains, "strengths": strengths}


def _kind(metric: Metric) -> str:
    return "picture" if metric.of_image else "set" if metric.of_set else "samples"


def _cell(figure: Mapping[str, Any]) -> Dict[str, Any]:
    cell = {"mean": round(figure["mean"], 6), "interval": [round(end, 6) for end in figure["interval"]]}
    if "draws" in figure:
        cell["deviation_over_draws"] = round(figure["draws"]["deviation"], 6)
    if "ideal" in figure:
        cell["ideal"] = round(figure["ideal"], 6)
    return cell


def as_markdown(table: Mapping[str, Any]) -> str:
    """The page, made of the published JSON alone."""
    of_kind: Dict[str, List[str]] = {"picture": [], "set": [], "samples": []}
    for name, metric in table["metrics"].items():
        of_kind[metric["kind"]].append(name)
    hours = sum(one["processor_hours"] for one in table["steps"])
    interval, networks = table["interval"], table["networks"].items()
    lines = [
        f"# {in_markdown(table['title'])}",
        "",
        f"{table['images']} pictures; degradation with seed {table['seed']}; commit {table['commit']}; "
        f"{table['hours']:.2f} hours ({hours:.2f} of a processor); {table['date']}.",
        "",
        "## Each picture",
        "",
        *markdown_lines(rows(table, of_kind["picture"])),
        "",
    ]
    if of_kind["set"]:
        lines += [f"## The set, k = {table['k']}", "", *markdown_lines(rows(table, of_kind["set"])), ""]
    if of_kind["samples"]:
        lines += ["## The samples", "", *markdown_lines(sample_rows(table, of_kind["samples"])), ""]
    lines += [
        "## Strengths of the classical methods",
        "",
        f"Those with the highest mean PSNR on {table['strengths']['faces']} training faces, degraded with seed "
        f"{table['strengths']['seed']}.",
        "",
        *markdown_lines(strength_rows(table)),
        "",
        "## How to repeat it",
        "",
        "```bash",
        table["command"],
        "```",
        "",
        "It calls",
        "",
        *markdown_lines([["command", "hours", "of a processor"], *map(_step_row, table["steps"])]),
        "",
        f"Intervals: 95 %, {in_markdown(interval['method'])}; {interval['resamples']} resamples, "
        f"seed {interval['seed']}.",
        "",
        *(f"* Network of {what}: {one['name']}, SHA-256 {one['sha256'][:12]}." for what, one in networks),
        "",
        *(f"* {_title(one)}: {in_markdown(one['definition'])}." for one in table["metrics"].values()),
    ]
    return "\n".join(lines) + "\n"


def rows(table: Mapping[str, Any], names: Sequence[str]) -> List[List[str]]:
    """A row for each method, a column for each metric; after PSNR what is gained over the degraded pictures."""
    head = ["Method"]
    for name in names:
        head.append(f"{_title(table['metrics'][name])} {table['metrics'][name]['arrow']}")
        head += ["gain (dB)", "better on"] if name == "psnr" else []
    found = [head]
    for method, label in table["labels"].items():
        row = [in_markdown(label)]
        for name in names:
            metric = table["metrics"][name]
            row.append(figure(metric, metric["cells"][method], bold=method in best(metric)))
            if name == "psnr":
                gain = table["gains"].get(method)
                row += ["-", "-"]
                if gain is not None:
                    ends = ", ".join(f"{end:+.3f}" for end in gain["interval"])
                    row[-2:] = [f"{gain['mean']:+.3f} [{ends}]", f"{gain['better_share']:.0%}"]
        found.append(row)
    return found


def sample_rows(table: Mapping[str, Any], names: Sequence[str]) -> List[List[str]]:
    """A row for each metric of samples."""
    found = [["", "measured", "right"]]
    for name in names:
        metric = table["metrics"][name]
        for cell in metric["cells"].values():
            right = f"{cell['ideal']:.{metric['decimals']}f}" if "ideal" in cell else metric["better"]
            found.append([_title(metric), figure(metric, cell), right])
    return found


def strength_rows(table: Mapping[str, Any]) -> List[List[str]]:
    """A row for each method that has a strength."""
    found = [["Method", "strength", "tried", "unsharp mask", "gain on the training faces (dB)"]]
    for method, one in table["strengths"]["methods"].items():
        low, high = one["tried"]
        mask = f"radius {one['radius']:g}, amount {one['amount']:g}" if one["amount"] else "none"
        label = in_markdown(table["labels"][method])
        found.append([label, f"{one['strength']:g}", f"{low:g} to {high:g}", mask, f"{one['gain']:+.3f}"])
    return found


def figure(metric: Mapping[str, Any], cell: Mapping[str, Any], bold: bool = False) -> str:
    """A mean, its deviation over draws and its interval, as people read them."""
    text, *ends = (f"{value:.{metric['decimals']}f}" for value in (cell["mean"], *cell["interval"]))
    deviation = cell.get("deviation_over_draws")
    spread = [] if deviation is None else [f"± {deviation:.{metric['decimals']}f}"]
    return " ".join([f"**{text}**" if bold else text, *spread, f"[{', '.join(ends)}]"])


def best(metric: Mapping[str, Any]) -> List[str]:
    """The methods that show the best figure; none where the degraded pictures have a better one."""
    sign = 1.0 if metric["better"] == "higher" else -1.0
    shown = {method: sign * round(cell["mean"], metric["decimals"]) for method, cell in metric["cells"].items()}
    top = max(shown.values())
    return [] if shown.get(DEGRADED) == top else [method for method, value in shown.items() if value == top]


def _title(metric: Mapping[str, Any]) -> str:
    return with_unit(metric["title"], metric["unit"])


def _step_row(one: Mapping[str, Any]) -> List[str]:
    return [f"`{one['command']}`", f"{one['hours']:.2f}", f"{one['processor_hours']:.2f}"]


if __name__ == "__main__":
    main()
