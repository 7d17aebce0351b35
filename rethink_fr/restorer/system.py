"""The stochastic restorer as one of the systems that the commands know. TensorFlow loads when a function is called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

from rethink_fr.config.checks import ConfigError
from rethink_fr.restorer.settings import ExperimentConfig, ModelConfig, check_restorer
from rethink_fr.system import Inference, Precision, System, TrainingTask

if TYPE_CHECKING:
    import tensorflow as tf

    from rethink_fr.restorer.network import Restorer


def build(model: ModelConfig) -> Restorer:
    """The restorer of a configuration, its variables created."""
    from rethink_fr.restorer.build import build_restorer

    return build_restorer(model)


def inference(restorer: Restorer, precision: Precision = "float32") -> Inference:
    """The restorer with its noise as an input.

    Raises:
        ValueError: if another precision than float32 is asked for.
    """
    if precision != "float32":
        raise ValueError(f"--precision {precision}: the stochastic restorer computes in float32 only")

    def restore(images: tf.Tensor, noise: Optional[tf.Tensor] = None) -> Dict[str, tf.Tensor]:
        return {"restored": restorer(images, noise).image}

    shape = (None, *restorer.noise_shape)
    return Inference(restorer, restore, restorer.resolution, None, "noise", shape, stochastic=restorer.use_noise)


def costs(model: ModelConfig) -> List[Tuple[str, str]]:
    """Parameters and arithmetic of the restorer and its discriminator, as text."""
    from rethink_fr.restorer.build import build_complexity

    return [
        (
            name,
            f"{one.trained_parameters:,} trained parameters, {one.codebook_values:,} codebook values, "
            f"{one.multiply_accumulates / 1e9:.3f} G multiply-accumulates an image "
            f"({model.resolution} px, width {model.width:g}, {model.n_skips} skips)",
        )
        for name, one in build_complexity(model).items()
    ]


def task(config: ExperimentConfig) -> TrainingTask:
    """What a run of this configuration trains."""
    from rethink_fr.restorer.build import build_restorer_task

    return build_restorer_task(config)


def check_files(config: ExperimentConfig) -> None:
    """Refuse a file of VGG-19 weights that is not there.

    Raises:
        ConfigError: naming it.
    """
    weights = config.objective.vgg19
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise ConfigError(f"objective.vgg19: no file {weights}; expected 'imagenet', 'none' or a Keras VGG-19 .h5 file")


SYSTEM = System(
    ModelConfig,
    build,
    inference,
    costs,
    experiment=ExperimentConfig,
    check=check_restorer,
    task=task,
    check_files=check_files,
)
