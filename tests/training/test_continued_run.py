"""A run is continued from what is whole of it, and says what is not."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from rethink_fr.config.checks import ConfigError
from rethink_fr.runs.checkpoint_files import checkpoint_steps
from rethink_fr.runs.loading import load_average, load_matching
from rethink_fr.runs.resolve import resolve_config
from rethink_fr.systems import SYSTEMS
from rethink_fr.training.checkpoints import CheckpointError, Checkpoints
from rethink_fr.training.divergence import DivergenceError
from rethink_fr.training.run import build_trainer, train
from tests.command_line import ROOT
from tests.training import toy
from tests.training.helpers import records, replace

BOUNDARY = 60  # a change of losses would be traced, which takes longer than anything here


@pytest.fixture(autouse=True)
def toy_kind(monkeypatch):
    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM)


def experiment(**training):
    return toy.experiment(BOUNDARY, **{"checkpoint_every": 1, **training})


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of five steps with the checkpoints of steps 3 to 5."""
    run = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SYSTEMS, "toy", toy.SYSTEM)
        train(experiment(steps=5), "one", run)
    return run


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "run")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def values_file(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step-{step}.data-00000-of-00001"


def contents(folder: Path) -> dict:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def logged_steps(run: Path, tag: str) -> list:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "logs"), {"tensors": 0}, purge_orphaned_data=False)
    events.Reload()
    return [event.step for event in events.Tensors(tag)]


