"""What an evaluation found: as objects, as a table for the terminal, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from rethink_fr.evaluation.pairs import Resize
from rethink_fr.files.names import printable

Interval = Tuple[float, float]


class Share(NamedTuple):
    """A share of a set for one k, with its 95 % bootstrap interval."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Figure:
    """One metric of one folder: of each image the mean, or of the set as a whole; with a 95 % bootstrap interval.

    Set metrics of neighbourhoods have a value for each k = 1..K; `value` is that of K.
    """

    metric: str
    title: str  # the metric's name in tables and on pages
    definition: str
    unit: str
    better: str  # "higher" or "lower"
    images: str  # whose: a method's name, "restored" if there is one without a name, or "degraded"
    value: float
    interval: Optional[Interval]
    count: int
    by_k: Tuple[Share, ...] = ()

    @property
    def text(self) -> str:
        """The value as people read it, without unit."""
        return f"{self.value:.{self.digits}f}"

    @property
    def digits(self) -> int:
        """Digits after the point that are worth reading."""
        return 2 if self.unit or self.interval is None else 4  # what has no unit is a share or near 1, but for FID


@dataclass(frozen=True)
class Row:
    """One name: its identity if known, and `{method: {metric: value}}`, with `"degraded"` if there was one."""

    name: str
    identity: Optional[str]
    values: Dict[str, Dict[str, float]]
    files: Dict[str, str]  # by folder, the reference's included


@dataclass(frozen=True)
class EvaluationReport:
    """Everything `evaluate` found.

    `missing` are (metric, reason) that were asked for and could not be computed, `left_out` those that were not asked
    for, `failed` are (file, reason).
    """

    protocol: str
    methods: Tuple[str, ...]
    folders: Dict[str, str]
    statistics: Dict[str, Dict[str, str]]  # {"niqe_statistics": {"file": ..., "sha256": ...}}
    networks: Dict[str, Dict[str, str]]  # {"recognition": {"name": ..., "sha256": ...}}
    figures: Tuple[Figure, ...]
    rows: Tuple[Row, ...]
    resize: Resize  # what was asked for; see `data.pairs.read_together`
    resized: Dict[str, int]  # by folder, the reference's included: pictures that were measured at another size
    missing: Tuple[Tuple[str, str], ...]
    left_out: Tuple[Tuple[str, str], ...]
    failed: Tuple[Tuple[str, str], ...]
    k: int
    seed: int
    resamples: int
    versions: Dict[str, str]

    @property
    def columns(self) -> List[str]:
        """The folders that were measured: the methods, then the degraded images if given."""
        return [what for what in self.folders if what != "reference"]

    @property
    def cells(self) -> Dict[Tuple[str, str], Figure]:
        """Figures by metric and folder."""
        return {(figure.metric, figure.images): figure for figure in self.figures}

    @property
    def basis(self) -> str:
        """What all figures have in common, in a few words."""
        with_k = f", k = {self.k}" if any(figure.by_k for figure in self.figures) else ""
        return f"{len(self.rows)} images, protocol {self.protocol}{with_k}{self._resizing}"

    @property
    def _resizing(self) -> str:
        if self.resize is None:
            return ""
        size = "their reference's size" if self.resize == "reference" else f"{self.resize} x {self.resize} px"
        return f", {sum(self.resized.values())} pictures resized to {size}"

    def table(self) -> List[str]:
        """Lines for the terminal: a metric a line, a folder a column."""
        cells = self.cells
        better = {figure.metric: figure.better for figure in self.figures}
        lines = [["metric", "better", *map(printable, self.columns)]]
        lines += [
            [name, way, *(_cell(cells[name, column]) if (name, column) in cells else "-" for column in self.columns)]
            for name, way in better.items()
        ]
        widths = [max(map(len, column)) for column in zip(*lines)]
        head = f"{self.basis}; mean [95 % interval]"
        return [head, *("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)]

    def as_json(self) -> Dict[str, Any]:
        """The report in JSON's types; infinite numbers, which JSON lacks, as the strings "inf" and "-inf"."""
        metrics: Dict[str, Any] = {}
        for figure in self.figures:
            about = {"definition": figure.definition, "unit": figure.unit, "better": figure.better}
            metrics.setdefault(figure.metric, about)[figure.images] = _figure_json(figure)
        return {
            "protocol": self.protocol,
            "methods": list(self.methods),
            "folders": self.folders,
            "niqe_statistics": self.statistics.get("niqe_statistics"),
            "fid_statistics": self.statistics.get("fid_statistics"),
            "networks": self.networks,
            "images": len(self.rows),
            "resize": None
            if self.resize is None
            else {"to": self.resize, "method": "central square, Lanczos", "pictures": self.resized},
            "k": self.k,
            "metrics": metrics,
            "interval": {
                "level": 0.95,
                "method": "percentile bootstrap of the mean over images; for precision, recall and their identity "
                "versions over the images' answers, the spheres staying as they are; none for Frechet distances",
                "resamples": self.resamples,
                "seed": self.seed,
            },
            "missing": [{"metric": name, "reason": reason} for name, reason in self.missing],
            "left_out": [{"metric": name, "reason": reason} for name, reason in self.left_out],
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


def _figure_json(figure: Figure) -> Dict[str, Any]:
    """A mean is called one; a Frechet distance is none, and has no interval."""
    found: Dict[str, Any] = {"value" if figure.interval is None else "mean": _number(figure.value)}
    found["interval"] = None if figure.interval is None else [_number(end) for end in figure.interval]
    found["count"] = figure.count
    if figure.by_k:
        found["by_k"] = [
            {"k": k, "mean": share.value, "interval": list(share.interval)} for k, share in enumerate(figure.by_k, 1)
        ]
    return found


def _cell(figure: Figure) -> str:
    unit = f" {figure.unit}" if figure.unit else ""
    if figure.interval is None:
        return f"{figure.text}{unit}"
    low, high = figure.interval
    return f"{figure.text}{unit} [{low:.{figure.digits}f}, {high:.{figure.digits}f}]"


def _number(value: float) -> Union[float, str]:
    return value if np.isfinite(value) else str(value)
