"""Curves of training as SVG: what each run of a variant recorded over its steps."""

from __future__ import annotations

import math
from typing import Dict, List, NamedTuple, Sequence, Tuple

from markupsafe import Markup

from rethink_fr.evaluation.pages import render

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 406, 26, 216  # of the axes, in pixels of a picture of 420 x 260
_MOST = 200  # points of a line

Points = Sequence[Tuple[float, float]]  # (step, value)


class Line(NamedTuple):
    """One run's curve."""

    about: str  # shown when it is pointed at
    colour: str
    points: Points


def line_chart(title: str, lines: Sequence[Line]) -> Markup:
    """A chart of values over steps. Values that are not finite are left out.

    Raises:
        ValueError: if no line has a point.
    """
    kept = [line._replace(points=_thinned([one for one in line.points if math.isfinite(one[1])])) for line in lines]
    kept = [line for line in kept if line.points]
    if not kept:
        raise ValueError(f"{title}: no line has a point")
    steps = [step for line in kept for step, _ in line.points]
    values = [value for line in kept for _, value in line.points]
    across_ticks, down_ticks = ticks(0.0, max(steps)), ticks(min(values), max(values))
    last, low, high = max(across_ticks[-1], max(steps)) or 1.0, down_ticks[0], down_ticks[-1]

    def across(step: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * step / last, 1)

    def down(value: float) -> float:
        return round(_BOTTOM - (_BOTTOM - _TOP) * (value - low) / (high - low), 1)

    shown: List[Dict[str, object]] = [
        {
            "colour": line.colour,
            "about": line.about,
            "points": " ".join(f"{across(step)},{down(value)}" for step, value in line.points),
            "last": (across(line.points[-1][0]), down(line.points[-1][1])),
        }
        for line in kept
    ]
    return render(
        "lines.svg",
        title=title,
        lines=shown,
        across=[(across(tick), f"{tick:,.0f}") for tick in across_ticks if tick <= last],
        down=[(down(tick), f"{tick:.4g}") for tick in down_ticks],
        left=_LEFT,
        right=_RIGHT,
        middle=(_LEFT + _RIGHT) / 2,
        bottom=_BOTTOM,
    )


def ticks(low: float, high: float) -> List[float]:
    """Round numbers from one that is not above `low` to one that is not below `high`, about five.

    Example:
        >>> ticks(18.2, 23.9)
        [18.0, 20.0, 22.0, 24.0]
    """
    span = high - low if high > low else abs(low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4.0))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= span / 4.0)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def _thinned(points: Points) -> Points:
    """At most 200 of the points, the last one among them."""
    every = -(-len(points) // _MOST) or 1
    return points if every == 1 else [*points[:-1:every], points[-1]]
