"""The table of a paper from an evaluation: methods as rows, metrics as columns, for LaTeX or Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, Union

from rethink_fr.evaluation.report.contents import EvaluationReport, Figure
from rethink_fr.files.names import printable

_ESCAPES = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def table_text(report: EvaluationReport, path: Union[str, Path]) -> str:
    """The table in the language that the ending of `path` names: LaTeX (`.tex`) or Markdown (`.md`).

    The best method of each metric is bold, every method that shows the same digits with it; the degraded images, for
    comparison only, are not. Definitions follow below.

    Raises:
        ValueError: for another ending.
    """
    writers: Dict[str, Callable[[EvaluationReport], str]] = {".tex": as_latex, ".md": as_markdown}
    suffix = Path(path).suffix
    if suffix not in writers:
        raise ValueError(f"{printable(path)}: expected a name ending in .tex or .md")
    return writers[suffix](report)


def as_latex(report: EvaluationReport) -> str:
    """A `tabular` for the package booktabs, with the definitions as comments."""
    metrics = _metrics(report)
    arrows = {"higher": r"$\uparrow$", "lower": r"$\downarrow$"}
    lines = [
        f"% {report.basis}; needs \\usepackage{{booktabs}}",
        f"\\begin{{tabular}}{{l{'r' * len(metrics)}}}",
        "\\toprule",
        " & ".join(["Method", *(f"{_latex(_title(one))} {arrows[one.better]}" for one in metrics.values())]) + r" \\",
        "\\midrule",
    ]
    for row in _rows(report, bold=lambda text: f"\\textbf{{{text}}}", escape=_latex):
        lines.append(" & ".join(row) + r" \\")
    lines += ["\\bottomrule", "\\end{tabular}"]
    lines += [f"% {name}: {one.definition}" for name, one in metrics.items()]
    return "\n".join(lines) + "\n"


def as_markdown(report: EvaluationReport) -> str:
    """A table in GitHub's Markdown, with the definitions as a list."""
    metrics = _metrics(report)
    arrows = {"higher": "↑", "lower": "↓"}
    lines = [
        "| " + " | ".join(["Method", *(f"{_title(one)} {arrows[one.better]}" for one in metrics.values())]) + " |",
        "|---" * (len(metrics) + 1) + "|",
        *("| " + " | ".join(row) + " |" for row in _rows(report, bold=lambda text: f"**{text}**", escape=_markdown)),
        "",
        f"{report.basis[0].upper()}{report.basis[1:]}.",
        "",
    ]
    lines += [f"* {_title(one)}: {_markdown(one.definition)}." for one in metrics.values()]
    return "\n".join(lines) + "\n"


def best(report: EvaluationReport) -> Dict[str, str]:
    """The best value of each metric among the methods, as text."""
    found: Dict[str, str] = {}
    for name, one in _metrics(report).items():
        figures = [report.cells[name, method] for method in report.methods if (name, method) in report.cells]
        pick = max if one.better == "higher" else min
        if figures:
            found[name] = pick(figures, key=lambda figure: figure.value).text
    return found


def _rows(report: EvaluationReport, bold: Callable[[str], str], escape: Callable[[str], str]) -> List[List[str]]:
    """The degraded images first, as papers have their input; then the methods as they were given."""
    top = best(report)
    rows = []
    for what in sorted(report.columns, key=lambda column: column != "degraded"):
        row = [escape(what)]
        for name in _metrics(report):
            figure = report.cells.get((name, what))
            text = figure.text if figure else "-"
            row.append(bold(text) if figure and what in report.methods and text == top[name] else text)
        rows.append(row)
    return rows


def _metrics(report: EvaluationReport) -> Dict[str, Figure]:
    """One figure of each metric, for what all of them share."""
    metrics: Dict[str, Figure] = {}
    for figure in report.figures:
        metrics.setdefault(figure.metric, figure)
    return metrics


def _title(figure: Figure) -> str:
    return figure.title + (f" ({figure.unit})" if figure.unit else "")


def _latex(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in printable(text))


def _markdown(text: str) -> str:
    return "".join(f"\\{character}" if character in "\\|*_`<[~" else character for character in printable(text))
