"""The optimizers beyond Adam train, continue exactly, and give two replicas what they give one."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.config.checks import ConfigError
from rethink_fr.restorer.settings import OptimizerConfig
from rethink_fr.restorer.task import build_optimizer
from rethink_fr.runs.config_file import load_config

NAMES = ("lamb", "adabelief")


def steps(optimizer, variables: list, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        gradients = [tf.sin(variable + float(number)) for variable in variables]
        optimizer.apply_gradients(zip(gradients, variables), skip_gradients_aggregation=True)


def variables() -> list:
    return [tf.Variable(tf.random.stateless_normal([3, 4], [0, number])) for number in range(2)]


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_continues_exactly_from_a_checkpoint_but_takes_its_rate_from_the_settings(name, tmp_path):
    config = OptimizerConfig(name, learning_rate=0.01, beta_1=0.5)
    whole, ours = build_optimizer(config), variables()
    whole.build(ours)
    steps(whole, ours, 6)

    first, theirs = build_optimizer(config), variables()
    first.build(theirs)
    steps(first, theirs, 3)
    path = tf.train.Checkpoint(optimizer=first, variables=theirs).write(str(tmp_path / "half"))
    second, again = build_optimizer(config), [tf.Variable(tf.zeros([3, 4])) for _ in range(2)]
    second.build(again)
    read = tf.train.Checkpoint(optimizer=tf.train.Checkpoint(_variables=list(second.variables)), variables=again)
    read.read(path).assert_existing_objects_matched()
    steps(second, again, 3, first=3)
    for one, other in zip(ours, again):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert float(second.learning_rate) == pytest.approx(0.01) and int(second.iterations) == 6


@pytest.mark.parametrize("name", NAMES)
def test_the_rate_falls_along_the_cosine(name):
    optimizer = build_optimizer(OptimizerConfig(name, learning_rate=0.01, beta_1=0.5, decay_steps=4))
    weights = variables()
    optimizer.build(weights)
    steps(optimizer, weights, 2)
    assert float(optimizer.learning_rate) == pytest.approx(0.01 * (1 + np.cos(np.pi / 4)) / 2)  # of the second step


def test_lambs_step_has_a_length_that_goes_with_that_of_the_weights():
    optimizer, weight = build_optimizer(OptimizerConfig("lamb", learning_rate=0.01)), tf.Variable(tf.fill([8], 5.0))
    optimizer.build([weight])
    before = weight.numpy()
    optimizer.apply_gradients([(tf.ones([8]), weight)], skip_gradients_aggregation=True)
    step = np.linalg.norm(weight.numpy() - before)
    assert step == pytest.approx(0.01 * np.linalg.norm(before), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_two_replicas_move_as_one(mirrored, name):
    def moved(strategy: tf.distribute.Strategy) -> list:
        with strategy.scope():
            weights, optimizer = variables(), build_optimizer(OptimizerConfig(name, learning_rate=0.01))
            optimizer.build(weights)

        @tf.function
        def step() -> None:
            def on_replica() -> None:
                replica = tf.distribute.get_replica_context()
                gradients = [tf.sin(weight + 1.0) for weight in weights]
                gradients = replica.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
                optimizer.apply_gradients(zip(gradients, weights), skip_gradients_aggregation=True)

            strategy.run(on_replica)

        for _ in range(3):
            step()
        return [weight.numpy() for weight in weights]

    for one, two in zip(moved(tf.distribute.get_strategy()), moved(mirrored)):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_adabelief_is_refused_without_a_first_moment():
    overrides = ["optimizer.name=adabelief", "optimizer.beta_1=0.5"]
    assert load_config("smoke_64", overrides).optimizer.name == "adabelief"
    with pytest.raises(ConfigError, match="optimizer.beta_1: expected above 0 with adabelief, got 0.0"):
        load_config("smoke_64", overrides[:1])
