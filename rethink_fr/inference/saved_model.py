"""SavedModel of a restorer, for Pythons and servers that have TensorFlow and not this package."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Union

import numpy as np
import tensorflow as tf
from tensorflow import keras

from rethink_fr import images
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import check_folder
from rethink_fr.files.writing import new_folder
from rethink_fr.system import Inference

_ENTRY = "saved_model.pb"  # without it a folder is no SavedModel
SAVED_MODEL_PARTS = ("assets", "fingerprint.pb", "keras_metadata.pb", _ENTRY, "variables")
_CHECKED_IMAGES = 2


class ExportError(ValueError):
    """An exported model that cannot be written or does not do what the Keras one does."""


class _Served(tf.Module):
    """The inference functions of a restorer and nothing else: no optimizer, no discriminator."""

    def __init__(self, inference: Inference) -> None:
        super().__init__()
        # The variables, not the Keras network: with it TensorFlow would trace and store every layer by itself.
        self.weights = list(inference.network.weights)
        restore, side = inference.function, inference.resolution
        images_spec = tf.TensorSpec([None, side, side, 3], tf.float32, "images")
        if inference.control is None:
            self.restore = tf.function(lambda images: _only(restore(images)), input_signature=[images_spec])
        else:
            control = tf.TensorSpec(inference.control_shape, tf.float32, inference.control)
            self.restore = tf.function(
                lambda images, control: _only(restore(images, control)), input_signature=[images_spec, control]
            )
        self.serve = tf.function(
            lambda pictures: {
                name: images.to_uint8(image) for name, image in restore(images.to_model(pictures)).items()
            },
            input_signature=[tf.TensorSpec([None, side, side, 3], tf.uint8, "images")],
        )


def _only(outputs: Dict[str, tf.Tensor]) -> Union[tf.Tensor, Dict[str, tf.Tensor]]:
    """The image itself where there is only one."""
    return outputs["restored"] if len(outputs) == 1 else outputs


def export_saved_model(inference: Inference, output: Path, overwrite: bool = False) -> float:
    """Write a SavedModel, load it again, and compare it with the Keras model.

    It has one signature, `serving_default`: `images` uint8 `[B, R, R, 3]` -> `restored` uint8 (and `texture`, if there
    is one), with noise 0 or fidelity 1. The function `tf.saved_model.load(path).restore(images, noise)` beside it takes
    float images in [-1, 1] and noise, or fidelity, or the images only: what the restorer takes. It holds TensorFlow's
    own operations only.

    Args:
        inference: of a network that is built, with its weights loaded. Its operations are switched to their reference
            implementations.
        output: a new or empty directory; it appears whole or not at all.
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
            served = _Served(inference)
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


def _use_reference_operations(network: keras.Model) -> None:
    """A SavedModel with native operators would load only where this package has loaded them first."""
    for module in network.submodules:
        if hasattr(module, "implementation"):
            module.implementation = "reference"


def _largest_difference(inference: Inference, path: Path) -> float:
    """Between the exported and the Keras model on random pictures: through the signature, and with a control beside."""
    generator = np.random.default_rng(0)
    side = inference.resolution
    # One is enough where nothing mixes the pictures of a batch, and a picture may take a minute.
    count = _CHECKED_IMAGES if inference.control == "noise" else 1
    pictures = generator.integers(0, 256, [count, side, side, 3], dtype=np.uint8)
    degraded = images.to_model(pictures)
    loaded = tf.saved_model.load(str(path))

    served = loaded.signatures["serving_default"](images=tf.constant(pictures))
    wanted = inference.function(degraded)
    differences = [
        tf.abs(tf.cast(served[name], tf.float32) - tf.cast(images.to_uint8(wanted[name]), tf.float32))
        for name in wanted
    ]
    if inference.control is not None:
        shape = [count if size is None else size for size in inference.control_shape]
        noise = generator.standard_normal(shape, dtype=np.float32)
        control = tf.constant(0.5 if inference.control == "fidelity" else noise, tf.float32)
        ours, theirs = inference.function(degraded, control), loaded.restore(degraded, control)
        theirs = theirs if isinstance(theirs, dict) else {"restored": theirs}
        differences += [tf.abs(ours[name] - theirs[name]) * 127.5 for name in ours]
    return max(float(tf.reduce_max(difference)) for difference in differences)
