"""What is shown: figures, differences, failures, the paper's numbers, and that docs/ shows what its JSON files hold."""

import json
import re

import numpy as np
import pytest

from rethink_fr.cli import main
from rethink_fr.experiments.charts import Line, line_chart, ticks
from rethink_fr.experiments.output import table_json, write_results
from rethink_fr.experiments.results import make_table
from rethink_fr.experiments.tables import as_latex, as_markdown, figures
from tests.command_line import ROOT
from tests.experiments.fakes import SMALL, carry_out, make

PUBLISHED = sorted((ROOT / "docs" / "experiments").glob("*.*"))


def finished(tmp_path, **keys):
    plan = make(tmp_path, **keys)
    return plan, carry_out(plan)


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.name)
def test_tables_in_docs_are_those_of_the_json_files_beside_them(path):
    assert path.suffix in (".md", ".json") and path.with_suffix(".json").is_file()
    table = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert path.with_suffix(".md").read_text(encoding="utf-8") == as_markdown(table)
    for variant in table["variants"]:
        for run in variant["runs"]:  # each number names its command, commit, seed and hours
            assert run["command"].startswith("rethink-fr train") and run["measured_by"] and run["hours"] > 0
            assert re.fullmatch(r"[0-9a-f]{12}\+?|version .+", run["commit"]) and isinstance(run["seed"], int)


def test_a_table_has_figures_intervals_differences_and_the_papers_numbers(tmp_path, children):
    plan, folder = finished(tmp_path)
    table = make_table(plan, folder, ["experiment", "small"])
    part = table["tables"][0]
    head, degraded, base, full = figures(table, part, "**{}**".format, str)
    assert head == ["Variant", "PSNR (dB) ↑", "paper", "SSIM ↑", "FID (paired) ↓", "paper", "votes (paper)"]
    assert degraded[0] == "degraded input" and base[2] == "26.85" and base[5] == "20.02" and full[6] == "31 %"
    assert re.fullmatch(r"\*\*2[01]\.\d\d\*\* \[20\.\d\d, 21\.\d\d\]", full[1]) and "**" not in base[1]
    assert "**" not in full[3]  # the degraded input is better
    cell = next(row for row in part["rows"] if row["name"] == "full")["cells"]["psnr"]
    assert cell["difference"]["verdict"] == "better" and list(cell["by_seed"]) == ["1", "2"]
    np.testing.assert_allclose(cell["difference"]["mean"], 1.0, atol=1e-6)
    runs = table["variants"][0]["runs"]
    assert [run["seed"] for run in runs] == [1, 2] and runs[0]["hours"] > 0 and "train" in runs[0]["command"]
    assert table["left_out"] == [{"metric": "fid_statistics", "reason": "needs statistics"}]
    assert json.loads(table_json(table)) == table


def test_what_is_not_there_is_said(tmp_path, children):
    children.fails = {"train full/seed2": "killed"}
    plan, folder = finished(tmp_path)
    text = as_markdown(make_table(plan, folder, ["experiment"]))
    assert "* all \\| of \\*it\\*, seed 2: failed, training: killed" in text
    plan = make(tmp_path, seeds=[1, 2, 3])
    folder.begin(plan)
    assert "base: not done with seed 3" in as_markdown(make_table(plan, folder, ["experiment"]))


def test_a_table_of_nothing_can_be_written(tmp_path, children):
    children.fails = {"train": "killed"}
    plan, folder = finished(tmp_path)
    assert write_results(plan, folder, plan.cells, ["experiment"], None) == 1
    assert "failed, training: killed" in (folder.path / "table.md").read_text(encoding="utf-8")


def test_results_are_written_and_published(tmp_path, children, capsys):
    plan, folder = finished(tmp_path)
    assert write_results(plan, folder, plan.cells, ["experiment", "small"], tmp_path / "docs") == 0
    printed = capsys.readouterr().out
    assert "all | of *it*" in printed and "left out: fid_statistics" in printed
    page = (folder.path / "page.html").read_text(encoding="utf-8")
    assert "A small &lt;experiment&gt;" in page and page.count("<b>") == 3 and "\x02" not in page
    assert page.count("<svg") == 2 and page.count("data:image/png") == 4 * 6
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    latex = (folder.path / "table.tex").read_text(encoding="utf-8")
    assert r"\textbf{21." in latex and "↑" not in latex.split("% psnr:")[0]
    for suffix in (".md", ".json"):
        assert (tmp_path / "docs" / f"small{suffix}").read_bytes() == (folder.path / f"table{suffix}").read_bytes()
    table = json.loads((tmp_path / "docs" / "small.json").read_text(encoding="utf-8"))
    assert as_markdown(table) == (folder.path / "table.md").read_text(encoding="utf-8")
    assert as_latex(table) == latex


def test_metrics_that_were_asked_for_in_the_call_may_not_be_missing(tmp_path, children, capsys):
    plan, folder = finished(tmp_path, options={"metrics": ("psnr", "fid")})
    assert write_results(plan, folder, plan.cells, ["experiment"], None) == 1
    assert "fid_statistics: needs statistics" in capsys.readouterr().err


def test_the_command_goes_from_the_file_to_the_page(tmp_path, children, capsys):
    make(tmp_path)
    call = ["experiment", str(tmp_path / "small.yaml"), "--output", str(tmp_path / "out"), "--seeds", "1"]
    assert main(call) == 0
    assert {place for _, place in children.calls} == {"base/seed1", "full/seed1"}
    children.fails = {"train full/seed2": "killed"}
    assert main(call[:4] + ["--processes", "2"]) == 1
    assert "full, seed 2: training: killed" in capsys.readouterr().err
    table = json.loads((tmp_path / "out" / "table.json").read_text(encoding="utf-8"))
    assert table["command"].startswith("rethink-fr experiment") and "--seeds" not in table["command"]


def test_a_variant_that_only_restores_otherwise_has_no_run_of_its_own(tmp_path, children):
    children.quality["half"] = 20.5
    variants = [*SMALL["variants"], {"name": "half", "run_of": "full", "restore": {"noise_scale": 0.5}}]
    plan, folder = finished(tmp_path, variants=variants)
    assert ("train", "half/seed1") not in children.calls and ("measure", "half/seed1") in children.calls
    table = make_table(plan, folder, ["experiment"])
    assert "## One answer (noise 0, unless the variant is of another)" in as_markdown(table)
    run = table["variants"][2]["runs"][0]
    assert "/runs/full/seed1" in run["command"] and "--noise-scale 0.5" in run["measured_by"][0]


def test_charts_take_what_runs_record():
    assert ticks(18.2, 23.9) == [18.0, 20.0, 22.0, 24.0]
    assert ticks(0.0, 0.0)[0] == 0.0 and len(ticks(-3e-9, 1e-9)) < 12
    points = [(float(step), float("nan") if step == 3 else 1.0 / step) for step in range(1, 1000)]
    chart = line_chart("<loss>", [Line("a & b", "#000", points)])
    assert "&lt;loss&gt;" in chart and "a &amp; b" in chart and chart.count(",") < 1000 and "nan" not in chart
    with pytest.raises(ValueError, match="no line has a point"):
        line_chart("x", [Line("a", "#000", [(1.0, float("inf"))])])
