"""Curves over k as SVG: what Fig. 7 of "Rethinking Deep Face Restoration" shows, with intervals."""

from __future__ import annotations

from typing import List, Sequence

from rethink_fr.evaluation.report.contents import Figure
from rethink_fr.evaluation.report.web_page import escape

# Okabe and Ito's colours: told apart by colour-blind readers too, and in print. The marks differ as well.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKS = ("M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0", "M-4-4h8v8h-8z", "M0-5 5 4H-5z", "M0-5 5 0 0 5-5 0z")
_WIDTH, _HEIGHT = 360, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 346, 26, 206  # of the axes, in pixels


def curve_chart(title: str, figures: Sequence[Figure]) -> str:
    """One chart of shares over k = 1..K: a line, marks and 95 % intervals for each figure, in their order's colours.

    Raises:
        ValueError: if there is no figure, or figures have different numbers of k.
    """
    lengths = {len(figure.by_k) for figure in figures}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"{title}: curves of {sorted(lengths)} points; expected as many for each method, one or more")
    count = lengths.pop()
    low = min(share.interval[0] for figure in figures for share in figure.by_k)
    bottom = min(int(low * 5.0) / 5.0, 0.8)  # a multiple of 0.2 below everything

    def across(k: int) -> float:
        return (_LEFT + _RIGHT) / 2 if count == 1 else _LEFT + 16 + (_RIGHT - _LEFT - 32) * (k - 1) / (count - 1)

    def down(share: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (share - bottom) / (1.0 - bottom)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'role="img" aria-label="{escape(title)} over k" font-family="sans-serif" font-size="12">',
        f'<text x="{(_LEFT + _RIGHT) / 2}" y="16" text-anchor="middle" font-weight="bold">{escape(title)}</text>',
        f'<text x="{(_LEFT + _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">k (neighbours)</text>',
    ]
    for tick in range(round(bottom * 10), 11, 2 if bottom < 0.8 else 1):
        y = down(tick / 10)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick / 10:.1f}</text>')
    for k in range(1, count + 1):
        parts.append(f'<text x="{across(k):.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{k}</text>')
    for place, figure in enumerate(figures):
        parts += _curve(figure, place, [across(k) for k in range(1, count + 1)], down)
    return "".join([*parts, "</svg>"])


def _curve(figure: Figure, place: int, across: Sequence[float], down) -> List[str]:
    colour = COLOURS[place % len(COLOURS)]
    points = [(x, down(share.value), share) for x, share in zip(across, figure.by_k)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    parts = [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for k, (x, y, share) in enumerate(points, start=1):
        low, high = share.interval
        about = f"{figure.images}, k = {k}: {share.value:.4f} [{low:.4f}, {high:.4f}]"
        parts.append(f'<path d="M{x:.1f} {down(low):.1f}V{down(high):.1f}" stroke="{colour}" opacity="0.6"/>')
        parts.append(
            f'<path transform="translate({x:.1f} {y:.1f})" d="{_MARKS[place % len(_MARKS)]}" fill="{colour}">'
            f"<title>{escape(about)}</title></path>"
        )
    return parts
