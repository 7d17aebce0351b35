"""What is said where Apache Beam is not installed, and what is not imported without `--runner`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from rethink_fr.cli import main
from tests.command_line import ROOT


@pytest.mark.parametrize("command", ["restore", "prepare", "evaluate"])
def test_its_absence_is_one_line_that_names_the_extra(command, tmp_path, monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "apache_beam" else found(name))
    output = ["--output", str(tmp_path / "out")]
    inputs = {
        "restore": [str(tmp_path), *output],
        "prepare": [str(tmp_path), *output],
        "evaluate": ["--restored", str(tmp_path), "--reference", str(tmp_path)],
    }
    assert main([command, *inputs[command], "--runner", "flink"]) == 2
    told = capsys.readouterr().err
    assert "--runner flink: needs Apache Beam" in told and 'pip install ".[beam]"' in told
    assert len(told.splitlines()) == 1 and not (tmp_path / "out").exists()


def test_commands_do_not_import_it():
    code = (
        "import sys; from rethink_fr.cli import main\n"
        "try: main(['restore', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'apache_beam', 'tensorflow', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    assert "--runner" in done.stdout
