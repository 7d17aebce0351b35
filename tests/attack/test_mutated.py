"""Damaged and hostile files of every kind: read, or refused in one line, in 10 s and 2 GB."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.attack.fuzz_targets import TARGETS
from tests.command_line import ROOT

# Target: mutations now, and under `slow`.
COUNTS = {
    "pictures": (400, 10_000),
    "photos": (400, 10_000),
    "statistics": (300, 10_000),
    "weights": (300, 10_000),
    "torch_weights": (100, 5_000),
    "onnx_networks": (100, 5_000),
    "configurations": (150, 10_000),
    "studies": (150, 10_000),
    "tables": (300, 10_000),
    "shards": (200, 10_000),
    "bare_shards": (200, 10_000),
    "checkpoints": (60, 2_000),
    "saved_models": (0, 600),
}
NEEDS = {"torch_weights": "torch", "onnx_networks": "onnxruntime"}


def read_mutated(target: str, count: int, seed: int, folder) -> None:
    missing = NEEDS.get(target)
    if missing and importlib.util.find_spec(missing) is None:
        pytest.skip(f"{missing} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "tests.attack.fuzz", target, str(count), str(seed), str(folder / target)],
        cwd=ROOT,
        env={**os.environ, "RETHINK_FR_OPS": "reference", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, f"{done.returncode} (-14: 10 s for one file)\n{done.stderr[-3000:]}"
    refused = int(done.stdout.rpartition("refused")[2])
    assert refused > count / 10  # else nothing was damaged


def test_every_kind_of_file_is_attacked():
    assert set(COUNTS) == set(TARGETS)


@pytest.mark.parametrize("target", [name for name, (count, _) in COUNTS.items() if count])
def test_mutated_files(target, tmp_path):
    read_mutated(target, COUNTS[target][0], 0, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", COUNTS)
def test_ten_thousand_mutated_files(target, tmp_path):
    read_mutated(target, COUNTS[target][1], 1, tmp_path)
