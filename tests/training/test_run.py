"""`rethink-fr train` from the command line: what it leaves, how it continues, how it fails."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from rethink_fr.restorer.system import build as build_restorer
from rethink_fr.runs.config_file import load_config
from rethink_fr.runs.loading import load_average
from rethink_fr.training.divergence import DivergenceError
from rethink_fr.training.run import train
from tests.command_line import ROOT, assert_train_refuses
from tests.training.helpers import all_records, records, replace, small_config

SMALL = [
    "model.resolution=32",
    "model.width=0.03125",
    "model.n_skips=2",
    "model.codebook_size=16",
    "training.steps=4",
    "training.checkpoint_every=2",
]


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run the command line as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "rethink_fr", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=600,
    )


def settings(*more: str) -> list[str]:
    return [part for value in (*SMALL, *more) for part in ("--set", value)]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run on two logical devices, made through the command line."""
    output = tmp_path_factory.mktemp("train") / "run"
    done = command(
        "train", "--config", "smoke_64", "--strategy", "mirrored", "--output", str(output),
        *settings("training.logical_cpus=2", "training.log_every=2"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "faces it was not trained on: degraded" in done.stdout
    assert "Traceback" not in done.stderr
    return output


def test_a_run_leaves_everything_the_contract_names(run):
    assert load_config(run / "config.yaml").training.steps == 4
    assert tf.train.latest_checkpoint(str(run / "checkpoints")).endswith("step-4")
    assert {row["step"] for row in all_records(run)} == {2, 3, 4}
    for row in records(run):  # summed over the two replicas instead of averaged, a share would exceed 1
        assert row.get("codebook_8/usage", 0) <= 1 and row.get("codebook_16/perplexity", 0) <= 16
    for name in ("step_0000003.png", "final.png"):
        assert np.asarray(Image.open(run / "samples" / name)).shape[2] == 3


def test_tensorboard_shows_every_term_and_the_pictures(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "logs"), {"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert {
        "loss/restorer", "loss/adversarial", "loss/l1", "loss/commitment", "loss/discriminator",
        "score/real", "score/fake", "gradient_norm/restorer", "gradient_norm/discriminator", "learning_rate",
        "codebook_8/usage", "codebook_8/perplexity", "codebook_16/usage", "codebook_16/perplexity",
        "images_per_second", "validation/psnr", "validation/ssim", "validation/ratio_fine", "samples",
    } <= tags  # fmt: skip
    rows = [row for row in records(run) if "loss/l1" in row]
    logged = {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("loss/l1")}
    assert logged == pytest.approx({row["step"]: row["loss/l1"] for row in rows}, rel=1e-4)


def test_the_same_command_continues_and_other_settings_are_refused(run):
    again = command("train", "--output", str(run), "--set", "training.steps=5", "--strategy", "one")
    assert again.returncode == 0, again.stderr
    assert "step 5," in again.stdout
    assert records(run)[-1]["step"] == 5
    changed = command("train", "--output", str(run), "--set", "model.width=0.0625")
    assert changed.returncode == 2
    assert "model.width" in changed.stderr and "Traceback" not in changed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "model.with=1"], "model.with: no such key"),
        (["--set", "training.global_batch=0"], "training.global_batch: expected at least 1"),
        (["--set", "data.train=/no/such/folder"], "data.train: no folder /no/such/folder"),
        (["--set", "objective.perceptual=/no/such.h5"], "objective.perceptual: no file"),
        (["--config", "nothing"], "no configuration 'nothing'"),
    ],
)
def test_a_mistake_is_told_in_one_line_before_tensorflow_loads(tmp_path, arguments, message):
    assert_train_refuses(tmp_path / "run", arguments, message)


def test_a_run_interrupted_and_continued_equals_an_uninterrupted_one(tmp_path):
    """Every record of ten steps after the interruption, and every weight at the end."""
    config = small_config(steps=13, log_every=1, sample_every=100, validate_every=100, checkpoint_every=3)
    config = replace(config, "optimizer", decay_steps=20)
    train(config, "one", tmp_path / "whole")
    train(replace(config, "training", steps=3), "one", tmp_path / "parts")
    train(config, "one", tmp_path / "parts")
    whole, parts = records(tmp_path / "whole"), records(tmp_path / "parts")
    assert [row["step"] for row in whole] == [row["step"] for row in parts] == list(range(1, 14))
    for one, other in zip(whole, parts):
        for name in set(one) - {"images_per_second"}:
            assert other[name] == pytest.approx(one[name], rel=1e-6, abs=1e-6), f"{name} at step {one['step']}"
    restorers = []
    for name in ("whole", "parts"):
        restorer = build_restorer(config.model)
        assert load_average(tmp_path / name / "checkpoints", restorer) == 13
        restorers.append(restorer)
    for a, b in zip(restorers[0].variables, restorers[1].variables):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)


@pytest.mark.slow
def test_a_non_finite_loss_stops_the_run_and_leaves_the_last_checkpoint(tmp_path):
    config = small_config(steps=3, log_every=1, sample_every=100, validate_every=100, checkpoint_every=1)
    train(config, "one", tmp_path)
    good = tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))
    # An absurd step makes the weights overflow; the learning rate belongs to the run, hence the edit of its record.
    broken = replace(replace(config, "optimizer", learning_rate=10.0), "training", steps=30)
    broken = replace(broken, "objective", l1=1e30)
    with pytest.raises(DivergenceError, match=r"(loss|gradient_norm)/\w+.* became non-finite at step \d+"):
        train(broken, "one", tmp_path)
    newest = tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))
    assert int(newest.rsplit("-", 1)[1]) >= int(good.rsplit("-", 1)[1])
    restorer = build_restorer(config.model)
    load_average(tmp_path / "checkpoints", restorer)
    assert all(np.isfinite(variable.numpy()).all() for variable in restorer.variables)


def test_an_interrupt_saves_and_says_how_to_continue(tmp_path):
    output = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "rethink_fr", "train", "--config", "smoke_64", "--output", str(output),
         *settings("training.steps=100000", "training.checkpoint_every=100000", "training.log_every=1")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    try:
        while not ((output / "metrics.jsonl").is_file() and (output / "metrics.jsonl").stat().st_size):
            assert process.poll() is None and time.monotonic() < deadline, "training did not start"
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()  # after a failure it would train for hours
    assert process.returncode == 1
    assert "run the same command again to continue" in errors and "Traceback" not in errors
    step = int(tf.train.latest_checkpoint(str(output / "checkpoints")).rsplit("-", 1)[1])
    assert step == records(output)[-1]["step"]


def test_unreadable_images_are_counted_and_listed(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(6):
        Image.fromarray(generator.integers(0, 256, [40, 40, 3], np.uint8)).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_text("not a picture")
    done = command(
        "train", "--config", "smoke_64", "--output", str(tmp_path / "run"),
        *settings(f"data.train={folder}", "data.validation=holdout", "data.validation_images=2", "training.steps=1"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 unreadable files were skipped" in done.stdout
    assert "broken.jpg" in (tmp_path / "run" / "unreadable.txt").read_text()


def test_multiworker_without_a_cluster_says_what_is_missing(tmp_path):
    done = command("train", "--config", "smoke_64", "--strategy", "multiworker", "--output", str(tmp_path / "run"))
    assert done.returncode == 2
    assert "TF_CONFIG" in done.stderr and "Traceback" not in done.stderr
