"""Adversarial losses by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.losses import (
    hinge_discriminator_loss,
    hinge_generator_loss,
    logistic_discriminator_loss,
    nonsaturating_generator_loss,
    r1_penalty,
)
from rethink_fr.restorer.discriminator import Discriminator


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def log_sigmoid(logit: float) -> float:
    return -math.log1p(math.exp(-logit))


def test_the_generators_loss_is_minus_the_log_of_the_sigmoid_averaged():
    expected = -(log_sigmoid(1.0) + log_sigmoid(-2.0)) / 2
    np.testing.assert_allclose(nonsaturating_generator_loss(tf.constant([[1.0], [-2.0]])), expected, rtol=1e-6)
    np.testing.assert_allclose(nonsaturating_generator_loss(tf.zeros([3, 1])), math.log(2), rtol=1e-6)


def test_the_discriminators_loss_is_the_cross_entropy_of_both_kinds_each_averaged():
    real, fake = tf.constant([[1.0], [-2.0]]), tf.constant([[0.5], [3.0], [-1.0]])
    expected = -(log_sigmoid(1.0) + log_sigmoid(-2.0)) / 2 - sum(log_sigmoid(-logit) for logit in (0.5, 3.0, -1.0)) / 3
    np.testing.assert_allclose(logistic_discriminator_loss(real, fake), expected, rtol=1e-6)
    np.testing.assert_allclose(
        logistic_discriminator_loss(tf.fill([2, 1], 40.0), tf.fill([2, 1], -40.0)), 0, atol=1e-12
    )


def test_the_hinge_counts_what_is_on_the_wrong_side_of_its_margin():
    real, fake = tf.constant([[3.0], [0.5], [-2.0]]), tf.constant([[-1.5], [0.25]])
    np.testing.assert_allclose(hinge_discriminator_loss(real, fake), (0 + 0.5 + 3) / 3 + (0 + 1.25) / 2, rtol=1e-6)
    np.testing.assert_allclose(hinge_generator_loss(fake), 1.25 / 2, rtol=1e-6)


def test_hinge_and_softplus_are_the_released_codes(shared):
    golden = np.load(shared / "golden/vqfr/golden_losses.npz")
    logits = tf.constant(golden["logits"])
    # Its softplus of a discriminator's real logits is that of a generator's fake ones.
    both = {name: golden[f"{name}/real1_disc1"] + golden[f"{name}/real0_disc1"] for name in ("hinge", "wgan_softplus")}
    np.testing.assert_allclose(hinge_discriminator_loss(logits, logits), both["hinge"], rtol=1e-6)
    np.testing.assert_allclose(hinge_generator_loss(logits), golden["hinge/real1_disc0"], rtol=1e-6)
    np.testing.assert_allclose(logistic_discriminator_loss(logits, logits), both["wgan_softplus"], rtol=1e-6)
    np.testing.assert_allclose(nonsaturating_generator_loss(logits), golden["wgan_softplus/real1_disc0"], rtol=1e-6)


@pytest.mark.parametrize("logit", [-1e30, -1e4, 1e4, 1e30])
def test_extreme_logits_are_finite_and_the_generators_gradient_does_not_saturate(logit):
    logits = tf.constant([[logit]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        generator = nonsaturating_generator_loss(logits)
        discriminator = logistic_discriminator_loss(logits, -logits)
    np.testing.assert_allclose(generator, max(-logit, 0), rtol=1e-6)
    assert np.isfinite(discriminator)
    assert tape.gradient(generator, logits) == (-1 if logit < 0 else 0)
    assert tape.gradient(discriminator, logits) == (-2 if logit < 0 else 0)


def test_r1_of_a_linear_discriminator_is_the_squared_norm_of_its_weights_whatever_the_batch():
    weights = tf.constant(normal(0, 4, 4, 3))
    for batch in (1, 5):
        penalty = r1_penalty(
            lambda images: tf.einsum("bijc,ijc->b", images, weights) + 3, tf.constant(normal(1, batch, 4, 4, 3))
        )
        np.testing.assert_allclose(penalty, np.sum(weights**2), rtol=1e-6)


def test_r1_is_the_mean_over_images_of_their_own_gradient():
    images = tf.constant(normal(1, 5, 4, 4, 3))
    penalty = r1_penalty(lambda x: tf.reduce_sum(x**2, axis=[1, 2, 3])[:, None] / 2, images)
    np.testing.assert_allclose(penalty, np.mean(np.sum(images**2, axis=(1, 2, 3))), rtol=1e-6)


def test_the_gradient_of_r1_reaches_the_weights():
    weights = tf.Variable(normal(0, 4, 4, 3))
    with tf.GradientTape() as tape:
        penalty = r1_penalty(
            lambda images: tf.einsum("bijc,ijc->b", images, weights), tf.constant(normal(1, 2, 4, 4, 3))
        )
    np.testing.assert_allclose(tape.gradient(penalty, weights), 2 * weights, rtol=1e-6)


def test_the_double_gradient_equals_finite_differences(assert_gradient):
    # A smooth network: under a leaky ReLU the penalty jumps where a unit changes sides, which no gradient shows.
    images = tf.constant(normal(1, 3, 2, 2, 3), tf.float64)

    def penalty(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        return r1_penalty(lambda x: tf.tanh(tf.reshape(x, [-1, 12]) @ first) @ second, images)

    assert_gradient(penalty, normal(2, 12, 5).astype(np.float64), normal(3, 5, 1).astype(np.float64))


def test_the_double_gradient_reaches_every_kernel_of_the_discriminator():
    discriminator, images = Discriminator(32, 1 / 32), tf.constant(normal(1, 4, 32, 32, 3))
    discriminator(images)
    with tf.GradientTape() as tape:
        penalty = r1_penalty(discriminator, images)
    kernels = [weight for weight in discriminator.trainable_weights if "kernel" in weight.name]
    for gradient in tape.gradient(penalty, kernels):
        assert np.all(np.isfinite(gradient)) and np.any(gradient != 0)


def test_r1_works_inside_a_condition_in_a_graph():
    discriminator = Discriminator(32, 1 / 32)
    images = tf.constant(normal(1, 2, 32, 32, 3))
    expected = r1_penalty(discriminator, images)

    @tf.function
    def sometimes(wanted):
        return tf.cond(wanted, lambda: r1_penalty(discriminator, images), lambda: 0.0)

    np.testing.assert_allclose(sometimes(tf.constant(True)), expected, rtol=1e-4)  # fused float32 arithmetic
    assert sometimes(tf.constant(False)) == 0
