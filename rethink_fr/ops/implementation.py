"""The choice between the two implementations of an operation: native kernels, or TensorFlow's own operations."""

from __future__ import annotations

from typing import Any, Literal, Optional

import tensorflow as tf

from rethink_fr.ops.native import native_ops

# "compiled" is the native operator, "reference" the composition of TensorFlow's own operations, and "auto" the native
# operator if there is one and it can take the tensors.
Implementation = Literal["auto", "reference", "compiled"]


def compiled_operators(operation: str, implementation: Implementation, dtype: tf.DType) -> Optional[Any]:
    """The module of native operators, or None if the reference shall do the work.

    Args:
        operation: the name of the operation, for messages.
        implementation: what its caller asked for.
        dtype: of the tensors; the native operators take float32 only.

    Raises:
        ValueError: if `implementation` is not one of the three, or "compiled" is asked for with another dtype.
        NativeOpsError: if "compiled" is asked for and there are no native operators.
    """
    if implementation not in ("auto", "reference", "compiled"):
        raise ValueError(f"{operation}: implementation is {implementation!r}, expected auto, reference or compiled")
    if implementation == "reference" or (implementation == "auto" and dtype != tf.float32):
        return None
    if dtype != tf.float32:
        raise ValueError(f"{operation}: the compiled operator takes float32, got {dtype.name}")
    return native_ops(required=implementation == "compiled")
