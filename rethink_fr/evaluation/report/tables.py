"""The tables of an evaluation: for the terminal, and for papers in LaTeX or Markdown.

Written here rather than by a package such as tabulate: ours are these few lines, and what it would have to be told
(bold cells next to escaped ones, arrows, file names that are not Unicode) is most of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List, Sequence, Set, Tuple, Union

from rethink_fr.evaluation.report.contents import EvaluationReport, Figure
from rethink_fr.files.names import printable
from rethink_fr.metrics.metric import Metric

_ESCAPES = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def as_terminal(report: EvaluationReport) -> List[str]:
    """Lines for the terminal: a line for each metric, a column for each folder."""
    lines = [["metric", "better", *map(printable, report.columns)]]
    for metric in report.shown:
        cells = [report.cells.get((metric.name, folder)) for folder in report.columns]
        lines.append(
            [metric.name, _better(report, metric), *(_terminal(figure) if figure else "-" for figure in cells)]
        )
    deviation = " ± deviation over samples" if max(report.samples.values()) > 1 else ""
    return [f"{report.basis}; mean{deviation} [95 % interval]", *aligned(lines)]


def aligned(rows: Sequence[Sequence[str]]) -> List[str]:
    """Rows of cells as lines whose columns begin one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def table_text(report: EvaluationReport, path: Union[str, Path]) -> str:
    """The table of a paper, in the language that the ending of `path` names: LaTeX (`.tex`) or Markdown (`.md`).

    Methods are rows, metrics are columns. The best method of each metric is bold, and every method that shows the same
    digits. Degraded pictures, which are there for comparison, never are, and no method is where they are better than
    all. The metrics' definitions follow below.

    Raises:
        ValueError: for another ending.
    """
    suffix = Path(path).suffix
    if suffix not in (".tex", ".md"):
        raise ValueError(f"{printable(path)}: expected a name ending in .tex or .md")
    return as_latex(report) if suffix == ".tex" else as_markdown(report)


def as_latex(report: EvaluationReport) -> str:
    """A `tabular` for the package booktabs, with the definitions as comments."""
    arrows = {"higher": r"$\uparrow$", "lower": r"$\downarrow$", "nearer": r"$\rightarrow$"}
    head = ["Method", *(f"{in_latex(_title(one))} {_arrow(report, one, arrows[one.better])}" for one in report.shown)]
    rows = _rows(report, bold=lambda text: f"\\textbf{{{text}}}", escape=in_latex, plus_minus=r"$\pm$")
    lines = [f"% {report.basis}; needs \\usepackage{{booktabs}}", *latex_lines([head, *rows])]
    lines += [f"% {metric.name}: {metric.definition}" for metric in report.shown]
    return "\n".join(lines) + "\n"


def as_markdown(report: EvaluationReport) -> str:
    """A table in GitHub's Markdown, with the definitions as a list."""
    rows = _rows(report, bold=lambda text: f"**{text}**", escape=in_markdown, plus_minus="±")
    head = ["Method", *(f"{_title(one)} {_arrow(report, one, one.arrow)}" for one in report.shown)]
    lines = [
        *markdown_lines([head, *rows]),
        "",
        f"{report.basis[0].upper()}{report.basis[1:]}.",
        "",
    ]
    lines += [f"* {_title(metric)}: {in_markdown(metric.definition)}." for metric in report.shown]
    return "\n".join(lines) + "\n"


def latex_lines(rows: Sequence[Sequence[str]]) -> List[str]:
    """Rows of cells that LaTeX can read, the head first, as a `tabular` of the package booktabs."""
    head, *others = (" & ".join(row) + r" \\" for row in rows)
    begin = f"\\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}"
    return [begin, "\\toprule", head, "\\midrule", *others, "\\bottomrule", "\\end{tabular}"]


def markdown_lines(rows: Sequence[Sequence[str]]) -> List[str]:
    """Rows of cells that Markdown can read, the head first, as a table of GitHub's Markdown."""
    head, *others = ("| " + " | ".join(row) + " |" for row in rows)
    return [head, "|---" * len(rows[0]) + "|", *others]


def best_cells(report: EvaluationReport) -> Set[Tuple[str, str]]:
    """The cells (metric, method) that are the best of their metric, as far as the digits that are shown tell.

    None is, where the degraded pictures are better than all methods. That does not count for a metric which compares
    with the degraded pictures themselves.
    """
    best = set()
    for metric in report.shown:
        cells = {method: report.cells.get((metric.name, method)) for method in report.methods}
        figures = {method: figure for method, figure in cells.items() if figure is not None}
        if figures:
            top = min(figures.values(), key=lambda figure: figure.badness)
            input_ = report.cells.get((metric.name, "degraded")) if "degraded" not in metric.needs else None
            if input_ is None or input_.badness >= top.badness:
                best |= {(metric.name, method) for method, figure in figures.items() if figure.text == top.text}
    return best


def _rows(
    report: EvaluationReport, bold: Callable[[str], str], escape: Callable[[str], str], plus_minus: str
) -> List[List[str]]:
    """The degraded pictures first, as papers have their input; then the methods in the order given."""
    best, rows = best_cells(report), []
    for folder in sorted(report.columns, key=lambda column: column != "degraded"):
        row = [escape(folder)]
        for metric in report.shown:
            figure = report.cells.get((metric.name, folder))
            text = figure.text if figure else "-"
            text = bold(text) if (metric.name, folder) in best else text
            row.append(f"{text} {plus_minus} {figure.deviation_text}" if figure and figure.deviation_text else text)
        rows.append(row)
    return rows


def _terminal(figure: Figure) -> str:
    deviation = f"± {figure.deviation_text}" if figure.deviation_text else ""
    return " ".join(part for part in (figure.text, deviation, figure.metric.unit, figure.interval_text) if part)


def _better(report: EvaluationReport, metric: Metric) -> str:
    return f"near {report.direction(metric)}" if metric.better == "nearer" else metric.better


def _arrow(report: EvaluationReport, metric: Metric, arrow: str) -> str:
    return " ".join(part for part in (arrow, report.direction(metric)) if part)


def _title(metric: Metric) -> str:
    return with_unit(metric.title, metric.unit)


def with_unit(title: str, unit: str) -> str:
    """A metric's title as heads of columns show it; `unit` may be empty."""
    return f"{title} ({unit})" if unit else title


def in_latex(text: str) -> str:
    """A text as LaTeX shows it."""
    return "".join(_ESCAPES.get(character, character) for character in printable(text))


def in_markdown(text: str) -> str:
    """A text as GitHub's Markdown shows it."""
    return "".join(f"\\{character}" if character in "\\|*_`<[~" else character for character in printable(text))
