"""The restorer's training step does what the paper says, on one replica and on two."""

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.layers.diff_augment import apply_augmentation
from rethink_fr.losses.squeezenet import squeezenet
from rethink_fr.restorer import task as restorer_task
from rethink_fr.restorer.settings import PosteriorConfig
from rethink_fr.training.trainer import ReplicaStepContext
from rethink_fr.weights.published_network import expected_shapes
from tests.training.helpers import on_replicas, random_batch, replace, small_config, values, with_sgd
from tests.weights.filled import filled


@pytest.fixture(scope="module")
def weights_of_squeezenet(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("squeezenet") / "squeezenet.npz"
    np.savez(path, **filled(expected_shapes(squeezenet, (None, None, 3))))
    return str(path)


@pytest.fixture()
def trainer():
    return with_sgd(small_config())


def codebooks(trainer) -> list[np.ndarray]:
    return values([block.quantizer.codebook for block in trainer.task.restorer.skip_blocks])


def test_one_step_updates_both_networks_the_average_the_codebooks_and_the_step(trainer):
    trainer.train_step(random_batch())
    before = {
        "restorer": values(trainer.task.restorer.trainable_variables),
        "discriminator": values(trainer.task.discriminator.trainable_variables),
        "average": values(trainer.average.trainable_variables),
        "codebooks": codebooks(trainer),
    }
    logs = trainer.train_step(random_batch(1))
    assert int(trainer.step) == 2
    after = {
        "restorer": values(trainer.task.restorer.trainable_variables),
        "discriminator": values(trainer.task.discriminator.trainable_variables),
        "average": values(trainer.average.trainable_variables),
        "codebooks": codebooks(trainer),
    }
    for part, old in before.items():
        # The bias of the discriminator's logit has no gradient where real and fake scores cancel; all else must move.
        moved = [not np.array_equal(a, b) for a, b in zip(old, after[part])]
        assert sum(moved) >= len(moved) - 1, part
    assert all(np.isfinite(float(value)) for value in logs.values())


def test_codebooks_follow_the_clean_images_and_never_the_degraded_ones():
    results = {}
    for name, degraded_seed, clean_seed in (("base", 0, 0), ("other degraded", 5, 0), ("other clean", 0, 5)):
        trainer = with_sgd(small_config())
        batch = {"degraded": random_batch(degraded_seed)["degraded"], "clean": random_batch(clean_seed)["clean"]}
        trainer.train_step(batch)
        results[name] = codebooks(trainer)
    for base, degraded, clean in zip(*results.values()):
        np.testing.assert_array_equal(base, degraded)
        assert not np.allclose(base, clean)


def test_the_codebooks_are_filled_before_the_first_images_are_quantized(trainer):
    """After the first step every code is a row of the first batch's clean features, taken before any weight moved."""
    features = trainer.task.restorer.encoder(random_batch()["clean"]).features
    trainer.train_step(random_batch())
    for position, codes in enumerate(codebooks(trainer)):
        rows = features[-2 - position].numpy().reshape(-1, codes.shape[1])
        distances = np.linalg.norm(rows[:, None] - codes[None], axis=-1).min(axis=0)
        # 1e-4: float32 and the smoothing of the counts (1e-5 of some tens).
        np.testing.assert_allclose(distances, 0, atol=1e-4)


def test_real_and_fake_images_and_the_generators_own_are_all_augmented(trainer, monkeypatch):
    seen = []

    def spy(images, draws, policy):
        seen.append((images.numpy(), draws.numpy(), policy))
        return apply_augmentation(images, draws, policy)

    monkeypatch.setattr(restorer_task, "apply_augmentation", spy)
    batch = random_batch()
    # The penalty looks at real images as they are; without it only augmented images reach the discriminator.
    trainer.task.r1_gamma = 0.0
    scores = []
    original = trainer.task.discriminator.call
    monkeypatch.setattr(
        trainer.task.discriminator, "call", lambda images: (scores.append(images.numpy()), original(images))[1]
    )
    trainer.train_step(batch)
    assert len(seen) == 3 and len(scores) == 3
    generator, real, fake = seen
    np.testing.assert_array_equal(real[0], batch["clean"].numpy())
    np.testing.assert_array_equal(generator[0], fake[0])
    assert all(policy == "color,translation" for _, _, policy in seen)
    for (images, draws, policy), scored in zip(seen, scores):
        np.testing.assert_array_equal(apply_augmentation(images, tf.constant(draws), policy).numpy(), scored)
    assert len({draws.tobytes() for _, draws, _ in seen}) == 3, "the three views are drawn independently"


@pytest.mark.parametrize("blocked", [False, True])
def test_the_generators_gradient_passes_through_the_augmentation(monkeypatch, blocked):
    """Without L1 and commitment only the adversarial term moves the restorer; an augmentation that blocks stops it."""
    trainer = with_sgd(replace(small_config(), "objective", l1=0.0, commitment=0.0, r1_gamma=0.0))
    start = values(trainer.task.restorer.trainable_variables)
    if blocked:
        monkeypatch.setattr(restorer_task, "apply_augmentation", lambda images, *_: tf.stop_gradient(images))
    trainer.train_step(random_batch())
    moved = [not np.array_equal(a, b) for a, b in zip(start, values(trainer.task.restorer.trainable_variables))]
    assert any(moved) != blocked


def test_the_discriminators_step_sends_no_gradient_to_the_restorer(trainer, monkeypatch):
    moved = []
    for name, optimizer in trainer.task.optimizers.items():
        original = optimizer.apply_gradients

        def spy(pairs, *, name=name, original=original, **keywords):
            pairs = list(pairs)
            moved.append((name, [variable.ref() for _, variable in pairs]))
            return original(pairs, **keywords) if name == "discriminator" else None

        monkeypatch.setattr(optimizer, "apply_gradients", spy)
    before = values(trainer.task.restorer.trainable_variables)
    trainer.train_step(random_batch())
    assert [name for name, _ in moved] == ["restorer", "discriminator"]
    for (name, variables), network in zip(moved, (trainer.task.restorer, trainer.task.discriminator)):
        assert variables == [variable.ref() for variable in network.trainable_variables], name
    for old, new in zip(before, values(trainer.task.restorer.trainable_variables)):
        np.testing.assert_array_equal(old, new)


def test_r1_is_applied_every_interval_and_weighted_by_it(trainer):
    penalties = []
    for number in range(4):
        penalties.append(float(trainer.train_step(random_batch(number))["loss/r1"]))
    assert penalties[0] > 0 and penalties[2] > 0
    assert penalties[1] == penalties[3] == 0


def test_noise_differs_from_step_to_step_and_follows_the_seed(trainer):
    def drawn(seed: int, step: int) -> np.ndarray:
        return trainer.task.draw_noise(tf.constant(4), ReplicaStepContext(seed, tf.constant(step, tf.int64))).numpy()

    draw = drawn(0, 0)
    np.testing.assert_array_equal(draw, drawn(0, 0))
    assert draw.shape == (4, 1, *trainer.task.restorer.noise_shape)
    assert not np.allclose(draw, drawn(0, 1))
    assert not np.allclose(draw, drawn(1, 0))


def posterior_config():
    """Everything beside the paper switched on."""
    config = replace(small_config(), "model", pixel_noise=True, residual=True, fusion="sft")
    posterior = PosteriorConfig(score="energy", draws=3, adaptation=0.01)
    return replace(config, "objective", conditional=True, posterior=posterior)


def test_draws_of_a_step_differ_and_noise_zero_is_trained(monkeypatch):
    trainer = with_sgd(posterior_config())
    seen = []
    original = trainer.task.objective.__call__
    monkeypatch.setattr(type(trainer.task.objective), "__call__", lambda self, *a: (seen.append(a[1]), original(*a))[1])
    logs = trainer.train_step(random_batch())
    (restored,) = seen
    assert len(restored.draws) == 3
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(restored.draws[one] - restored.draws[other]).max() > 1e-3
    assert float(logs["loss/deterministic"]) == pytest.approx(
        float(tf.reduce_mean(tf.abs(random_batch()["clean"] - restored.deterministic)))
    )
    assert {"spread/excess_fine", "spread/factor_coarse", "loss/posterior"} <= set(logs) and "loss/l1" not in logs


def test_a_conditional_discriminator_sees_the_degraded_image_augmented_alike(monkeypatch):
    trainer = with_sgd(replace(posterior_config(), "objective", r1_gamma=0.0))
    seen = []
    original = trainer.task.discriminator.call
    monkeypatch.setattr(trainer.task.discriminator, "call", lambda images: (seen.append(images), original(images))[1])
    monkeypatch.setattr(restorer_task, "apply_augmentation", lambda images, draws, policy: images + draws[0, 0])
    batch = random_batch()
    trainer.train_step(batch)
    assert len(seen) == 3  # the generator's turn, then real and fake
    shift = seen[1][0, 0, 0, 3] - batch["degraded"][0, 0, 0, 0]
    np.testing.assert_allclose(seen[1][..., :3], batch["clean"] + shift, atol=1e-6)
    np.testing.assert_allclose(seen[1][..., 3:], batch["degraded"] + shift, atol=1e-6)


def test_without_an_adversarial_term_there_is_no_discriminators_turn():
    trainer = with_sgd(replace(small_config(), "objective", adversarial=0.0))
    before = values(trainer.task.discriminator.trainable_variables)
    logs = trainer.train_step(random_batch())
    assert not {"loss/adversarial", "loss/discriminator", "loss/r1"} & set(logs)
    for old, new in zip(before, values(trainer.task.discriminator.trainable_variables)):
        np.testing.assert_array_equal(old, new)


def test_the_perceptual_terms_are_measured_in_the_first_hundred_steps(weights_of_squeezenet):
    config = replace(small_config(), "objective", perceptual=weights_of_squeezenet)
    trainer = with_sgd(config)
    assert trainer.task.boundaries == (100,)
    trainer.train_step(random_batch())
    term = trainer.task.objective.perceptual.relative["feature"]
    assert float(term.count) == 1 and np.all(term.sums > 0)
    trainer.phase = 100
    trainer.train_step(random_batch(1))
    assert float(term.count) == 1
    assert {"relative_feature", "relative_style"} <= set(trainer.task.saved)  # a continued run has them


def run(strategy, config, steps: int = 5):
    """Losses, weights and codebooks after some steps; batch k of every strategy is the same global batch."""
    with strategy.scope():
        trainer = with_sgd(config)

    @tf.function
    def step(batch):
        return strategy.run(trainer.train_step, args=(batch,))

    logs = {}
    for number in range(steps):
        scalars = step(on_replicas(strategy, random_batch(number)))
        logs[number] = {name: float(strategy.experimental_local_results(value)[0]) for name, value in scalars.items()}
    return trainer, logs


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(small_config(), id="paper"),
        pytest.param(posterior_config(), id="posterior", marks=pytest.mark.slow),
    ],
)
def test_one_and_two_replicas_give_the_same_losses_weights_and_codebooks(mirrored, config):
    one, one_logs = run(tf.distribute.get_strategy(), config)
    two, two_logs = run(mirrored, config)
    for number, logs in one_logs.items():
        for name, value in logs.items():
            # float32 sums in another order: 4e-7 at the worst. Within that distance of the kink of a leaky ReLU or of
            # an L1 difference a gradient jumps and nothing is wrong: 1.3e-4 of its norm on a Sapphire Rapids, none on
            # a Zen 5. A wrong factor would double it.
            tolerance = 5e-4 if name.startswith("gradient_norm/") else 1e-5
            assert two_logs[number][name] == pytest.approx(value, rel=tolerance, abs=1e-5), f"{name} at step {number}"
    networks = [{**trainer.task.saved, "average": trainer.average} for trainer in (one, two)]
    for network, alone in networks[0].items():
        for a, b in zip(alone.variables, networks[1][network].variables):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5, rtol=1e-5, err_msg=f"{network}: {a.name}")
    for block in two.task.restorer.skip_blocks:
        first, second = mirrored.experimental_local_results(block.quantizer.codebook)
        np.testing.assert_array_equal(first.numpy(), second.numpy())
