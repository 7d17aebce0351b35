"""The loss of one image: its terms, the adaptive weight, and what the discriminators' own loss is made of."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.losses.adversarial import hinge_discriminator_loss, logistic_discriminator_loss, r1_penalty
from rethink_fr.losses.lpips import PerceptualDistance
from rethink_fr.training.trainer import ReplicaStepContext
from rethink_fr.vqfr.settings import BranchConfig, VQFRObjectiveConfig
from rethink_fr.vqfr.training.image_branch import ImageBranch, target
from tests.vgg16_weights import vgg16_arrays

WEIGHTS = BranchConfig(l1=0.7, lpips=0.5, style=20.0, global_adversarial=0.3, local_adversarial=0.2)


def judge(filters: int) -> tf.Module:
    """A discriminator of one convolution."""
    kernel = tf.Variable(np.random.default_rng(filters).normal(size=[3, 3, 3, filters]).astype(np.float32) * 0.3)

    class Judge(tf.keras.Model):
        def call(self, images, training=False):
            return tf.nn.conv2d(images, kernel, 2, "SAME")

    network = Judge()
    network.kernel = kernel
    return network


@pytest.fixture(scope="module")
def perceptual() -> PerceptualDistance:
    return PerceptualDistance(vgg16_arrays())


def images(seed: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, [2, 32, 32, 3]), tf.float32)


def branch(perceptual, weights=WEIGHTS, **objective) -> ImageBranch:
    return ImageBranch("main", weights, VQFRObjectiveConfig(**objective), perceptual, judge(1), judge(2))


def gradients_by_hand(made: ImageBranch, kernel: tf.Variable, names: list) -> np.ndarray:
    with tf.GradientTape() as tape:
        image = tf.nn.conv2d(images(0), kernel, 1, "SAME")
        terms = made.terms(image, target(images(1), made.perceptual), 0)
        value = tf.add_n([(1.0 if name == "local" else made.weights[name]) * terms[name] for name in names])
    return tape.gradient(value, kernel).numpy()


@pytest.mark.parametrize("with_l1", [True, False])
def test_the_sum_of_terms_with_the_adaptive_weight_is_what_a_hand_computes(perceptual, with_l1):
    made = branch(perceptual, adaptive_l1=with_l1)
    kernel = tf.Variable(np.random.default_rng(3).normal(size=[3, 3, 3, 3]).astype(np.float32) * 0.2)
    with tf.GradientTape() as outer:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(kernel)
            image = tf.nn.conv2d(images(0), kernel, 1, "SAME")
            terms = made.terms(image, target(images(1), perceptual), 0)
        loss = made.total(image, terms, tape, kernel, tf.constant(1.0))
    counted = ["l1", "lpips", "style"] if with_l1 else ["lpips", "style"]
    reference = np.linalg.norm(gradients_by_hand(made, kernel, counted))
    local = np.linalg.norm(gradients_by_hand(made, kernel, ["local"]))
    weight = min(max(reference / (local + 1e-4), 0.0), 1e4)
    assert float(loss.scalars["adaptive_weight/main"]) == pytest.approx(weight, rel=1e-5)
    found = {name: float(loss.scalars[f"loss/main_{name}"]) for name in ("l1", "lpips", "style", "global", "local")}
    wanted = 0.7 * found["l1"] + 0.5 * found["lpips"] + 20.0 * found["style"] + 0.3 * found["global"]
    assert float(loss.value) == pytest.approx(wanted + 0.2 * weight * found["local"], rel=1e-5)
    # The weight is a constant to the gradient.
    everything = gradients_by_hand(made, kernel, ["l1", "lpips", "style", "global"])
    everything += 0.2 * weight * gradients_by_hand(made, kernel, ["local"])
    np.testing.assert_allclose(outer.gradient(loss.value, kernel), everything, rtol=1e-3, atol=1e-6)


class Float16Judge(tf.keras.Model):
    """Logits of some size, whose gradient is computed in float16 and `slope` times that of float32."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def call(self, images, training=False):
        return tf.cast(tf.cast(images, tf.float16) * self.slope, tf.float32)


