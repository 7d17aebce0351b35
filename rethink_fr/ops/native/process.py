"""The native library that this process uses, unless the environment variable RETHINK_FR_OPS=reference forbids it."""

from __future__ import annotations

import os
import threading
import warnings
from typing import Any, Optional

import tensorflow as tf

from rethink_fr.files.cache import CacheError
from rethink_fr.ops.native.errors import NativeOpsError
from rethink_fr.ops.native.finding import NativeLibrary

_lock = threading.Lock()
_library: Optional[NativeLibrary] = None
_warned = False


def native_library() -> NativeLibrary:
    """The library of this process: always the same object.

    Raises:
        CacheError: if the folder for built libraries is not a valid one.
    """
    global _library
    with _lock:
        if _library is None:
            _library = NativeLibrary()
        return _library


@tf.autograph.experimental.do_not_convert  # it may be called in a graph, where files and locks cannot be converted
def native_ops(required: bool = False) -> Optional[Any]:
    """The module that holds the native operators.

    The first call may build the library, and says so on stderr. If there are no native operators, the first call gives
    one warning that says why.

    Args:
        required: raise an error instead of returning None.

    Returns:
        The module, or None if there are no native operators, or RETHINK_FR_OPS=reference forbids them.

    Raises:
        NativeOpsError: if `required` is set and there are none.
        ValueError: if RETHINK_FR_OPS is set to something other than `auto` or `reference`.
    """
    global _warned
    if forbidden():
        if required:
            raise NativeOpsError("no native operators; RETHINK_FR_OPS=reference forbids them; unset it")
        return None
    try:
        return native_library().load().module
    except (NativeOpsError, CacheError) as error:
        if required:
            raise NativeOpsError(str(error)) from None
        with _lock:
            first, _warned = not _warned, True
        if first:
            warnings.warn(
                f"{error}. TensorFlow's own operations take their place, slower",
                RuntimeWarning,
                stacklevel=5,  # the line that calls the operation, which calls `compiled_operators`, which calls this
            )
        return None


def forbidden() -> bool:
    """Whether the environment variable RETHINK_FR_OPS forbids native operators.

    Raises:
        ValueError: if it is set to something other than `auto` or `reference`.
    """
    choice = os.environ.get("RETHINK_FR_OPS") or "auto"
    if choice not in ("auto", "reference"):
        raise ValueError(f"RETHINK_FR_OPS is {choice!r}, expected auto or reference")
    return choice == "reference"


def instruction_set() -> str:
    """What the CPU kernels of this process use: "avx512", "avx2" or "baseline".

    Raises:
        NativeOpsError: if there are no native operators.
    """
    return native_library().load().instruction_set()


def use_instruction_set(name: str) -> bool:
    """Use another instruction set from now on, for tests and comparisons.

    Returns:
        False, if this processor has no set of that name; nothing changes then.
    """
    return native_library().load().use_instruction_set(name)
