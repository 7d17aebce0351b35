"""What an evaluation found, as objects and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np

from rethink_fr.evaluation.pairs import Resize
from rethink_fr.metrics.metric import Metric

Interval = Tuple[float, float]  # of 95 %, by the bootstrap


class Share(NamedTuple):
    """Precision, recall or an identity version of one of them, for one number of neighbours k."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Figure:
    """The value of one metric for one folder: the mean over its pictures, or a number of the folder as a whole."""

    metric: Metric
    folder: str  # a method's name, "restored" for a single method without a name, or "degraded"
    value: float  # for k = K, where there are several
    interval: Optional[Interval]
    count: int  # of the pictures that it is computed from
    by_k: Tuple[Share, ...] = ()  # of metrics that depend on a number of neighbours: for k = 1..K
    draws: Tuple[float, ...] = ()  # the value of each draw, whose mean `value` is; none for a metric of samples
    ideal: Optional[float] = None  # of a metric that is better the nearer it is to it

    @property
    def text(self) -> str:
        """The value as people read it, without unit."""
        return f"{self.value:.{self.metric.decimals}f}"

    @property
    def deviation(self) -> Optional[float]:
        """The standard deviation over the draws, as papers' tables have it; None if there is one draw."""
        finite = len(self.draws) > 1 and np.isfinite(self.draws).all()
        return float(np.std(self.draws, ddof=1)) if finite else None

    @property
    def deviation_text(self) -> str:
        """The deviation as people read it; empty if there is none."""
        return "" if self.deviation is None else f"{self.deviation:.{self.metric.decimals}f}"

    @property
    def badness(self) -> float:
        """The larger the worse, whichever way is better."""
        if self.ideal is not None:
            return abs(self.value - self.ideal)
        return -self.value if self.metric.better == "higher" else self.value

    @property
    def interval_text(self) -> str:
        """The interval as people read it, `[low, high]`; empty if there is none."""
        ends = [f"{end:.{self.metric.decimals}f}" for end in self.interval or ()]
        return f"[{', '.join(ends)}]" if ends else ""


@dataclass(frozen=True)
class Row:
    """The pictures of one name, and the metrics of each."""

    name: str
    identity: Optional[str]  # who is on them, if that is known
    values: Dict[str, Dict[str, float]]  # by folder and metric, without the reference; means over samples
    files: Dict[str, str]  # by folder, with the reference; of several samples the first


