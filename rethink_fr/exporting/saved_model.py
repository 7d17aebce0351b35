"""A restorer as a SavedModel: any Python or server that has TensorFlow can run it, and `restore --model` reads it.

Its functions: the signatures of `signatures`, and `tf.saved_model.load(path).restore(images, control)`, which takes and
gives float32 images in [-1, 1]. Beside the graph lie the model's card, the licence, and warm-up requests for TensorFlow
Serving.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from rethink_fr.errors import install_advice
from rethink_fr.exporting.card import CARD, LICENCE
from rethink_fr.exporting.comparison import Arrays, ExportError, Restore
from rethink_fr.exporting.interface import describe
from rethink_fr.exporting.operations import traced_with
from rethink_fr.exporting.signatures import Signatures, network_function, signatures
from rethink_fr.exporting.warm_up import write_warm_up
from rethink_fr.ops.implementation import Implementation
from rethink_fr.system import Inference

ENTRY = "saved_model.pb"  # without it a folder is no SavedModel
# What may lie in one; the last two were written by earlier versions of TensorFlow and of this package.
SAVED_MODEL_PARTS = ("assets", "assets.extra", CARD, LICENCE, "fingerprint.pb", ENTRY, "variables", "keras_metadata.pb")


class WrittenModel(NamedTuple):
    """A SavedModel that was written, and what is to be said about it."""

    interface: List[str]
    notes: List[str]


def write_saved_model(
    inference: Inference, folder: Path, face: npt.NDArray[np.uint8], native: bool = False
) -> WrittenModel:
    """Write a SavedModel, with warm-up requests if `tensorflow-serving-api` is installed.

    Args:
        inference: of a network that is built, with its weights loaded.
        folder: to write to.
        face: uint8 `[R, R, 3]`, for the warm-up requests.
        native: whether it holds the compiled operators. Then it loads only where they have been loaded before.

    Raises:
        NativeOpsError: if `native` is set and there are no compiled operators.
        ExportError: if `native` is set and the network has none of our operations.
    """
    implementation: Implementation = "compiled" if native else "reference"
    if native and not any(hasattr(layer, "implementation") for layer in inference.network.submodules):
        raise ExportError("--native: this network uses TensorFlow's own operators only; leave it out")
    with traced_with(inference.network, implementation, implementation):
        network = network_function(inference)
        served = signatures(inference, network)
        module = tf.Module()
        # The variables, not the Keras network: with it TensorFlow would trace and store every layer by itself.
        module.weights = list(inference.network.weights)
        module.restore = _float_function(inference, network)
        tf.saved_model.save(module, str(folder), signatures=served)
    notes = ["TensorFlow's own operators only"]
    if native:
        notes = [
            "holds the compiled operators: loads by rethink_fr.load_restorer, or after tf.load_op_library of the file "
            "that `rethink-fr info` names, with the TensorFlow it was built for; TensorFlow Serving cannot load it"
        ]
    try:
        write_warm_up(folder, served, face)
    except ImportError:
        notes.append(f"without warm-up requests for TensorFlow Serving: {install_advice('export')}")
    open_noise = inference.control_shape if inference.control == "noise" else ()
    return WrittenModel(describe(served, open_noise), notes)


def saved_model_restorer(folder: Path) -> Restore:
    """Run the signatures `serving_default` and `restore` of a SavedModel; see `comparison.Restore`."""
    loaded = tf.saved_model.load(str(folder))

    def restore(picture: npt.NDArray[np.uint8], control: Optional[npt.NDArray[np.float32]]) -> Arrays:
        inputs: Dict[str, Any] = {"images": picture}
        name, neutral = _control_of(loaded)
        if control is None or np.all(control == neutral):
            return _arrays(loaded.signatures["serving_default"](images=tf.constant(picture)))
        inputs[name] = control
        if name == "noise":
            inputs.update(seed=np.zeros([1], np.int64), noise_scale=np.ones([1], np.float32))
        return _arrays(loaded.signatures["restore"](**{key: tf.constant(value) for key, value in inputs.items()}))

    return restore


def check_other_signatures(folder: Path, face: npt.NDArray[np.uint8]) -> None:
    """Compare `restore_bytes` and `samples` of a SavedModel with its signature `restore`, on one face.

    Raises:
        ExportError: if they differ.
    """
    loaded = tf.saved_model.load(str(folder))
    functions: Signatures = dict(loaded.signatures)
    name, neutral = _control_of(loaded)
    controls: Dict[str, tf.Tensor] = {}
    if name == "noise":
        controls = {"seed": tf.constant([3], tf.int64), "noise_scale": tf.constant([0.5])}
    elif name == "fidelity":
        controls = {"fidelity": tf.constant([0.5])}
    none = {"noise": tf.zeros([0] * len(_inputs_of(loaded)["noise"].shape))} if name == "noise" else {}
    wanted = functions["restore"](images=tf.constant(face[None]), **controls, **none)
    files = tf.stack([tf.io.encode_png(face)])
    encoded = functions["restore_bytes"](image_bytes=files, **controls)
    found = {f"restore_bytes: {key}": tf.io.decode_png(encoded[f"{key}_bytes"][0])[None] for key in wanted}
    against = {f"restore_bytes: {key}": value for key, value in wanted.items()}
    if "samples" in functions:
        made = functions["samples"](images=tf.constant(face[None]), count=tf.constant([1]), **controls)
        found.update(samples=made["samples"][:, 0], mean=made["mean"])
        against.update(samples=wanted["restored"], mean=wanted["restored"])
    for key, value in found.items():
        difference = np.max(np.abs(value.numpy().astype(int) - against[key].numpy().astype(int)))
        if difference > 1:  # level: rounding of values that float arithmetic puts beside a half
            raise ExportError(f"its signature {key} differs from `restore` by {difference} of 255 levels")


def _float_function(inference: Inference, network: Any) -> Any:
    """The function `restore` of a loaded SavedModel, which `inference.saved_model` looks for."""
    specifications = list(network.input_signature)
    if inference.control == "fidelity":
        specifications[1] = tf.TensorSpec([], tf.float32, "fidelity")

    def restore(images: tf.Tensor, *control: tf.Tensor) -> Union[tf.Tensor, Dict[str, tf.Tensor]]:
        if inference.control == "fidelity":
            control = (tf.fill([tf.shape(images)[0]], control[0]),)
        made: Dict[str, tf.Tensor] = network(images, *control)
        return made["restored"] if len(made) == 1 else made  # the image itself if there is only one

    return tf.function(restore, input_signature=specifications)


def _control_of(loaded: Any) -> Tuple[str, float]:
    """The name of a loaded SavedModel's control and the value that `serving_default` uses; "" if it has none."""
    if "noise" in _inputs_of(loaded):
        return "noise", 0.0
    return ("fidelity", 1.0) if "fidelity" in _inputs_of(loaded) else ("", 0.0)


def _inputs_of(loaded: Any) -> Dict[str, tf.TensorSpec]:
    """The inputs of a loaded SavedModel's signature `restore`."""
    inputs: Dict[str, tf.TensorSpec] = loaded.signatures["restore"].structured_input_signature[1]
    return inputs


def _arrays(tensors: Dict[str, tf.Tensor]) -> Arrays:
    return {name: tensor.numpy() for name, tensor in tensors.items()}
