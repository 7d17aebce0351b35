"""Saving a run and continuing it: what a checkpoint holds. `runs.checkpoint_files` chooses which one is read."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Optional

import tensorflow as tf
from tqdm import tqdm

from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile
from rethink_fr.files.writing import WriteError
from rethink_fr.runs import checkpoint_files
from rethink_fr.runs.checkpoint_files import CheckpointError, checkpoint_path, choose_checkpoint
from rethink_fr.runs.loading import UNUSABLE, first_line, unreadable
from rethink_fr.training.trainer import AdversarialTrainer


class Checkpoints:
    """Saves and restores the whole state of a run.

    This is what the task has to save (networks, codebooks), the average, the optimizers, and the step. The position in
    the data and all random numbers follow from the step. Learning rates are saved but not restored: the run's settings
    have them.

    With several workers each of them has to call `save`, which synchronises variables. Only the chief's files are kept;
    it must hold the run's lock.

    Args:
        directory: the run's folder `checkpoints`.
        trainer: the trainer of the run, compiled.
        keep: number of checkpoints to keep.
        chief: whether this process is the chief worker.

    Attributes:
        saved_step: the step that was saved or restored last; -1 if there was none.
    """

    def __init__(self, directory: Path, trainer: AdversarialTrainer, keep: int, chief: bool = True) -> None:
        self._step = trainer.step
        written, read = dict(trainer.task.saved), dict(trainer.task.saved)
        for name, optimizer in trainer.task.optimizers.items():
            written[f"{name}_optimizer"] = optimizer
            # Iterations and moments are in the list that Keras calls `_variables`; the learning rate is not.
            read[f"{name}_optimizer"] = tf.train.Checkpoint(_variables=list(optimizer.variables))
        if trainer.loss_scale is not None:
            written["loss_scale"] = read["loss_scale"] = trainer.loss_scale
        self._written = tf.train.Checkpoint(**written, average=trainer.average, step=trainer.step)
        self._read = tf.train.Checkpoint(**read, average=trainer.average, step=trainer.step)
        self._directory = directory
        self._keep = keep
        self._scratch: Optional[Path] = None if chief else Path(tempfile.mkdtemp(prefix="rethink-fr-worker-"))
        self.saved_step = -1  # none yet

    def restore(self, step: Optional[int] = None) -> int:
        """Restore the newest checkpoint that is whole, or start from nothing if there never was one.

        The chief moves damaged checkpoints to a folder of their own, and says so.

        Args:
            step: restore the checkpoint of this step instead. Later ones are then put aside.

        Returns:
            The step to continue from; 0 for a new run.

        Raises:
            CheckpointError: if there are checkpoints but none is whole, or it is of another network. Then nothing is
                changed.
        """
        chief = self._scratch is None
        if chief:
            checkpoint_files.clear_leftovers(self._directory)
        choice = choose_checkpoint(self._directory, unreadable, step)
        if choice is not None:
            path = checkpoint_path(self._directory, choice.step)
            try:
                self._read.read(str(path)).assert_existing_objects_matched().expect_partial()
            except UNUSABLE as error:
                raise CheckpointError(
                    f"{printable(path)}: this checkpoint cannot be continued, it is whole but of another network "
                    f"({first_line(error)}); choose another --output"
                ) from None
            if chief:
                for line in checkpoint_files.settle(self._directory, choice, step):
                    tqdm.write(f"rethink-fr: {line}", file=sys.stderr)
            self.saved_step = int(self._step.numpy())
        return int(self._step.numpy())

    def save(self) -> None:
        """Write a checkpoint of the current step, unless there is one.

        Raises:
            WriteError: if it cannot be written. The earlier checkpoints stay whole.
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
            reason = error.strerror if isinstance(error, OSError) else first_line(error).rsplit("; ", 1)[-1]
            if self._scratch is None:
                checkpoint_files.remove_writing(self._directory)  # half of it would keep the disk full
            raise WriteError(
                f"{printable(path)}: this checkpoint cannot be written ({reason}); make room there"
            ) from None
        self.saved_step = step

    def close(self) -> None:
        """Remove what a worker that is not the chief has written."""
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
