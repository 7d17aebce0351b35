"""Reads a SavedModel that `rethink-fr export` wrote; `exporting.saved_model` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

import tensorflow as tf

from rethink_fr.files.names import printable
from rethink_fr.ops.native import NativeOpsError, native_ops
from rethink_fr.system import Inference

_OUR_OPERATORS = "RethinkFr>"  # of `export --native`


def read_saved_model(path: Path, given: Path) -> Inference:
    """Load the SavedModel in the folder `path`. `given` names it in errors.

    Raises:
        ValueError: if it is another kind of SavedModel, or cannot be read.
    """
    try:
        loaded = _loaded(path)
        function = loaded.restore
        images_spec, *controls = function.concrete_functions[0].structured_input_signature[0]
        outputs = function.concrete_functions[0].structured_outputs
        control = controls[0].name if controls else None
    except NativeOpsError as error:
        raise ValueError(
            f"{printable(given)}: exported with --native, and the native operators cannot be loaded here ({error}); "
            "export it without"
        ) from None
    except Exception as error:  # of damaged files TensorFlow raises nearly anything: IndexError, RuntimeError, ...
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise ValueError(f"{printable(given)}: not a SavedModel of `rethink-fr export` ({reason})") from None
    shape: Tuple[Optional[int], ...] = tuple(controls[0].shape) if controls else ()
    has_texture = isinstance(outputs, dict) and "texture" in outputs
    return Inference(loaded, _by_name(function), images_spec.shape[1], None, control, shape, has_texture)


def _loaded(path: Path) -> Any:
    """The SavedModel. One that holds the compiled operators needs them loaded first: those of this installation."""
    try:
        return tf.saved_model.load(str(path))
    except Exception as error:  # RuntimeError, or NotFoundError, by version
        if _OUR_OPERATORS not in str(error):
            raise
    native_ops(required=True)
    return tf.saved_model.load(str(path))


def _by_name(function: Callable[..., Any]) -> Callable[..., Dict[str, tf.Tensor]]:
    """An exported function that returns its images by name; if there is one only, it is exported without its name."""

    def restore(*inputs: tf.Tensor) -> Dict[str, tf.Tensor]:
        outputs = function(*inputs)
        return outputs if isinstance(outputs, dict) else {"restored": outputs}

    return restore
