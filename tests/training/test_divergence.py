"""A run that diverges stops, or goes back and on with lower learning rates, as it is configured."""

import json
import math
import os
import signal
from types import SimpleNamespace

import pytest
import yaml

from rethink_fr import cli
from rethink_fr.config.checks import ConfigError
from rethink_fr.config.parsing import plain
from rethink_fr.config.sections import TrainingConfig
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.runs.checkpoint_files import checkpoint_steps
from rethink_fr.runs.config_file import load_config, with_rates_lowered
from rethink_fr.runs.divergence import checkpoint_before, read_rollbacks
from rethink_fr.systems import SYSTEMS
from rethink_fr.training.divergence import DivergenceError, DivergenceGuard
from rethink_fr.training.observation import Observer
from rethink_fr.training.run import train
from tests.training import toy
from tests.training.helpers import all_records, replace


@pytest.fixture(autouse=True)
def toy_kind(monkeypatch):
    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM)


def diverging(rate_limit: float = 0.1, **training):
    """A run whose loss overflows from step 4 on, as long as the learning rate is not below `rate_limit`."""
    config = toy.experiment(3, "fit", **{"checkpoint_every": 1, "on_divergence": "roll_back", **training})
    return replace(config, "objective", rate_limit=rate_limit)


def steps_and_rates(run) -> list:
    return [(row["step"], row["learning_rate"]) for row in all_records(run) if "learning_rate" in row]


def test_it_goes_back_to_a_good_checkpoint_and_on_with_lower_rates(tmp_path, capfd):
    report = train(diverging(), "one", tmp_path)
    assert report.finished and report.step == 6
    # Checkpoint 1 is the oldest of three; none was followed by 50 good steps.
    assert steps_and_rates(tmp_path) == [(1, 0.1), *((step, pytest.approx(0.05)) for step in range(2, 7))]
    (noted,) = [row for row in all_records(tmp_path) if "rollback/diverged_at" in row]
    assert noted == {"step": 1, "rollback/diverged_at": 4, "rollback/rate_factor": 0.5}
    assert checkpoint_steps(tmp_path / "checkpoints" / "aside") == [2, 3]
    said = capfd.readouterr().err
    assert "became non-finite at step 4: went back to step 1; learning rates are 0.5 of the settings'" in said
    assert load_config(tmp_path / "config.yaml").optimizer.learning_rate == 0.1
    assert not (tmp_path / "diverged.json").exists()
    # A continued run knows of it, until the user chooses other rates.
    train(diverging(steps=7), "one", tmp_path)
    assert steps_and_rates(tmp_path)[-1] == (7, pytest.approx(0.05))
    assert len([row for row in all_records(tmp_path) if "rollback/diverged_at" in row]) == 1
    train(replace(diverging(steps=8), "optimizer", learning_rate=0.01), "one", tmp_path)
    assert steps_and_rates(tmp_path)[-1] == (8, pytest.approx(0.01))
    (tmp_path / "rollbacks.json").write_text('[{"factor": 1}]')
    with pytest.raises(UnreadableFile, match=r"rollbacks\.json.*put a copy of it back"):
        train(diverging(steps=9), "one", tmp_path)


def test_without_a_checkpoint_it_begins_again_and_it_stops_after_so_many_times(tmp_path):
    config = diverging(rate_limit=0.0, rollback_times=1, checkpoint_every=100)
    message = (
        r"became non-finite after 1 roll-back at step 4 with optimizer\.learning_rate=0\.05; there is no checkpoint"
    )
    with pytest.raises(DivergenceError, match=message):
        train(config, "one", tmp_path)
    assert steps_and_rates(tmp_path) == [(step, pytest.approx(0.05)) for step in range(1, 4)]
    assert [(one.to_step, one.factor) for one in read_rollbacks(tmp_path)] == [(0, 0.5)]
    assert json.loads((tmp_path / "diverged.json").read_text())["step"] == 4


@pytest.mark.slow
def test_replicas_do_as_one_device_does(tmp_path, mirrored, monkeypatch):
    train(diverging(), "one", tmp_path / "one")
    monkeypatch.setattr("rethink_fr.training.run.make_strategy", lambda *_: mirrored)
    train(diverging(), "mirrored", tmp_path / "two")
    one, two = all_records(tmp_path / "one"), all_records(tmp_path / "two")
    assert read_rollbacks(tmp_path / "one")[0]._replace(what="") == read_rollbacks(tmp_path / "two")[0]._replace(
        what=""
    )
    assert [row["step"] for row in one] == [row["step"] for row in two]
    for ours, theirs in zip(one, two):
        for name in set(ours) - {"images_per_second"}:
            assert theirs[name] == pytest.approx(ours[name], rel=1e-4, abs=1e-6), name


