"""An evaluation as a web page in one file: figures, curves over k, a row for each image, chosen and worst pictures."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from rethink_fr.evaluation.pages import as_data_uri, page
from rethink_fr.evaluation.report.contents import EvaluationReport, Row
from rethink_fr.evaluation.report.curves import colour, curve_chart
from rethink_fr.evaluation.report.grid import shown_folders
from rethink_fr.evaluation.report.scatter import scatter_charts
from rethink_fr.evaluation.report.tables import best_cells
from rethink_fr.metrics.metric import Metric
from rethink_fr.pictures.files import UnreadableImage, read_image

_WORST = 3  # rows with pictures for each metric of each method
_SIDE = 160  # pixels of those pictures

Column = Tuple[Metric, str]  # of the table of images: a metric, and the folder whose pictures it is of


def evaluation_page(report: EvaluationReport, chosen: Sequence[Row] = ()) -> bytes:
    """The page as HTML in UTF-8.

    The chosen images are shown as pictures: degraded (if given), as each method restored them, and the reference (if
    given). So are, among the rows, the three worst ones for each metric of each method.
    """
    in_rows = {(name, folder) for row in report.rows for folder, values in row.values.items() for name in values}
    columns = [
        (metric, folder) for metric in report.metrics for folder in report.columns if (metric.name, folder) in in_rows
    ]
    of_methods = [column for column in columns if column[1] in report.methods]
    with_pictures = {row.name for column in of_methods for row in _worst_first(report, column)[:_WORST]}
    return page(
        "evaluation.html",
        report=report,
        best=best_cells(report) if len(report.methods) > 1 else set(),
        files=[
            *((need, network["name"], network["sha256"]) for need, network in report.networks.items()),
            *((need, file["file"], file["sha256"]) for need, file in report.statistics.items()),
        ],
        key=[(folder, colour(place)) for place, folder in enumerate(report.columns)],
        charts=[*_charts(report), *scatter_charts(report)],
        chosen=[(row.name, _pictures(report, row)) for row in chosen],
        problems=[*report.failed, *report.missing, *report.left_out],
        columns=columns,
        rows=[
            (row, _pictures(report, row) if row.name in with_pictures else [])
            for row in (_worst_first(report, columns[0]) if columns else ())
        ],
        sorted_by=lambda metric, folder, value: _sorted_by(report, (metric, folder), value),
        worst_shown=_WORST,
    )


def _charts(report: EvaluationReport) -> List[str]:
    """Of all metrics that depend on k; those of identities first, as in the paper."""
    by_metric = {metric.name: [one for one in report.figures if one.metric == metric] for metric in report.shown}
    of_k = [figures for figures in by_metric.values() if figures[0].by_k]
    of_k.sort(key=lambda figures: "identities" not in figures[0].metric.needs)
    return [curve_chart(figures[0].metric.title, figures) for figures in of_k]


def _worst_first(report: EvaluationReport, column: Column) -> Sequence[Row]:
    metric, folder = column
    falling = metric.better != "higher"
    return sorted(
        report.rows, key=lambda row: _sorted_by(report, column, row.values[folder][metric.name]), reverse=falling
    )


def _sorted_by(report: EvaluationReport, column: Column, value: float) -> float:
    """The number by which a column is sorted: the value, or its distance from where it should be."""
    metric, folder = column
    return value if metric.ideal is None else abs(value - metric.ideal(report.samples[folder]))


def _pictures(report: EvaluationReport, row: Row) -> List[Tuple[str, Optional[str], str]]:
    """Folder, picture as a data URI, and what is wrong where there is none."""
    pictures: List[Tuple[str, Optional[str], str]] = []
    for folder in shown_folders(report):
        try:
            pictures.append((folder, as_data_uri(read_image(row.files[folder]), _SIDE), ""))
        except UnreadableImage as error:  # it was readable a moment ago
            pictures.append((folder, None, str(error)))
    return pictures
