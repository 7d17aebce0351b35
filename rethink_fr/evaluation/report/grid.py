"""Chosen pictures of an evaluation side by side, as papers show them: degraded, as each method restored them, clean."""

from __future__ import annotations

from pathlib import Path
from typing import List, Sequence, Tuple

import numpy as np

from rethink_fr.evaluation.pairs import read_together
from rethink_fr.evaluation.report.contents import EvaluationReport, Row
from rethink_fr.files.names import printable
from rethink_fr.pictures.files import encode_png
from rethink_fr.pictures.sheets import picture_grid


def chosen_rows(report: EvaluationReport, wanted: Sequence[str]) -> Tuple[List[Row], List[Tuple[str, str]]]:
    """The rows to show.

    Args:
        report: what was evaluated.
        wanted: names of pictures, without endings; or one number of pictures, which are evenly spread over all.

    Returns:
        The rows in the order of `wanted`; and (name, reason) of those that are not there.
    """
    by_name = {printable(row.name): row for row in report.rows}
    if len(wanted) == 1 and wanted[0] not in by_name and wanted[0].isdecimal() and int(wanted[0]) > 0:
        count = min(int(wanted[0]), len(report.rows))
        places = np.linspace(0, len(report.rows) - 1, count).round().astype(int)
        return [report.rows[place] for place in places], []
    advice = "no picture of that name was measured; expected names without ending, or one number of pictures"
    missing = [(printable(name), advice) for name in wanted if printable(name) not in by_name]
    return [by_name[printable(name)] for name in wanted if printable(name) in by_name], missing


def shown_folders(report: EvaluationReport) -> List[str]:
    """The folders in the order of papers: degraded, the methods, reference, as far as they are there."""
    return [folder for folder in ("degraded", *report.methods, "reference") if folder in report.folders]


def grid_picture(report: EvaluationReport, rows: Sequence[Row]) -> bytes:
    """The figure as a PNG: a row for each of `rows`, a column for each folder, with labels.

    Pictures are shown at the size at which they were measured; of several samples the first.

    Raises:
        UnreadableImage: if a picture can no longer be read.
    """
    folders = shown_folders(report)
    pictures = []
    for row in rows:
        together = read_together({folder: Path(row.files[folder]) for folder in folders}, report.resize)
        pictures.append([together.pictures[folder] for folder in folders])
    names = [printable(row.name) for row in rows]
    return encode_png(picture_grid(pictures, [printable(folder) for folder in folders], names))
