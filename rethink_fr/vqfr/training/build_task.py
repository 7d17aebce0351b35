"""From an experiment's settings to the task of its stage, and from another run's weights to its start."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Union

import numpy as np
from tensorflow import keras

from rethink_fr.config.checks import ConfigError
from rethink_fr.losses.lpips import PerceptualDistance
from rethink_fr.system import SourceRun, TrainingTask
from rethink_fr.vqfr.build import build_network
from rethink_fr.vqfr.networks.discriminators import StyleDiscriminator, WaveletDiscriminator
from rethink_fr.vqfr.networks.network import VQGAN
from rethink_fr.vqfr.networks.patch_discriminator import PatchDiscriminator
from rethink_fr.vqfr.published_weights import create_variables, official_weights
from rethink_fr.vqfr.settings import AdamConfig, VQFRExperiment, perceptual_files, trained_branches
from rethink_fr.vqfr.training.codebook_stage import CodebookTask
from rethink_fr.vqfr.training.image_branch import ImageBranch
from rethink_fr.vqfr.training.restoration_stage import RestorationTask, Teacher
from rethink_fr.weights.known import KNOWN_WEIGHTS, WeightsFileError, checked_sha256
from rethink_fr.weights.torch_files import read_weights

_EPSILON = 1e-8  # of Adam, as in PyTorch


def build_task(config: VQFRExperiment) -> Union[CodebookTask, RestorationTask]:
    """The task of an experiment, its variables created. Call it inside the strategy's scope.

    Raises:
        ConfigError: if the weights of the perceptual network cannot be read.
    """
    generator = build_network(config.model)
    perceptual = load_perceptual(config.objective.vgg16)
    branches = [_branch(name, config, perceptual) for name in trained_branches(config)]
    settings = config.optimizer
    optimizers = {"autoencoder": _adam(settings.autoencoder, config)}
    discriminators = {
        branch.optimizer: _adam(settings.discriminators, config, branch.adversarial_from)
        for branch in branches
        if branch.networks
    }
    if config.stage == "codebook":
        optimizers.update(discriminators)
        return CodebookTask(generator, config.codebook, config.objective.codebook, branches[0], optimizers)
    optimizers["main_branch"] = _adam(settings.main_branch, config)
    optimizers.update(discriminators)
    teacher = Teacher(generator.architecture)
    create_variables(teacher)
    objective = config.objective
    return RestorationTask(generator, teacher, branches, objective.code_matching, objective.code_prediction, optimizers)


def initialise(task: TrainingTask, run: SourceRun) -> List[str]:
    """Start a task from another run: the same network with all that fits, or stage 2 from stage 1.

    Stage 2 from a VQGAN takes encoder, codebook and texture decoder, and the teacher. From a VQFR that has no teacher
    (published weights hold none) its own encoder and codebook become the teacher: our reading, they were trained to
    give degraded faces the codes of clean ones.

    Returns:
        What was taken over.

    Raises:
        ConfigError: if the run is of another network.
    """
    if not isinstance(task, RestorationTask):
        return run.start(task)
    if not isinstance(run.network, VQGAN):
        loaded = run.start(task)
        if "teacher" not in loaded:
            loaded += _copy(run.network, task.teacher, "teacher")
        return loaded
    theirs, ours = run.network.architecture, task.generator.architecture
    if theirs != ours:
        raise ConfigError(f"training.init: that run's network is {theirs}, expected {ours}; adapt the model settings")
    return _copy(run.network, task.generator, "generator") + _copy(run.network, task.teacher, "teacher")


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


def _adam(settings: AdamConfig, config: VQFRExperiment, first_step: int = 0) -> keras.optimizers.Optimizer:
    """Adam with the run's milestones; `first_step` is when it starts, which it counts its own steps from."""
    rate, gamma = settings.learning_rate, config.optimizer.gamma
    ahead: Sequence[int] = [step - first_step for step in config.optimizer.milestones if step > first_step]
    passed = len(config.optimizer.milestones) - len(ahead)
    rates = [rate * gamma ** (passed + count) for count in range(len(ahead) + 1)]
    # Keras changes the rate after the boundary; a milestone is the first step with the new one.
    boundaries = [step - 1 for step in ahead]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates) if ahead else rates[0]
    return keras.optimizers.Adam(schedule, settings.beta_1, settings.beta_2, epsilon=_EPSILON)


def _copy(source: keras.Model, destination: keras.Model, name: str) -> List[str]:
    """Copy what two networks have under the same official names; says what part it was."""
    theirs, ours = official_weights(source), official_weights(destination)
    common = [key for key in ours if key in theirs]
    for key in common:
        ours[key].variable.assign(theirs[key].variable.numpy())
    missing = sorted({key.split(".")[0] for key in ours if key not in theirs})
    return [name if not missing else f"{name} (without {', '.join(missing)})"]
