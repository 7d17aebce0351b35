"""From configuration to objects: VGG-19 weights are real, given, or left out, never random."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import DataConfig
from rethink_fr.pictures.files import write_image
from rethink_fr.restorer.settings import OptimizerConfig
from rethink_fr.restorer.task import build_optimizer, load_perceptual
from rethink_fr.training.pictures import open_sources
from rethink_fr.training.run import build_trainer
from tests.training.helpers import random_batch, replace, small_config


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    """A file of VGG-19 weights, small ones, as Keras would download it."""
    vgg = keras.applications.VGG19(include_top=False, weights=None)
    path = str(tmp_path_factory.mktemp("vgg") / "vgg19.h5")
    vgg.save_weights(path)
    return path


def test_none_means_no_perceptual_terms():
    assert load_perceptual("none") is None
    trainer = build_trainer(small_config())
    assert set(trainer.task.objective.weights) == {"adversarial", "l1", "commitment"}


def test_a_file_of_weights_gives_the_perceptual_terms_a_gradient(weights):
    config = replace(small_config(), "objective", perceptual=weights, l1=0.0, adversarial=0.0, commitment=0.0)
    trainer = build_trainer(config)
    before = [variable.numpy().copy() for variable in trainer.task.restorer.trainable_variables]
    frozen = [variable.numpy().copy() for variable in trainer.task.objective.perceptual.network.variables]
    logs = trainer.train_step(random_batch())
    assert float(logs["loss/feature"]) > 0 and float(logs["loss/style"]) > 0
    assert any(not np.array_equal(a, b.numpy()) for a, b in zip(before, trainer.task.restorer.trainable_variables))
    for a, b in zip(frozen, trainer.task.objective.perceptual.network.variables):
        np.testing.assert_array_equal(a, b.numpy())


def test_weights_that_cannot_be_loaded_are_an_error_not_a_random_network(tmp_path, monkeypatch):
    (tmp_path / "vgg.h5").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="objective.perceptual: .*expected the weights of"):
        load_perceptual(str(tmp_path / "vgg.h5"))

    def no_network(*arguments, **keywords):
        raise Exception("URL fetch failure on https://...: None -- no route")  # what Keras raises

    monkeypatch.setattr(keras.applications, "VGG19", no_network)
    with pytest.raises(ConfigError, match="objective.perceptual=none"):
        load_perceptual("vgg19")


def test_validation_faces_are_people_that_training_never_shows():
    train, validation = open_sources(small_config().data, 32)
    shown = {train.read(index).tobytes() for index in range(len(train))}
    assert len(train) == 12 and len(validation) == 4
    assert not shown & {validation.read(index).tobytes() for index in range(len(validation))}


@pytest.mark.parametrize(
    "wanted, trained, said",
    [(256, 75, "25 of its 100 pictures are held out, 75 are"), (60, 40, "60 of its 100 pictures"), (20, 80, "")],
)
def test_a_hundred_pictures_are_enough_to_hold_some_out(tmp_path, capsys, wanted, trained, said):
    for number in range(100):
        write_image(tmp_path / f"{number}.png", np.full([32, 32, 3], number, np.uint8))
    train, validation = open_sources(
        DataConfig(train=str(tmp_path), validation="holdout", validation_images=wanted), 32
    )
    assert (len(train), len(validation)) == (trained, 100 - trained)
    printed = capsys.readouterr().err
    assert said in printed and bool(said) == bool(printed)


def test_two_trainers_of_one_seed_start_from_the_same_weights():
    one, other = build_trainer(small_config(seed=3)), build_trainer(small_config(seed=3))
    for a, b in zip(one.task.restorer.variables, other.task.restorer.variables):
        tf.debugging.assert_equal(a, b)


def test_the_learning_rate_falls_along_half_a_cosine():
    optimizer = build_optimizer(OptimizerConfig(learning_rate=0.4, decay_steps=4))
    weight = tf.Variable(1.0)
    rates = []
    for _ in range(5):
        optimizer.apply_gradients([(tf.constant(1.0), weight)])
        rates.append(float(optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0.2 * (1 + np.cos(np.pi * step / 4)) for step in range(5)], atol=1e-7)


def test_the_learning_rate_is_constant_without_decay_steps():
    optimizer = build_optimizer(OptimizerConfig(learning_rate=0.4))
    optimizer.apply_gradients([(tf.constant(1.0), tf.Variable(1.0))])
    assert float(optimizer.learning_rate) == pytest.approx(0.4)
