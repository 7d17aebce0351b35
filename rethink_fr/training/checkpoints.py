"""Saving and continuing a run: what TensorFlow writes and reads. Which checkpoint counts, `checkpoint_files` says."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from rethink_fr.files import checkpoint_files
from rethink_fr.files.checkpoint_files import CheckpointError, checkpoint_path, newest_whole
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.files.writing import WriteError
from rethink_fr.training.trainer import AdversarialTrainer

# What TensorFlow raises for damaged files (it translates some of its own errors to Python's) and foreign networks.
_UNUSABLE = (tf.errors.OpError, AssertionError, ValueError, IndexError, RuntimeError)


class Checkpoints:
    """Checkpoints of everything a run consists of: what its task has to save (networks, codebooks), the average, the
    optimizers and the step, from which the data position and all random numbers follow.

    Learning rates are written, but not read: those of the run's settings hold.

    In a multi-worker run every worker has to call `save` (variables are synchronised then); only the chief's copy is
    kept. The chief holds the run's lock.

    Args:
        directory: of the run's checkpoints.
        trainer: compiled.
        keep: number of checkpoints to keep.
        chief: whether this process is the chief worker.
    """

    def __init__(self, directory: Path, trainer: AdversarialTrainer, keep: int, chief: bool = True) -> None:
        self._step = trainer.step
        written, read = dict(trainer.task.saved), dict(trainer.task.saved)
        for name, optimizer in trainer.task.optimizers.items():
            written[f"{name}_optimizer"] = optimizer
            # Its iterations and moments, by the name that Keras has for their list; not its learning rate.
            read[f"{name}_optimizer"] = tf.train.Checkpoint(_variables=list(optimizer.variables))
        self._written = tf.train.Checkpoint(**written, average=trainer.average, step=trainer.step)
        self._read = tf.train.Checkpoint(**read, average=trainer.average, step=trainer.step)
        self._directory = directory
        self._keep = keep
        self._scratch: Optional[Path] = None if chief else Path(tempfile.mkdtemp(prefix="rethink-fr-worker-"))
        self.saved_step = -1  # none yet

    def restore(self, step: Optional[int] = None) -> int:
        """Load the newest whole checkpoint, if there ever was one; returns the step to continue from.

        The chief moves damaged ones out of the way and says so.

        Args:
            step: of the checkpoint to load instead; the later ones are then put aside.

        Raises:
            CheckpointError: if none is whole, or it belongs to another network; nothing is changed then.
        """
        chief = self._scratch is None
        if chief:
            checkpoint_files.clear_leftovers(self._directory)
        choice = newest_whole(self._directory, _unreadable, step)
        if choice is not None:
            path = checkpoint_path(self._directory, choice.step)
            try:
                self._read.read(str(path)).assert_existing_objects_matched().expect_partial()
            except _UNUSABLE as error:
                raise CheckpointError(
                    f"{printable(path)}: this checkpoint cannot be continued, it is whole but of another network "
                    f"({_first_line(error)}); choose another --output"
                ) from None
            if chief:
                for line in checkpoint_files.settle(self._directory, choice, step):
                    tqdm.write(f"rethink-fr: {line}", file=sys.stderr)
            self.saved_step = int(self._step.numpy())
        return int(self._step.numpy())

    def save(self) -> None:
        """Write a checkpoint named after the step, unless this step has been saved already.

        Raises:
            WriteError: if it cannot be written; the earlier ones are whole then.
        """
        step = int(self._step.numpy())
        if step == self.saved_step:
            return
        path = checkpoint_path(self._directory, step)
        try:
            folder = self._scratch or checkpoint_files.writing_folder(self._directory)
            self._written.write(str(checkpoint_path(folder, step)))
            if self._scratch is None:
                checkpoint_files.commit(self._directory, step, self._keep)
            else:
                for part in folder.glob("step-*"):
                    part.unlink()
        except (tf.errors.OpError, OSError, UnreadableFile) as error:
            # TensorFlow's message ends with the system's reason.
            reason = error.strerror if isinstance(error, OSError) else _first_line(error).rsplit("; ", 1)[-1]
            if self._scratch is None:
                checkpoint_files.remove_writing(self._directory)  # half of it would keep the disk full
            raise WriteError(
                f"{printable(path)}: this checkpoint cannot be written ({reason}); make room there"
            ) from None
        self.saved_step = step

    def close(self) -> None:
        """Remove a worker's scratch copy."""
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)


def load_average(directory: Path, restorer: keras.Model) -> int:
    """Load the averaged weights of a run's newest whole checkpoint into a built restorer; returns the step.

    Raises:
        CheckpointError: if there is none, or it belongs to another network.
    """
    newest = _newest(directory)
    step = tf.Variable(0, dtype=tf.int64)
    try:
        status = tf.train.Checkpoint(average=restorer, step=step).read(newest)
        status.assert_existing_objects_matched().expect_partial()
    except _UNUSABLE as error:
        raise CheckpointError(f"{newest}: does not hold this network's weights ({_first_line(error)})") from None
    return int(step)


def load_matching(directory: Path, saved: Mapping[str, Any]) -> List[str]:
    """Load from a run's newest whole checkpoint what it has under these names with the same variables and shapes.

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
            status = tf.train.Checkpoint(**fitting).read(newest)
            status.assert_existing_objects_matched().expect_partial()
    except _UNUSABLE as error:
        raise CheckpointError(f"{newest}: this checkpoint cannot be read ({_first_line(error)})") from None
    return list(fitting)


def save_average(directory: Path, network: keras.Model) -> None:
    """Write a network that was not trained here as the checkpoint of a run, for `load_average`."""
    checkpoint = tf.train.Checkpoint(average=network, step=tf.Variable(0, dtype=tf.int64))
    checkpoint.write(str(checkpoint_path(checkpoint_files.writing_folder(directory), 0)))
    checkpoint_files.commit(directory, 0, keep=1)


def _newest(directory: Path) -> str:
    """The path of the checkpoint that is read; says so if it is not the newest."""
    choice = newest_whole(directory, _unreadable)
    if choice is None:
        raise CheckpointError(
            f"{printable(directory)}: no checkpoint here; train first, or wait for the first one to be written"
        )
    path = str(checkpoint_path(directory, choice.step))
    for step, reason in choice.damaged.items():
        tqdm.write(
            f"rethink-fr: {printable(checkpoint_path(directory, step))} is damaged ({reason}); using step "
            f"{choice.step}",
            file=sys.stderr,
        )
    return path


def _unreadable(path: Path) -> str:
    """Why TensorFlow cannot read every tensor of a checkpoint, whose checksums it verifies; "" if it can."""
    try:
        reader = tf.train.load_checkpoint(str(path))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except _UNUSABLE as error:
        return _first_line(error)
    return ""


def _below(name: str, shapes: Mapping[str, List[int]]) -> Dict[str, List[int]]:
    """The shapes of one object's variables."""
    return {key: shape for key, shape in shapes.items() if key.startswith(f"{name}/")}


def _first_line(error: Exception) -> str:
    text = re.sub(r"{{.*?}}|\[Op:\w+\]", "", str(error)).strip()  # what TensorFlow calls its nodes
    return text.splitlines()[0][:1000] if text else type(error).__name__
