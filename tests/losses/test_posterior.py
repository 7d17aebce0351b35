"""Scores of several restorations: proper, blind to no band, and with the gradients that they should have."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.losses.posterior import (
    bands,
    energy_score,
    excess_ratio,
    frobenius_norm,
    regularized_l1,
    squared_errors,
)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def drawn(seed: int, deviation: float, count: int, shift: float = 0.0) -> list:
    return [shift + deviation * normal(seed + number, 1, 300, 300, 1) for number in range(count)]


# ---- bands


def test_the_bands_add_up_to_the_image():
    image = normal(0, 2, 16, 24, 3)
    fine, middle, coarse = bands(tf.constant(image))
    assert (fine.shape, middle.shape, coarse.shape) == ((2, 16, 24, 3), (2, 8, 12, 3), (2, 4, 6, 3))
    half = middle + tf.image.resize(coarse, [8, 12], "bilinear")
    np.testing.assert_allclose(fine + tf.image.resize(half, [16, 24], "bilinear"), image, atol=1e-6)


def test_each_band_holds_its_own_detail():
    checkerboard = np.indices([32, 32]).sum(0) % 2 * 2.0 - 1.0
    pictures = {0: checkerboard, 1: np.kron(checkerboard[:16, :16], np.ones([2, 2])), 2: np.full([32, 32], 1.0)}
    for number, picture in pictures.items():
        energy = [float(tf.reduce_mean(band**2)) for band in bands(tf.constant(picture[None, ..., None], tf.float32))]
        assert np.argmax(energy) == number, energy


# ---- scores


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("score", [energy_score, regularized_l1])
def test_a_score_is_least_for_draws_from_the_truth(score, count):
    truth = tf.constant(normal(100, 1, 300, 300, 1))
    scores = {
        (deviation, shift): float(score(truth, [tf.constant(one) for one in drawn(0, deviation, count, shift)]))
        for deviation in (0.0, 0.5, 0.8, 1.0, 1.25, 2.0)
        for shift in (0.0, 0.4)
    }
    assert min(scores, key=scores.get) == (1.0, 0.0)


def test_l1_of_each_draw_is_least_where_all_are_equal():
    """The reason for this module: what the paper's L_1 does to the noise."""
    truth = normal(100, 1, 300, 300, 1)
    losses = {deviation: np.abs(truth - drawn(0, deviation, 1)[0]).mean() for deviation in (0.0, 0.5, 1.0)}
    assert min(losses, key=losses.get) == 0.0


def test_the_energy_score_is_its_formula():
    target, draws = normal(0, 2, 3, 4, 3), [normal(seed, 2, 3, 4, 3) for seed in (1, 2, 3)]
    error = np.mean([np.linalg.norm(target - draw, axis=-1).mean() for draw in draws])
    pairs = np.mean([np.linalg.norm(draws[i] - draws[j], axis=-1).mean() for i, j in ((0, 1), (0, 2), (1, 2))])
    np.testing.assert_allclose(energy_score(target, draws, 0.7), error - 0.5 * 0.7 * pairs, rtol=1e-5)
    np.testing.assert_allclose(
        energy_score(target, draws[:1]), np.linalg.norm(target - draws[0], axis=-1).mean(), rtol=1e-5
    )


def test_the_regularized_l1_of_two_draws_is_that_of_the_paper():
    target, (one, other) = normal(0, 2, 3, 4, 3), (normal(1, 2, 3, 4, 3), normal(2, 2, 3, 4, 3))
    expected = np.abs(target - (one + other) / 2).mean() - 0.2887 * np.abs(one - other).mean()
    np.testing.assert_allclose(regularized_l1(target, [one, other]), expected, rtol=1e-4)  # 0.2887 is rounded


@pytest.mark.parametrize("count", [2, 8])
def test_the_error_ratio_has_no_excess_for_draws_from_the_truth(count):
    truth = tf.constant(normal(100, 1, 300, 300, 1))
    excess = {}
    for deviation in (0.0, 1.0, 3.0):
        draws = [tf.constant(one) for one in drawn(0, deviation, count)]
        excess[deviation] = float(excess_ratio(squared_errors(truth, draws), count))
    assert excess[0.0] == pytest.approx(1 - 2 / (1 + 1 / count))
    assert excess[1.0] == pytest.approx(0, abs=0.02)  # 90,000 pixels
    assert excess[3.0] > 0.2


def test_gradients_equal_finite_differences(assert_gradient):
    target, one, other = (normal(seed, 1, 3, 4, 3).astype(np.float64) for seed in range(3))
    for score in (energy_score, regularized_l1):
        assert_gradient(lambda a, b, c, score=score: score(a, [b, c], 0.8), target, one, other)
    assert_gradient(lambda a, b: tf.reduce_sum(frobenius_norm(a - b)), target[..., 0], one[..., 0])


def test_equal_draws_have_a_finite_gradient():
    target, draw = tf.zeros([1, 4, 4, 3]), tf.zeros([1, 4, 4, 3])
    with tf.GradientTape() as tape:
        tape.watch(draw)
        loss = energy_score(target, [draw, draw + 0.0])
    assert np.all(np.isfinite(tape.gradient(loss, draw)))
