"""Whoever gets an exported model needs one package: the guide's code restores faces where there is no other."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rethink_fr import images
from rethink_fr.cli import main
from rethink_fr.inference.loading import load_restorer
from rethink_fr.metrics import psnr
from tests.command_line import ROOT

CODE = dict(
    zip(
        ("saved_model", "onnx", "tflite"),
        re.findall(r"```python\n(.*?)```", (ROOT / "docs/exporting.md").read_text(), re.S),
    )
)
NAMES = {"saved_model": "exported", "onnx": "faces.onnx", "tflite": "faces.tflite"}


@pytest.fixture(scope="module")
def models(run, tmp_path_factory) -> Path:
    """All three, in a folder of their own, with faces."""
    folder = tmp_path_factory.mktemp("models")
    for form, name in NAMES.items():
        assert main(["export", "--model", str(run), "--format", form, "--output", str(folder / name)]) == 0
    np.save(folder / "faces.npy", np.random.default_rng(1).integers(0, 256, [2, 32, 32, 3], np.uint8))
    return folder


def assert_restored(python: Path | str, form: str, run: Path, models: Path) -> None:
    (models / "restored.npy").unlink(missing_ok=True)
    # -I: nothing of this checkout or of the user's packages is on the path.
    done = subprocess.run([str(python), "-I", "-c", CODE[form]], cwd=models, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wanted = load_restorer(run)(images.to_model(np.load(models / "faces.npy")), noise_scale=0.0)
    assert psnr(np.load(models / "restored.npy"), images.to_uint8(wanted).numpy()).min() > 50


@pytest.mark.parametrize("form", NAMES)
def test_the_code_of_the_guide_restores_faces(run, models, form):
    assert_restored(sys.executable, form, run, models)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "package"),
    [
        ("saved_model", "tensorflow==2.15.1"),
        ("saved_model", "tensorflow==2.21.*"),  # with Keras 3
        ("onnx", "onnxruntime"),
        ("tflite", "ai-edge-litert"),
    ],
)
def test_one_package_is_enough(run, models, tmp_path, form, package):
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin/python"
    installed = subprocess.run([str(python), "-m", "pip", "install", "-q", package], capture_output=True, text=True)
    if installed.returncode != 0:
        pytest.skip(f"{package} cannot be installed here: {installed.stderr.strip().splitlines()[-1]}")
    try:
        found = subprocess.run([str(python), "-I", "-c", "import rethink_fr"], capture_output=True, cwd=tmp_path)
        assert found.returncode != 0
        assert_restored(python, form, run, models)
    finally:
        shutil.rmtree(environment, ignore_errors=True)  # gigabytes