def test_records_after_the_last_checkpoint_are_taken_again_not_twice(tmp_path):
    config = experiment(steps=4, checkpoint_every=2)
    train(config, "one", tmp_path)
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 5, "loss/l1": 0.1}\n{"step": 6, "loss/l')  # a run killed between checkpoints
    train(replace(config, "training", steps=6), "one", tmp_path)
    assert [row["step"] for row in records(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_damaged_newest_checkpoint_costs_its_steps_only(run, capfd):
    """Here with all that a kill and a bad disk may leave: nothing appears twice, nothing broken stays."""
    truncate(values_file(run, 5))
    (run / "checkpoints" / "checkpoint").write_bytes(b"\x00garbage")
    (run / "checkpoints" / "step-6_temp").mkdir()
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 6, "loss/fit": 1.0}\n\xff\xfe\n{"step": 7, "lo')
    (events,) = (run / "logs").iterdir()
    with events.open("ab") as file:
        file.write(b"\x20\x00\x00\x00\x00\x00")  # an event cut off in its header
    train(experiment(steps=6), "one", run)
    said = capfd.readouterr().err
    assert "step-5 is damaged (" in said and "moved to damaged/; continuing from step 4" in said
    assert "metrics.jsonl: 2 broken lines were cut off" in said
    assert checkpoint_steps(run / "checkpoints") == [4, 5, 6]
    assert checkpoint_steps(run / "checkpoints" / "damaged") == [5]
    assert not (run / "checkpoints" / "step-6_temp").exists()
    assert tf.train.latest_checkpoint(str(run / "checkpoints")).endswith("step-6")
    assert [row["step"] for row in records(run)] == [1, 2, 3, 4, 5, 6]
    assert sorted(logged_steps(run, "loss/fit")) == [1, 2, 3, 4, 5, 6]


def test_a_run_whose_checkpoints_are_all_damaged_is_left_as_it_is(run, capfd):
    for step in (3, 4, 5):
        truncate(values_file(run, step))
    before = contents(run)
    with pytest.raises(CheckpointError, match="holds no checkpoint that is whole"):
        train(experiment(steps=6), "one", run)
    assert {**contents(run), Path("run.lock"): b""} == {**before, Path("run.lock"): b""}


def test_readers_use_the_newest_that_is_whole_and_move_nothing(run, capfd):
    truncate(values_file(run, 5))
    before = contents(run)
    assert load_average(run / "checkpoints", toy.build(toy.ToyModel())) == 4
    assert load_matching(run / "checkpoints", {"generator": toy.build(toy.ToyModel())}) == ["generator"]
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 2 and all("step-5 is damaged" in line and line.endswith("using step 4") for line in said)
    assert contents(run) == before


def test_a_run_is_loaded_where_several_replicas_start_from_it(run, mirrored):
    with mirrored.scope():
        network = toy.build(toy.ToyModel())
        assert load_average(run / "checkpoints", network) == 5
    alone = toy.build(toy.ToyModel())
    load_average(run / "checkpoints", alone)
    for one, other in zip(network.get_weights(), alone.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_the_list_of_checkpoints_is_rebuilt_from_what_lies_there(run):
    trainer = build_trainer(experiment())
    state = run / "checkpoints" / "checkpoint"
    for text in (None, "", "garbage", 'model_checkpoint_path: "step-1"\n'):
        state.unlink()
        if text is not None:
            state.write_text(text)
        assert Checkpoints(run / "checkpoints", trainer, keep=3).restore() == 5
        assert tf.train.latest_checkpoint(str(run / "checkpoints")).endswith("step-5")
    assert contents(run / "checkpoints")[Path("checkpoint")].count(b"step-") == 4


def test_checkpoints_of_earlier_versions_are_continued(tmp_path):
    """Theirs have no records, but a counter, and the learning rates of the time."""
    written = build_trainer(experiment())
    saved = {**written.task.saved, "average": written.average, "step": written.step}
    saved.update({f"{name}_optimizer": optimizer for name, optimizer in written.task.optimizers.items()})
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(**saved), str(tmp_path), max_to_keep=3, checkpoint_name="step"
    )
    for step in (7, 8):
        written.step.assign(step)
        written.task.generator.scale.assign([step, 2.0, 3.0])
        manager.save(checkpoint_number=step)
    trainer = build_trainer(experiment())
    assert Checkpoints(tmp_path, trainer, keep=3).restore() == 8
    assert (tmp_path / "step-8.json").is_file()
    (tmp_path / "step-8.json").unlink()
    whole = (tmp_path / "step-8.data-00000-of-00001").read_bytes()
    (tmp_path / "step-8.data-00000-of-00001").write_bytes(whole[:50] + bytes([whole[50] ^ 1]) + whole[51:])
    assert Checkpoints(tmp_path, trainer, keep=3).restore() == 7
    np.testing.assert_array_equal(trainer.task.generator.scale, [7, 2, 3])


def test_a_checkpoint_of_another_network_is_not_called_damaged(run):
    before = contents(run)
    trainer = build_trainer(experiment())
    trainer.average = keras.Sequential([keras.layers.Dense(2, input_shape=(3,))])
    with pytest.raises(
        CheckpointError, match="step-5: this checkpoint cannot be continued, it is whole but of another"
    ):
        Checkpoints(run / "checkpoints", trainer, keep=3).restore()
    assert contents(run) == before


def test_the_learning_rates_of_the_settings_hold_after_a_checkpoint_is_read(run):
    """Constant ones, and a schedule where there was none; moments and iterations are those of the checkpoint."""
    trainer = build_trainer(replace(experiment(), "optimizer", learning_rate=0.025))
    trainer.task.optimizers["shift"] = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.5, 10))
    trainer.compile()
    Checkpoints(run / "checkpoints", trainer, keep=3).restore()
    scale, shift = (trainer.task.optimizers[name] for name in ("scale", "shift"))
    assert float(scale.learning_rate) == pytest.approx(0.025)
    assert int(scale.iterations) == int(shift.iterations) == 5
    assert any(np.any(variable.numpy()) for variable in scale.variables[1:])
    before = trainer.task.generator.shift.numpy()
    shift.apply_gradients([(tf.ones([3]), trainer.task.generator.shift)])
    np.testing.assert_allclose(before - trainer.task.generator.shift, [0.25] * 3, rtol=1e-5)  # half way down


def test_the_configuration_is_written_again_only_if_it_changed(run):
    config = experiment(steps=5)
    inode = (run / "config.yaml").stat().st_ino
    train(config, "one", run)
    assert (run / "config.yaml").stat().st_ino == inode
    train(replace(config, "training", keep_checkpoints=2), "one", run)
    assert resolve_config(None, [], run).training.keep_checkpoints == 2


def test_a_run_that_diverged_goes_on_from_a_healthy_checkpoint(tmp_path, capfd):
    config = replace(experiment(steps=80, checkpoint_every=4, keep_checkpoints=30), "objective", overflow="fit")
    with pytest.raises(DivergenceError, match=r"at step 61 .*; the checkpoint of step 8 was followed by 52 good steps"):
        train(config, "one", tmp_path)
    with pytest.raises(ConfigError, match="would end the same way: .*--resume-from 8"):
        resolve_config(None, [], tmp_path)
    assert resolve_config(None, [], tmp_path, resume_from=8) == config
    kept = config.objective
    train(replace(replace(config, "objective", overflow="none"), "training", steps=9), "one", tmp_path, 8)
    assert checkpoint_steps(tmp_path / "checkpoints") == [4, 8, 9] and kept.overflow == "fit"
    assert checkpoint_steps(tmp_path / "checkpoints" / "aside") == list(range(12, 61, 4))
    assert [row["step"] for row in records(tmp_path)] == list(range(1, 10))
    assert not (tmp_path / "diverged.json").exists()


def test_a_hangup_saves_and_every_record_says_what_it_averages(tmp_path, monkeypatch):
    """Interrupted at step 5 of an interval of four; a terminal that goes away sends more than one signal."""
    config = experiment(steps=10, log_every=4, checkpoint_every=100)
    train(config, "one", tmp_path / "whole")
    after_step = toy.ToyTask.after_step
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` has it ignored, and then training does

    def hang_up(self, step):
        after_step(self, step)
        if step == 6:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGHUP)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(toy.ToyTask, "after_step", hang_up)
            report = train(config, "one", tmp_path / "parts")
    finally:
        signal.signal(signal.SIGHUP, previous)
    assert not report.finished and report.step == 6
    assert checkpoint_steps(tmp_path / "parts" / "checkpoints") == [6]
    train(config, "one", tmp_path / "parts")
    whole, parts = records(tmp_path / "whole"), records(tmp_path / "parts")
    assert [(row["step"], row["steps_averaged"]) for row in whole] == [(4, 4), (8, 4), (10, 2)]
    assert [(row["step"], row["steps_averaged"]) for row in parts] == [(4, 4), (6, 2), (8, 2), (10, 2)]
    together = (parts[1]["loss/fit"] + parts[2]["loss/fit"]) / 2
    assert together == pytest.approx(whole[1]["loss/fit"], rel=1e-4)


def test_a_hangup_that_is_to_be_ignored_is(tmp_path, monkeypatch):
    after_step = toy.ToyTask.after_step

    def hang_up(self, step):
        after_step(self, step)
        os.kill(os.getpid(), signal.SIGHUP)

    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        monkeypatch.setattr(toy.ToyTask, "after_step", hang_up)
        assert train(experiment(steps=2), "one", tmp_path).finished
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_a_disk_that_takes_no_more_ends_the_run_with_its_last_checkpoint_whole(run):
    """The limit on the size of files stands in for it."""
    code = """
import os, resource, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from rethink_fr.systems import SYSTEMS
from rethink_fr.cli import main
from tests.training import toy
SYSTEMS["toy"] = toy.SYSTEM
after_step = toy.ToyTask.after_step
def limited(self, step):
    after_step(self, step)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
toy.ToyTask.after_step = limited
sys.exit(main(["train", "--output", sys.argv[1], "--set", "training.steps=8", "--set", "training.log_every=100"]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("rethink-fr: error: ") and "its last checkpoint is whole" in last
    assert last.endswith("run the same command again to continue")
    assert load_average(run / "checkpoints", toy.build(toy.ToyModel())) == 5
