"""The objective is the weighted sum of Eq. 7, its terms unweighted."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.restorer.network import Restoration
from rethink_fr.restorer.task import RestorerObjective


def test_terms_are_unweighted_and_the_total_is_their_weighted_sum():
    objective = RestorerObjective(adversarial=2.0, l1=3.0, commitment=5.0, vgg=None, feature=(), style=())
    clean, restored = tf.fill([2, 8, 8, 3], 0.25), tf.fill([2, 8, 8, 3], -0.5)
    logits = tf.constant([[0.0], [1.0]])
    terms = objective(clean, Restoration(restored, tf.constant(0.125)), logits)
    expected = {"adversarial": np.mean(np.log1p(np.exp([0.0, -1.0]))), "l1": 0.75, "commitment": 0.125}
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(expected, rel=1e-6)
    total = 2.0 * expected["adversarial"] + 3.0 * 0.75 + 5.0 * 0.125
    assert float(objective.total(terms)) == pytest.approx(total, rel=1e-6)


def test_without_vgg_there_is_no_perceptual_term():
    objective = RestorerObjective(1.0, 1.0, 1.0, None, (), ())
    assert set(objective.weights) == {"adversarial", "l1", "commitment"}


def test_the_l1_term_sees_overshoot_beyond_the_image_range():
    objective = RestorerObjective(1.0, 1.0, 1.0, None, (), ())
    clean = tf.ones([1, 8, 8, 3])
    logits = tf.zeros([1, 1])
    terms = objective(clean, Restoration(clean * 3.0, tf.zeros([])), logits)
    assert float(terms["l1"]) == pytest.approx(2.0)
