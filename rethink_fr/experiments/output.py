"""What an experiment ends with: its tables and page, what it prints, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from rethink_fr.errors import report_failures
from rethink_fr.evaluation.report.tables import aligned
from rethink_fr.experiments.folder import Folder
from rethink_fr.experiments.page import experiment_page
from rethink_fr.experiments.plan import Cell, Plan
from rethink_fr.experiments.results import make_table
from rethink_fr.experiments.tables import about, as_latex, as_markdown, as_terminal
from rethink_fr.experiments.work import failure
from rethink_fr.files.names import printable
from rethink_fr.files.writing import write_bytes, write_text


def write_results(
    plan: Plan, folder: Folder, cells: Sequence[Cell], command: Sequence[str], publish: Optional[Path]
) -> int:
    """Write the tables and the page, print the table, and list what failed.

    Args:
        plan: of the experiment.
        folder: its folder.
        cells: what this call was to do.
        command: what followed `rethink-fr` in it.
        publish: folder in which the table is written as NAME.md and NAME.json, too.

    Returns:
        The exit code.

    Raises:
        WriteError: if something cannot be written.
    """
    table = make_table(plan, folder, command)
    write_text(folder.path / "table.json", table_json(table))
    write_text(folder.path / "table.md", as_markdown(table))
    write_text(folder.path / "table.tex", as_latex(table))
    write_bytes(folder.path / "page.html", experiment_page(plan, folder, table))
    if publish is not None:
        write_text(publish / f"{plan.name}.json", table_json(table))
        write_text(publish / f"{plan.name}.md", as_markdown(table))
    print("\n".join(_printed(table)))
    failed: List[Tuple[str, str]] = []
    for cell in cells:
        reason = failure(folder, cell)
        if reason is not None:
            failed.append((cell.title, reason))
    if plan.options.metrics is not None:  # asked for by name
        failed += [(one["metric"], one["reason"]) for one in table["left_out"]]
    elif table["left_out"]:
        names = ", ".join(one["metric"] for one in table["left_out"])
        print(f"left out: {names}; table.md says why")
    print(f"table and page: {printable(folder.path)}/table.md, table.tex, table.json, page.html")
    return report_failures(failed)


def table_json(table: Mapping[str, Any]) -> str:
    """The text of `table.json`."""
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def _printed(table: Dict[str, Any]) -> List[str]:
    lines = [about(table)]
    for caption, rows in as_terminal(table).items():
        lines += ["", caption, *aligned(rows)]
    return lines
