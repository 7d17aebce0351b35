"""The trainer drives any task: turns, optimizers, boundaries, work between steps."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from rethink_fr.system import Turn, TurnLoss
from rethink_fr.systems import SYSTEMS
from rethink_fr.training.callbacks import FollowTask
from rethink_fr.training.divergence import DivergenceError
from rethink_fr.training.run import build_trainer, train
from tests.training import toy
from tests.training.helpers import random_batch, records


@pytest.fixture(autouse=True)
def toy_kind(monkeypatch):
    monkeypatch.setitem(SYSTEMS, "toy", toy.SYSTEM)


def checkpoint(run) -> dict:
    """Every value of a run's newest checkpoint, by name."""
    reader = tf.train.load_checkpoint(str(run / "checkpoints"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if "OBJECT" not in name}


def test_one_turn_moves_two_optimizers_variables_by_their_own_rules():
    trainer = build_trainer(toy.experiment())
    network, batch = trainer.task.generator, random_batch()
    before = network.scale.numpy()
    logs = trainer.train_step(batch)
    # Adam's first step has the length of its learning rate, but for its epsilon (1e-7) beside gradients of 1e-4; SGD's
    # is the gradient times it.
    np.testing.assert_allclose(np.abs(network.scale - before), 0.1, rtol=1e-2)
    np.testing.assert_allclose(np.linalg.norm(network.shift), 0.1 * float(logs["gradient_norm/shift"]), rtol=1e-5)
    assert set(logs) == {
        "seen", "loss/l2", "loss/fit", "gradient_norm/scale", "gradient_norm/shift", "learning_rate"
    }  # fmt: skip
    assert float(logs["loss/fit"]) == pytest.approx(2 * float(logs["loss/l2"]))
    assert float(logs["learning_rate"]) == pytest.approx(0.1)


def test_another_loss_and_another_turn_from_the_boundary_on(tmp_path):
    train(toy.experiment(), "one", tmp_path)
    rows = records(tmp_path)
    assert [row["step"] for row in rows] == list(range(1, 7))
    for row in rows:  # the steps 0, 1, 2 are over in rows 1, 2, 3
        late = row["step"] > 3
        assert ("loss/l1" in row, "loss/critic" in row, "gradient_norm/critic" in row) == (late, late, late)
        assert ("loss/l2" in row) != late


def test_the_step_is_traced_once_between_boundaries():
    trainer = build_trainer(toy.experiment())
    batches = tf.data.Dataset.from_tensor_slices(random_batch(batch=24)).batch(4, drop_remainder=True)
    trainer.fit(batches, steps_per_epoch=6, callbacks=[FollowTask()], verbose=0)
    assert trainer.task.traced == [0, 3]
    assert trainer.task.followed == [1, 2, 3, 4, 5, 6]
    assert int(trainer.step) == 6


@pytest.mark.parametrize("interrupted", [1, 2, 3, 5])
def test_interrupted_before_at_and_after_the_boundary_equals_uninterrupted(tmp_path, interrupted):
    config = toy.experiment(checkpoint_every=1)
    train(config, "one", tmp_path / "whole")
    first = dataclasses.replace(config, training=dataclasses.replace(config.training, steps=interrupted))
    train(first, "one", tmp_path / "parts")
    train(config, "one", tmp_path / "parts")
    whole, parts = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        if name != "save_counter/.ATTRIBUTES/VARIABLE_VALUE":
            np.testing.assert_allclose(parts[name], value, rtol=1e-6, atol=1e-7, err_msg=name)
    for one, other in zip(records(tmp_path / "whole"), records(tmp_path / "parts")):
        for name in set(one) - {"images_per_second"}:
            assert other[name] == pytest.approx(one[name], rel=1e-5), f"{name} at step {one['step']}"


def test_what_after_step_changes_is_in_the_checkpoint_of_that_step(tmp_path):
    """At step 2 it adds a quarter to one shift: 0.25 above that of a run without."""
    train(toy.experiment(steps=2), "one", tmp_path / "with")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toy.ToyTask, "after_step", lambda self, step: None)
        train(toy.experiment(steps=2), "one", tmp_path / "without")
    key = "generator/shift/.ATTRIBUTES/VARIABLE_VALUE"
    change = checkpoint(tmp_path / "with")[key] - checkpoint(tmp_path / "without")[key]
    np.testing.assert_allclose(change, [0.25, 0, 0], atol=1e-6)


@pytest.mark.parametrize("turn", ["fit", "critic"])
def test_a_loss_that_is_not_finite_stops_the_run_in_whichever_turn(tmp_path, turn):
    config = toy.experiment(overflow=turn, checkpoint_every=1)
    with pytest.raises(DivergenceError, match=rf"loss/{turn}.* became non-finite at step 4"):
        train(config, "one", tmp_path)
    newest = tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))
    assert newest.endswith("step-3")
    assert all(np.isfinite(value).all() for value in checkpoint(tmp_path).values() if value.dtype.kind == "f")


