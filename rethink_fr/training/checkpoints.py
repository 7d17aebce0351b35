"""Saving and continuing a run."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import tensorflow as tf
from tensorflow import keras

from rethink_fr.training.trainer import AdversarialTrainer

# What TensorFlow raises for damaged files (it translates some of its own errors to Python's) and foreign networks.
_UNUSABLE = (tf.errors.OpError, AssertionError, ValueError, IndexError, RuntimeError)


class CheckpointError(ValueError):
    """No usable checkpoint where one was expected."""


class Checkpoints:
    """Checkpoints of everything a run consists of: what its task has to save (networks, codebooks), the average, the
    optimizers and the step, from which the data position and all random numbers follow.

    In a multi-worker run every worker has to call `save` (variables are synchronised then); only the chief's copy is
    kept.

    Args:
        directory: of the run's checkpoints.
        trainer: compiled.
        keep: number of checkpoints to keep.
        chief: whether this process is the chief worker.
    """

    def __init__(self, directory: Path, trainer: AdversarialTrainer, keep: int, chief: bool = True) -> None:
        self._step = trainer.step
        optimizers = {f"{name}_optimizer": optimizer for name, optimizer in trainer.task.optimizers.items()}
        self._checkpoint = tf.train.Checkpoint(
            **trainer.task.saved, **optimizers, average=trainer.average, step=trainer.step
        )
        self._source = str(directory)
        self._scratch: Optional[str] = None if chief else tempfile.mkdtemp(prefix="rethink-fr-worker-")
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, self._scratch or str(directory), max_to_keep=keep, checkpoint_name="step"
        )
        self.saved_step = -1  # none yet

    def restore(self) -> int:
        """Load the newest checkpoint, if there is one; returns the step to continue from.

        Raises:
            CheckpointError: if the newest checkpoint cannot be read or belongs to another network.
        """
        newest = tf.train.latest_checkpoint(self._source)
        if newest is not None:
            try:
                status = self._checkpoint.restore(newest)
                status.assert_existing_objects_matched()
            except _UNUSABLE as error:
                raise CheckpointError(
                    f"{newest}: this checkpoint cannot be continued ({_first_line(error)}); delete its files to go "
                    "back to the one before, or choose another --output"
                ) from None
            self.saved_step = int(self._step.numpy())
        return int(self._step.numpy())

    def save(self) -> None:
        """Write a checkpoint named after the step, unless this step has been saved already."""
        step = int(self._step.numpy())
        if step != self.saved_step:
            self._manager.save(checkpoint_number=step)
            self.saved_step = step

    def close(self) -> None:
        """Remove a worker's scratch copy."""
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)


def load_average(directory: Path, restorer: keras.Model) -> int:
    """Load the averaged weights of a run's newest checkpoint into a built restorer; returns the step.

    Raises:
        CheckpointError: if there is none, it cannot be read, or it belongs to another network.
    """
    newest = _newest(directory)
    step = tf.Variable(0, dtype=tf.int64)
    try:
        status = tf.train.Checkpoint(average=restorer, step=step).restore(newest)
        status.assert_existing_objects_matched().expect_partial()
    except _UNUSABLE as error:
        raise CheckpointError(f"{newest}: does not hold this network's weights ({_first_line(error)})") from None
    return int(step)


def load_matching(directory: Path, saved: Mapping[str, Any]) -> List[str]:
    """Load from a run's newest checkpoint what it has under these names with the same variables and shapes.

    Args:
        directory: of the run's checkpoints.
        saved: trackable objects by name, see `TrainingTask.saved`.

    Returns:
        The names that were loaded.

    Raises:
        CheckpointError: if there is no checkpoint or it cannot be read.
    """
    newest = _newest(directory)
    try:
        there = dict(tf.train.list_variables(newest))
        with tempfile.TemporaryDirectory(prefix="rethink-fr-") as scratch:
            # A checkpoint of what is here tells how TensorFlow names the parts of each object.
            here = dict(tf.train.list_variables(tf.train.Checkpoint(**saved).write(f"{scratch}/here")))
        fitting = {name: part for name, part in saved.items() if _below(name, here) == _below(name, there) != {}}
        if fitting:
            status = tf.train.Checkpoint(**fitting).restore(newest)
            status.assert_existing_objects_matched().expect_partial()
    except _UNUSABLE as error:
        raise CheckpointError(f"{newest}: this checkpoint cannot be read ({_first_line(error)})") from None
    return list(fitting)


def save_average(directory: Path, network: keras.Model) -> None:
    """Write a network that was not trained here as the checkpoint of a run, for `load_average`."""
    checkpoint = tf.train.Checkpoint(average=network, step=tf.Variable(0, dtype=tf.int64))
    tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=1, checkpoint_name="step").save(0)


def _newest(directory: Path) -> str:
    newest = tf.train.latest_checkpoint(str(directory))
    if newest is None:
        raise CheckpointError(f"{directory}: no checkpoint here; train first, or wait for the first one to be written")
    return newest


def _below(name: str, shapes: Mapping[str, List[int]]) -> Dict[str, List[int]]:
    """The shapes of one object's variables."""
    return {key: shape for key, shape in shapes.items() if key.startswith(f"{name}/")}


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
