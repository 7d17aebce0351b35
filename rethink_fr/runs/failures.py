"""What ends a run from outside, told in the user's terms."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Iterator

import tensorflow as tf

from rethink_fr.data.pipeline import failure_of_reads
from rethink_fr.errors import RunFailure, TryAgain, is_full_disk
from rethink_fr.files.names import printable
from rethink_fr.files.writing import WriteError
from rethink_fr.runs.folder import CHECKPOINTS


@contextlib.contextmanager
def told_plainly(output: Path) -> Iterator[None]:
    """Turn what ends a run from outside into a `RunFailure` in the user's terms: a full disk, pictures, other files.

    The loss of another worker is a `TryAgain`.

    TensorFlow passes on the text of Python's exceptions only, and has several names for a full disk.

    Args:
        output: the run's folder.
    """
    try:
        yield
    except (OSError, ValueError, tf.errors.OpError) as error:
        failure = failure_of_reads() if isinstance(error, tf.errors.OpError) else None
        if isinstance(failure, RunFailure):
            raise failure from error
        if _lost_worker(error):
            raise TryAgain(
                f"{printable(output)}: another worker has stopped or cannot be reached; this one stops too: start all "
                "workers again to continue from the last checkpoint"
            ) from error
        if is_full_disk(error):
            saved = any((output / CHECKPOINTS).glob("*.index"))
            kept = "its last checkpoint is whole" if saved else "nothing was saved yet"
            raise RunFailure(
                f"{printable(output)}: no space is left on the disk; the run stops, {kept}: make room there, then run "
                "the same command again to continue"
            ) from error
        if isinstance(error, (OSError, WriteError)):
            raise RunFailure(f"{error}; what was saved is whole: run the same command again to continue") from error
        raise


def _lost_worker(error: Exception) -> bool:
    """Whether TensorFlow has given up an exchange with other workers because one of them does not answer."""
    kinds = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError)
    return isinstance(error, kinds) and any(text in str(error) for text in ("/job:worker/", "Collective"))
