"""The stochastic restorer as a `System`: what `rethink_fr.systems` lists. Functions load TensorFlow when called."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

from rethink_fr.config.checks import ConfigError
from rethink_fr.restorer.settings import ExperimentConfig, ModelConfig, check_restorer
from rethink_fr.system import Inference, Precision, System, TrainingTask

if TYPE_CHECKING:
    import tensorflow as tf

    from rethink_fr.layers.complexity import Complexity
    from rethink_fr.restorer.network import Restorer


def build(model: ModelConfig) -> Restorer:
    """The restorer with these settings, its variables created."""
    from rethink_fr.layers.variables import create_variables
    from rethink_fr.restorer.network import Restorer

    restorer = Restorer(**dataclasses.asdict(model))
    create_variables(restorer)
    return restorer


def inference(restorer: Restorer, precision: Precision = "float32") -> Inference:
    """The restorer as the commands use it: noise is its second input.

    Its convolutions multiply in `precision` from now on. Those of the encoder stay in float32: its features decide
    which codes are chosen.
    """
    from rethink_fr.layers.precision import set_precision

    set_precision(restorer, precision)
    set_precision(restorer.encoder, "float32")

    def restore(images: tf.Tensor, noise: Optional[tf.Tensor] = None) -> Dict[str, tf.Tensor]:
        return {"restored": restorer(images, noise).image}

    shape = (None, *restorer.noise_shape)
    return Inference(restorer, restore, restorer.resolution, None, "noise", shape, stochastic=restorer.use_noise)


def complexity(model: ModelConfig) -> Dict[str, Complexity]:
    """Parameters and multiply-accumulates of the restorer and of its discriminator, for one image."""
    from rethink_fr.layers.complexity import network_complexity
    from rethink_fr.layers.variables import create_variables
    from rethink_fr.restorer.discriminator import Discriminator

    image = (1, model.resolution, model.resolution, 3)
    restorer, discriminator = build(model), Discriminator(model.resolution, model.width)
    create_variables(discriminator)
    codebooks = [block.quantizer.codebook for block in restorer.skip_blocks if block.quantizer is not None]
    return {
        "restorer": network_complexity(restorer, restorer, image, (1, *restorer.noise_shape), codebooks=codebooks),
        "discriminator": network_complexity(discriminator, discriminator, image),
    }


def costs(model: ModelConfig) -> List[Tuple[str, str]]:
    """`complexity` as text."""
    return [
        (
            name,
            f"{one.trained_parameters:,} trained parameters, {one.codebook_values:,} codebook values, "
            f"{one.multiply_accumulates / 1e9:.3f} G multiply-accumulates an image "
            f"({model.resolution} px, width {model.width:g}, {model.n_skips} skips)",
        )
        for name, one in complexity(model).items()
    ]


def task(config: ExperimentConfig) -> TrainingTask:
    """What a run with this configuration trains."""
    from rethink_fr.restorer.task import build_task

    # The restorer comes first, so that its initial weights depend on nothing but the seed.
    return build_task(config, build(config.model))


def check_files(config: ExperimentConfig) -> None:
    """Check that the file of the perceptual network exists, if the configuration names one.

    Raises:
        ConfigError: if it does not.
    """
    source = config.objective.perceptual
    if source not in ("vgg19", "none") and not Path(source).exists():
        raise ConfigError(f"objective.perceptual: no file {source}; expected 'vgg19', 'none' or the file of a network")


SYSTEM = System(
    ModelConfig,
    build,
    inference,
    costs,
    experiment=ExperimentConfig,
    check=check_restorer,
    check_files=check_files,
    task=task,
)
