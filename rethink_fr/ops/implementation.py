"""The choice between the two implementations of an operation: native kernels, or TensorFlow's own operations."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Literal, Optional, Tuple

import tensorflow as tf

from rethink_fr.ops.native import OPERATORS, native_ops
from rethink_fr.ops.probe import FaultyOperatorError, deviation, gpus

# "compiled" is the native operator, "reference" the composition of TensorFlow's own operations, and "auto" the native
# operator if there is one, it can take the tensors, and it works on every GPU that this process uses.
Implementation = Literal["auto", "reference", "compiled"]

_COMPUTED_IN = {
    tf.float64: tf.float64, tf.float32: tf.float32, tf.bfloat16: tf.float32, tf.float16: tf.float32
}  # fmt: skip

_lock = threading.Lock()
_faults: Optional[Dict[str, str]] = None  # of each operator that does not work on some GPU; None: not tried yet


def computing_dtype(operation: str, dtype: tf.DType) -> tf.DType:
    """The dtype in which an operation computes: float32 for bfloat16 and float16, which are too coarse for its sums.

    Args:
        operation: the name of the operation, for messages.
        dtype: of its inputs.

    Raises:
        ValueError: if the inputs are neither of these three nor float64.
    """
    if dtype not in _COMPUTED_IN:
        raise ValueError(f"{operation}: inputs are {dtype.name}, expected float32, float64, bfloat16 or float16")
    return _COMPUTED_IN[dtype]


def compiled_operators(operation: str, implementation: Implementation, dtype: tf.DType) -> Optional[Any]:
    """The module of native operators, or None if the reference shall do the work.

    Args:
        operation: the name of the operation, for messages.
        implementation: what its caller asked for.
        dtype: in which it computes; the native operators take float32 only.

    Raises:
        ValueError: if `implementation` is not one of the three, or "compiled" is asked for in float64.
        NativeOpsError: if "compiled" is asked for and there are no native operators.
    """
    if implementation not in ("auto", "reference", "compiled"):
        raise ValueError(f"{operation}: implementation is {implementation!r}, expected auto, reference or compiled")
    if implementation == "reference" or (implementation == "auto" and dtype != tf.float32):
        return None
    if dtype != tf.float32:
        raise ValueError(f"{operation}: the compiled operator computes in float32, got {dtype.name}")
    operators = native_ops(required=implementation == "compiled")
    if operators is None or implementation == "compiled":
        return operators
    return None if operation in _faults_on_gpus(operators) else operators


def try_on_gpus() -> Dict[str, str]:
    """Try the native operators on every GPU, once in a process; the first use of one would do it too.

    An operator that does not run on each of them, or is wrong there, is not used by "auto" in this process; one
    warning says so. Without GPUs nothing is tried or built.

    Returns:
        What is wrong, for each operator that is not used; nothing if there are no native operators.
    """
    operators = native_ops() if gpus() else None
    return {} if operators is None else dict(_faults_on_gpus(operators))


def faults_on_gpus(operators: Any) -> Tuple[Dict[str, str], List[str]]:
    """As `try_on_gpus`, for a report: without a warning, and also on which GPUs the operators were tried.

    Args:
        operators: the module that holds the native operators.
    """
    tried = gpus()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return dict(_faults_on_gpus(operators)) if tried else {}, tried


@tf.autograph.experimental.do_not_convert  # as for `native_ops`
def _faults_on_gpus(operators: Any) -> Dict[str, str]:
    global _faults
    with _lock:
        if _faults is None:
            # A new thread is outside of the graph that is traced, the gradient tape and the strategy of this one.
            with ThreadPoolExecutor(max_workers=1) as thread:
                _faults = thread.submit(_find_faults, operators).result()
            if _faults:
                warnings.warn(
                    f"native operators: {'; '.join(_faults.values())}. TensorFlow's own operations take their place, "
                    "slower",
                    RuntimeWarning,
                    stacklevel=4,  # the line that calls the operation
                )
        return _faults


def _find_faults(operators: Any) -> Dict[str, str]:
    faults = {}
    for name in OPERATORS:
        if not hasattr(operators, f"rethink_fr_{name}"):
            continue  # a library of other sources
        try:
            for device in gpus():
                deviation(operators, name, device)
        except FaultyOperatorError as error:
            faults[name] = str(error)
    return faults
