"""VQFR's settings are read and refused without TensorFlow."""

import subprocess
import sys

import pytest

from rethink_fr.runs.config_file import load_model_section
from tests.command_line import ROOT


def test_a_network_that_was_not_trained_here_has_settings_only(tmp_path):
    (tmp_path / "config.yaml").write_text("architecture: vqfr\nmodel: {version: 2}", encoding="utf-8")
    architecture, settings = load_model_section(tmp_path / "config.yaml")
    assert (architecture, settings.version, settings.network) == ("vqfr", 2, "vqfr")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{architecture: vqfr, model: {versoin: 2}}", "model.versoin: no such key"),
        ("{architecture: vqfr, model: {version: 3}}", "model.version: expected one of 1, 2, got 3"),
    ],
)
def test_a_wrong_key_or_value_is_told_before_tensorflow_loads(tmp_path, text, message):
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    code = (
        "import pathlib, sys; from rethink_fr.runs import config_file\n"
        "try: config_file.load_model_section(pathlib.Path(sys.argv[1]))\n"
        "except config_file.ConfigError as error: print(error)\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "config.yaml")], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert message in done.stdout
