"""Adversarial losses: unweighted scalar means over this replica."""

from __future__ import annotations

from typing import Callable

import tensorflow as tf


def nonsaturating_generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """-log sigmoid(D(Aug(G(x)))), averaged (Goodfellow et al. 2014, section 3; Eq. 8 of the paper).

    Logits `[B, ...]`, higher for what the discriminator takes for clean.
    """
    return tf.reduce_mean(tf.nn.softplus(-fake_logits))


def logistic_discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """-log sigmoid(D(Aug(y))) - log(1 - sigmoid(D(Aug(G(x))))), averaged. Logits `[B, ...]`, higher for real."""
    return tf.reduce_mean(tf.nn.softplus(-real_logits)) + tf.reduce_mean(tf.nn.softplus(fake_logits))


def hinge_generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """-D(G(x)), averaged (Lim and Ye 2017, arXiv:1705.02894). Logits `[B, ...]`, higher for real."""
    return -tf.reduce_mean(fake_logits)


def hinge_discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """max(0, 1 - D(y)) + max(0, 1 + D(G(x))), each averaged (Lim and Ye 2017). Logits `[B, ...]`, higher for real.

    VQFR's local discriminators follow it, in version 1 with a weight of 0.5.
    """
    return tf.reduce_mean(tf.nn.relu(1.0 - real_logits)) + tf.reduce_mean(tf.nn.relu(1.0 + fake_logits))


def r1_penalty(discriminator: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor) -> tf.Tensor:
    """Squared norm of the logits' gradient at real images, averaged over the batch (Mescheder et al. 2018, eq. 9).

    Not in the paper. Differentiable in the discriminator's weights. `real` is `[B, H, W, 3]`.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(real)
        logits = tf.reduce_sum(discriminator(real))
    gradient = tape.gradient(logits, real)
    return tf.reduce_mean(tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3]))


def lazy_r1(
    discriminator: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor, step: tf.Tensor, gamma: float, interval: int
) -> tf.Tensor:
    """gamma / 2 * interval * R1 on every `interval`-th step, else 0 (Karras et al. 2020, section 4.1).

    `step` is the int64 number of steps taken; see `r1_penalty` for the rest.
    """
    # The loss stands in the cond, not the optimizer: apply_gradients may not.
    penalty = tf.cond(step % interval == 0, lambda: r1_penalty(discriminator, real), lambda: tf.zeros([]))
    return 0.5 * gamma * interval * penalty
