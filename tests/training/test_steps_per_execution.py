"""Steps that TensorFlow takes together are logged, checked and saved as if they were taken one by one."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.config.checks import ConfigError, check_shared
from rethink_fr.systems import SYSTEMS
from rethink_fr.training.callbacks import FollowTask
from rethink_fr.training.divergence import DivergenceError
from rethink_fr.training.run import build_trainer, train
from tests.training import toy
from tests.training.helpers import random_batch, records
from tests.training.test_trainer import checkpoint

RHYTHM = {"steps": 8, "log_every": 4, "sample_every": 8, "validate_every": 8, "checkpoint_every": 4}


@pytest.fixture(autouse=True)
def toy_kind(monkeypatch):
    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM)


def test_a_run_is_the_same_with_steps_taken_together(tmp_path, monkeypatch):
    every_step = toy.ToyTask.after_step
    # A task has work after steps that are multiples of `steps_per_execution` only.
    monkeypatch.setattr(toy.ToyTask, "after_step", lambda self, step: () if step % 2 else every_step(self, step))
    for together in (1, 2):
        train(toy.experiment(boundary=4, steps_per_execution=together, **RHYTHM), "one", tmp_path / str(together))
    one, two = checkpoint(tmp_path / "1"), checkpoint(tmp_path / "2")
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-6, atol=1e-7, err_msg=name)
    rows = records(tmp_path / "1"), records(tmp_path / "2")
    assert [row["step"] for row in rows[1]] == [4, 8]
    for row, other in zip(*rows):
        for name in set(row) - {"images_per_second"}:  # means over four steps, not values of the last
            assert other[name] == pytest.approx(row[name], rel=1e-5), name


def test_two_replicas_take_steps_together(mirrored):
    with mirrored.scope():
        trainer = build_trainer(toy.experiment(boundary=2, steps_per_execution=2, **RHYTHM))
    batches = tf.data.Dataset.from_tensor_slices(random_batch(batch=16)).batch(4, drop_remainder=True)
    distributed = mirrored.experimental_distribute_dataset(batches)
    trainer.fit(distributed, steps_per_epoch=4, callbacks=[FollowTask()], verbose=0)
    assert trainer.task.traced == [0, 0, 2, 2]  # once for each replica and phase
    assert trainer.task.followed == [2, 4] and int(trainer.step.numpy()) == 4


def test_a_step_that_diverges_among_others_is_named(tmp_path):
    config = toy.experiment(boundary=4, overflow="fit", steps_per_execution=4, **RHYTHM)
    with pytest.raises(DivergenceError, match=r"loss/fit.* became non-finite at step 5 "):
        train(config, "one", tmp_path)
    assert tf.train.latest_checkpoint(str(tmp_path / "checkpoints")).endswith("step-4")


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="training.log_every: expected a multiple of the 3 of training.steps_per_ex"):
        check_shared(toy.experiment(steps_per_execution=3, **{**RHYTHM, "steps": 9}))
    with pytest.raises(ConfigError, match="training.steps_per_execution: expected a divisor of 3, the step from which"):
        build_trainer(toy.experiment(boundary=3, steps_per_execution=2, **RHYTHM))
    config = toy.experiment(boundary=6, **{**RHYTHM, "steps": 1})
    train(config, "one", tmp_path)
    longer = dataclasses.replace(config.training, steps=8, steps_per_execution=2)
    with pytest.raises(ConfigError, match="training.steps_per_execution: expected a divisor of 1, the step that the"):
        train(dataclasses.replace(config, training=longer), "one", tmp_path)
