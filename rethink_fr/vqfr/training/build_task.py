"""What a run of VQFR trains, made from its configuration: networks, losses and optimizers of either stage."""

from __future__ import annotations

from typing import Dict, Optional, Sequence, Union

import numpy as np
from tensorflow import keras

from rethink_fr.config.checks import ConfigError
from rethink_fr.layers.variables import create_variables
from rethink_fr.losses.lpips import PerceptualDistance
from rethink_fr.vqfr.networks.discriminators import StyleDiscriminator, WaveletDiscriminator
from rethink_fr.vqfr.networks.network import VQFR, VQGAN
from rethink_fr.vqfr.networks.patch_discriminator import PatchDiscriminator
from rethink_fr.vqfr.settings import AdamConfig, VQFRExperiment, perceptual_files, trained_branches
from rethink_fr.vqfr.training.codebook_stage import CodebookTask
from rethink_fr.vqfr.training.image_branch import ImageBranch
from rethink_fr.vqfr.training.restoration_stage import RestorationTask, Teacher
from rethink_fr.weights.known import KNOWN_WEIGHTS, WeightsFileError, checked_sha256
from rethink_fr.weights.torch_files import read_weights

_EPSILON = 1e-8  # of Adam, as in PyTorch


def build_task(config: VQFRExperiment, generator: Union[VQFR, VQGAN]) -> Union[CodebookTask, RestorationTask]:
    """Make what a run trains from its configuration. Call it inside the strategy's scope.

    Args:
        config: of the run.
        generator: the network of `config.model`, its variables created; a `VQGAN` in the stage `codebook`.

    Raises:
        ConfigError: if the weights of the perceptual network cannot be loaded.
    """
    perceptual = load_perceptual(config.objective.vgg16)
    branches = [_branch(name, config, perceptual) for name in trained_branches(config)]
    settings, parts = config.optimizer, config.training.accumulate
    optimizers = {"autoencoder": _optimizer(settings.autoencoder, config)}
    discriminators = {
        branch.optimizer: _optimizer(settings.discriminators, config, branch.adversarial_from)
        for branch in branches
        if branch.networks
    }
    if config.stage == "codebook":
        optimizers.update(discriminators)
        return CodebookTask(generator, config.codebook, config.objective.codebook, branches[0], optimizers, parts)
    if config.model.decoder != "codes":  # that one has nothing beside the autoencoder
        optimizers["main_branch"] = _optimizer(settings.main_branch, config)
    optimizers.update(discriminators)
    teacher = Teacher(generator.architecture)
    create_variables(teacher)
    objective = config.objective
    return RestorationTask(
        generator, teacher, branches, objective.code_matching, objective.code_prediction, optimizers, parts
    )


def load_perceptual(source: str) -> Optional[PerceptualDistance]:
    """VGG-16 and the heads of LPIPS, their arrays under the published names: from a file, or those that were "fetched";
    None for "none".

    Raises:
        ConfigError: if they cannot be had. They are never replaced by random ones.
    """
    if source == "none":
        return None
    arrays: Dict[str, np.ndarray] = {}
    try:
        if source == "fetched":
            for file in KNOWN_WEIGHTS["lpips-vgg"].files:
                checked_sha256("lpips-vgg", file)
        for path in perceptual_files(source):
            arrays.update(read_weights(path))
        return PerceptualDistance(arrays)
    except WeightsFileError as error:
        raise ConfigError(f"objective.vgg16: {error}") from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise ConfigError(
            f"objective.vgg16: cannot use {source} ({reason}); expected torchvision's VGG-16 arrays "
            "(features.N.weight, features.N.bias) and the heads of LPIPS 0.1 (linK.model.1.weight) in one .npz "
            "file, or 'fetched'"
        ) from None


def _branch(name: str, config: VQFRExperiment, perceptual: Optional[PerceptualDistance]) -> ImageBranch:
    weights, networks = getattr(config.objective, name), config.discriminator
    resolution = config.model.resolution
    judges: Dict[str, Optional[keras.Model]] = {"global": None, "local": None}
    if weights.global_adversarial:
        make = WaveletDiscriminator if networks.kind == "wavelet" else StyleDiscriminator
        judges["global"] = make(resolution, networks.width)
    if weights.local_adversarial:
        judges["local"] = PatchDiscriminator(networks.patch_layers, networks.width)
    for judge in judges.values():
        if judge is not None:
            create_variables(judge)
    return ImageBranch(name, weights, config.objective, perceptual, judges["global"], judges["local"])


def _optimizer(settings: AdamConfig, config: VQFRExperiment, first_step: int = 0) -> keras.optimizers.Optimizer:
    """Adam, or the optimizer that is named, whose learning rate falls at the run's milestones.

    Args:
        settings: of this optimizer.
        config: of the run.
        first_step: step of the run at which the optimizer starts. It counts its own steps from there.
    """
    rate, gamma = settings.learning_rate, config.optimizer.gamma
    ahead: Sequence[int] = [step - first_step for step in config.optimizer.milestones if step > first_step]
    passed = len(config.optimizer.milestones) - len(ahead)
    rates = [rate * gamma ** (passed + count) for count in range(len(ahead) + 1)]
    # Keras changes the rate after the boundary; a milestone is the first step with the new one.
    boundaries = [step - 1 for step in ahead]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates) if ahead else rates[0]
    if config.optimizer.name == "sgd":
        return keras.optimizers.SGD(schedule, jit_compile=config.optimizer.jit_compile)
    return keras.optimizers.Adam(
        schedule, settings.beta_1, settings.beta_2, epsilon=_EPSILON, jit_compile=config.optimizer.jit_compile
    )
