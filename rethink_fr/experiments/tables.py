"""An experiment's table as Markdown and LaTeX, made of `table.json` alone: see `rethink_fr.experiments.results`."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

from rethink_fr.evaluation.report.tables import in_latex, in_markdown, latex_lines, markdown_lines, with_unit
from rethink_fr.experiments.measuring import SAMPLES

Table = Mapping[str, Any]
_SIGNS = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "±": r"$\pm$"}


def caption(table: Table, part: Table) -> str:
    """What the rows of a part of the table are of."""
    if part["kind"] == SAMPLES:
        return f"{table['draws']} samples of each picture"
    others = [one for one in table["variants"] if one["noise_scale"]]
    return f"One answer (noise 0{', unless the variant is of another' if others else ''})"


def columns(table: Table, part: Table) -> List[str]:
    """The columns of a part: metrics of ours, then what only the paper has."""
    ours = [name for name in table["metrics"] if any(name in row["cells"] for row in part["rows"])]
    papers = dict.fromkeys(name for row in part["rows"] for name in row["paper"] if name not in ours)
    return [*ours, *papers]


def title(table: Table, name: str) -> str:
    """The head of a column, without arrow."""
    about = table["metrics"].get(name)
    if about is None:
        return f"{name} (paper)"
    return with_unit(about["title"], about["unit"])


def arrow(table: Table, part: Table, name: str) -> str:
    """Which way is better; of a metric that should be near a value, the value."""
    about = table["metrics"].get(name)
    if about is None:
        return ""
    cells = [row["cells"][name] for row in part["rows"] if name in row["cells"]]
    ideals = sorted({cell["ideal"] for cell in cells if "ideal" in cell})
    return " ".join([about["arrow"], " or ".join(f"{ideal:.{about['decimals']}f}" for ideal in ideals)]).strip()


def number(table: Table, name: str, value: Any, sign: bool = False) -> str:
    """A number as people read it."""
    return f"{float(value):{'+' if sign else ''}.{table['metrics'][name]['decimals']}f}"


def interval(table: Table, name: str, ends: Any, sign: bool = False) -> str:
    """An interval as people read it; empty if there is none."""
    return "" if ends is None else f"[{', '.join(number(table, name, end, sign) for end in ends)}]"


def as_markdown(table: Table) -> str:
    """The page of an experiment in GitHub's Markdown: figures, differences, and what it takes to repeat them."""
    lines = [
        f"# {in_markdown(table['title'])}",
        "",
        f"After {in_markdown(table['source'])}. {about(table)}",
        "",
    ]
    for part in table["tables"]:
        lines += [
            f"## {caption(table, part)}",
            "",
            *markdown_lines(figures(table, part, "**{}**".format, in_markdown)),
            "",
        ]
        differences = changes(table, part, in_markdown)
        if len(differences) > 1:
            base = next(one["label"] for one in table["variants"] if one["name"] == table["compare_to"])
            lines += [f"Difference to {in_markdown(base)}:", "", *markdown_lines(differences), ""]
    problems = problem_lines(table)
    if problems:
        lines += ["## Not there", "", *(f"* {in_markdown(line)}" for line in problems), ""]
    lines += ["## How to repeat it", "", "```bash", table["command"], "```", ""]
    lines += [*markdown_lines(run_rows(table, in_markdown)), "", "The first run of each variant:", "", "```bash"]
    lines += [command for one in table["variants"] for command in first_commands(one)]
    lines += ["```", "", f"Intervals: {in_markdown(table['intervals'])}.", ""]
    lines += [f"* {title(table, name)}: {in_markdown(one['definition'])}." for name, one in table["metrics"].items()]
    return "\n".join(lines) + "\n"


def as_latex(table: Table) -> str:
    """A `tabular` for the package booktabs for each part, with definitions as comments."""
    lines = [f"% {in_latex(table['title'])}, after {in_latex(table['source'])}; needs \\usepackage{{booktabs}}"]
    lines.append(f"% {in_latex(about(table))}")
    for part in table["tables"]:
        rows = figures(table, part, "\\textbf{{{}}}".format, in_latex)
        for sign, tex in _SIGNS.items():
            rows = [[cell.replace(sign, tex) for cell in row] for row in rows]
        lines += ["", f"% {in_latex(caption(table, part))}", *latex_lines(rows)]
    lines += [f"% {name}: {one['definition']}" for name, one in table["metrics"].items()]
    lines += [f"% {in_latex(line)}" for line in problem_lines(table)]
    return "\n".join(lines) + "\n"


