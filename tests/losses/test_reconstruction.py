"""Pixel losses by hand."""

import numpy as np
import tensorflow as tf

from rethink_fr.losses import l1_loss


def test_l1_is_the_mean_absolute_difference_over_everything():
    clean = tf.constant([[[[0.0, 0.5, -1.0]]], [[[1.0, 1.0, 1.0]]]])
    restored = tf.constant([[[[0.5, 0.0, 1.0]]], [[[1.0, 1.0, 1.0]]]])
    assert l1_loss(clean, restored) == l1_loss(restored, clean) == 0.5


def test_l1_pulls_every_value_alike():
    clean, restored = tf.zeros([2, 2, 2, 3]), tf.constant(np.random.default_rng(0).normal(size=[2, 2, 2, 3]))
    restored = tf.cast(restored, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(restored)
        loss = l1_loss(clean, restored)
    np.testing.assert_allclose(tape.gradient(loss, restored), np.sign(restored) / 24, rtol=1e-6)
