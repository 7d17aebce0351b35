"""Networks from the checkpoints of runs, and a network that was not trained here as the checkpoint of a run.

Which checkpoint of a run is read, `checkpoint_files.choose_checkpoint` decides.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple

import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from rethink_fr.files.names import printable
from rethink_fr.runs import checkpoint_files
from rethink_fr.runs.checkpoint_files import CheckpointError, checkpoint_path, choose_checkpoint
from rethink_fr.runs.config_file import load_model_section
from rethink_fr.system import Inference, Precision
from rethink_fr.systems import SYSTEMS

# What TensorFlow raises for damaged files (it translates some of its errors to Python's) and for other networks.
UNUSABLE = (tf.errors.OpError, AssertionError, ValueError, IndexError, RuntimeError)


class LoadedRun(NamedTuple):
    """The network of a run, ready to restore."""

    settings: Any  # its `model` section
    inference: Inference
    step: int  # of the checkpoint


def load_run(path: Path, precision: Precision = "float32") -> LoadedRun:
    """Load the network of a run's folder with its averaged weights, of whichever system.

    Raises:
        ValueError: if its configuration or its checkpoint cannot be read.
    """
    architecture, settings = load_model_section(path / "config.yaml")
    system = SYSTEMS[architecture]
    network = system.build(settings)
    step = load_average(path / "checkpoints", network)
    return LoadedRun(settings, system.inference(network, precision), step)


def load_average(directory: Path, network: keras.Model) -> int:
    """Load the averaged weights of a run into a network whose variables are created.

    Args:
        directory: the run's folder `checkpoints`.
        network: of the run's settings.

    Returns:
        The step of the checkpoint.

    Raises:
        CheckpointError: if there is no checkpoint that is whole, or it is of another network.
    """
    newest = _newest(directory)
    step = tf.Variable(0, dtype=tf.int64)
    try:
        status = tf.train.Checkpoint(average=network, step=step).read(newest)
        status.assert_existing_objects_matched().expect_partial()
    except UNUSABLE as error:
        raise CheckpointError(f"{newest}: does not hold this network's weights ({first_line(error)})") from None
    return int(step.numpy())


def load_matching(directory: Path, saved: Mapping[str, Any]) -> List[str]:
    """Load those objects that a run's checkpoint holds under the same name, with the same variables and shapes.

    Args:
        directory: the run's folder `checkpoints`.
        saved: objects by name; see `TrainingTask.saved`.

    Returns:
        The names of what was loaded.

    Raises:
        CheckpointError: if there is no checkpoint that is whole, or it cannot be read.
    """
    newest = _newest(directory)
    try:
        there = dict(tf.train.list_variables(newest))
        with tempfile.TemporaryDirectory(prefix="rethink-fr-") as scratch:
            # A checkpoint of what is here shows how TensorFlow names the variables of each object.
            here = dict(tf.train.list_variables(tf.train.Checkpoint(**saved).write(f"{scratch}/here")))
        fitting = {name: part for name, part in saved.items() if _below(name, here) == _below(name, there) != {}}
        if fitting:
            status = tf.train.Checkpoint(**fitting).read(newest)
            status.assert_existing_objects_matched().expect_partial()
    except UNUSABLE as error:
        raise CheckpointError(f"{newest}: this checkpoint cannot be read ({first_line(error)})") from None
    return list(fitting)


def save_average(directory: Path, network: keras.Model) -> None:
    """Write a network that was not trained here as checkpoint 0 of a run, so that `load_average` can read it."""
    checkpoint = tf.train.Checkpoint(average=network, step=tf.Variable(0, dtype=tf.int64))
    checkpoint.write(str(checkpoint_path(checkpoint_files.writing_folder(directory), 0)))
    checkpoint_files.commit(directory, 0, keep=1)


def unreadable(path: Path) -> str:
    """Why TensorFlow cannot read some tensor of a checkpoint (it verifies checksums); "" if it can read all."""
    try:
        reader = tf.train.load_checkpoint(str(path))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except UNUSABLE as error:
        return first_line(error)
    return ""


def first_line(error: Exception) -> str:
    """The first line of an error message of TensorFlow, without the names of nodes."""
    text = re.sub(r"{{.*?}}|\[Op:\w+\]", "", str(error)).strip()
    return text.splitlines()[0][:1000] if text else type(error).__name__


def _newest(directory: Path) -> str:
    """The path of the newest checkpoint that is whole; newer ones that are damaged are named on stderr."""
    choice = choose_checkpoint(directory, unreadable)
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
