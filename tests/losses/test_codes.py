"""Losses on codes by hand, and against the released code."""

import numpy as np
import tensorflow as tf

from rethink_fr.losses import code_cross_entropy, code_matching_loss


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_code_matching_is_the_mean_squared_difference_and_moves_only_the_features():
    features, codes = tf.constant(normal(0, 2, 3, 3, 4)), tf.constant(normal(1, 2, 3, 3, 4))
    with tf.GradientTape() as tape:
        tape.watch([features, codes])
        loss = code_matching_loss(features, codes)
    np.testing.assert_allclose(loss, np.mean((features - codes) ** 2), rtol=1e-12)
    at_features, at_codes = tape.gradient(loss, [features, codes])
    np.testing.assert_allclose(at_features, 2 * (features - codes) / 72, rtol=1e-12)
    assert at_codes is None


def test_the_cross_entropy_is_the_released_codes(shared):
    golden = np.load(shared / "golden/vqfr/golden_losses.npz")
    loss = code_cross_entropy(golden["ce/logits"], golden["ce/target"])
    np.testing.assert_allclose(loss, golden["ce/loss"], rtol=1e-6)


def test_the_cross_entropy_is_minus_the_log_of_the_share_averaged_over_positions():
    logits, indices = normal(0, 2, 3, 2, 5), np.random.default_rng(1).integers(0, 5, [2, 3, 2])
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.mean([np.log(shares[position][indices[position]]) for position in np.ndindex(2, 3, 2)])
    np.testing.assert_allclose(code_cross_entropy(tf.constant(logits), tf.constant(indices)), expected, rtol=1e-12)
