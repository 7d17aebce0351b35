"""A batch that passes through the networks in parts, or is recomputed, is trained on as if it passed at once."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.config.checks import ConfigError, check_shared
from rethink_fr.restorer.settings import PosteriorConfig
from rethink_fr.training.run import _check_batch
from tests.training.helpers import on_replicas, random_batch, replace, small_config, with_sgd
from tests.vqfr.training import stages

PAPER = small_config()
POSTERIOR = replace(
    replace(PAPER, "model", pixel_noise=True, residual=True, fusion="sft"),
    "objective",
    conditional=True,
    posterior=PosteriorConfig(score="energy", draws=2, adaptation=0.01),
)


def take(strategy, make, config, batch, steps, graph=True):
    """Scalars and variables after some steps; `make` makes the trainer."""
    with strategy.scope():
        trainer = make(config)

    def step(images):
        return strategy.run(trainer.train_step, args=(images,))

    step = tf.function(step) if graph else step  # eagerly short tests take a third of the time
    logs = {}
    for number in range(steps):
        scalars = step(on_replicas(strategy, batch(number)))
        for name, value in scalars.items():
            logs[f"{name} of step {number}"] = float(strategy.experimental_local_results(value)[0])
    parts = {**trainer.task.saved, "average": trainer.average}
    found = {f"{name}: {n}": v.numpy() for name, part in parts.items() for n, v in enumerate(part.variables)}
    return logs, found


def assert_equal(one, other):
    """The same scalars and variables but for rounding.

    Within rounding of the kink of a leaky ReLU or of an L1 difference a gradient jumps, and nothing is wrong: the
    tolerances are those of the tests with two replicas. A wrong factor would double a value.
    """
    for name, value in one[0].items():
        jumps = name.startswith(("gradient_norm/", "adaptive_weight/"))
        assert other[0][name] == pytest.approx(value, rel=2e-3 if jumps else 1e-4, abs=1e-5), name
    assert one[1].keys() == other[1].keys()
    for name, value in one[1].items():
        np.testing.assert_allclose(other[1][name], value, atol=1e-5, rtol=1e-4, err_msg=name)


def judged_from_the_start(stage, version):
    """With everything that sees the whole batch: batch normalization, adaptive weight, reservoir, usage of codes."""
    config = {"codebook": stages.codebook_stage, "restoration": stages.restoration_stage}[stage](version)
    judged = dataclasses.replace(stages.JUDGED, adversarial_from=0)
    objective = dataclasses.replace(config.objective, texture=judged, main=judged)
    return dataclasses.replace(
        config, objective=objective, codebook=dataclasses.replace(config.codebook, quantize_from=0)
    )


def test_parts_of_the_restorers_batch_equal_the_whole():
    one = tf.distribute.get_strategy()
    whole = take(one, with_sgd, POSTERIOR, random_batch, 1, graph=False)
    # In parts of 2, but the discriminator in parts of 4: its groups stay as they are.
    parts = replace(POSTERIOR, "training", accumulate=4, recompute=True)
    assert_equal(whole, take(one, with_sgd, parts, random_batch, 1, graph=False))


@pytest.mark.slow
def test_parts_of_vqfrs_batch_equal_the_whole():
    one, config = tf.distribute.get_strategy(), judged_from_the_start("restoration", 1)
    whole = take(one, stages.with_sgd, config, stages.batch, 1, graph=False)
    parts = replace(config, "training", accumulate=2, recompute=True)
    assert_equal(whole, take(one, stages.with_sgd, parts, stages.batch, 1, graph=False))


@pytest.mark.slow
@pytest.mark.parametrize("config", [PAPER, POSTERIOR], ids=["paper", "posterior"])
def test_several_steps_of_the_restorer_on_one_and_two_replicas(mirrored, config):
    one = tf.distribute.get_strategy()
    whole = take(one, with_sgd, config, random_batch, 3)
    assert_equal(whole, take(one, with_sgd, replace(config, "training", accumulate=4), random_batch, 3))
    assert_equal(whole, take(mirrored, with_sgd, replace(config, "training", accumulate=2), random_batch, 3))
    assert_equal(whole, take(one, with_sgd, replace(config, "training", accumulate=2, recompute=True), random_batch, 3))


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("stage", ["codebook", "restoration"])
def test_several_steps_of_vqfr_on_one_and_two_replicas(mirrored, stage, version):
    one, config = tf.distribute.get_strategy(), judged_from_the_start(stage, version)
    whole = take(one, stages.with_sgd, config, stages.batch, 2)
    assert_equal(whole, take(mirrored, stages.with_sgd, replace(config, "training", accumulate=2), stages.batch, 2))
    both = replace(config, "training", accumulate=2, recompute=True)
    assert_equal(whole, take(one, stages.with_sgd, both, stages.batch, 2))


def test_parts_that_do_not_divide_the_batch_are_refused(mirrored):
    with pytest.raises(ConfigError, match="training.accumulate: expected a divisor of the batch of 8, got 3"):
        check_shared(replace(PAPER, "training", accumulate=3))
    with pytest.raises(ConfigError, match="training.accumulate: expected a divisor of the 4 images of each replica"):
        _check_batch(replace(PAPER, "training", accumulate=8), mirrored)
