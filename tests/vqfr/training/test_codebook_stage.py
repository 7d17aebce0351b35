"""Stage 1: what is trained when, the codebook's phases, and the discriminator's start."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.training.callbacks import FollowTask
from rethink_fr.vqfr.system import task as make_task
from rethink_fr.vqfr.training.reservoir import cluster
from tests.vqfr.training.stages import batch, codebook_stage, take, values, with_sgd


@pytest.fixture()
def trainer():
    return with_sgd(codebook_stage())


def test_the_phases_begin_where_the_settings_say(trainer):
    assert trainer.task.boundaries == (1, 2, 5)
    names = [set(logged) for logged in take(trainer, 6)]
    assert names[0] == names[1] and names[2] == names[5]
    assert names[2] - names[0] == {
        "loss/texture_global", "loss/texture_r1", "loss/texture_discriminators",
        "gradient_norm/texture_discriminators", "score/texture_real", "score/texture_fake",
    }  # fmt: skip
    plain = dataclasses.replace(codebook_stage(2).codebook, quantize_from=0, reestimate_until=0)
    task = with_sgd(codebook_stage(2, codebook=plain)).task
    assert task.boundaries == (2,) and task.reservoir is None


def test_before_quantization_all_but_the_codebook_learns_and_afterwards_all_does(trainer):
    network = trainer.task.generator
    for codebook_learns in (False, True):
        before = values(network.trainable_variables)
        take(trainer, 1)
        after = values(network.trainable_variables)
        still = [name for name in before if np.array_equal(before[name], after[name])]
        assert still == ([] if codebook_learns else [name for name in before if "codebook" in name])


def test_k_means_of_the_reservoir_replaces_the_codebook_every_interval(trainer):
    task = trainer.task
    take(trainer, 1)
    codebook = task.codebook.numpy()
    task.after_step(1)
    np.testing.assert_array_equal(task.codebook, codebook)
    trainer.enter_phase(1)
    trainer.train_step(batch(1))
    sample = task.reservoir.sample()
    assert len(sample) == 96
    assert task.after_step(2) == [task.codebook]
    np.testing.assert_array_equal(task.codebook, cluster(sample, 16))
    assert int(task.reservoir.seen.numpy()) == 0


def test_the_average_has_the_new_codebook_at_once():
    trainer = with_sgd(codebook_stage(training=dataclasses.replace(codebook_stage().training, average_decay=0.9)))
    follow = FollowTask()
    follow.set_model(trainer)
    for step in range(2):
        trainer.enter_phase(step)
        trainer.train_step(batch(step))
    before = trainer.task.codebook.numpy()
    assert not np.array_equal(trainer.average.codebook, before)
    follow.on_train_batch_end(1)
    assert not np.array_equal(trainer.task.codebook, before)
    np.testing.assert_array_equal(trainer.average.codebook, trainer.task.codebook)
    kernel, average = trainer.task.generator.decoder.last_kernel, trainer.average.decoder.last_kernel
    assert not np.array_equal(average, kernel)  # all else stays an average


def test_after_its_last_phase_the_codebook_follows_its_loss_alone(trainer):
    take(trainer, 5)
    seen = int(trainer.task.reservoir.seen.numpy())
    before = trainer.task.codebook.numpy()
    for step in (6, 8, 10):
        trainer.task.after_step(step)
    np.testing.assert_array_equal(trainer.task.codebook, before)
    take(trainer, 1)
    assert int(trainer.task.reservoir.seen.numpy()) == seen
    assert not np.array_equal(trainer.task.codebook, before)


def test_the_reservoir_is_filled_with_the_features_of_clean_images(trainer):
    features = trainer.task.generator.select_codes(batch(0)["clean"]).features
    take(trainer, 1)
    rows = features.numpy().reshape(-1, features.shape[-1])
    distances = np.abs(trainer.task.reservoir.sample()[:, None] - rows[None]).max(axis=-1)
    # The same rows, but for what two ways of tracing a convolution round.
    assert distances.min(axis=1).max() < 1e-5


def test_the_discriminator_stands_still_until_its_start(trainer):
    (discriminator,) = trainer.task.branch.networks.values()
    start = values(discriminator.trainable_variables)
    take(trainer, 2)
    for name, value in values(discriminator.trainable_variables).items():
        np.testing.assert_array_equal(value, start[name])
    logs = take(trainer, 2)
    # The bias of the logit has no gradient where real and fake scores cancel.
    moved = [not np.array_equal(v, start[n]) for n, v in values(discriminator.trainable_variables).items()]
    assert sum(moved) >= len(moved) - 1
    assert logs[0]["loss/texture_r1"] > 0 and logs[1]["loss/texture_r1"] == 0  # every second step


@pytest.mark.parametrize(
    ("term", "weights"),
    [
        ("l1", {"l1": 1.0, "global_adversarial": 0.0}),
        ("global", {"l1": 0.0, "global_adversarial": 1.0, "adversarial_from": 0}),
    ],
)
def test_each_term_alone_moves_encoder_and_decoder(term, weights):
    experiment = codebook_stage(codebook=dataclasses.replace(codebook_stage().codebook, quantize_from=0))
    texture = dataclasses.replace(experiment.objective.texture, **weights)
    objective = dataclasses.replace(experiment.objective, texture=texture)
    task = with_sgd(dataclasses.replace(experiment, objective=objective)).task
    network = task.generator
    parts = {"encoder": network.encoder.conv_in.kernel, "decoder": network.decoder.last_kernel}
    with tf.GradientTape(persistent=True) as tape:
        image, selection = network(batch(0)["clean"])
        from rethink_fr.vqfr.training.image_branch import target

        value = task.branch.terms(image, target(batch(0)["clean"], None), 0)[term]
    for name, kernel in parts.items():
        assert float(tf.norm(tape.gradient(value, kernel))) > 0, name
    assert float(tf.norm(tape.gradient(selection.loss, parts["encoder"]))) > 0
    assert tape.gradient(selection.loss, parts["decoder"]) is None


def test_the_learning_rate_of_a_late_discriminator_falls_with_the_others():
    """Milestones are steps of the run, whenever an optimizer starts."""
    experiment = codebook_stage()
    optimizer = dataclasses.replace(experiment.optimizer, milestones=(1, 4), gamma=0.5)
    task = make_task(dataclasses.replace(experiment, optimizer=optimizer))
    rates = {name: each._learning_rate for name, each in task.optimizers.items()}
    for name, first in (("autoencoder", 0), ("texture_discriminators", 2)):
        found = [float(rates[name](step - first)) for step in range(first, 7)]
        wanted = [1e-4 * 0.5 ** ((step >= 1) + (step >= 4)) for step in range(first, 7)]
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
