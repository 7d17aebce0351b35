"""Precision over recall as SVG, k = 1..K: what Fig. 7b of "Rethinking Deep Face Restoration" shows."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

from markupsafe import Markup

from rethink_fr.evaluation.pages import render
from rethink_fr.evaluation.report.contents import EvaluationReport, Figure
from rethink_fr.evaluation.report.curves import MARKS, colour, share_axis

PAIRS = (("iprecision", "irecall"), ("precision", "recall"))  # those of identities first, as in the paper
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 346, 26, 316  # of the axes, in pixels of a picture of 360 x 360


def scatter_charts(report: EvaluationReport) -> List[Markup]:
    """A chart for each pair of metrics of which the report has both."""
    charts = []
    for up, along in PAIRS:
        figures = [
            (report.cells[up, folder], report.cells[along, folder])
            for folder in report.columns
            if (up, folder) in report.cells and (along, folder) in report.cells
        ]
        if figures:
            charts.append(scatter_chart(figures, [report.columns.index(one.folder) for one, _ in figures]))
    return charts


def scatter_chart(figures: Sequence[Tuple[Figure, Figure]], places: Optional[Sequence[int]] = None) -> Markup:
    """A chart of the shares of one metric over those of another: for each folder a line through k = 1..K.

    Args:
        figures: for each folder the figure that goes up, and the one that goes along.
        places: of the folders in the order of colours; None: as they come.

    Raises:
        ValueError: if there are none, or two figures of a folder have different numbers of k.
    """
    if not figures or any(len(up.by_k) != len(along.by_k) or not up.by_k for up, along in figures):
        raise ValueError("a scatter needs two figures of each folder, with as many shares over k, one or more")
    # Both axes have one scale.
    lowest, ticks = share_axis(min(share.value for pair in figures for figure in pair for share in figure.by_k))

    def across(share: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (share - lowest) / (1.0 - lowest), 1)

    def down(share: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * (share - lowest) / (1.0 - lowest), 1)

    lines: List[Dict[str, Any]] = []
    for place, (up, along) in zip(places or range(len(figures)), figures):
        points = [
            {
                "x": across(right.value),
                "y": down(high.value),
                "k": k,
                "about": f"{up.folder}, k = {k}: {up.metric.title} {high.value:.4f}, {along.metric.title} "
                f"{right.value:.4f}",
            }
            for k, (high, right) in enumerate(zip(up.by_k, along.by_k), start=1)
        ]
        lines.append({"colour": colour(place), "mark": MARKS[place % len(MARKS)], "points": points})
    up, along = figures[0]
    return render(
        "scatter.svg",
        title=f"{up.metric.title} over {along.metric.title}",
        along=along.metric.title,
        up=up.metric.title,
        lines=lines,
        ticks=[{"share": tick, "x": across(tick), "y": down(tick)} for tick in ticks],
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        bottom=_BOTTOM,
        middle=(_LEFT + _RIGHT) / 2,
        centre=(_TOP + _BOTTOM) / 2,
    )
