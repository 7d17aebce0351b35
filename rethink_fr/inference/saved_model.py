"""A restorer as a SavedModel: written, compared with the Keras model, and read again.

Any Python or server that has TensorFlow can run it; this package is not needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np
import tensorflow as tf
from tensorflow import keras

from rethink_fr import images
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import check_folder
from rethink_fr.files.reading import file_size
from rethink_fr.files.writing import new_folder
from rethink_fr.runs.loading import load_run
from rethink_fr.runs.mirror import local_model
from rethink_fr.system import Inference

_ENTRY = "saved_model.pb"  # without it a folder is no SavedModel
SAVED_MODEL_PARTS = ("assets", "fingerprint.pb", "keras_metadata.pb", _ENTRY, "variables")
_CHECKED_IMAGES = 2


class ExportError(ValueError):
    """An exported model that cannot be written or does not do what the Keras one does."""


class ExportReport(NamedTuple):
    """What was exported."""

    output: Path
    step: int  # of the checkpoint
    difference: float  # the largest one to the Keras model, in 8-bit levels


def export_run(run: Path, output: Path, overwrite: bool = False) -> ExportReport:
    """Export the averaged restorer of a run directory as a SavedModel.

    Args:
        run: the run directory.
        output: a new or empty folder, which appears whole or not at all.
        overwrite: whether a SavedModel that is there already may be replaced.

    Raises:
        ValueError: if there is no run, or `output` holds anything that may not be replaced.
        ExportError: as `export_saved_model`.
    """
    if file_size(run / "config.yaml") is None:
        raise ValueError(f"{printable(run)}: no run here; expected a directory made by `rethink-fr train`")
    check_folder(output, [run], overwrite, SAVED_MODEL_PARTS)
    with local_model(run) as folder:
        loaded = load_run(folder)
    return ExportReport(output, loaded.step, export_saved_model(loaded.inference, output, overwrite))


def export_saved_model(inference: Inference, output: Path, overwrite: bool = False) -> float:
    """Write a SavedModel, load it again, and compare it with the Keras model.

    Its signature `serving_default` takes `images`, uint8 `[B, R, R, 3]`, and returns `restored` in uint8 (and `texture`
    if there is one), computed with noise 0 or fidelity 1. The function
    `tf.saved_model.load(path).restore` beside it takes float images in [-1, 1], and noise or a fidelity if the restorer
    does. The SavedModel holds TensorFlow's own operations only.

    Args:
        inference: of a network that is built, with its weights loaded. This function switches the network's operations
            to their reference implementations.
        output: a new or empty folder, which appears whole or not at all.
        overwrite: whether a SavedModel that is there already may be replaced.

    Returns:
        The largest difference that was found, in 8-bit levels.

    Raises:
        ExportError: if the model cannot be written, or differs by more than one level.
        ValueError: if `output` holds anything that may not be replaced, or cannot be written.
    """
    output = Path(output)
    check_folder(output, (), overwrite, SAVED_MODEL_PARTS)
    try:
        with new_folder(output, replace=overwrite, last=_ENTRY) as folder:
            _use_reference_operations(inference.network)
            served = _served(inference)
            tf.saved_model.save(served, str(folder), signatures={"serving_default": served.serve})
            difference = _largest_difference(inference, folder)
            if not difference <= 1.0:  # one level: rounding of values that float arithmetic puts beside a half
                raise ExportError(
                    f"{printable(output)}: the exported model differs from the Keras model by {difference:.2f} of 255 "
                    "levels; nothing was written"
                )
    except tf.errors.OpError as error:
        raise ExportError(f"{printable(output)}: cannot be written ({str(error).splitlines()[0]})") from None
    return difference


def read_saved_model(path: Path, given: Path) -> Inference:
    """Load the SavedModel in the folder `path` that `export_saved_model` wrote. `given` names it in errors.

    Raises:
        ValueError: if it is another kind of SavedModel, or cannot be read.
    """
    try:
        loaded: Any = tf.saved_model.load(str(path))
        function = loaded.restore
        images_spec, *controls = function.concrete_functions[0].structured_input_signature[0]
        outputs = function.concrete_functions[0].structured_outputs
        control = controls[0].name if controls else None
    except Exception as error:  # of damaged files TensorFlow raises nearly anything: IndexError, RuntimeError, ...
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise ValueError(f"{printable(given)}: not a SavedModel of `rethink-fr export` ({reason})") from None
    shape: Tuple[Optional[int], ...] = tuple(controls[0].shape) if controls else ()
    has_texture = isinstance(outputs, dict) and "texture" in outputs
    return Inference(loaded, _by_name(function), images_spec.shape[1], None, control, shape, has_texture)


def _served(inference: Inference) -> Any:
    """The inference functions of a restorer and nothing else: no optimizer, no discriminator."""
    served = tf.Module()
    # The variables, not the Keras network: with it TensorFlow would trace and store every layer by itself.
    served.weights = list(inference.network.weights)
    restore, side = inference.function, inference.resolution
    images_spec = tf.TensorSpec([None, side, side, 3], tf.float32, "images")
    if inference.control is None:
        served.restore = tf.function(lambda images: _only(restore(images)), input_signature=[images_spec])
    else:
        control = tf.TensorSpec(inference.control_shape, tf.float32, inference.control)
        served.restore = tf.function(
            lambda images, control: _only(restore(images, control)), input_signature=[images_spec, control]
        )
    served.serve = tf.function(
        lambda pictures: {name: images.to_uint8(image) for name, image in restore(images.to_model(pictures)).items()},
        input_signature=[tf.TensorSpec([None, side, side, 3], tf.uint8, "images")],
    )
    return served


def _only(outputs: Dict[str, tf.Tensor]) -> Union[tf.Tensor, Dict[str, tf.Tensor]]:
    """What an exported function returns: the image itself if there is only one, else all by name."""
    return outputs["restored"] if len(outputs) == 1 else outputs


def _by_name(function: Callable[..., Any]) -> Callable[..., Dict[str, tf.Tensor]]:
    """An exported function that returns its images by name, also if there is only one: `_only` undone."""

    def restore(*inputs: tf.Tensor) -> Dict[str, tf.Tensor]:
        outputs = function(*inputs)
        return outputs if isinstance(outputs, dict) else {"restored": outputs}

    return restore


def _use_reference_operations(network: keras.Model) -> None:
    """Switch off native operators: with them a SavedModel loads only where this package has loaded them first."""
    for module in network.submodules:
        if hasattr(module, "implementation"):
            module.implementation = "reference"


def _largest_difference(inference: Inference, path: Path) -> float:
    """Compare the exported and the Keras model on random pictures, in 8-bit levels.

    The signature is compared, and the function `restore` with noise or a fidelity if the restorer takes one.
    """
    generator = np.random.default_rng(0)
    side = inference.resolution
    # One is enough where nothing mixes the pictures of a batch, and a picture may take a minute.
    count = _CHECKED_IMAGES if inference.control == "noise" else 1
    pictures = generator.integers(0, 256, [count, side, side, 3], dtype=np.uint8)
    degraded = images.to_model(pictures)
    exported = read_saved_model(path, path)

    served = exported.network.signatures["serving_default"](images=tf.constant(pictures))
    differences: List[tf.Tensor] = [
        tf.abs(tf.cast(served[name], tf.float32) - tf.cast(images.to_uint8(wanted), tf.float32))
        for name, wanted in inference.function(degraded).items()
    ]
    if inference.control is not None:
        shape = [count if size is None else size for size in inference.control_shape]
        noise = generator.standard_normal(shape, dtype=np.float32)
        control = tf.constant(0.5 if inference.control == "fidelity" else noise, tf.float32)
        ours, theirs = inference.function(degraded, control), exported.function(degraded, control)
        differences += [tf.abs(ours[name] - theirs[name]) * 127.5 for name in ours]
    return max(float(tf.reduce_max(difference)) for difference in differences)
