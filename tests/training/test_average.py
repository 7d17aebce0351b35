"""The generator's average."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.restorer.network import Restorer
from rethink_fr.training.trainer import build_averaged, update_average
from tests.training.helpers import values


def averaged(network: Restorer) -> list:
    return [*network.trainable_variables, *network.codebooks]


def build() -> Restorer:
    restorer = Restorer(32, 1 / 32, n_skips=1, codebook_size=8)
    restorer(tf.zeros([1, 32, 32, 3]))
    return restorer


@pytest.fixture(scope="module")
def pair() -> tuple:
    return build_averaged(build), build()


def fill(network: Restorer, value: float) -> None:
    for variable in network.trainable_variables:
        variable.assign(tf.fill(variable.shape, value))


def step_of(count: int) -> tf.Tensor:
    return tf.constant(count, tf.int64)


@pytest.mark.parametrize(
    ("step", "decay", "expected"),
    [(0, 0.999, 1 / 10), (1, 0.999, 2 / 11), (90, 0.999, 0.91), (90, 0.9, 0.9), (10**6, 0.999, 0.999)],
)
def test_weights_follow_by_a_decay_that_starts_low(pair, step, decay, expected):
    average, model = pair
    fill(average, 1.0)
    fill(model, 3.0)
    update_average(average, model, step_of(step), decay, averaged)
    for shadow, variable in zip(average.trainable_variables, model.trainable_variables):
        np.testing.assert_allclose(shadow, tf.fill(shadow.shape, expected * 1 + (1 - expected) * 3), rtol=1e-6)
        np.testing.assert_array_equal(variable, tf.fill(shadow.shape, 3.0))


def test_repeated_steps_are_the_recursion(pair):
    average, model = pair
    fill(average, 0.0)
    expected = 0.0
    for step in range(30):
        fill(model, float(step))
        update_average(average, model, step_of(step), 0.7, averaged)
        decay = min(0.7, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    np.testing.assert_allclose(
        average.trainable_variables[0], tf.fill(model.trainable_variables[0].shape, expected), rtol=1e-5
    )


def test_a_codebook_is_averaged_as_the_weights_it_belongs_to_are_and_other_state_is_copied(pair):
    average, model = pair
    for seed in range(3):
        images = np.random.default_rng(seed).uniform(-1, 1, [2, 32, 32, 3]).astype(np.float32)
        for variable in model.trainable_variables:
            variable.assign(tf.random.stateless_normal(variable.shape, [seed, 0]))
        model.update_codebooks(images)
    assert len(model.non_trainable_variables) == 6
    (before,), (codes,) = (values(network.codebooks) for network in (average, model))
    update_average(average, model, step_of(10), 0.999, averaged)
    (after,) = values(average.codebooks)
    np.testing.assert_allclose(after, 0.55 * before + 0.45 * codes, rtol=1e-5, atol=1e-6)  # 11 / 20
    assert np.abs(after - codes).max() > 0.1
    copied = [
        pair
        for pair in zip(average.non_trainable_variables, model.non_trainable_variables)
        if pair[1] is not model.codebooks[0]
    ]
    assert len(copied) == 5
    for shadow, variable in copied:
        np.testing.assert_array_equal(shadow, variable)


def test_the_average_has_the_models_variables_and_the_first_replica_speaks_for_all(pair):
    average, model = pair
    assert [v.shape for v in average.variables] == [v.shape for v in model.variables]
    assert [v.trainable for v in average.variables] == [v.trainable for v in model.variables]
    assert not {id(v) for v in average.variables} & {id(v) for v in model.variables}


def test_replicas_hold_the_same_average(mirrored):
    with mirrored.scope():
        average, model = build_averaged(build), build()
    assert all(v.aggregation == tf.VariableAggregation.ONLY_FIRST_REPLICA for v in average.variables)
    before = [variable.numpy() for variable in average.trainable_variables]
    tf.function(lambda: mirrored.run(update_average, [average, model, step_of(0), 0.9, averaged]))()
    for shadow, old, variable in zip(average.trainable_variables, before, model.trainable_variables):
        first, second = mirrored.experimental_local_results(shadow)
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first, 0.1 * old + 0.9 * variable.numpy(), rtol=1e-5, atol=1e-6)
