"""What a check before a long run has found."""

from __future__ import annotations

from typing import Any, Dict, List, Literal, NamedTuple, Sequence

State = Literal["ok", "warning", "fails"]
_BYTES = ("B", "kB", "MB", "GB", "TB")


class Finding(NamedTuple):
    """The outcome of one check. What `fails` would stop the run; a `warning` would not."""

    check: str  # what was looked at, in a word or two
    state: State
    found: str
    advice: str = ""  # what to do about it
    numbers: Dict[str, Any] = {}  # what was measured, for programs; bytes and seconds unless a name says otherwise


def as_lines(findings: Sequence[Finding]) -> List[str]:
    """A table with a row for each finding, and below a row what to do."""
    width = max(len(one.check) for one in findings)
    lines = []
    for one in findings:
        lines.append(f"{one.state:8} {one.check:{width}}  {one.found}")
        if one.advice:
            lines.append(f"{'':8} {'':{width}}  -> {one.advice}")
    return lines


def sized(number: float) -> str:
    """A number of bytes in words.

    Example:
        >>> sized(1_250_000_000)
        '1.25 GB'
    """
    for unit in _BYTES:
        if number < 1000 or unit == _BYTES[-1]:
            return f"{number:.3g} {unit}" if number < 100 else f"{number:.0f} {unit}"
        number /= 1000
    raise AssertionError
