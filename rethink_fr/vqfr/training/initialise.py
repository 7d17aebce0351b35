"""Starting a run of VQFR from another one: stage 2 from stage 1, or any run from one of the same network."""

from __future__ import annotations

from typing import List, Optional

import numpy as np
from tensorflow import keras

from rethink_fr.config.checks import ConfigError
from rethink_fr.system import SourceRun, TrainingTask
from rethink_fr.vqfr.networks.network import VQGAN
from rethink_fr.vqfr.published_weights import official_weights
from rethink_fr.vqfr.training.restoration_stage import RestorationTask


def initialise(task: TrainingTask, run: SourceRun, teacher: Optional[SourceRun] = None) -> List[str]:
    """Load into a task what another run has for it.

    A run of the same network gives its weights and whatever else its checkpoint has. Stage 2 takes the encoder, the
    codebook and the texture decoder of a stage 1 run, for its generator and for the teacher. If a VQFR has no teacher,
    as the published weights have none, its own encoder and codebook become the teacher. That is our reading: they were
    trained to give degraded faces the codes of clean ones.

    As in the released code, the teacher may also be given: a run of stage 1 or published weights of it. Its codebook
    must be the generator's, because the generator learns which of its own codes the teacher chooses.

    Returns:
        Names of what was loaded.

    Raises:
        ConfigError: if another run is of another network, or the teacher has another codebook.
    """
    if not isinstance(task, RestorationTask):
        return run.start(task)
    if isinstance(run.network, VQGAN):
        _check_architecture(run, task, "training.init")
        loaded = _copy(run.network, task.generator, "generator")
    else:
        loaded = run.start(task)
    if teacher is not None:
        loaded = [name for name in loaded if name != "teacher"] + _taught(task, teacher)
    elif "teacher" not in loaded:
        loaded += _copy(run.network, task.teacher, "teacher")
    return loaded


def _taught(task: RestorationTask, teacher: SourceRun) -> List[str]:
    if not isinstance(teacher.network, VQGAN):
        raise ConfigError(
            "training.teacher: that run is of stage restoration; expected one of stage codebook, or published weights "
            "of that stage made ready by convert-vqfr"
        )
    _check_architecture(teacher, task, "training.teacher")
    if not np.array_equal(teacher.network.codebook, task.generator.codebook):
        raise ConfigError(
            "training.teacher: its codebook is another one than that of training.init, so that its codes would mean "
            "something else; expected the run of stage codebook that training.init comes from"
        )
    return _copy(teacher.network, task.teacher, "teacher")


def _check_architecture(run: SourceRun, task: RestorationTask, key: str) -> None:
    theirs, ours = run.network.architecture, task.generator.architecture
    if theirs != ours:
        raise ConfigError(f"{key}: that run's network is {theirs}, expected {ours}; adapt the model settings")


def _copy(source: keras.Model, destination: keras.Model, name: str) -> List[str]:
    """Copy all weights that two networks have under the same official names; returns `name` and what was missing."""
    theirs, ours = official_weights(source), official_weights(destination)
    common = [key for key in ours if key in theirs]
    for key in common:
        ours[key].variable.assign(theirs[key].variable.numpy())
    missing = sorted({key.split(".")[0] for key in ours if key not in theirs})
    return [name if not missing else f"{name} (without {', '.join(missing)})"]
