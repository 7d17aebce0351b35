"""A restorer as a TFLite file, of TFLite's own operators only, for one face at a time.

    float32   the same weights
    float16   weights of layers stored in float16; a processor multiplies in float32, a phone's GPU may do so in float16
    int8      dynamic range: weights of layers stored in 8 bits, and their inputs rounded to 8 bits at run time

The layers that a choice of codes depends on keep float32 in all three, see `tflite_precision`.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from importlib import metadata
from typing import Iterator, List, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from rethink_fr.exporting.comparison import Arrays, ExportError, Restore
from rethink_fr.exporting.operations import traced_with
from rethink_fr.exporting.portable import portable_function
from rethink_fr.exporting.tflite_precision import with_smaller_weights
from rethink_fr.system import Inference

_SIGNATURE = "restore"


def to_tflite(inference: Inference, precision: str) -> bytes:
    """Convert a restorer to the contents of a TFLite file with one signature, `restore`.

    Args:
        inference: of the network.
        precision: "float32", "float16" or "int8".

    Raises:
        ExportError: if the model would need operators that TFLite does not have; it names them.
    """
    module = tf.Module()
    module.weights = list(inference.network.weights)
    function = portable_function(inference, batch=1)
    with tempfile.TemporaryDirectory(prefix="rethink-fr-") as folder, _silenced():
        # Only a SavedModel on disk keeps the names of inputs and outputs. A loop over tiles would do as well, but
        # TFLite stores the zeros that it begins with: 118 MB for VQFR at 512 pixels.
        with traced_with(inference.network, "reference", "unrolled"):
            tf.saved_model.save(module, folder, signatures={_SIGNATURE: function})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[_SIGNATURE])
        try:
            converted: bytes = converter.convert()
        except Exception as error:  # ConverterError is not public
            raise ExportError(_reason(str(error))) from error
        return converted if precision == "float32" else with_smaller_weights(converted, precision)


class TFLiteRestorer(NamedTuple):
    """A TFLite file that can be run, and what runs it."""

    restore: Restore
    runtime: str


def tflite_restorer(model: bytes) -> TFLiteRestorer:
    """Run a TFLite file on the processor: by ai-edge-litert if it is there, else by TensorFlow's own interpreter."""
    try:
        from ai_edge_litert.interpreter import Interpreter

        runtime = f"ai-edge-litert {metadata.version('ai-edge-litert')}"
    except ImportError:
        Interpreter, runtime = tf.lite.Interpreter, f"TensorFlow {tf.__version__}"  # noqa: N806 (a class)
    with _silenced():  # it announces its delegate
        interpreter = Interpreter(model_content=model, num_threads=os.cpu_count())
        interpreter.allocate_tensors()
        run = interpreter.get_signature_runner(_SIGNATURE)
    control = [name for name in run.get_input_details() if name != "images"]

    def restore(picture: npt.NDArray[np.uint8], value: Optional[npt.NDArray[np.float32]]) -> Arrays:
        made: Arrays = run(images=picture, **{name: value for name in control})
        return made

    return TFLiteRestorer(restore, runtime)


def _reason(text: str) -> str:
    """What keeps the converter from converting, in one line; operators that TFLite lacks by name."""
    operators: List[str] = []
    for line in text.splitlines():
        found = re.match(r"\s*(?:TF Select|Flex|Custom) ops: (.+)", line)
        if found:
            operators += [name.strip() for name in found[1].split(",")]
    if operators:
        return f"TFLite has no operator for these of the network: {', '.join(operators)}"
    first = next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
    return f"TFLite's converter cannot convert this network ({first[:300]})"


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """What the block writes to stderr is not seen: the converter's C++ prints tables, the quantizer progress bars."""
    saved = os.dup(2)
    with open(os.devnull, "w") as sink, contextlib.redirect_stderr(sink):
        try:
            os.dup2(sink.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
