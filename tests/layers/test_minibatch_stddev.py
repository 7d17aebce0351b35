"""Minibatch standard deviation: one number a group of neighbours."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers import MinibatchStdDev


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def deviations(features: np.ndarray, group: int) -> np.ndarray:
    """Biased deviation over each group of neighbours, averaged over positions and channels: one number a sample."""
    values = []
    for first in range(0, len(features), group):
        members = features[first : first + group].astype(np.float64)
        mean = sum(members) / group
        variance = sum((member - mean) ** 2 for member in members) / group
        values += [np.mean(np.sqrt(variance + 1e-8))] * group
    return np.array(values)


@pytest.mark.parametrize(("batch", "group"), [(4, 4), (8, 4), (12, 4), (6, 3), (2, 2), (3, 3), (5, 1), (1, 1)])
def test_the_extra_channel_is_the_mean_deviation_over_four_neighbours_or_the_largest_group_that_divides(batch, group):
    features = normal(batch, 2, 3, 5) * np.arange(1, batch + 1, dtype=np.float32)[:, None, None, None]
    outputs = MinibatchStdDev()(features).numpy()
    assert outputs.shape == (batch, 2, 3, 6)
    np.testing.assert_array_equal(outputs[..., :5], features)
    expected = np.broadcast_to(deviations(features, group)[:, None, None], [batch, 2, 3])
    np.testing.assert_allclose(outputs[..., 5], expected, rtol=2e-6)  # float32 mean of 30 values


def test_groups_do_not_see_each_other():
    features = normal(8, 2, 2, 3)
    before = MinibatchStdDev()(features).numpy()
    features[5] += normal(2, 2, 3)
    after = MinibatchStdDev()(features).numpy()
    np.testing.assert_array_equal(after[:4], before[:4])
    assert np.all(after[4:, ..., 3] != before[4:, ..., 3])


def test_identical_samples_have_a_finite_gradient():
    features = tf.ones([4, 2, 2, 3])
    with tf.GradientTape() as tape:
        tape.watch(features)
        outputs = MinibatchStdDev()(features)[..., 3]
    assert np.all(np.isfinite(tape.gradient(outputs, features)))


def test_it_has_no_parameters():
    layer = MinibatchStdDev()
    layer(normal(4, 2, 2, 3))
    assert layer.weights == []


def test_an_empty_group_is_an_error():
    with pytest.raises(ValueError, match="expected 1 or more"):
        MinibatchStdDev(group_size=0)


def test_gradient_equals_finite_differences(float64, assert_gradient):
    assert_gradient(MinibatchStdDev(), normal(8, 2, 2, 3).astype(np.float64))
