"""An experiment as a web page in one file: its tables, curves of training, and pictures side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from markupsafe import Markup, escape

from rethink_fr.evaluation.pages import as_data_uri, page
from rethink_fr.evaluation.report.curves import colour
from rethink_fr.experiments.charts import Line, line_chart
from rethink_fr.experiments.folder import Folder
from rethink_fr.experiments.measuring import ANSWER, SAMPLES
from rethink_fr.experiments.plan import Cell, Plan
from rethink_fr.experiments.tables import (
    about,
    caption,
    changes,
    figures,
    first_commands,
    problem_lines,
    run_rows,
)
from rethink_fr.pictures.files import UnreadableImage, read_image
from rethink_fr.runs.folder import METRICS
from rethink_fr.runs.records import read_records

_FACES = 6  # rows of a grid
_SAMPLES = 4  # columns of a grid of samples
_SIDE = 256  # pixels of the largest picture
_CHARTS = 7
_FIRST = "validation/psnr"
_MARK = "\x02"  # where bold text begins and ends; no label holds it
_BOLD = f"{_MARK}{{}}{_MARK}"


def experiment_page(plan: Plan, folder: Folder, table: Mapping[str, Any]) -> bytes:
    """The page as HTML in UTF-8.

    Args:
        plan: of the experiment.
        folder: its folder.
        table: see `rethink_fr.experiments.results.make_table`.
    """
    labels = {one.name: one.label for one in plan.definition.variants}
    return page(
        "experiment.html",
        table=table,
        about=about(table),
        base=labels[table["compare_to"]],
        parts=[
            {
                "caption": caption(table, part),
                "figures": [list(map(_with_bold, row)) for row in figures(table, part, _BOLD.format, str)],
                "changes": changes(table, part, str),
            }
            for part in table["tables"]
        ],
        problems=problem_lines(table),
        key=[(one.label, colour(place)) for place, one in enumerate(plan.definition.variants) if not one.run_of],
        charts=_charts(plan, folder),
        grids=_grids(plan, folder),
        runs=run_rows(table, str),
        commands=[command for one in table["variants"] for command in first_commands(one)],
    )


def _with_bold(cell: str) -> Markup:
    """A cell with its marks as elements; what stands in it is escaped before."""
    return Markup(str(escape(cell)).replace(_MARK, "<b>", 1).replace(_MARK, "</b>", 1))


def _charts(plan: Plan, folder: Folder) -> List[Markup]:
    """PSNR of the validation faces, and the losses, over the steps of all runs."""
    lines: Dict[str, List[Line]] = {}
    for place, variant in enumerate(plan.definition.variants):
        for cell in plan.cells:
            if cell.variant.name != variant.name or variant.run_of:
                continue
            for name, points in _curves(cell.run.folder(folder.path) / METRICS).items():
                shown = f"{variant.label}, seed {cell.seed}"
                lines.setdefault(name, []).append(Line(shown, colour(place), points))
    names = sorted(lines, key=lambda name: (name != _FIRST, -len(lines[name])))
    found = []
    for name in names[:_CHARTS]:
        try:
            found.append(line_chart(name.replace("loss/", "loss: "), lines[name]))
        except ValueError:  # nothing finite
            continue
    return found


def _curves(path: Path) -> Dict[str, List[Tuple[float, float]]]:
    found: Dict[str, List[Tuple[float, float]]] = {}
    for record in read_records(path):
        for name, value in record.items():
            if name == _FIRST or name.startswith("loss/"):
                found.setdefault(name, []).append((record["step"], value))
    return found


def _grids(plan: Plan, folder: Folder) -> List[Dict[str, Any]]:
    """Faces as rows; a column for each variant, and for each with samples a grid of these."""
    clean = sorted(folder.clean.rglob("*.png"))
    chosen = clean[:: max(1, len(clean) // _FACES)][:_FACES]
    names = [path.relative_to(folder.clean).with_suffix("").as_posix() for path in chosen]
    first: Dict[str, Cell] = {}  # the first seed of each variant that was restored
    for cell in plan.cells:
        if (folder.restored(cell) / ANSWER).is_dir():
            first.setdefault(cell.variant.name, cell)
    ends = ([("degraded", folder.degraded, "")], [("clean", folder.clean, "")])
    answers = [(_head(cell), folder.restored(cell) / ANSWER, "") for cell in first.values()]
    grids = [_grid("Pictures", names, [*ends[0], *answers, *ends[1]])]
    for cell in first.values():
        samples = folder.restored(cell) / SAMPLES
        if samples.is_dir():
            columns = [
                (f"sample {number}", samples, f"_{number}")
                for number in range(1, min(_SAMPLES, plan.definition.measure.draws) + 1)
            ]
            answer = ("noise 0", folder.restored(cell) / ANSWER, "")
            grids.append(_grid(f"Samples: {_head(cell)}", names, [*ends[0], answer, *columns, *ends[1]]))
    return grids


def _head(cell: Cell) -> str:
    return f"{cell.variant.label}, seed {cell.seed}"


def _grid(title: str, names: Sequence[str], columns: Sequence[Tuple[str, Path, str]]) -> Dict[str, Any]:
    rows = [
        {"name": name, "pictures": [_picture(where / f"{name}{end}.png") for _, where, end in columns]}
        for name in names
    ]
    return {"title": title, "heads": [head for head, _, _ in columns], "rows": rows}


def _picture(path: Path) -> Optional[str]:
    try:
        picture = read_image(path)
    except UnreadableImage:  # another process is at it
        return None
    return as_data_uri(picture, _SIDE, lossless=max(picture.shape[:2]) <= 128)
