"""The objective is the weighted sum of Eq. 7, its terms unweighted; with a posterior, a score of several draws."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.losses.posterior import bands, energy_score
from rethink_fr.restorer.objective import Restored, RestorerObjective, Spread
from rethink_fr.restorer.settings import ObjectiveConfig, PosteriorConfig

LOGITS = tf.constant([[0.0], [1.0]])


def normal(seed: int, *shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def objective(network=None, **settings) -> RestorerObjective:
    return RestorerObjective(ObjectiveConfig(perceptual="none", **settings), network, 8)


def two_maps(images: tf.Tensor) -> list:
    """A feature network: maps of very different size."""
    return [tf.nn.avg_pool2d(images, 2, 2, "VALID"), 1000.0 * images**2]


def one_restoration(image: tf.Tensor, commitment: float = 0.0) -> Restored:
    return Restored([image], None, tf.constant(commitment))


def test_terms_are_unweighted_and_the_total_is_their_weighted_sum():
    loss = objective(adversarial=2.0, l1=3.0, commitment=5.0)
    clean, restored = tf.fill([2, 8, 8, 3], 0.25), tf.fill([2, 8, 8, 3], -0.5)
    terms = loss(clean, one_restoration(restored, 0.125), LOGITS)
    expected = {"adversarial": np.mean(np.log1p(np.exp([0.0, -1.0]))), "l1": 0.75, "commitment": 0.125}
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(expected, rel=1e-6)
    total = 2.0 * expected["adversarial"] + 3.0 * 0.75 + 5.0 * 0.125
    assert float(loss.total(terms)) == pytest.approx(total, rel=1e-6)


def test_without_a_network_there_is_no_perceptual_term():
    assert set(objective().weights) == {"adversarial", "l1", "commitment"} and not objective().relative


def test_the_l1_term_sees_overshoot_beyond_the_image_range():
    clean = tf.ones([2, 8, 8, 3])
    assert float(objective()(clean, one_restoration(clean * 3.0), LOGITS)["l1"]) == pytest.approx(2.0)


@pytest.mark.parametrize("posterior", [PosteriorConfig(), PosteriorConfig(score="energy")])
def test_degraded_images_have_perceptual_terms_of_one(posterior):
    loss = objective(two_maps, posterior=posterior)
    clean, degraded = normal(0, 2, 8, 8, 3), normal(1, 2, 8, 8, 3)
    loss.calibrate(clean, degraded)
    draws = [degraded] * loss.draws  # draws that are equal get no reward for differing
    terms = loss(clean, Restored(draws, None, tf.zeros([])), LOGITS)
    assert float(terms["feature"]) == pytest.approx(1, rel=1e-5)
    assert float(terms["style"]) == pytest.approx(1, rel=1e-5)


def test_a_perceptual_term_of_weight_zero_is_not_computed():
    loss = objective(two_maps, style=0.0)
    assert "style" not in loss.weights and set(loss.relative) == {"feature"}


def test_the_posterior_term_is_the_score_of_the_image_and_of_its_bands():
    posterior = PosteriorConfig(score="energy", bands=(2.0, 0.0, 3.0), spread=0.5, weight=7.0, deterministic=11.0)
    loss = objective(adversarial=0.0, posterior=posterior)
    clean, draws, zero = normal(0, 2, 8, 8, 3), [normal(1, 2, 8, 8, 3), normal(2, 2, 8, 8, 3)], normal(3, 2, 8, 8, 3)
    terms = loss(clean, Restored(draws, zero, tf.zeros([])), LOGITS)
    fine, _, coarse = zip(bands(clean), *(bands(draw) for draw in draws))
    expected = energy_score(clean, draws, 0.5)
    expected += 2 * energy_score(fine[0], fine[1:], 0.5) + 3 * energy_score(coarse[0], coarse[1:], 0.5)
    np.testing.assert_allclose(terms["posterior"], expected, rtol=1e-5)
    assert "l1" not in terms
    total = 7 * expected + 11 * np.mean(np.abs(clean - zero))
    np.testing.assert_allclose(loss.total(terms), total, rtol=1e-5)


def test_the_reward_for_differing_shrinks_where_draws_differ_too_much_and_grows_where_too_little():
    spread = Spread(PosteriorConfig(adaptation=0.1, spread=1.0))
    spread.adapt(tf.constant([0.0, 0.5, -0.5, 3.0]))
    np.testing.assert_allclose(spread.factors, [1.0, 0.95, 1.05, 0.9], rtol=1e-6)  # one outlier moves it by 0.1 at most
    for _ in range(100):
        spread.adapt(tf.constant([1.0, 1.0, -1.0, 0.0]))
    np.testing.assert_allclose(spread.factors, [0.0, 0.0, 4.0, 0.9], rtol=1e-6)


@pytest.mark.parametrize("band", [0, 1, 2])
def test_the_excess_says_which_band_differs_too_much(band):
    clean, loss = normal(0, 4, 32, 32, 3), objective(posterior=PosteriorConfig(score="energy"))
    wide = [normal(1, 4, 32, 32, 3), normal(2, 4, 32, 32, 3)]
    np.testing.assert_allclose(loss.excess(clean, wide), np.zeros(4), atol=0.12)  # draws from the truth
    side = 32 >> band
    pattern = np.indices([side, side]).sum(0) % 2 * 2.0 - 1.0 if band < 2 else np.ones([side, side])
    pattern = np.kron(pattern, np.ones([1 << band, 1 << band]))[None, ..., None].astype(np.float32)
    too_wide = loss.excess(clean, [wide[0] + pattern, wide[1] - pattern])
    assert np.argmax(too_wide[1:]) == band


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        objective().settings.l1 = 2.0
