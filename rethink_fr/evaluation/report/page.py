"""An evaluation as a web page in one file: figures, curves over k, a row for each image, the worst ones as pictures."""

from __future__ import annotations

from typing import Dict, List, Sequence, Set, Union

import numpy as np

from rethink_fr.evaluation.measures import METRICS
from rethink_fr.evaluation.report.contents import EvaluationReport, Figure, Row
from rethink_fr.evaluation.report.curves import COLOURS, curve_chart
from rethink_fr.evaluation.report.tables import best
from rethink_fr.evaluation.report.web_page import as_data_uri, escape, page
from rethink_fr.pictures.files import UnreadableImage, read_image

_WORST = 3  # rows with pictures for each metric of each method
_SIDE = 160  # pixels of those pictures

_STYLE = """
#rows th { cursor: pointer; white-space: nowrap; position: sticky; top: 0; background: #fff; }
#rows th[aria-sort]::after { content: " \\25be"; } b { font-weight: 700; }
.pictures figure { display: inline-block; margin: .3rem .6rem .3rem 0; } .pictures figcaption { font-size: .8rem; }
.key span { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem; }
"""

# Each image is a tbody: its numbers and, below them, its pictures move together.
_SCRIPT = """
const table = document.getElementById("rows");
function number(body, column) {
  return Number(body.rows[0].cells[column].dataset.value);
}
function sort(head) {
  const column = head.cellIndex, way = head.dataset.worst === "high" ? -1 : 1;
  const bodies = [...table.tBodies];
  if (head.dataset.worst) bodies.sort((a, b) => way * (number(a, column) - number(b, column)) || 0);
  else bodies.sort((a, b) => a.rows[0].cells[column].textContent.localeCompare(b.rows[0].cells[column].textContent));
  bodies.forEach(body => table.append(body));
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", way < 0 ? "descending" : "ascending");
}
for (const head of table.tHead.rows[0].cells) {
  head.onclick = () => sort(head);
  head.onkeydown = event => { if (event.key === "Enter") sort(head); };
}
"""


def evaluation_page(report: EvaluationReport) -> bytes:
    """The page as HTML in UTF-8; it loads nothing from elsewhere.

    For each metric of each method the worst three images are shown: degraded if given, each method, reference.
    """
    parts = [
        "<h1>Evaluation</h1>",
        f'<p class="note">{escape(report.basis)}. Intervals: 95 %, percentile bootstrap over images, '
        f"{report.resamples} resamples, seed {report.seed}. rethink-fr {escape(report.versions['rethink_fr'])}.</p>",
        *_summary(report),
        *_networks(report),
        *_curves(report),
        *_problems(report),
        *_rows(report),
    ]
    return page("Evaluation", "\n".join(parts), _STYLE, _SCRIPT if report.rows else "")


def _summary(report: EvaluationReport) -> List[str]:
    top = best(report)
    heads = "".join(f'<th class="number">{escape(column)}</th>' for column in report.columns)
    lines = [f'<div class="scroll"><table><tr><th>Metric</th>{heads}<th>Definition</th></tr>']
    for name in dict.fromkeys(figure.metric for figure in report.figures):
        figures = [report.cells.get((name, column)) for column in report.columns]
        one = next(figure for figure in figures if figure)
        cells = "".join(
            _summary_cell(figure, figure is not None and _is_best(report, figure, top)) for figure in figures
        )
        title = f"{one.title} {'↑' if one.better == 'higher' else '↓'}"
        lines.append(f'<tr><td>{escape(title)}</td>{cells}<td class="note">{escape(one.definition)}</td></tr>')
    return [*lines, "</table></div>"]


def _is_best(report: EvaluationReport, figure: Figure, top: Dict[str, str]) -> bool:
    return len(report.methods) > 1 and figure.images in report.methods and figure.text == top[figure.metric]


def _summary_cell(figure: Union[Figure, None], bold: bool) -> str:
    if figure is None:
        return '<td class="number">-</td>'
    value = f"<b>{figure.text}</b>" if bold else figure.text
    interval = ""
    if figure.interval is not None:
        low, high = (f"{end:.{figure.digits}f}" for end in figure.interval)
        interval = f'<br><span class="note">[{low}, {high}]</span>'
    return f'<td class="number" title="{figure.count} samples">{value} {escape(figure.unit)}{interval}</td>'


