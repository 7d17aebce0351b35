"""Runs side by side, from what they have recorded. Does not import TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from rethink_fr.config.checks import ConfigError
from rethink_fr.files.locks import is_locked
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.runs.checkpoint_files import checkpoint_steps
from rethink_fr.runs.config_file import load_config, settings
from rethink_fr.runs.divergence import divergence, read_rollbacks
from rethink_fr.runs.folder import CHECKPOINTS, CONFIG, LOCK, METRICS
from rethink_fr.runs.records import read_records

_VALIDATION = "validation/"
# The value that is right, for figures of which neither more nor less is better.
_RIGHT = {"coverage_80": 0.8, "ratio": 16 / 9, "ratio_fine": 16 / 9, "ratio_middle": 16 / 9, "ratio_coarse": 16 / 9}
_SHOWN = ("psnr", "ssim", "iprecision", "irecall", "ratio", "coverage_80")  # in the table, where a run has them
_SPEEDS = 10  # records that the speed is the median of
_Failures = List[Tuple[str, str]]


class Figure(NamedTuple):
    """One figure of the validation faces over a run."""

    best: float
    best_step: int
    last: float
    last_step: int


class RunSummary(NamedTuple):
    """What is known of one run."""

    folder: str
    state: str  # "training", "finished", "stopped", "diverged" or "not begun"
    step: int  # the last one that is recorded or saved
    steps: int  # of the settings
    images_per_second: Optional[float]
    rollbacks: int
    figures: Dict[str, Figure]  # by name
    settings: Dict[str, Any]  # by dotted key


class Comparison(NamedTuple):
    """Several runs, and what could not be read."""

    runs: List[RunSummary]
    failed: _Failures

    def changed(self) -> Dict[str, List[Any]]:
        """The settings in which runs differ: the value of each run, None where it has no such setting."""
        keys = dict.fromkeys(key for run in self.runs for key in run.settings)
        values = {key: [run.settings.get(key) for run in self.runs] for key in keys}
        return {key: of_runs for key, of_runs in values.items() if any(value != of_runs[0] for value in of_runs)}

    def as_json(self) -> Dict[str, Any]:
        """Everything, for `json.dumps`."""
        runs = [
            {**run._asdict(), "figures": {name: figure._asdict() for name, figure in run.figures.items()}}
            for run in self.runs
        ]
        return {"runs": runs, "changed": self.changed()}

    def as_lines(self) -> List[str]:
        """A table with a row for each run, and one with a row for each setting in which they differ."""
        shown = [name for name in _SHOWN if any(name in run.figures for run in self.runs)]
        head = ["run", "state", "step", "images/s", *(f"{name} best (at)" for name in shown)]
        head += [f"{name} last" for name in shown]
        lines = _table([head, *(_row(run, shown) for run in self.runs)])
        changed = self.changed()
        if changed:
            names = [printable(Path(run.folder).name) for run in self.runs]
            rows = [[key, *("-" if value is None else f"{value}" for value in of)] for key, of in changed.items()]
            lines += ["", *_table([["setting", *names], *rows])]
        return lines


def find_runs(folders: Sequence[Path]) -> Tuple[List[Path], _Failures]:
    """The folders that are runs, and the runs in those that are not; and folders with neither, with a reason."""
    found: List[Path] = []
    failed: _Failures = []
    for folder in folders:
        below = [folder] if (folder / CONFIG).is_file() else sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
        if not below:
            failed.append((str(folder), "holds no run; expected a folder that `rethink-fr train` has made"))
        found += [path for path in below if path not in found]
    return found, failed


def compare(folders: Sequence[Path]) -> Comparison:
    """Read what these runs have recorded. A run that cannot be read is listed in `failed`."""
    comparison = Comparison([], [])
    for folder in folders:
        try:
            comparison.runs.append(_summary(folder))
        except (ConfigError, UnreadableFile, OSError) as error:
            comparison.failed.append((str(folder), " ".join(str(error).split())))
    return comparison


def _summary(folder: Path) -> RunSummary:
    config = load_config(folder / CONFIG)
    records = read_records(folder / METRICS)
    saved = checkpoint_steps(folder / CHECKPOINTS)
    step = max([*(int(record["step"]) for record in records), *saved[-1:]], default=0)
    speeds = sorted(one["images_per_second"] for one in records[-10 * _SPEEDS :] if "images_per_second" in one)
    return RunSummary(
        str(folder),
        _state(folder, step, bool(saved) and saved[-1] >= config.training.steps),
        step,
        config.training.steps,
        speeds[len(speeds) // 2] if speeds else None,
        len(read_rollbacks(folder)),
        _figures(records),
        settings(config),
    )


def _state(folder: Path, step: int, complete: bool) -> str:
    if is_locked(folder / LOCK):
        return "training"
    if divergence(folder) is not None:
        return "diverged"
    if complete:
        return "finished"
    return "stopped" if step else "not begun"


def _figures(records: Sequence[Mapping[str, float]]) -> Dict[str, Figure]:
    values: Dict[str, List[Tuple[float, int]]] = {}
    for record in records:
        for name, value in record.items():
            if name.startswith(_VALIDATION):
                values.setdefault(name.removeprefix(_VALIDATION), []).append((value, int(record["step"])))
    figures = {}
    for name, found in values.items():
        right = _RIGHT.get(name)
        best = max(found, key=lambda one: one[0] if right is None else -abs(one[0] - right))
        figures[name] = Figure(*best, *found[-1])
    return figures


def _row(run: RunSummary, shown: Sequence[str]) -> List[str]:
    speed = "-" if run.images_per_second is None else f"{run.images_per_second:.3g}"
    state = run.state + (f", {run.rollbacks} roll-backs" if run.rollbacks else "")
    figures = [run.figures.get(name) for name in shown]
    best = ["-" if figure is None else f"{figure.best:.4g} ({figure.best_step})" for figure in figures]
    last = ["-" if figure is None else f"{figure.last:.4g}" for figure in figures]
    return [printable(run.folder), state, f"{run.step} of {run.steps}", speed, *best, *last]


def _table(rows: Sequence[Sequence[str]]) -> List[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