def test_two_replicas_follow_one_across_the_boundary(mirrored):
    results = []
    for strategy in (tf.distribute.get_strategy(), mirrored):
        with strategy.scope():
            trainer = build_trainer(toy.experiment())
        batches = tf.data.Dataset.from_tensor_slices(random_batch(batch=24)).batch(4, drop_remainder=True)
        history = trainer.fit(
            strategy.experimental_distribute_dataset(batches), steps_per_epoch=6, callbacks=[FollowTask()], verbose=0
        )
        values = [weight.numpy() for weight in (*trainer.task.generator.weights, *trainer.average.weights)]
        results.append((history.history, [*values, trainer.task.critic.numpy(), trainer.task.outside.numpy()]))
    (one_logs, one), (two_logs, two) = results
    assert "loss/critic" in one_logs
    assert {name: value[0] for name, value in two_logs.items()} == pytest.approx(
        {name: value[0] for name, value in one_logs.items()}, rel=1e-5
    )
    for a, b in zip(one, two):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_an_average_without_decay_is_a_copy():
    trainer = build_trainer(toy.experiment(average_decay=0.0))
    for number in range(2):
        trainer.train_step(random_batch(number))
    for shadow, weight in zip(trainer.average.weights, trainer.task.generator.weights):
        np.testing.assert_array_equal(shadow, weight)
    assert float(trainer.average.seen) != 0


def test_what_a_turn_made_carries_no_gradient(monkeypatch):
    """A second turn whose loss is made of the first one's image alone reaches nothing."""
    trainer = build_trainer(toy.experiment())
    first = trainer.task.turns(0)[0]

    def turns(self, step):
        generator = self.generator
        return [
            first._replace(variables={"scale": [generator.scale]}),
            Turn("late", {"shift": [generator.shift]}, lambda batch, context, made: TurnLoss(
                tf.reduce_sum(made["restored"]), {}
            )),
        ]  # fmt: skip

    monkeypatch.setattr(toy.ToyTask, "turns", turns)
    with pytest.raises(ValueError, match="turn late: its loss does not depend on shift"):
        trainer.train_step(random_batch())


def test_whatever_a_task_computes_is_logged_without_being_announced(tmp_path, monkeypatch):
    """A scalar of one step, whose means over intervals of two steps tell which steps they are over."""

    def update_state(self, batch, context, step):
        return {"steps_before": context.step}

    monkeypatch.setattr(toy.ToyTask, "update_state", update_state)
    train(toy.experiment(log_every=2, steps=5), "one", tmp_path)
    assert [row["steps_before"] for row in records(tmp_path)] == [0.5, 2.5, 4.0]
    # The boundary lies within the second interval: what begins there is the mean over the steps from there on.
    assert [row["steps_averaged"] for row in records(tmp_path)] == [2, 2, 1]
    assert "loss/critic" in records(tmp_path)[1] and "loss/l2" not in records(tmp_path)[1]


def test_scalars_are_means_over_the_replicas(mirrored, monkeypatch):
    monkeypatch.setattr(
        toy.ToyTask,
        "update_state",
        lambda self, batch, context, step: {"mean": tf.reduce_mean(batch["clean"])},
    )
    with mirrored.scope():
        trainer = build_trainer(toy.experiment())
    images = tf.reshape(tf.repeat([0.0, 1.0], 2 * 32 * 32 * 3), [4, 32, 32, 3])  # 0 on one replica, 1 on the other
    batches = tf.data.Dataset.from_tensors({"degraded": images, "clean": images}).unbatch().batch(4)
    history = trainer.fit(mirrored.experimental_distribute_dataset(batches), steps_per_epoch=1, verbose=0)
    assert history.history["mean"] == [0.5]


def test_an_optimizer_serves_one_turn_of_a_step(monkeypatch):
    def turns(self, step):
        turn = Turn("a", {"scale": [self.generator.scale]}, lambda *_: TurnLoss(tf.zeros([]), {}))
        return [turn, turn._replace(name="b")]

    monkeypatch.setattr(toy.ToyTask, "turns", turns)
    with pytest.raises(ValueError, match="turn b: the optimizer scale serves another turn"):
        build_trainer(toy.experiment())


def test_random_draws_differ_by_purpose_step_and_seed():
    from rethink_fr.training.trainer import ReplicaStepContext

    seeds = {
        tuple(ReplicaStepContext(seed, tf.constant(step, tf.int64)).random_seed(purpose).numpy())
        for seed in (0, 1, 2**31 - 1)
        for step in range(4)
        for purpose in range(10)
    }
    assert len(seeds) == 3 * 4 * 10


def test_optimizers_have_the_variables_of_all_phases_from_the_start():
    trainer = build_trainer(toy.experiment())
    assert isinstance(trainer.task.optimizers["critic"], keras.optimizers.SGD)
    assert [slot.shape for slot in trainer.task.optimizers["critic"].momentums] == [[]]
