"""Saving and continuing a run: what TensorFlow writes and reads. Which checkpoint counts, `checkpoint_files` says."""

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
from rethink_fr.runs.checkpoint_files import CheckpointError, checkpoint_path, newest_whole
from rethink_fr.runs.loading import UNUSABLE, first_line, unreadable
from rethink_fr.training.trainer import AdversarialTrainer


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
        choice = newest_whole(self._directory, unreadable, step)
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
            reason = error.strerror if isinstance(error, OSError) else first_line(error).rsplit("; ", 1)[-1]
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
