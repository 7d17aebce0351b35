"""A run whose files were damaged, deleted or taken by another process while nobody was looking: through `train`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rethink_fr.files.locks import exclusive_lock
from tests.attack.layer import contents
from tests.attack.test_run_killed import COMMAND, arguments, assert_same, outcome, place  # noqa: F401

NOWHERE = Path("/nowhere")


@pytest.fixture(scope="module")
def whole(tensorflow_trials, place) -> Path:  # noqa: F811
    """A finished run of four steps; its last two checkpoints are there."""
    made = tensorflow_trials.run(COMMAND, NOWHERE, *arguments(place))
    assert made.code == 0, made.output
    shutil.move(place / "run", place / "whole")
    return place / "whole"


@pytest.fixture
def run(whole, place) -> Path:  # noqa: F811
    """A copy of it, to damage."""
    shutil.rmtree(place / "run", ignore_errors=True)
    shutil.copytree(whole, place / "run")
    return place / "run"


def again(trials, place):  # noqa: F811
    ended = trials.run(COMMAND, place / "run", *arguments(place))
    assert "Traceback" not in ended.output, ended.output
    return ended


def damage_bytes(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_newest_checkpoint_is_kept_aside_and_the_one_before_is_used(tensorflow_trials, place, whole, run):  # noqa: F811
    (data,) = (run / "checkpoints").glob("step-4.data*")
    damage_bytes(data)
    damaged = data.read_bytes()
    ended = again(tensorflow_trials, place)
    assert ended.code == 0 and "step-4 is damaged" in ended.output and "continuing from step 3" in ended.output
    assert_same(outcome(run), outcome(whole))
    assert (run / "checkpoints/damaged" / data.name).read_bytes() == damaged


@pytest.mark.parametrize("content", [None, b"", b"\xff\x00garbage\n"])
def test_the_state_file_is_not_believed(tensorflow_trials, place, whole, run, content):  # noqa: F811
    state = run / "checkpoints/checkpoint"
    state.unlink() if content is None else state.write_bytes(content)
    ended = again(tensorflow_trials, place)
    assert ended.code == 0, ended.output
    assert_same(outcome(run), outcome(whole))


@pytest.mark.parametrize("what", ["checkpoints", "all damaged", "config", "empty config", "garbage config"])
def test_a_run_that_cannot_go_on_is_refused_and_left_as_it_is(tensorflow_trials, place, run, what):  # noqa: F811
    if what == "checkpoints":
        for path in (run / "checkpoints").glob("step-*"):
            path.unlink()
    elif what == "all damaged":
        for path in (run / "checkpoints").glob("step-*.index"):
            damage_bytes(path)
    elif what == "config":
        (run / "config.yaml").unlink()
    else:
        (run / "config.yaml").write_bytes(b"" if what == "empty config" else b"\xff{{{")
    before = contents(run)
    ended = again(tensorflow_trials, place)
    told = [line for line in ended.output.splitlines() if not line.endswith(", loading")]
    assert ended.code == 2 and len(told) == 1, ended.output
    after = contents(run)
    assert {name: after.get(name, 0) for name in before if name != "run.lock"} == {
        name: data for name, data in before.items() if name != "run.lock"
    }


def test_broken_records_are_cut_off_and_said(tensorflow_trials, place, whole, run):  # noqa: F811
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'\xff\xfe\x00\n{"step": 5, "loss/l2": 0.1}\n[1]\n{"step": 6, "loss')
    ended = again(tensorflow_trials, place)
    assert ended.code == 0 and "metrics.jsonl: 3 broken lines" in ended.output
    assert_same(outcome(run), outcome(whole))


def test_held_out_pictures_stay_held_out(tensorflow_trials, place, run):  # noqa: F811
    listed = json.loads((run / "pictures.json").read_text())
    Image.fromarray(np.zeros([40, 40, 3], np.uint8)).save(place / "photos/new.png")
    try:
        ended = again(tensorflow_trials, place)
    finally:
        (place / "photos/new.png").unlink()
    assert ended.code == 0 and "new.png" in ended.output
    assert json.loads((run / "pictures.json").read_text()) == listed


def test_a_second_process_is_refused(tensorflow_trials, place, run):  # noqa: F811
    with exclusive_lock(run / "run.lock", "this run"):
        before = contents(run)
        ended = again(tensorflow_trials, place)
        assert ended.code == 2 and len(ended.output.splitlines()) == 1 and "in use" in ended.output
        assert contents(run) == before


def test_a_flipped_bit_in_a_shard_is_skipped_and_found(tensorflow_trials, place, tmp_path):  # noqa: F811
    prepare = ("prepare", place / "photos", "--size", "32", "--output", tmp_path / "prepared")
    assert tensorflow_trials.run(COMMAND, NOWHERE, *prepare).code == 0
    (shard,) = (tmp_path / "prepared").glob("*.tfrecord")
    damage_bytes(shard)
    (tmp_path / "toy.yaml").write_text(
        (place / "toy.yaml").read_text().replace(str(place / "photos"), str(tmp_path / "prepared"))
    )
    ended = tensorflow_trials.run(
        COMMAND, NOWHERE, "train", "--config", tmp_path / "toy.yaml", "--output", tmp_path / "run"
    )
    assert ended.code == 0 and "Traceback" not in ended.output and "wrong SHA-256" in ended.output
    verified = tensorflow_trials.run(COMMAND, NOWHERE, "prepare", "--verify", tmp_path / "prepared")
    assert verified.code == 1 and shard.name in verified.output and "Traceback" not in verified.output
