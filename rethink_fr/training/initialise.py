"""`rethink-fr train --init --teacher`: a new run starts from the weights of others."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, List, Mapping, Tuple

from tensorflow import keras

from rethink_fr.config.checks import ConfigError
from rethink_fr.config.sections import Experiment
from rethink_fr.runs.loading import load_matching, load_run
from rethink_fr.runs.mirror import local_model
from rethink_fr.system import TrainingTask
from rethink_fr.systems import SYSTEMS
from rethink_fr.training.trainer import AdversarialTrainer


class StartingRun:
    """The run that a new one starts from; a `SourceRun`.

    Args:
        path: its folder, made by `train` or by `convert-vqfr`.

    Raises:
        ValueError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        loaded = load_run(path)
        self.settings: Any = loaded.settings
        self.network = loaded.inference.network
        self._path = path

    def start(self, task: TrainingTask) -> List[str]:
        """See `SourceRun`."""
        if type(self.network) is not type(task.generator) or _shapes(self.network) != _shapes(task.generator):
            raise ConfigError(
                f"training.init: {self._path} holds another network ({self.settings}); expected the same `model` "
                "settings as here"
            )
        task.generator.set_weights(self.network.get_weights())
        others = {name: part for name, part in task.saved.items() if part is not task.generator}
        return ["generator", *self.load(others)]

    def load(self, saved: Mapping[str, Any]) -> List[str]:
        """See `SourceRun`."""
        return load_matching(self._path / "checkpoints", saved) if saved else []


def _shapes(network: keras.Model) -> List[Tuple[int, ...]]:
    return [tuple(weight.shape) for weight in network.weights]


def initialise(trainer: AdversarialTrainer, config: Experiment) -> List[str]:
    """Load the weights of the runs `training.init` and `training.teacher` into the trainer of a new run.

    Call it inside the strategy's scope.

    The average becomes a copy of the generator. Optimizers and step start from nothing.

    Returns:
        Names of what was loaded.

    Raises:
        ValueError: if one of them cannot be read, or is of another network.
    """
    hook = SYSTEMS[config.architecture].initialise
    with contextlib.ExitStack() as folders:
        paths = [Path(path) for path in (config.training.init, config.training.teacher) if path]
        run, *teacher = [StartingRun(folders.enter_context(local_model(path))) for path in paths]
        loaded = run.start(trainer.task) if hook is None else hook(trainer.task, run, *teacher)
    trainer.average.set_weights(trainer.task.generator.get_weights())
    return loaded
