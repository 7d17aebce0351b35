"""Networks out of a run's checkpoints, and a network that was not trained here into one."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping

import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from rethink_fr.files.names import printable
from rethink_fr.runs import checkpoint_files
from rethink_fr.runs.checkpoint_files import CheckpointError, checkpoint_path, newest_whole

# What TensorFlow raises for damaged files (it translates some of its own errors to Python's) and foreign networks.
UNUSABLE = (tf.errors.OpError, AssertionError, ValueError, IndexError, RuntimeError)


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
    except UNUSABLE as error:
        raise CheckpointError(f"{newest}: does not hold this network's weights ({first_line(error)})") from None
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
    except UNUSABLE as error:
        raise CheckpointError(f"{newest}: this checkpoint cannot be read ({first_line(error)})") from None
    return list(fitting)


def save_average(directory: Path, network: keras.Model) -> None:
    """Write a network that was not trained here as the checkpoint of a run, for `load_average`."""
    checkpoint = tf.train.Checkpoint(average=network, step=tf.Variable(0, dtype=tf.int64))
    checkpoint.write(str(checkpoint_path(checkpoint_files.writing_folder(directory), 0)))
    checkpoint_files.commit(directory, 0, keep=1)


def _newest(directory: Path) -> str:
    """The path of the checkpoint that is read; says so if it is not the newest."""
    choice = newest_whole(directory, unreadable)
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


def _below(name: str, shapes: Mapping[str, List[int]]) -> Dict[str, List[int]]:
    """The shapes of one object's variables."""
    return {key: shape for key, shape in shapes.items() if key.startswith(f"{name}/")}


def unreadable(path: Path) -> str:
    """Why TensorFlow cannot read every tensor of a checkpoint, whose checksums it verifies; "" if it can."""
    try:
        reader = tf.train.load_checkpoint(str(path))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except UNUSABLE as error:
        return first_line(error)
    return ""


def first_line(error: Exception) -> str:
    """What TensorFlow says of an error, without the names of its nodes."""
    text = re.sub(r"{{.*?}}|\[Op:\w+\]", "", str(error)).strip()
    return text.splitlines()[0][:1000] if text else type(error).__name__
