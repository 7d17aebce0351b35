"""The weight that follows gradients, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.losses import adaptive_weight


def test_it_is_the_ratio_of_the_frobenius_norms():
    reference, adversarial = np.random.default_rng(0).normal(size=[2, 3, 3, 4, 3])
    expected = np.sqrt(np.sum(reference**2)) / (np.sqrt(np.sum(adversarial**2)) + 1e-4)
    np.testing.assert_allclose(adaptive_weight(tf.constant(reference), tf.constant(adversarial)), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("reference", "adversarial", "expected"), [(0.0, 1.0, 0.0), (0.5, 0.0, 5e3), (9.0, 0.0, 1e4), (0.0, 0.0, 0.0)]
)
def test_it_stays_between_nothing_and_ten_thousand(reference, adversarial, expected):
    weight = adaptive_weight(tf.constant([reference, 0.0]), tf.constant([0.0, adversarial]))
    np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_it_has_no_gradient():
    gradients = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(gradients)
        weight = adaptive_weight(gradients, 3.0 * gradients)
    assert tape.gradient(weight, gradients) is None


@pytest.mark.parametrize("overflowed", [0, 1])
def test_it_is_nan_if_a_gradient_overflowed(overflowed):
    gradients = [tf.constant([1.0, 2.0]), tf.constant([1.0, 2.0])]
    gradients[overflowed] = tf.constant([np.inf, 2.0])
    assert np.isnan(adaptive_weight(*gradients))
