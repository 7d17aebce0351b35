"""Real runs killed at random moments and continued each time: they end as if nothing had happened, bit for bit.

A moment is a time since the process began (which may be before its first step), a step and a part of one, or a
checkpoint that is being written. Half of the signals are SIGKILL, half SIGTERM. `RETHINK_FR_CHAOS=SEED` repeats the
moments of a failure, as far as two runs take equally long.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.errors import AGAIN
from rethink_fr.runs.checkpoint_files import checkpoint_path, checkpoint_steps, damage
from rethink_fr.runs.loading import unreadable
from rethink_fr.runs.records import last_recorded_step
from tests.attack.layer import Ended, Trials, hidden

COMMAND = "tests.attack.run_scenarios:command"
KEPT = 2  # checkpoints
LONGEST = 900  # seconds that a call may take
POLL = 0.01  # seconds
RHYTHM = [
    "training.log_every=1", "training.sample_every=7", "training.validate_every=5", "training.checkpoint_every=2",
    f"training.keep_checkpoints={KEPT}", "training.global_batch=4",
    "data.train=builtin", "data.validation=builtin", "data.builtin_identities=6", "data.builtin_pictures=2",
    "data.validation_images=4",
]  # fmt: skip
RESTORER = ["model.resolution=32", "model.width=0.03125", "model.n_skips=1", "model.codebook_size=16"]
VQFR = [
    "model.resolution=32", "model.width=0.03125", "model.levels=2", "model.codebook_size=16",
    "discriminator.width=0.03125", "discriminator.patch_layers=1",
]  # fmt: skip
STAGE_1 = ["codebook.quantize_from=0", "codebook.reestimate_every=1", "codebook.reestimate_until=1"]
STAGE_2 = ["objective.texture.adversarial_from=0", "objective.main.adversarial_from=20"]  # so that losses change
NEVER_EQUAL = ("images_per_second",)
TOY = """
architecture: toy
objective: {boundary: 8}
"""


class Outcome(NamedTuple):
    """What a finished run holds."""

    rows: List[Dict[str, float]]  # of metrics.jsonl
    values: Dict[str, np.ndarray]  # of the newest checkpoint
    events: Dict[str, list]  # of TensorBoard: steps and values by tag
    sheets: Dict[str, bytes]


def outcome(run: Path) -> Outcome:
    """Read all of it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [{name: value for name, value in row.items() if name not in NEVER_EQUAL} for row in rows]
    checkpoint = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(run / "checkpoints")))
    names = [name for name in checkpoint.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    logs = EventAccumulator(str(run / "logs"), {"tensors": 0}, purge_orphaned_data=False)
    logs.Reload()
    tags = [tag for tag in logs.Tags()["tensors"] if tag not in NEVER_EQUAL and not tag.startswith("_hparams_")]
    events = {
        tag: [(event.step, event.tensor_proto.SerializeToString()) for event in logs.Tensors(tag)] for tag in tags
    }
    sheets = {path.name: path.read_bytes() for path in (run / "samples").iterdir()}
    return Outcome(rows, {name: checkpoint.get_tensor(name) for name in names}, events, sheets)


def assert_equal(found: Outcome, whole: Outcome) -> None:
    """Bit for bit."""
    assert found.rows == whole.rows
    assert found.events.keys() == whole.events.keys()
    for tag, events in whole.events.items():
        assert [step for step, _ in found.events[tag]] == [step for step, _ in events], tag
        assert found.events[tag] == events, tag
    assert found.values.keys() == whole.values.keys()
    for name, value in whole.values.items():
        np.testing.assert_array_equal(found.values[name], value, err_msg=name)
    assert found.sheets == whole.sheets


def wait_until(happened: Callable[[], bool], process: int) -> None:
    """Look at short intervals; give up when the process is no more."""
    while not happened():
        os.kill(process, 0)
        time.sleep(POLL)


def kill_once(
    trials: Trials, run: Path, arguments: list, chance: random.Random, starting: float, a_step: float
) -> Ended:
    """Begin or continue a run, and send it a signal at a random moment.

    Args:
        trials, arguments: of the command.
        run: its folder.
        chance: decides signal and moment.
        starting: seconds that the command takes before the first step.
        a_step: seconds that a step takes.
    """
    records, writing = run / "metrics.jsonl", run / "checkpoints" / "writing"
    before = last_recorded_step(records)
    process = trials.start(COMMAND, run, *arguments, seconds=LONGEST)
    number = chance.choice((signal.SIGKILL, signal.SIGTERM))
    moment = chance.choice(("time", "step", "step", "checkpoint"))
    try:
        steps = before + chance.randint(1, 3)
        until = time.monotonic() + (chance.uniform(0, 1.2 * starting) if moment == "time" else LONGEST)
        wait_until(lambda: time.monotonic() > until or last_recorded_step(records) >= steps, process)
        if moment == "checkpoint":
            wait_until(writing.exists, process)
        time.sleep(chance.uniform(0, 0.02 if moment == "checkpoint" else a_step))
        os.kill(process, number)
    except ProcessLookupError:
        pytest.fail(f"the run ended before it was killed: {trials.end()}")
    ended = trials.end()
    print(f"{signal.Signals(number).name} by {moment}: {ended.code}, recorded to {last_recorded_step(records)}")
    assert "Traceback" not in ended.output, ended.output
    if number == signal.SIGKILL:
        assert ended.killed, ended
    else:  # it may come before the command has begun
        assert ended.code == AGAIN or (ended.signal == signal.SIGTERM and not ended.output), ended
    return ended


def chaos(trials: Trials, folder: Path, name: str, arguments: list, kills: int) -> None:
    """Compare a run that is killed so many times with one that is not."""
    seed = int(os.environ.get("RETHINK_FR_CHAOS") or random.SystemRandom().randrange(1_000_000))
    print(f"{name}: RETHINK_FR_CHAOS={seed}")
    whole, run, begun = folder / "whole", folder / "run", time.monotonic()
    process = trials.start(COMMAND, whole, *arguments, "--output", whole, seconds=LONGEST)
    wait_until(lambda: last_recorded_step(whole / "metrics.jsonl") > 0, process)
    starting = time.monotonic() - begun
    ended = trials.end()
    assert ended.code == 0, ended
    a_step = (time.monotonic() - begun - starting) / last_recorded_step(whole / "metrics.jsonl")
    chance, finished = random.Random(seed), []
    for _ in range(kills):
        ended = kill_once(trials, run, [*arguments, "--output", run], chance, starting, a_step)
        finished = assert_nothing_is_lost(run, finished, ended)
    trials.start(COMMAND, run, *arguments, "--output", run, seconds=LONGEST)
    ended = trials.end()
    assert ended.code == 0, ended
    assert_equal(outcome(run), outcome(whole))
    assert not hidden(run)
    print(f"{name}: {kills} kills survived in {time.monotonic() - begun:.0f} s")


def assert_nothing_is_lost(run: Path, before: List[int], ended: Ended) -> List[int]:
    """All finished checkpoints are whole, and only those are gone that newer ones replaced; returns their steps."""
    checkpoints = run / "checkpoints"
    finished = [step for step in checkpoint_steps(checkpoints) if (checkpoints / f"step-{step}.json").exists()]
    for step in finished:
        assert not damage(checkpoints, step, unreadable), f"{checkpoint_path(checkpoints, step)} after {ended}"
    newest = sorted({*before, *finished})[-KEPT:]
    assert set(newest) <= set(finished), f"of {newest} only {finished} are left after {ended}"
    said = [line for line in ended.output.splitlines() if line.startswith("stopped at step ")]
    assert not said or said[0].startswith(f"stopped at step {finished[-1]};"), ended
    return finished


def settings(*values: str) -> List[Any]:
    return [part for value in (*RHYTHM, *values) for part in ("--set", value)]


def toy_chaos(trials: Trials, folder: Path, steps: int, kills: int) -> None:
    (folder / "toy.yaml").write_text(TOY)
    arguments = ["train", "--config", folder / "toy.yaml", *settings(f"training.steps={steps}")]
    chaos(trials, folder, "toy", arguments, kills)


@pytest.mark.slow
def test_a_run_that_is_killed_at_random_moments_ends_as_if_it_had_not_been(tensorflow_trials, tmp_path):
    toy_chaos(tensorflow_trials, tmp_path, steps=16, kills=3)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_small_run_survives_thirty_kills(tensorflow_trials, tmp_path):
    toy_chaos(tensorflow_trials, tmp_path, steps=150, kills=30)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_run_of_the_restorer_survives_thirty_kills(tensorflow_trials, tmp_path):
    arguments = ["train", "--config", "smoke_64", *settings(*RESTORER, "training.steps=150")]
    chaos(tensorflow_trials, tmp_path, "restorer", arguments, kills=30)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_run_of_vqfrs_second_stage_survives_eight_kills(tensorflow_trials, tmp_path):
    first = ["train", "--config", "vqfr_codebook_64", "--output", tmp_path / "codebook"]
    tensorflow_trials.start(COMMAND, tmp_path, *first, *settings(*VQFR, *STAGE_1, "training.steps=2"), seconds=LONGEST)
    made = tensorflow_trials.end()
    assert made.code == 0, made
    second = ["train", "--config", "vqfr_64", "--init", tmp_path / "codebook"]
    arguments = [*second, *settings(*VQFR, *STAGE_2, "training.steps=40")]
    chaos(tensorflow_trials, tmp_path, "vqfr", arguments, kills=8)