@pytest.mark.parametrize(
    ("slope", "scale", "weight"),
    [(1e-4, 1.0, 0.0), (1e-4, 2.0**15, None), (1.0, 2.0**15, None), (1.0, 2.0**30, "overflow")],
)
def test_gradients_in_float16_are_found_with_a_scale(slope, scale, weight):
    """1e-4 / 6144 is less than the smallest float16: without a scale nothing is left of the local gradient."""
    made = ImageBranch("main", BranchConfig(l1=0.7, local_adversarial=0.2), VQFRObjectiveConfig(), None)
    made.local_discriminator = Float16Judge(slope)
    kernel = tf.Variable(np.random.default_rng(3).normal(size=[3, 3, 3, 3]).astype(np.float32) * 0.2)
    with tf.GradientTape() as outer:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(kernel)
            image = tf.nn.conv2d(images(0), kernel, 1, "SAME")
            terms = made.terms(image, target(images(1), None), 0)
        loss = made.total(image, terms, tape, kernel, tf.constant(scale))
    found, gradient = float(loss.scalars["adaptive_weight/main"]), outer.gradient(loss.value, kernel).numpy()
    with tf.GradientTape(persistent=True) as tape:
        image = tf.nn.conv2d(images(0), kernel, 1, "SAME")
        terms = {"l1": tf.reduce_mean(tf.abs(image - images(1))), "local": -slope * tf.reduce_mean(image)}
    l1, local = (tape.gradient(terms[name], kernel).numpy() for name in ("l1", "local"))
    right = 0.7 * np.linalg.norm(l1) / (np.linalg.norm(local) + 1e-4)
    assert np.isfinite(float(loss.value))
    if weight == "overflow":  # nothing of it is logged, and the step will be skipped
        assert found == 0 and not np.isfinite(gradient).any()
    elif weight is None:
        assert found == pytest.approx(right, rel=0.01)
        np.testing.assert_allclose(gradient, 0.7 * l1 + 0.2 * right * local, rtol=0.01, atol=1e-5)
    else:
        assert found > 1.001 * right  # the norm of the local gradient was lost


def test_terms_of_weight_zero_and_discriminators_before_their_start_are_left_out(perceptual):
    weights = dataclasses.replace(WEIGHTS, style=0.0, adversarial_from=3)
    made = branch(perceptual, weights)
    terms = [set(made.terms(images(0), target(images(1), perceptual), step)) for step in (2, 3)]
    assert terms == [{"l1", "lpips"}, {"l1", "lpips", "global", "local"}]
    assert not made.adversarial(2) and made.adversarial(3)
    alone = ImageBranch("main", weights, VQFRObjectiveConfig(), None)
    assert set(alone.terms(images(0), target(images(1), None), 9)) == {"l1"} and not alone.adversarial(9)


@pytest.mark.parametrize("step", [0, 1])
def test_the_discriminators_loss_is_logistic_hinge_and_r1_every_interval(step):
    made = branch(None, local_discriminator=0.25, r1_gamma=10.0, r1_interval=2)
    context = ReplicaStepContext(0, tf.constant(step, tf.int64))
    found = made.turn().loss({"clean": images(1)}, context, {"main": images(0)})
    global_judge, local_judge = made.global_discriminator, made.local_discriminator
    wanted = logistic_discriminator_loss(global_judge(images(1)), global_judge(images(0)))
    wanted += 0.25 * hinge_discriminator_loss(local_judge(images(1)), local_judge(images(0)))
    wanted += 0.5 * 10.0 * 2 * r1_penalty(global_judge, images(1)) if step == 0 else 0.0
    assert float(found.value) == pytest.approx(float(wanted), rel=1e-5)


def test_every_term_is_logged_with_the_branchs_name(perceptual):
    made = branch(perceptual)
    kernel = tf.Variable(tf.ones([3, 3, 3, 3]) * 0.1)
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(kernel)
        image = tf.nn.conv2d(images(0), kernel, 1, "SAME")
        terms = made.terms(image, target(images(1), perceptual), 0)
    names = list(made.total(image, terms, tape, kernel, tf.constant(1.0)).scalars)
    context = ReplicaStepContext(0, tf.constant(0, tf.int64))
    names += list(made.turn().loss({"clean": images(1)}, context, {"main": images(0)}).scalars)
    assert sorted(names) == [
        "adaptive_weight/main", "loss/main_global", "loss/main_l1", "loss/main_local", "loss/main_lpips",
        "loss/main_patches", "loss/main_r1", "loss/main_style", "score/main_fake", "score/main_real",
    ]  # fmt: skip
