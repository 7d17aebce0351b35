"""The score of an image and its bands, and the reward for differing that adapts in each."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.losses.posterior import bands, energy_score, regularized_l1
from rethink_fr.losses.posterior_score import PosteriorScore


def normal(seed: int, side: int = 8, batch: int = 2) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=[batch, side, side, 3]), tf.float32)


@pytest.mark.parametrize(("name", "function"), [("energy", energy_score), ("rcgan", regularized_l1)])
def test_it_is_the_score_of_the_image_and_of_its_bands(name, function):
    score = PosteriorScore(name, weights=(2.0, 0.0, 3.0), spread=0.5)
    clean, draws = normal(0), [normal(1), normal(2)]
    fine, _, coarse = zip(bands(clean), *(bands(draw) for draw in draws))
    expected = function(clean, draws, 0.5)
    expected += 2 * function(fine[0], fine[1:], 0.5) + 3 * function(coarse[0], coarse[1:], 0.5)
    np.testing.assert_allclose(score(clean, draws), expected, rtol=1e-5)


def test_with_more_chroma_coloured_grain_costs_more_and_grey_grain_the_same():
    clean, grain = normal(0), normal(1)[..., :1] * tf.ones(3)
    coloured = grain * [1.0, -1.0, 0.0]
    plain, strict = PosteriorScore(), PosteriorScore(chroma=5.0)
    for pattern, ratio in ((grain, 1.0), (coloured, 5.0)):
        found = [score(clean, [clean + pattern, clean + pattern]) for score in (plain, strict)]
        np.testing.assert_allclose(found[1] / found[0], ratio, rtol=1e-4)


def test_the_reward_for_differing_shrinks_where_draws_differ_too_much_and_grows_where_too_little():
    score = PosteriorScore(adaptation=0.1)
    score.adapt(tf.constant([0.0, 0.5, -0.5, 3.0]))
    np.testing.assert_allclose(score.factors, [1.0, 0.95, 1.05, 0.9], rtol=1e-6)  # one outlier moves it by 0.1 at most
    for _ in range(100):
        score.adapt(tf.constant([1.0, 1.0, -1.0, 0.0]))
    np.testing.assert_allclose(score.factors, [0.0, 0.0, 4.0, 0.9], rtol=1e-6)


@pytest.mark.parametrize("band", [0, 1, 2])
def test_the_excess_says_which_band_differs_too_much(band):
    clean, score = normal(0, 32, 4), PosteriorScore()
    wide = [normal(1, 32, 4), normal(2, 32, 4)]
    np.testing.assert_allclose(score.excess(clean, wide), np.zeros(4), atol=0.12)  # draws from the truth
    side = 32 >> band
    pattern = np.indices([side, side]).sum(0) % 2 * 2.0 - 1.0 if band < 2 else np.ones([side, side])
    pattern = np.kron(pattern, np.ones([1 << band, 1 << band]))[None, ..., None].astype(np.float32)
    too_wide = score.excess(clean, [wide[0] + pattern, wide[1] - pattern])
    assert np.argmax(too_wide[1:]) == band
