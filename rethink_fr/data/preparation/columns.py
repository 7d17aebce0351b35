"""Who is on each picture, and where its landmarks are: the columns of a CSV file that records get."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from rethink_fr.files.names import printable
from rethink_fr.files.reading import read_csv
from rethink_fr.pictures.listing import without_ending


@dataclass(frozen=True)
class Row:
    """What a CSV file says of one picture."""

    identity: Optional[str]
    landmarks: Optional[NDArray[np.float64]]  # [L, 2]: x, y in pixels of the picture


@dataclass(frozen=True)
class Columns:
    """The rows of a CSV file by the names of pictures."""

    rows: Dict[str, Row]
    has_identity: bool
    landmarks: Tuple[str, ...]  # their names; () if there are none

    def of(self, name: str) -> Optional[Row]:
        """The row of a picture, found by its path with or without its ending; None if there is none."""
        names = (name, without_ending(name), printable(name), without_ending(printable(name)))
        return next((self.rows[one] for one in names if one in self.rows), None)


def read_columns(path: Path) -> Columns:
    """Read a CSV file with a column `name`, and `identity`, or landmarks, or both.

    Names are paths relative to the folder of pictures, with or without ending, and with the archive's path before them
    where they are in one; bytes that are not UTF-8 are written as the manifest shows them: `\\udce9`. A landmark
    has two columns, `NAME_x` and `NAME_y`: its place in pixels of the picture; the centre of the first pixel is (0, 0).
    Other columns are ignored.

    Raises:
        ValueError: naming `path`, if it cannot be read, lacks columns or values, or contradicts itself.
    """
    shown, lines = printable(path), read_csv(path)
    head = [cell.strip() for cell in next(lines, [])]
    points = tuple(cell[:-2] for cell in head if cell.endswith("_x") and f"{cell[:-2]}_y" in head)
    if head.count("name") != 1 or len(set(head)) != len(head) or not ("identity" in head or points):
        raise ValueError(
            f"{shown}: expected a first line with the columns 'name' and 'identity', or 'name' and landmarks as "
            "'nose_x,nose_y', each once"
        )
    rows: Dict[str, Row] = {}
    for number, cells in enumerate(lines, start=2):
        if not cells:  # an empty line
            continue
        values = dict(zip(head, [cell.strip() for cell in cells]))
        try:
            row = _row(values, "identity" in head, points)
        except ValueError as error:
            raise ValueError(f"{shown}: line {number} {error}") from None
        before = rows.setdefault(values["name"], row)
        if before is not row and (before.identity != row.identity or not _same(before.landmarks, row.landmarks)):
            raise ValueError(f"{shown}: line {number} says otherwise of {printable(values['name'])} than one before")
    if not rows:
        raise ValueError(f"{shown}: has no line after the first; expected one for each picture")
    return Columns(rows, "identity" in head, points)


def _row(values: Dict[str, str], has_identity: bool, points: Tuple[str, ...]) -> Row:
    if not values.get("name"):
        raise ValueError("lacks a name")
    if has_identity and not values.get("identity"):
        raise ValueError("lacks an identity")
    if not points:
        return Row(values.get("identity"), None)
    numbers: List[List[float]] = []
    for point in points:
        try:
            numbers.append([float(values[f"{point}_x"]), float(values[f"{point}_y"])])
        except (KeyError, ValueError):
            raise ValueError(f"has no two numbers for the landmark {printable(point)}") from None
    landmarks = np.array(numbers)
    if not np.isfinite(landmarks).all():
        raise ValueError("has a landmark that is no finite number")
    return Row(values.get("identity"), landmarks)


def _same(one: Optional[NDArray[np.float64]], other: Optional[NDArray[np.float64]]) -> bool:
    return (one is None and other is None) or (one is not None and other is not None and bool((one == other).all()))
