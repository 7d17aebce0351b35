"""Stage 2: what is frozen and what is trained, the teacher's codes, the discriminators' turns."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from rethink_fr.losses.adversarial import logistic_discriminator_loss
from rethink_fr.training.run import build_trainer
from rethink_fr.vqfr.system import task as make_task
from tests.vqfr.training.stages import batch, enliven, restoration_stage, take, values, with_sgd


def frozen_and_trained(task) -> tuple:
    trained = [variable for group in task.trained_variables().values() for variable in group]
    places = {id(variable) for variable in trained}
    return [v for v in task.generator.variables if id(v) not in places] + task.teacher.variables, trained


@pytest.mark.parametrize(
    ("version", "decoder", "branches"),
    [
        (1, "parallel", ["texture", "main"]),
        (2, "parallel", ["main"]),
        pytest.param(1, "unwarped", ["texture", "main"], marks=pytest.mark.slow),
        pytest.param(1, "single", ["texture"], marks=pytest.mark.slow),
        (1, "codes", ["texture"]),
    ],
)
def test_what_is_frozen_stays_to_the_bit_and_all_else_moves(version, decoder, branches):
    experiment = restoration_stage(version)
    experiment = dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, decoder=decoder))
    trainer = build_trainer(experiment)  # with Adam, whose steps do not vanish beside a weight of 1
    enliven(trainer)
    task, network = trainer.task, trainer.task.generator
    assert [branch.name for branch in task.branches] == branches
    frozen, trained = frozen_and_trained(task)
    own = [variable for variable in frozen if any(variable is v for v in network.variables)]
    texture = network.decoder.trainable_variables if version == 2 else []
    assert {id(variable) for variable in own} == {id(variable) for variable in [network.codebook, *texture]}
    before = values(frozen), values(trained), values(trainer.average.variables)
    take(trainer, 3)  # the main image is judged in the last one
    for name, value in values(frozen).items():
        np.testing.assert_array_equal(value, before[0][name], err_msg=name)
    after = values(trained)
    still = [name for name in after if np.array_equal(after[name], before[1][name])]
    assert not still
    for average, own in zip(trainer.average.variables, network.variables):  # its decay is 0
        np.testing.assert_array_equal(average, own)


@pytest.mark.parametrize("version", [1, 2])
def test_each_loss_reaches_the_parts_it_should_train(version):
    task = make_task(restoration_stage(version))
    network, variables = task.generator, task.trained_variables()
    with tf.GradientTape(persistent=True) as tape:
        faces, selection = network.forward(batch(0)["degraded"])
        terms = {"texture": tf.reduce_mean(tf.abs(faces.texture)), "main": tf.reduce_mean(tf.abs(faces.restored))}
        terms["matching"] = tf.reduce_mean(tf.square(selection.features))
        if version == 2:
            terms["prediction"] = tf.reduce_mean(tf.square(selection.logits))

    def reached(term: str, optimizer: str) -> bool:
        gradients = tape.gradient(terms[term], variables[optimizer])
        return any(gradient is not None and float(tf.norm(gradient)) > 0 for gradient in gradients)

    # Version 2 predicts codes: no gradient passes through them from an image to the encoder.
    images_reach_codes = version == 1
    assert reached("main", "main_branch") and reached("main", "autoencoder") == images_reach_codes
    assert reached("texture", "autoencoder") == images_reach_codes and not reached("texture", "main_branch")
    assert reached("matching", "autoencoder") and not reached("matching", "main_branch")
    if version == 2:
        assert reached("prediction", "autoencoder") and not reached("prediction", "main_branch")


def test_the_codes_wanted_are_the_teachers_for_the_clean_image():
    trainer = with_sgd(restoration_stage(2))
    images = batch(0)
    features = trainer.task.generator.select_codes(images["degraded"])
    wanted = trainer.task.teacher(images["clean"])
    (logs,) = take(trainer, 1)
    matching = np.mean(np.square(features.features - wanted.codes))
    assert logs["loss/code_matching"] == pytest.approx(matching, rel=1e-5)
    rows = np.take_along_axis(tf.nn.log_softmax(features.logits).numpy(), wanted.indices.numpy()[..., None], axis=-1)
    assert logs["loss/code_prediction"] == pytest.approx(-rows.mean(), rel=1e-5)
    assert logs["codes/agreement"] == pytest.approx(np.mean(features.indices == wanted.indices))


def test_each_branch_has_its_own_pair_of_discriminators_that_starts_on_time():
    trainer = with_sgd(restoration_stage(1))
    task = trainer.task
    assert set(task.saved) == {
        "generator", "teacher", "texture_global", "texture_local", "main_global", "main_local"
    }  # fmt: skip
    assert task.boundaries == (2,)
    assert [turn.name for turn in task.turns(0)] == ["generator", "texture_discriminators"]
    assert [turn.name for turn in task.turns(2)] == ["generator", "texture_discriminators", "main_discriminators"]
    pairs = {branch.name: branch.networks for branch in task.branches}
    variables = {name: [v for net in nets.values() for v in net.trainable_variables] for name, nets in pairs.items()}
    start = {name: values(group) for name, group in variables.items()}
    take(trainer, 2)
    moved = {name: any(not np.array_equal(v, start[name][n]) for n, v in values(group).items())
             for name, group in variables.items()}  # fmt: skip
    assert moved == {"texture": True, "main": False}
    take(trainer, 1)
    assert any(not np.array_equal(v, start["main"][n]) for n, v in values(variables["main"]).items())


def test_a_discriminators_step_follows_this_steps_gradient_alone():
    """The released code of version 2 adds the global discriminator's gradients up over steps; this must not."""
    experiment = restoration_stage(2)
    objective = dataclasses.replace(
        experiment.objective,
        r1_gamma=0.0,
        main=dataclasses.replace(experiment.objective.main, adversarial_from=0, local_adversarial=0.0),
    )
    trainer = with_sgd(dataclasses.replace(experiment, objective=objective), learning_rate=0.1)
    task = trainer.task
    (discriminator,) = task.branches[0].networks.values()
    take(trainer, 2)
    seen, original = [], discriminator.call
    # The third step's images are those that the discriminator sees in its own turn.
    discriminator.call = lambda images: (seen.append(images), original(images))[1]
    before = [variable.numpy().copy() for variable in discriminator.trainable_variables]
    vectors = [variable for variable in discriminator.variables if not variable.trainable]
    state = [variable.numpy().copy() for variable in vectors]
    take(trainer, 1)
    after = [variable.numpy().copy() for variable in discriminator.trainable_variables]
    generators, real, fake = seen
    np.testing.assert_array_equal(generators, fake)
    discriminator.call = original
    for variable, value in zip(discriminator.trainable_variables, before):
        variable.assign(value)
    for variable, value in zip(vectors, state):
        variable.assign(value)
    original(fake)  # moves the vectors of the spectral norms, as the generator's turn did
    with tf.GradientTape() as tape:
        loss = logistic_discriminator_loss(original(real), original(fake))
    for old, new, gradient in zip(before, after, tape.gradient(loss, discriminator.trainable_variables)):
        np.testing.assert_allclose(new, old - 0.1 * gradient.numpy(), rtol=1e-5, atol=1e-7)