@dataclass(frozen=True)
class EvaluationReport:
    """Everything that `evaluate` found."""

    protocol: str
    methods: Tuple[str, ...]
    folders: Dict[str, str]  # paths, by method and "reference" and "degraded"
    samples: Dict[str, int]  # how many there are of each picture, by folder without the reference
    metrics: Tuple[Metric, ...]  # those that were computed
    statistics: Dict[str, Dict[str, str]]  # {"niqe_statistics": {"file": ..., "sha256": ...}}
    networks: Dict[str, Dict[str, str]]  # {"recognition": {"name": ..., "sha256": ...}}
    figures: Tuple[Figure, ...]
    rows: Tuple[Row, ...]
    resize: Resize  # what was asked for; see `rethink_fr.evaluation.pairs.read_together`
    resized: Dict[str, int]  # by folder: number of pictures that were measured at another size than their own
    missing: Tuple[Tuple[str, str], ...]  # (metric, reason): asked for, but could not be computed
    left_out: Tuple[Tuple[str, str], ...]  # (metric, reason): could not be computed, and was not asked for by name
    failed: Tuple[Tuple[str, str], ...]  # (file, reason)
    k: int
    seed: int
    resamples: int
    versions: Dict[str, str]

    @property
    def columns(self) -> List[str]:
        """The folders that were measured: the methods, then the degraded pictures if there are any."""
        return [folder for folder in self.folders if folder != "reference"]

    @property
    def cells(self) -> Dict[Tuple[str, str], Figure]:
        """The figures by the metric's name and the folder."""
        return {(figure.metric.name, figure.folder): figure for figure in self.figures}

    @property
    def shown(self) -> List[Metric]:
        """The metrics that have a figure for some folder: what tables list."""
        return list(dict.fromkeys(figure.metric for figure in self.figures))

    @property
    def basis(self) -> str:
        """What all figures have in common, in a few words."""
        with_k = f", k = {self.k}" if any(figure.by_k for figure in self.figures) else ""
        without = "" if "reference" in self.folders else ", without references"
        return f"{len(self.rows)} images{self._sampling}{without}, protocol {self.protocol}{with_k}{self._resizing}"

    def direction(self, metric: Metric) -> str:
        """What stands after "→" for a metric that should be near a value: the value; else empty."""
        ideals = sorted(
            {figure.ideal for figure in self.figures if figure.metric == metric and figure.ideal is not None}
        )
        return " or ".join(f"{ideal:.{metric.decimals}f}" for ideal in ideals)

    @property
    def _sampling(self) -> str:
        counts = {method: self.samples[method] for method in self.methods}
        if max(counts.values()) == 1:
            return ""
        each = "" if len(counts) == 1 else f" by {', '.join(method for method, count in counts.items() if count > 1)}"
        return (
            f", {'/'.join(dict.fromkeys(str(count) for count in counts.values() if count > 1))} samples of each{each}"
        )

    @property
    def _resizing(self) -> str:
        if self.resize is None:
            return ""
        size = "their reference's size" if self.resize == "reference" else f"{self.resize} x {self.resize} px"
        return f", {sum(self.resized.values())} pictures resized to {size}"

    def as_json(self) -> Dict[str, Any]:
        """The report in JSON's types; infinite numbers, which JSON lacks, are the strings "inf" and "-inf"."""
        metrics: Dict[str, Any] = {}
        for figure in self.figures:
            metric = figure.metric
            about = {"definition": metric.definition, "unit": metric.unit, "better": metric.better}
            metrics.setdefault(metric.name, about)[figure.folder] = _figure_json(figure)
        return {
            "protocol": self.protocol,
            "methods": list(self.methods),
            "folders": self.folders,
            "niqe_statistics": self.statistics.get("niqe_statistics"),
            "fid_statistics": self.statistics.get("fid_statistics"),
            "networks": self.networks,
            "samples": self.samples,
            "images": len(self.rows),
            "resize": None
            if self.resize is None
            else {"to": self.resize, "method": "central square, Lanczos", "pictures": self.resized},
            "k": self.k,
            "metrics": metrics,
            "interval": {
                "level": 0.95,
                "method": "percentile bootstrap of the mean over images; for precision, recall and their identity "
                "versions over the images' answers, the spheres staying as they are; for error ratios of the ratio "
                "of two means; none for Frechet distances",
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
                    **{
                        what: {key: json_number(one) for key, one in values.items()}
                        for what, values in row.values.items()
                    },
                }
                for row in self.rows
            ],
            "versions": self.versions,
        }


def _figure_json(figure: Figure) -> Dict[str, Any]:
    """What has an interval is a mean, and called so; a Frechet distance is none."""
    found: Dict[str, Any] = {"value" if figure.interval is None else "mean": json_number(figure.value)}
    found["interval"] = None if figure.interval is None else [json_number(end) for end in figure.interval]
    found["count"] = figure.count
    if figure.ideal is not None:
        found["ideal"] = figure.ideal
    if len(figure.draws) > 1:
        found["draws"] = {"deviation": figure.deviation, "values": [json_number(value) for value in figure.draws]}
    if figure.by_k:
        found["by_k"] = [
            {"k": k, "mean": share.value, "interval": list(share.interval)} for k, share in enumerate(figure.by_k, 1)
        ]
    return found


def json_number(value: float) -> Union[float, str]:
    """A number in JSON's types: JSON lacks infinite ones, which are the strings "inf" and "-inf"."""
    return value if np.isfinite(value) else str(value)