def _networks(report: EvaluationReport) -> List[str]:
    given = [f"{need}: {network['name']}, SHA-256 {network['sha256']}" for need, network in report.networks.items()]
    given += [f"{need}: {file['file']}, SHA-256 {file['sha256']}" for need, file in report.statistics.items()]
    return ['<p class="note">' + "<br>".join(map(escape, given)) + "</p>"] if given else []


def _curves(report: EvaluationReport) -> List[str]:
    charts = []
    for name in ("iprecision", "irecall", "precision", "recall"):
        figures = [figure for figure in report.figures if figure.metric == name and figure.by_k]
        if figures:
            charts.append(curve_chart(figures[0].title, figures))
    if not charts:
        return []
    key = "".join(
        f'<span style="background:{COLOURS[place % len(COLOURS)]}"></span>{escape(what)}'
        for place, what in enumerate(report.columns)
    )
    return ["<h2>Neighbourhoods of k features</h2>", f'<p class="key">{key}</p>', *charts]


def _problems(report: EvaluationReport) -> List[str]:
    lines = [*report.failed, *report.missing, *report.left_out]
    if not lines:
        return []
    items = "".join(f"<li>{escape(what)}: {escape(reason)}</li>" for what, reason in lines)
    return ["<h2>Not used or not computed</h2>", f"<ul>{items}</ul>"]


def _rows(report: EvaluationReport) -> List[str]:
    """The table of images, sorted by the first metric of the first method, worst first."""
    if not report.rows:
        return []
    offered = METRICS[report.protocol]
    columns = [(name, what) for name in report.rows[0].values[report.columns[0]] for what in report.columns]
    shown = _worst(report, columns)
    heads = ["<th tabindex=0>Image</th>"]
    for name, what in columns:
        worst = "low" if offered[name].better == "higher" else "high"
        title = offered[name].title
        label = f"{title}, {what}" if len(report.columns) > 1 else title
        first = f' aria-sort="{"ascending" if worst == "low" else "descending"}"' if len(heads) == 1 else ""
        heads.append(f'<th tabindex=0 class="number" data-worst="{worst}"{first}>{escape(label)}</th>')
    if not columns:
        return []
    lines = [
        "<h2>Images</h2>",
        '<p class="note">Sorted by the marked column, worst first; click on another. '
        f"The {_WORST} worst of each metric and method have pictures.</p>",
        f'<div class="scroll"><table id="rows"><thead><tr>{"".join(heads)}</tr></thead>',
    ]
    for row in _sorted(report.rows, *columns[0], worst_first=offered[columns[0][0]].better):
        cells = [f"<td>{escape(row.name)}{f' ({escape(row.identity)})' if row.identity else ''}</td>"]
        cells += [_row_cell(row.values[what][name]) for name, what in columns]
        pictures = ""
        if row.name in shown:
            pictures = f'<tr><td class="pictures" colspan="{len(columns) + 1}">{_pictures(report, row)}</td></tr>'
        lines.append(f"<tbody><tr>{''.join(cells)}</tr>{pictures}</tbody>")
    return [*lines, "</table></div>"]


def _row_cell(value: float) -> str:
    number = "Infinity" if np.isposinf(value) else "-Infinity" if np.isneginf(value) else repr(value)
    return f'<td class="number" data-value="{number}">{value:.4g}</td>'


def _sorted(rows: Sequence[Row], name: str, what: str, worst_first: str) -> List[Row]:
    return sorted(rows, key=lambda row: row.values[what][name], reverse=worst_first == "lower")


def _worst(report: EvaluationReport, columns: Sequence[tuple]) -> Set[str]:
    offered = METRICS[report.protocol]
    return {
        row.name
        for name, what in columns
        if what in report.methods
        for row in _sorted(report.rows, name, what, offered[name].better)[:_WORST]
    }


def _pictures(report: EvaluationReport, row: Row) -> str:
    order = [what for what in ("degraded", *report.methods, "reference") if what in row.files]
    figures = []
    for what in order:
        try:
            uri = as_data_uri(read_image(row.files[what]), _SIDE)
        except UnreadableImage as error:  # it was readable a moment ago
            figures.append(f"<figure>{escape(str(error))}</figure>")
            continue
        figures.append(
            f'<figure><img src="{uri}" alt="{escape(what)} of {escape(row.name)}">'
            f"<figcaption>{escape(what)}</figcaption></figure>"
        )
    return "".join(figures)
