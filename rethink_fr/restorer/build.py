"""From configuration to objects."""

from __future__ import annotations

from typing import Dict, Optional

import tensorflow as tf
from tensorflow import keras

from rethink_fr.config.checks import ConfigError
from rethink_fr.layers.complexity import Complexity, network_complexity
from rethink_fr.restorer.discriminator import Discriminator
from rethink_fr.restorer.network import Restorer
from rethink_fr.restorer.objective import RestorerObjective
from rethink_fr.restorer.settings import ExperimentConfig, ModelConfig, ObjectiveConfig, OptimizerConfig
from rethink_fr.restorer.task import RestorerTask


def build_restorer(model: ModelConfig) -> Restorer:
    """The restorer of a configuration, its variables created."""
    restorer = Restorer(
        resolution=model.resolution,
        width=model.width,
        n_skips=model.n_skips,
        codebook_size=model.codebook_size,
        fusion=model.fusion,
        quantize=model.quantize,
        noise=model.noise,
        codebook_decay=model.codebook_decay,
        codebook_reseed_after=model.codebook_reseed_after,
    )
    _create_variables(restorer, model.resolution)
    return restorer


def build_discriminator(model: ModelConfig) -> Discriminator:
    """The discriminator of a configuration, its variables created."""
    discriminator = Discriminator(model.resolution, model.width)
    _create_variables(discriminator, model.resolution)
    return discriminator


def build_complexity(model: ModelConfig) -> Dict[str, Complexity]:
    """Complexity of the restorer and the discriminator of a configuration."""
    image = (1, model.resolution, model.resolution, 3)
    restorer, discriminator = build_restorer(model), build_discriminator(model)
    codebooks = [block.quantizer.codebook for block in restorer.skip_blocks if block.quantizer is not None]
    return {
        "restorer": network_complexity(restorer, restorer, image, (1, *restorer.noise_shape), codebooks=codebooks),
        "discriminator": network_complexity(discriminator, discriminator, image),
    }


def build_restorer_task(config: ExperimentConfig) -> RestorerTask:
    """What a run of the restorer trains. Call it inside the strategy's scope."""
    objective = config.objective
    # The networks come first: what is drawn for them must not depend on the objective.
    restorer, discriminator = build_restorer(config.model), build_discriminator(config.model)
    return RestorerTask(
        restorer,
        discriminator,
        build_objective(objective),
        build_optimizer(config.optimizer),
        build_optimizer(config.optimizer),
        augment=objective.augment,
        r1_gamma=objective.r1_gamma,
        r1_interval=objective.r1_interval,
    )


def build_optimizer(optimizer: OptimizerConfig) -> keras.optimizers.Optimizer:
    """Adam, its learning rate constant or falling along half a cosine (Loshchilov and Hutter 2017, Eq. 5)."""
    learning_rate = optimizer.learning_rate
    if optimizer.decay_steps:
        learning_rate = keras.optimizers.schedules.CosineDecay(learning_rate, optimizer.decay_steps)
    return keras.optimizers.Adam(learning_rate, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)


def build_objective(objective: ObjectiveConfig) -> RestorerObjective:
    """The loss terms of a configuration, with VGG-19 loaded unless it says `none`."""
    return RestorerObjective(
        objective.adversarial,
        objective.l1,
        objective.commitment,
        load_vgg19(objective.vgg19),
        objective.feature,
        objective.style,
    )


def load_vgg19(weights: str) -> Optional[keras.Model]:
    """VGG-19 without top: Keras' own download for "imagenet", a file of such weights, or None for "none".

    Raises:
        ConfigError: if the weights cannot be had. They are never replaced by random ones.
    """
    if weights == "none":
        return None
    try:
        vgg = keras.applications.VGG19(include_top=False, weights=weights)
    except Exception as error:  # Keras raises bare Exception for a failed download, h5py its own kinds
        advice = (
            "connect once, give a local file with --set objective.vgg19=FILE.h5, or train without the perceptual terms "
            "by --set objective.vgg19=none --set objective.adversarial=0.05"
            if weights == "imagenet"
            else "expected the weights of keras.applications.VGG19(include_top=False)"
        )
        reason = str(error).splitlines()[0][:150]
        raise ConfigError(f"objective.vgg19: cannot load {weights!r} ({reason}); {advice}") from None
    vgg.trainable = False
    return vgg


def _create_variables(network: keras.Model, resolution: int) -> None:
    """Trace the network once, symbolically: shapes become known, nothing is computed."""
    tf.function(network).get_concrete_function(tf.TensorSpec([1, resolution, resolution, 3], tf.float32))
