"""Curves over k as SVG: what Fig. 7 of "Rethinking Deep Face Restoration" shows, with intervals."""

from __future__ import annotations

from typing import List, Sequence, Tuple

from markupsafe import Markup

from rethink_fr.evaluation.pages import render
from rethink_fr.evaluation.report.contents import Figure

# Okabe and Ito's colours: colour-blind readers and printers tell them apart. The marks differ as well.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKS = ("M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0", "M-4-4h8v8h-8z", "M0-5 5 4H-5z", "M0-5 5 0 0 5-5 0z")
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 346, 26, 206  # of the axes, in pixels of a picture of 360 x 250


def curve_chart(title: str, figures: Sequence[Figure]) -> Markup:
    """A chart of shares over k = 1..K: for each figure a line with marks and 95 % intervals, in the order's colours.

    Raises:
        ValueError: if there is no figure, or figures have different numbers of k.
    """
    lengths = {len(figure.by_k) for figure in figures}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"{title}: curves of {sorted(lengths)} points; expected as many for each method, one or more")
    count = lengths.pop()
    low = min(share.interval[0] for figure in figures for share in figure.by_k)
    lowest, ticks = share_axis(low)

    def across(k: int) -> float:
        middle = (_LEFT + _RIGHT) / 2
        return middle if count == 1 else round(_LEFT + 16 + (_RIGHT - _LEFT - 32) * (k - 1) / (count - 1), 1)

    def down(share: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * (share - lowest) / (1.0 - lowest), 1)

    curves = []
    for place, figure in enumerate(figures):
        points = []
        for k, share in enumerate(figure.by_k, start=1):
            ends = share.interval
            about = f"{figure.folder}, k = {k}: {share.value:.4f} [{ends[0]:.4f}, {ends[1]:.4f}]"
            point = {"x": across(k), "y": down(share.value), "low": down(ends[0]), "high": down(ends[1])}
            points.append({**point, "about": about})
        curves.append({"colour": colour(place), "mark": MARKS[place % len(MARKS)], "points": points})
    return render(
        "curves.svg",
        title=title,
        curves=curves,
        across=[across(k) for k in range(1, count + 1)],
        ticks=[{"share": tick, "y": down(tick)} for tick in ticks],
        left=_LEFT,
        right=_RIGHT,
        middle=(_LEFT + _RIGHT) / 2,
        bottom=_BOTTOM,
    )


def share_axis(low: float) -> Tuple[float, List[float]]:
    """Where an axis of shares begins, which ends at 1: a multiple of 0.2 that is not above `low`; and its ticks."""
    lowest = min(int(low * 5.0) / 5.0, 0.8)
    return lowest, [tick / 10 for tick in range(round(lowest * 10), 11, 2 if lowest < 0.8 else 1)]


def colour(place: int) -> str:
    """The colour of the figure at this place of the order."""
    return _COLOURS[place % len(_COLOURS)]
