"""Warm-up requests for TensorFlow Serving: one for each signature, so that no user waits for a first call.

TensorFlow Serving runs what is in `assets.extra/tf_serving_warmup_requests`, a TFRecord file of `PredictionLog`, before
it says that a model is available.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping

import numpy as np
import numpy.typing as npt
import tensorflow as tf

WARM_UP = Path("assets.extra") / "tf_serving_warmup_requests"
_SAMPLES = 2  # of the signature `samples`: the second needs nothing that the first did not


def write_warm_up(folder: Path, signatures: Mapping[str, Any], face: npt.NDArray[np.uint8]) -> None:
    """Write one request for each signature.

    Args:
        folder: of the SavedModel.
        signatures: its functions by name, see `signatures.signatures`.
        face: uint8 `[R, R, 3]`, what the requests ask about.

    Raises:
        ImportError: if tensorflow-serving-api is not installed.
    """
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    (folder / WARM_UP).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / WARM_UP)) as writer:
        for name, function in signatures.items():
            log = PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = name
            for key, value in _inputs(function, face).items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString(deterministic=True))


def _inputs(function: Any, face: npt.NDArray[np.uint8]) -> Dict[str, Any]:
    """A value for each input of a signature."""
    values = {
        "images": face[None],
        "image_bytes": np.array([tf.io.encode_png(face).numpy()], object),
        "seed": np.zeros([1], np.int64),
        "noise_scale": np.ones([1], np.float32),
        "fidelity": np.ones([1], np.float32),
        "count": np.array([_SAMPLES], np.int32),
    }
    asked = tf.nest.flatten(function.get_concrete_function().structured_input_signature)
    # Noise is left empty, so that it is drawn.
    empty = {tensor.name: np.zeros([0] * len(tensor.shape), np.float32) for tensor in asked if tensor.name == "noise"}
    return {tensor.name: values[tensor.name] for tensor in asked if tensor.name in values} | empty
