"""Adversarial losses. Each returns an unweighted scalar, the mean over the batch of this replica."""

from __future__ import annotations

from typing import Callable

import tensorflow as tf

from rethink_fr.layers.precision import float32_products


def nonsaturating_generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """-log sigmoid(D(Aug(G(x)))), averaged (Goodfellow et al. 2014, section 3; Eq. 9 of the paper).

    `fake_logits` are the discriminator's for restored images, `[B, ...]`: the higher, the more it takes them for clean.
    """
    return tf.reduce_mean(tf.nn.softplus(-fake_logits))


def logistic_discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """-log sigmoid(D(Aug(y))) - log(1 - sigmoid(D(Aug(G(x))))), averaged (Goodfellow et al. 2014).

    Both logits are `[B, ...]`: the higher, the more the discriminator takes the image for real.
    """
    return tf.reduce_mean(tf.nn.softplus(-real_logits)) + tf.reduce_mean(tf.nn.softplus(fake_logits))


def hinge_generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """-D(G(x)), averaged (Lim and Ye 2017, arXiv:1705.02894). Logits `[B, ...]` are higher for real images."""
    return -tf.reduce_mean(fake_logits)


def hinge_discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """max(0, 1 - D(y)) + max(0, 1 + D(G(x))), each averaged (Lim and Ye 2017). Logits `[B, ...]` are higher for real.

    VQFR's local discriminators are trained with it, in version 1 with a weight of 0.5.
    """
    return tf.reduce_mean(tf.nn.relu(1.0 - real_logits)) + tf.reduce_mean(tf.nn.relu(1.0 + fake_logits))


def r1_penalty(discriminator: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor) -> tf.Tensor:
    """Squared norm of the logits' gradient at real images, averaged over the batch (Mescheder et al. 2018, eq. 9).

    The penalty is differentiable in the discriminator's weights. Its products are float32, whatever the discriminator's
    precision. The paper of the restorer does not mention it.

    Args:
        discriminator: from images to logits `[B, ...]`.
        real: images `[B, H, W, 3]`.
    """
    with float32_products(), tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(real)
        logits = tf.reduce_sum(discriminator(real))
    gradient = tape.gradient(logits, real)
    return tf.reduce_mean(tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3]))


def lazy_r1(
    discriminator: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor, step: tf.Tensor, gamma: float, interval: int
) -> tf.Tensor:
    """gamma / 2 * interval * R1 at every `interval`-th step, and 0 at the others (Karras et al. 2020, section 4.1).

    Args:
        discriminator, real: see `r1_penalty`.
        step: number of steps taken, an int64 scalar.
        gamma: weight of the penalty.
        interval: steps from one penalty to the next.
    """
    # Only the loss may stand in the cond: apply_gradients fails inside it.
    penalty = tf.cond(step % interval == 0, lambda: r1_penalty(discriminator, real), lambda: tf.zeros([], real.dtype))
    return 0.5 * gamma * interval * penalty