def test_several_workers_are_refused(tmp_path, monkeypatch, mirrored):
    monkeypatch.setattr("rethink_fr.training.run.make_strategy", lambda *_: mirrored)
    with pytest.raises(ConfigError, match="training.on_divergence: roll_back needs --strategy one or mirrored"):
        train(diverging(), "multiworker", tmp_path)


def guard(**training) -> DivergenceGuard:
    made = DivergenceGuard(TrainingConfig(**training))
    made.set_model(SimpleNamespace(step=SimpleNamespace(numpy=lambda: 7)))
    return made


def norms(made: DivergenceGuard, *values: float, name: str = "gradient_norm/restorer") -> None:
    for value in values:
        made.on_train_batch_end(0, {"loss/l1": 1e9, name: value})


def test_a_gradient_norm_explodes_by_either_limit():
    norms(guard(), *[1.0] * 50, 1e30)  # no limit is set
    norms(guard(gradient_norm_limit=10.0), 1.0, 10.0)
    with pytest.raises(DivergenceError, match=r"restorer was 11, over training.gradient_norm_limit \(10\), at step 7"):
        norms(guard(gradient_norm_limit=10.0), 1.0, 11.0)
    followed = guard(gradient_norm_ratio=8.0)
    norms(followed, *[100.0] * 19, 1e6, *[1.0] * 30, 7.0)  # 19 steps are too few to judge by
    with pytest.raises(DivergenceError, match=r"restorer was 9, over 8 times its median of 1, at step 7"):
        norms(followed, 9.0)
    norms(followed, 9.0, name="gradient_norm/critic")  # each optimizer has a median of its own
    with pytest.raises(DivergenceError, match="gradient_norm/restorer became non-finite at step 7"):
        norms(guard(), math.inf)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("gradient_norm_ratio=0.5", "0, or above 1"),
        ("gradient_norm_limit=-1", "at least 0"),
        ("rollback_factor=0", "above 0, at most 1"),
        ("rollback_factor=1.5", "above 0, at most 1"),
        ("on_divergence=pray", "one of stop, roll_back"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting, expected):
    with pytest.raises(ConfigError, match=f"training.{setting.partition('=')[0]}: expected {expected}"):
        load_config("smoke_64", [f"training.{setting}"])


def test_lowered_rates_are_all_of_them_and_nothing_else():
    for name in ("smoke_64", "vqfr_64"):
        config = load_config(name)
        assert with_rates_lowered(config, 1.0) is config
    lowered = with_rates_lowered(load_config("vqfr_64"), 0.5)
    assert (lowered.optimizer.autoencoder.learning_rate, lowered.optimizer.discriminators.learning_rate) == (
        0.00025,
        0.0001,
    )


def test_the_checkpoint_to_go_back_to_was_followed_by_good_steps(tmp_path):
    assert checkpoint_before(tmp_path, 10) == 0
    (tmp_path / "checkpoints").mkdir()
    for step in (10, 40, 100):
        (tmp_path / "checkpoints" / f"step-{step}.index").touch()
    assert [checkpoint_before(tmp_path, step) for step in (30, 61, 90, 91, 101, 500)] == [10, 10, 10, 40, 40, 100]


def run_toy(output, config, *more: str) -> int:
    path = output.parent / "toy.yaml"
    path.write_text(yaml.safe_dump(plain(config)))
    return cli.main(["train", "--config", str(path), "--output", str(output), *more])


def test_a_scheduler_can_tell_a_run_that_saved_from_one_that_failed(tmp_path, monkeypatch):
    after_step = toy.ToyTask.after_step

    def told_to_stop(self, step):
        after_step(self, step)
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(toy.ToyTask, "after_step", told_to_stop)
        assert run_toy(tmp_path / "run", toy.experiment()) == 75
    assert checkpoint_steps(tmp_path / "run" / "checkpoints") == [3]
    assert run_toy(tmp_path / "run", toy.experiment()) == 0


def test_a_signal_does_not_wait_for_the_validation_which_is_made_up_for(tmp_path, monkeypatch):
    config = toy.experiment(validate_every=2, sample_every=2)
    sheet = Observer.sheet

    def told_to_stop(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return sheet(self)

    train(config, "one", tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Observer, "sheet", told_to_stop)
        report = train(config, "one", tmp_path / "run")
    assert (report.signal, report.step) == (signal.SIGTERM, 2)
    assert [row["step"] for row in all_records(tmp_path / "run")] == [1, 2]
    train(config, "one", tmp_path / "run")
    whole, parts = all_records(tmp_path / "whole"), all_records(tmp_path / "run")
    assert [row["step"] for row in whole] == [1, 2, 2, 3, 4, 4, 5, 6, 6]
    for one, other in zip(whole, parts):
        assert {k: v for k, v in one.items() if k != "images_per_second"} == pytest.approx(
            {k: v for k, v in other.items() if k != "images_per_second"}, rel=1e-5
        )
    assert (tmp_path / "run/samples/step_0000002.png").read_bytes()
