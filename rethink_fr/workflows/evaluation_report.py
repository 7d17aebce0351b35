"""What an evaluation found: as objects, as a table for the terminal, as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np

from rethink_fr.data.image_files import write_atomically


@dataclass(frozen=True)
class Figure:
    """The mean of one metric over one folder, with a 95 % bootstrap interval over images."""

    metric: str
    definition: str
    unit: str
    better: str  # "higher" or "lower"
    images: str  # whose: "restored" or "degraded"
    mean: float
    interval: Tuple[float, float]
    count: int


@dataclass(frozen=True)
class Row:
    """One name: its identity if known, and `{"restored": {metric: value}}`, with `"degraded"` if there was one."""

    name: str
    identity: Optional[str]
    values: Dict[str, Dict[str, float]]


@dataclass(frozen=True)
class EvaluationReport:
    """Everything `evaluate` found; `missing` and `failed` are (metric, reason) and (file, reason)."""

    protocol: str
    folders: Dict[str, str]
    niqe_statistics: Optional[Dict[str, str]]  # file and its SHA-256
    figures: Tuple[Figure, ...]
    rows: Tuple[Row, ...]
    missing: Tuple[Tuple[str, str], ...]
    failed: Tuple[Tuple[str, str], ...]
    seed: int
    resamples: int
    versions: Dict[str, str]

    def table(self) -> List[str]:
        """Lines for the terminal: a metric a line, a folder a column."""
        columns = [what for what in self.folders if what != "reference"]
        cells = {(figure.metric, figure.images): _cell(figure) for figure in self.figures}
        better = {figure.metric: figure.better for figure in self.figures}
        lines = [["metric", "better", *columns]]
        lines += [[name, way, *(cells[name, column] for column in columns)] for name, way in better.items()]
        widths = [max(map(len, column)) for column in zip(*lines)]
        head = f"{len(self.rows)} images, protocol {self.protocol}; mean [95 % interval]"
        return [head, *("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)]

    def as_json(self) -> Dict[str, Any]:
        """The report in JSON's types; infinite numbers, which JSON lacks, as the strings "inf" and "-inf"."""
        metrics: Dict[str, Any] = {}
        for figure in self.figures:
            about = {"definition": figure.definition, "unit": figure.unit, "better": figure.better}
            metrics.setdefault(figure.metric, about)[figure.images] = {
                "mean": _number(figure.mean),
                "interval": [_number(end) for end in figure.interval],
                "count": figure.count,
            }
        return {
            "protocol": self.protocol,
            "folders": self.folders,
            "niqe_statistics": self.niqe_statistics,
            "images": len(self.rows),
            "metrics": metrics,
            "interval": {
                "level": 0.95,
                "method": "percentile bootstrap of the mean over images",
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "missing": [{"metric": name, "reason": reason} for name, reason in self.missing],
            "failed": [{"file": name, "reason": reason} for name, reason in self.failed],
            "rows": [
                {
                    "name": row.name,
                    **({"identity": row.identity} if row.identity is not None else {}),
                    **{what: {key: _number(one) for key, one in values.items()} for what, values in row.values.items()},
                }
                for row in self.rows
            ],
            "versions": self.versions,
        }

    def write(self, path: Union[str, Path]) -> None:
        """Write the JSON report; the file appears whole.

        Raises:
            ValueError: naming `path` if it cannot be written.
        """
        text = json.dumps(self.as_json(), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(path, (text + "\n").encode("utf-8"))


def _cell(figure: Figure) -> str:
    digits = 2 if figure.unit else 4
    low, high = figure.interval
    unit = f" {figure.unit}" if figure.unit else ""
    return f"{figure.mean:.{digits}f}{unit} [{low:.{digits}f}, {high:.{digits}f}]"


def _number(value: float) -> Union[float, str]:
    return value if np.isfinite(value) else str(value)
