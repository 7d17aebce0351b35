"""A whole experiment through the command line, with real trainings: killed, continued, shared. Takes minutes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.command_line import ROOT

TINY = """
title: "Tiny"
source: "a test"
config: smoke_64
set: {model.resolution: 32, model.width: 0.03125, model.n_skips: 2, model.codebook_size: 16}
start:
  config: smoke_64
  set: {model.resolution: 32, model.width: 0.03125, model.n_skips: 2, model.codebook_size: 16}
  budget: {steps: 2}
budget: {steps: 4}
seeds: [1]
measure: {metrics: [psnr, ssim, error_ratio], draws: 2}
variants:
  - {name: wide, paper: {psnr: 26.85}}
  - {name: nothing, start: none, set: {model.noise: false}}
  - {name: broken, start: none, set: {objective.perceptual: no_such_network.npz}}
  - {name: noisy, run_of: wide, restore: {noise_scale: 1.0}}
"""


def begin(tmp_path, *more):
    command = [sys.executable, "-m", "rethink_fr", "experiment", str(tmp_path / "tiny.yaml"), *more]
    command += ["--output", str(tmp_path / "out")]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_an_experiment_is_killed_continued_and_shared(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    out = tmp_path / "out"
    first = begin(tmp_path)
    deadline = time.monotonic() + 600
    while not (out / "records" / "_start" / "seed1" / "trained.json").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    while not (out / "records" / "wide" / "seed1" / "train.log").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    first.kill()
    first.wait()
    stopped = begin(tmp_path)
    time.sleep(5)
    stopped.send_signal(signal.SIGTERM)
    said, _ = stopped.communicate(timeout=300)
    assert stopped.returncode == 75 and "run the same command again to continue" in said and "Traceback" not in said
    both = [begin(tmp_path), begin(tmp_path, "--processes", "2")]
    texts = [one.communicate(timeout=900)[0] for one in both]
    assert [one.returncode for one in both] == [1, 1], texts
    for text in texts:
        assert "broken, seed 1: training: " in text and "no_such_network.npz" in text and "Traceback" not in text
    table = json.loads((out / "table.json").read_text(encoding="utf-8"))
    answer, samples = table["tables"]
    found = {row["name"]: row["cells"] for row in answer["rows"]}
    assert set(found["wide"]) == {"psnr", "ssim"} and not found["broken"]
    assert [row["name"] for row in samples["rows"]] == ["degraded", "wide", "noisy"]  # nothing has no noise
    assert found["noisy"]["psnr"]["mean"] != found["wide"]["psnr"]["mean"]
    wide, nothing, broken, noisy = table["variants"]
    assert "--init" in wide["runs"][0]["command"] and wide["runs"][0]["start"]["steps"] == 2
    assert "--init" not in nothing["runs"][0]["command"] and broken["failed"][0]["seed"] == 1
    assert wide["runs"][0]["command"] == noisy["runs"][0]["command"]
    assert "data:image/png" in (out / "page.html").read_text(encoding="utf-8")
    for command in wide["runs"][0]["measured_by"]:  # they give the same by hand
        words = command.replace("rethink-fr", f"{sys.executable} -m rethink_fr").split()
        words = [one.replace(str(out / "restored"), str(tmp_path / "again")) for one in words]
        if "evaluate" in words:
            words += ["--output", str(tmp_path / "again.json")]
        subprocess.run(words, cwd=ROOT, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    again = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
    by_hand = again["metrics"]["psnr"]["answer"]["mean"]
    assert abs(by_hand - found["wide"]["psnr"]["mean"]) < 1e-5
