"""Runs side by side: how far they are, how well they restore, and in what they differ."""

import json
import subprocess
import sys

import pytest

from rethink_fr import cli
from rethink_fr.files.locks import exclusive_lock
from rethink_fr.runs.comparison import compare
from rethink_fr.runs.config_file import load_config, save_config
from rethink_fr.runs.divergence import Rollback, record_divergence, write_rollbacks
from tests.command_line import ROOT


def made(folder, *settings, records=(), checkpoints=()):
    (folder / "checkpoints").mkdir(parents=True)
    save_config(load_config("smoke_64", settings), folder / "config.yaml")
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    for step in checkpoints:
        (folder / "checkpoints" / f"step-{step}.index").touch()
    return folder


@pytest.fixture
def runs(tmp_path):
    """Two runs."""
    validated = [
        {"step": step, "validation/psnr": psnr, "validation/coverage_80": coverage, "validation/degraded_psnr": 20.0}
        for step, psnr, coverage in ((3, 24.5, 0.9), (6, 24.1, 0.78))
    ]
    steps = [{"step": step, "steps_averaged": 2, "images_per_second": float(step)} for step in (2, 4, 6)]
    made(tmp_path / "a", records=[*steps, *validated], checkpoints=(3, 6))
    made(tmp_path / "b", "training.steps=9", "model.width=0.125", "training.global_batch=8", records=steps[:1])
    return tmp_path


def test_the_table_has_what_one_compares(runs, capsys):
    assert cli.main(["runs", str(runs)]) == 0  # the folder that holds them
    table, settings = capsys.readouterr().out.split("\n\n")
    head, a, b = table.splitlines()
    assert head.split()[:4] == ["run", "state", "step", "images/s"]
    assert "psnr best (at)" in head and "coverage_80 last" in head and "degraded" not in head
    # Coverage is best nearest to 0.8; speed is the median.
    for part in ("finished", "6 of 6", "  4  ", "24.5 (3)", "0.78 (6)", "24.1"):
        assert part in a
    assert "stopped" in b and "2 of 9" in b and b.endswith("-")
    assert [line.split() for line in settings.splitlines()] == [
        ["setting", "a", "b"],
        ["model.width", "0.0625", "0.125"],
        ["training.steps", "6", "9"],
        ["training.global_batch", "4", "8"],
    ]


def test_json_has_everything(runs, capsys):
    assert cli.main(["runs", str(runs / "b"), str(runs / "a"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["folder"] for run in found["runs"]] == [str(runs / "b"), str(runs / "a")]
    assert found["runs"][1]["figures"]["psnr"] == {"best": 24.5, "best_step": 3, "last": 24.1, "last_step": 6}
    assert found["changed"]["model.width"] == [0.125, 0.0625]


def test_states(runs):
    def state(name):
        return compare([runs / name]).runs[0].state

    assert (state("a"), state("b")) == ("finished", "stopped")
    made(runs / "new")
    assert state("new") == "not begun"
    record_divergence(runs / "b", 3, "loss/l1 became non-finite", {})
    assert state("b") == "diverged"
    write_rollbacks(runs / "b", [Rollback(3, "what", 0, 0.5, {})])
    with exclusive_lock(runs / "b" / "run.lock", "this run"):
        assert state("b") == "training"
    assert "diverged, 1 roll-backs" in "\n".join(compare([runs / "b"]).as_lines())


def test_what_is_no_run_is_named_and_the_others_are_shown(runs, capsys):
    (runs / "a" / "config.yaml").write_text("model: {with: 1}\n")
    (runs / "none").mkdir()
    assert cli.main(["runs", str(runs / "none"), str(runs)]) == 1
    out, err = capsys.readouterr()
    assert "2 of 9" in out
    assert "none: holds no run" in err and "model.with: no such key" in err and "Traceback" not in err


def test_it_answers_without_loading_tensorflow(runs):
    code = "import sys; from rethink_fr.cli import main; main(sys.argv[1:]); assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, "runs", str(runs)], check=True, cwd=ROOT, capture_output=True)
