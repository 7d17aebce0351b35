"""What can end a run from outside, said in the user's terms."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Callable, TypeVar

import tensorflow as tf

from rethink_fr.config.sections import Experiment
from rethink_fr.data.python_reads import failure_of_reads
from rethink_fr.errors import RunFailure, is_full_disk
from rethink_fr.files.names import printable

_Report = TypeVar("_Report")


def told_plainly(train: Callable[..., _Report]) -> Callable[..., _Report]:
    """Wrap `train(config, strategy_name, output, ...)`: a full disk and a failure of reading become a `RunFailure`.

    TensorFlow passes on no exception of Python, only its text, and calls a full disk by several names.
    """

    @functools.wraps(train)
    def wrapped(config: Experiment, strategy_name: str, output: Path, *rest: object) -> _Report:
        try:
            return train(config, strategy_name, output, *rest)
        except (OSError, ValueError, tf.errors.OpError) as error:
            failure = failure_of_reads() if isinstance(error, tf.errors.OpError) else None
            if isinstance(failure, RunFailure):
                raise failure from error
            if not is_full_disk(error):
                raise
            saved = any((output / "checkpoints").glob("*.index"))
            kept = "its last checkpoint is whole" if saved else "nothing was saved yet"
            raise RunFailure(
                f"{printable(output)}: no space is left on the disk; the run stops, {kept}: make room there, then run "
                "the same command again to continue"
            ) from error

    return wrapped
