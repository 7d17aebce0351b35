"""Two workers, each a process of its own on this machine: equal to one process, and to themselves when interrupted."""

import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from typing import List

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.errors import AGAIN, USAGE, TryAgain, describe
from rethink_fr.runs.checkpoint_files import checkpoint_steps
from rethink_fr.runs.failures import told_plainly
from tests.training.helpers import all_records
from tests.workers import start, start_workers

LONGEST = 1200  # seconds that a process may take: building VQFR's graphs takes minutes where other work is going on
NOTICE = 60  # seconds in which a worker has to notice that another one is gone
RHYTHM = [
    "data.train=builtin", "data.validation=builtin", "data.builtin_identities=6", "data.builtin_pictures=2",
    "data.validation_images=4", "training.log_every=1", "training.sample_every=100", "training.validate_every=100",
]  # fmt: skip
FIVE_STEPS = ["training.steps=5", "training.global_batch=8", "optimizer.name=sgd"]
RESTORER = [
    "model.resolution=32", "model.width=0.03125", "model.n_skips=2", "model.codebook_size=16",
    "objective.r1_gamma=1", "objective.r1_interval=2", "optimizer.learning_rate=0.01",
]  # fmt: skip
VQFR = [
    "model.resolution=32", "model.width=0.03125", "model.levels=2", "model.codebook_size=16",
    "discriminator.width=0.03125", "discriminator.patch_layers=1",
    "optimizer.autoencoder.learning_rate=0.01", "optimizer.main_branch.learning_rate=0.01",
    "optimizer.discriminators.learning_rate=0.01", "optimizer.milestones=[]",
    "objective.r1_gamma=0",  # which the restorer has, and doubles the time that VQFR's graphs take
]  # fmt: skip
# Each in one phase, as building the graphs of another takes a minute; the small system below has two.
STAGE_1 = [  # k-means after steps 2 and 4, and the patch discriminator, which has batch normalization
    "codebook.quantize_from=0", "codebook.reestimate_every=2", "codebook.reestimate_until=5", "codebook.reservoir=96",
    "objective.texture.local_adversarial=0.5", "objective.texture.adversarial_from=0",
]  # fmt: skip
STAGE_2 = ["objective.texture.adversarial_from=0", "objective.main.adversarial_from=0"]
TOY = "architecture: toy\nobjective: {boundary: 8}\n"


def settings(*values: str) -> List[str]:
    return [part for value in (*RHYTHM, *values) for part in ("--set", value)]


@pytest.fixture(autouse=True)
def no_worker_is_left():
    """Where one fails, the others may wait for it, or train, for ever."""
    before = multiprocessing.active_children()
    yield
    for process in multiprocessing.active_children():
        if process not in before:
            process.kill()


def finish(process, code: int = 0, seconds: float = LONGEST) -> str:
    """Wait for a process; returns what it said on stderr."""
    done = process.wait(seconds)
    assert done.returncode == code and "Traceback" not in done.stderr, done.stderr
    return done.stderr


def state(run: Path) -> dict:
    """All values of the newest checkpoint: weights, averages, codebooks, statistics, optimizers."""
    checkpoint = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(run / "checkpoints")))
    names = [name for name in checkpoint.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return {name: checkpoint.get_tensor(name) for name in names}


def assert_two_workers_equal_one_process(tmp_path: Path, arguments: list, float64: bool = False) -> None:
    for worker in start_workers(arguments, [tmp_path / "two"] * 2, float64):
        finish(worker)
    finish(start("train", *arguments, "--output", tmp_path / "one", float64=float64))
    one, two = state(tmp_path / "one"), state(tmp_path / "two")
    tolerance = 1e-8 if float64 else 1e-5
    assert one.keys() == two.keys() and one["step/.ATTRIBUTES/VARIABLE_VALUE"] == 5
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=tolerance, atol=tolerance, err_msg=name)
    for alone, together in zip(all_records(tmp_path / "one"), all_records(tmp_path / "two")):
        assert alone.keys() == together.keys()  # what they tell each other is not logged
        for name in ("step", *(name for name in alone if name.startswith("loss/"))):
            assert together[name] == pytest.approx(alone[name], rel=1e-4, abs=1e-5), name


def assert_takes_part(run: Path, *weights: str) -> None:
    """The adaptive weights of a run are neither 0 nor clipped."""
    rows = [row for row in all_records(run) if "steps_averaged" in row]
    assert len(rows) == 5
    assert all(1e-3 < row[name] < 1e3 for row in rows for name in weights)


