"""The objective is the weighted sum of Eq. 7, its terms unweighted; with a posterior, a score of several draws."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.losses.objective import Restored, RestorerObjective
from rethink_fr.losses.perceptual_terms import PerceptualTerms
from rethink_fr.losses.posterior_score import PosteriorScore

LOGITS = tf.constant([[0.0], [1.0]])
WEIGHTS = {"adversarial": 2.0, "l1": 3.0, "commitment": 5.0, "posterior": 7.0, "deterministic": 11.0}


def normal(seed: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=[2, 8, 8, 3]), tf.float32)


def two_maps(images: tf.Tensor) -> list:
    """A feature network: maps of very different size."""
    return [tf.nn.avg_pool2d(images, 2, 2, "VALID"), 1000.0 * images**2]


def one_restoration(image: tf.Tensor, commitment: float = 0.0) -> Restored:
    return Restored([image], None, tf.constant(commitment))


def test_terms_are_unweighted_and_the_total_is_their_weighted_sum():
    loss = RestorerObjective(WEIGHTS)
    clean, restored = tf.fill([2, 8, 8, 3], 0.25), tf.fill([2, 8, 8, 3], -0.5)
    terms = loss(clean, one_restoration(restored, 0.125), LOGITS)
    expected = {"adversarial": np.mean(np.log1p(np.exp([0.0, -1.0]))), "l1": 0.75, "commitment": 0.125}
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(expected, rel=1e-6)
    total = 2.0 * expected["adversarial"] + 3.0 * 0.75 + 5.0 * 0.125
    assert float(loss.total(terms)) == pytest.approx(total, rel=1e-6)


def test_without_an_adversarial_term_no_logits_are_needed():
    loss = RestorerObjective({**WEIGHTS, "adversarial": 0.0})
    assert not loss.adversarial
    assert set(loss(normal(0), one_restoration(normal(1)))) == {"l1", "commitment"}


def test_the_l1_term_sees_overshoot_beyond_the_image_range():
    clean = tf.ones([2, 8, 8, 3])
    assert float(RestorerObjective(WEIGHTS)(clean, one_restoration(clean * 3.0), LOGITS)["l1"]) == pytest.approx(2.0)


def test_with_a_posterior_the_score_and_noise_zero_replace_l1():
    score = PosteriorScore()
    loss = RestorerObjective(WEIGHTS, score)
    clean, draws, zero = normal(0), [normal(1), normal(2)], normal(3)
    terms = loss(clean, Restored(draws, zero, tf.zeros([])), LOGITS)
    assert set(terms) == {"adversarial", "commitment", "posterior", "deterministic"} and loss.draws == 2
    np.testing.assert_allclose(terms["posterior"], score(clean, draws))
    np.testing.assert_allclose(terms["deterministic"], np.mean(np.abs(clean - zero)), rtol=1e-6)
    total = 2 * terms["adversarial"] + 7 * terms["posterior"] + 11 * terms["deterministic"]
    np.testing.assert_allclose(loss.total(terms), total, rtol=1e-6)


@pytest.mark.parametrize("several", [False, True])
def test_degraded_images_have_perceptual_terms_of_one(several):
    perceptual = PerceptualTerms(two_maps, {"feature": 0.5, "style": 0.25}, 8, several)
    loss = RestorerObjective(WEIGHTS, PosteriorScore() if several else None, perceptual)
    clean, degraded = normal(0), normal(1)
    perceptual.calibrate(clean, degraded)
    draws = [degraded] * loss.draws  # draws that are equal get no reward for differing
    terms = loss(clean, Restored(draws, None, tf.zeros([])), LOGITS)
    assert float(terms["feature"]) == pytest.approx(1, rel=1e-5)
    assert float(terms["style"]) == pytest.approx(1, rel=1e-5)
    assert (loss.weights["feature"], loss.weights["style"]) == (0.5, 0.25)


def test_the_perceptual_terms_reward_draws_for_differing():
    perceptual = PerceptualTerms(two_maps, {"feature": 1.0, "style": 1.0}, 8, several=True)
    clean, degraded = normal(0), normal(1)
    perceptual.calibrate(clean, degraded)
    alike, different = perceptual(clean, [normal(2), normal(2)]), perceptual(clean, [normal(2), normal(3)])
    for name in ("feature", "style"):
        assert different[name] < alike[name]


def test_a_perceptual_term_of_weight_zero_is_not_computed():
    perceptual = PerceptualTerms(two_maps, {"feature": 1.0, "style": 0.0}, 8, several=True)
    perceptual.calibrate(normal(0), normal(1))
    assert set(perceptual(normal(0), [normal(1), normal(2)])) == set(perceptual.relative) == {"feature"}
