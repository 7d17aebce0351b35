"""A training run killed at any change of a file, and continued: nothing is lost, and it ends as if nothing had been."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.attack.layer import FAILING, STOPPING, hidden

COMMAND = "tests.attack.run_scenarios:command"
CONFIGURATION = """
architecture: toy
data: {{train: {photos}, validation: holdout, validation_images: 3}}
objective: {{boundary: 10}}
training: {{steps: 4, global_batch: 4, log_every: 2, sample_every: 9, validate_every: 4, checkpoint_every: 1,
  keep_checkpoints: 2}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Photos and a configuration."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "photos").mkdir()
    generator = np.random.default_rng(0)
    for number in range(8):
        pixels = generator.integers(0, 256, [40, 40, 3], np.uint8)
        Image.fromarray(pixels).save(folder / f"photos/{number}.png")
    (folder / "toy.yaml").write_text(CONFIGURATION.format(photos=folder / "photos"))
    return folder


def arguments(place: Path) -> list:
    return ["train", "--config", place / "toy.yaml", "--output", place / "run"]


def outcome(run: Path) -> tuple:
    """Records and weights at the end of a run."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    newest = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(run / "checkpoints")))
    names = sorted(newest.get_variable_to_shape_map())
    values = {name: newest.get_tensor(name) for name in names if "OBJECT_GRAPH" not in name and "save" not in name}
    return rows, values


def assert_same(found: tuple, whole: tuple) -> None:
    """All weights, and all records that average over as many steps."""
    assert [row["step"] for row in found[0]] == [row["step"] for row in whole[0]]
    for name in ("validation/psnr", "validation/ssim"):
        assert found[0][-1][name] == pytest.approx(whole[0][-1][name], rel=1e-5)
    assert set(found[1]) == set(whole[1])
    for name, value in whole[1].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def steps_saved(changes: list) -> list:
    """Steps whose checkpoints a trial wrote or was writing, in order."""
    found = [re.search(r" (?:fopen|open|rename) \S*/checkpoints/\S*step-(\d+)", line) for line in changes]
    return list(dict.fromkeys(int(one[1]) for one in found if one))


def attack(trials, place: Path, mode: str, most=None) -> None:
    run = place / "run"

    def prepare() -> None:
        shutil.rmtree(run, ignore_errors=True)

    prepare()
    made = trials.run(COMMAND, run, *arguments(place))
    assert made.code == 0, made.output
    whole = outcome(run)
    for ended in trials.each(prepare, COMMAND, run, *arguments(place), mode=mode, most=most):
        if mode in FAILING and ended.code == 0:
            assert_same(outcome(run), whole)  # what failed was not needed
            continue
        if mode in FAILING:
            said = [line for line in re.split("[\r\n]", ended.output) if line.startswith("rethink-fr:")]
            assert ended.code == 1 and len(said) == 1, ended
        again = trials.run(COMMAND, run, *arguments(place))
        assert again.code == 0 and "Traceback" not in again.output, f"{again.output} after {ended}"
        assert_same(outcome(run), whole)
        before, after = steps_saved(ended.changes), steps_saved(again.changes)
        if before and after:
            # The checkpoint before the one at work was whole: its step is not taken again.
            assert after[0] >= before[-1], f"{before[-1]} was at work, {after[0]} came next: {ended} {again.output}"
        assert not hidden(run), f"{hidden(run)} after {ended}"


@pytest.mark.parametrize("mode", [pytest.param("half", marks=pytest.mark.slow), "full"])
def test_a_run_that_stops_anywhere_continues(tensorflow_trials, place, mode):
    attack(tensorflow_trials, place, mode, most=3)


@pytest.mark.slow
@pytest.mark.timeout(7200)  # about a hundred changes, two runs for each
@pytest.mark.parametrize("mode", STOPPING + FAILING)
def test_a_run_that_stops_at_every_change_continues(tensorflow_trials, place, mode):
    attack(tensorflow_trials, place, mode)