def test_two_workers_train_the_restorer_as_one_process_does(tmp_path):
    arguments = ["--config", "smoke_64", *settings(*FIVE_STEPS, *RESTORER)]
    assert_two_workers_equal_one_process(tmp_path, arguments)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_workers_train_both_stages_of_vqfr_as_one_process_does(tmp_path):
    """In float64, see `tests.vqfr.training.test_stages_distributed`. The largest difference was 4e-16.

    In float32 it was 1.6e-5, in a bias of a discriminator after five steps of stage 2.
    """
    (tmp_path / "first").mkdir()
    first = ["--config", "vqfr_codebook_64", *settings(*FIVE_STEPS, *VQFR, *STAGE_1)]
    assert_two_workers_equal_one_process(tmp_path / "first", first, float64=True)
    assert_takes_part(tmp_path / "first/one", "adaptive_weight/texture")
    found = state(tmp_path / "first/one")
    # k-means has emptied the reservoir after steps 2 and 4: it has seen the 16 x 16 codes of 8 images of one step.
    assert found["reservoir/seen/.ATTRIBUTES/VARIABLE_VALUE"] == 8 * 16 * 16
    assert np.abs(found["texture_local/convolutions/0/1/running_mean/.ATTRIBUTES/VARIABLE_VALUE"]).max() > 1e-3
    (tmp_path / "second").mkdir()
    init = ["--init", tmp_path / "first/one"]
    second = ["--config", "vqfr_64", *init, *settings(*FIVE_STEPS, *VQFR, *STAGE_2)]
    assert_two_workers_equal_one_process(tmp_path / "second", second, float64=True)
    assert_takes_part(tmp_path / "second/one", "adaptive_weight/texture", "adaptive_weight/main")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_workers_without_a_common_folder_are_refused_until_the_checkpoints_are_copied(tmp_path):
    (tmp_path / "toy.yaml").write_text(TOY)
    arguments = ["--config", tmp_path / "toy.yaml", *settings("training.global_batch=4", "training.checkpoint_every=3")]
    folders = [tmp_path / name for name in ("first", "second")]
    for worker in start_workers([*arguments, "--set", "training.steps=3"], folders):
        finish(worker)
    assert not (folders[1] / "checkpoints").exists()  # the first one alone writes
    further = [*arguments, "--set", "training.steps=5"]
    refused = [finish(worker, USAGE).splitlines()[-1] for worker in start_workers(further, folders)]
    assert "this worker would continue from step 3, another from 0" in refused[0]
    assert "this worker would continue from step 0, another from 3" in refused[1]
    shutil.copytree(folders[0], folders[1], dirs_exist_ok=True)
    for worker in start_workers(further, folders):
        finish(worker)
    assert [row["step"] for row in all_records(folders[0]) if "steps_averaged" in row] == [1, 2, 3, 4, 5]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_is_lost_ends_the_other_one_and_both_continue_exactly(tmp_path, number, victim):
    (tmp_path / "toy.yaml").write_text(TOY)
    arguments = ["--config", tmp_path / "toy.yaml", *settings("training.global_batch=4", "training.checkpoint_every=3")]
    whole, run = tmp_path / "whole", tmp_path / "run"
    endless = start_workers([*arguments, "--set", "training.steps=1000000"], [run] * 2)
    deadline = time.monotonic() + LONGEST
    while len(checkpoint_steps(run / "checkpoints")) < 2:
        assert time.monotonic() < deadline, "training did not start"
        time.sleep(0.05)
    os.kill(endless[victim].pid, number)
    said = finish(endless[1 - victim], AGAIN, NOTICE)
    if number == signal.SIGTERM:
        assert "stopped at step " in said and "stopped at step " in finish(endless[victim], AGAIN, NOTICE)
    else:
        assert said.splitlines()[-1].endswith("start all workers again to continue from the last checkpoint")
        assert endless[victim].wait().returncode == -signal.SIGKILL
    saved = checkpoint_steps(run / "checkpoints")[-1]
    steps = ["--set", f"training.steps={saved + 4}"]
    for folder in (run, whole):
        for worker in start_workers([*arguments, *steps], [folder] * 2):
            finish(worker)
    found, wanted = state(run), state(whole)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert [row["step"] for row in all_records(run)] == [row["step"] for row in all_records(whole)]


def test_the_loss_of_a_worker_is_told_and_may_be_tried_again(tmp_path):
    for error in (
        tf.errors.UnavailableError(
            None, None, "Graph execution error:\n Collective ops is aborted by: heartbeat timeout"
        ),
        tf.errors.UnavailableError(None, None, "from remote target /job:worker/replica:0/task:0: Connection reset"),
    ):
        with pytest.raises(TryAgain, match="another worker has stopped or cannot be reached") as raised:
            with told_plainly(tmp_path):
                raise error
        assert describe(raised.value)[1] == AGAIN
    with pytest.raises(tf.errors.UnavailableError), told_plainly(tmp_path):
        raise tf.errors.UnavailableError(None, None, "the store does not answer")