def about(table: Table) -> str:
    """What all figures have in common, in a sentence or two."""
    faces = table["faces"]
    who = "" if faces["people"] is None else f" of {faces['people']} people"
    seeds = ", ".join(map(str, table["seeds"]))
    return (
        f"{faces['pictures']} test pictures{who} ({faces['source']}) at {faces['resolution']} px; seeds {seeds}; "
        f"{table['hours']:.2f} hours of training and measuring; {table['date']}."
    )


def figures(table: Table, part: Table, bold: Callable[[str], str], escape: Callable[[str], str]) -> List[List[str]]:
    """The cells of a part's table, head first: ours with intervals, and the paper's beside them."""
    names = columns(table, part)
    papers = {name for name in names if any(name in row["paper"] for row in part["rows"])}
    head = ["Variant"]
    for name in names:
        if name in table["metrics"]:
            head.append(f"{escape(title(table, name))} {arrow(table, part, name)}")
        if name in papers:
            head.append("paper" if name in table["metrics"] else escape(title(table, name)))
    rows = [head]
    for row in part["rows"]:
        cells = [escape(row["label"])]
        for name in names:
            if name in table["metrics"]:
                cells.append(_figure(table, name, row["cells"].get(name), bold))
            if name in papers:
                cells.append(escape(str(row["paper"].get(name, "-"))))
        rows.append(cells)
    return rows


def changes(table: Table, part: Table, escape: Callable[[str], str]) -> List[List[str]]:
    """The cells of the table of differences, head first."""
    names = [name for name in columns(table, part) if name in table["metrics"]]
    rows = [["Variant", *(escape(title(table, name)) for name in names)]]
    for row in part["rows"]:
        found = [row["cells"].get(name, {}).get("difference") for name in names]
        if any(found):
            rows.append([escape(row["label"]), *(_change(table, name, one) for name, one in zip(names, found))])
    return rows


def run_rows(table: Table, escape: Callable[[str], str]) -> List[List[str]]:
    """A row for each variant: seeds, steps, hours of training, commits."""
    rows = [["Variant", "seeds", "steps", "hours", "commit"]]
    for one in table["variants"]:
        runs = one["runs"]
        steps = sorted({run["steps"] for run in runs if run["steps"] is not None})
        span = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}" if steps else "-"
        rows.append(
            [
                escape(one["label"]),
                ", ".join(str(run["seed"]) for run in runs) or "-",
                span,
                f"{sum(run['hours'] for run in runs):.2f}" if runs else "-",
                ", ".join(dict.fromkeys(commit for run in runs for commit in (run["commit"], run["measured_at"])))
                or "-",
            ]
        )
    return rows


def first_commands(variant: Mapping[str, Any]) -> List[str]:
    """The commands that train a variant's first run, and the one that it starts from."""
    for run in variant["runs"][:1]:
        return [*([run["start"]["command"]] if "start" in run else []), run["command"]]
    return []


def problem_lines(table: Table) -> List[str]:
    """What failed, was not done or could not be measured, in words."""
    lines = []
    for one in table["variants"]:
        lines += [f"{one['label']}, seed {failed['seed']}: failed, {failed['reason']}" for failed in one["failed"]]
        if one["not_done"]:
            lines.append(f"{one['label']}: not done with seed {', '.join(map(str, one['not_done']))}")
    return lines + [f"{one['metric']}: not measured, {one['reason']}" for one in table["left_out"]]


def _figure(table: Table, name: str, cell: Any, bold: Callable[[str], str]) -> str:
    if cell is None:
        return "-"
    text = number(table, name, cell["mean"])
    deviation = cell.get("deviation_over_draws")
    parts = [bold(text) if cell.get("best") else text]
    parts += [f"± {number(table, name, deviation)}"] if deviation is not None else []
    parts += [interval(table, name, cell["interval"])]
    return " ".join(part for part in parts if part)


def _change(table: Table, name: str, difference: Any) -> str:
    if difference is None:
        return "-"
    shown = number(table, name, difference["mean"], sign=True)
    ends = interval(table, name, difference["interval"], sign=True)
    return " ".join(part for part in (shown, ends, difference["verdict"]) if part)


def as_terminal(table: Table) -> Dict[str, List[List[str]]]:
    """The cells of each part's table as the terminal shows them, by caption."""
    return {caption(table, part): figures(table, part, str, str) for part in table["tables"]}
