"""The native operators built for this machine, and tried: each is compared with TensorFlow's own operations once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from rethink_fr.ops.native import OPERATORS, NativeOpsError, forbidden, native_library
from rethink_fr.ops.probe import FaultyOperatorError, deviation, gpus

__all__ = ["BuildReport", "NativeOpsError", "build_ops"]


class BuildReport(NamedTuple):
    """What `build_ops` found or built."""

    library: Path
    origin: str  # where the library comes from, in words
    operators: List[str]
    instruction_set: str
    seconds: float  # until the library was loaded
    differences: Optional[Dict[str, float]]  # for each operator; None if RETHINK_FR_OPS forbids to use them


def build_ops(force: bool = False) -> BuildReport:
    """Build the native library unless there is one, load it, and compare each operator with TensorFlow's operations.

    They are compared on the CPU and on every GPU.

    Args:
        force: build the library even if this machine has built it before.

    Returns:
        What there is now. A difference is the largest one of outputs and gradients on a small random input, in units
        of the largest value.

    Raises:
        NativeOpsError: if the library cannot be built, kept or loaded, or if an operator does not run on some device
            or is wrong there.
    """
    started = time.perf_counter()
    loaded = native_library().build(force)
    seconds = time.perf_counter() - started
    operators = [name for name in OPERATORS if loaded.has(name)]
    try:
        differences = None if forbidden() else {name: _largest_difference(loaded.module, name) for name in operators}
    except FaultyOperatorError as error:
        raise NativeOpsError(
            f"{loaded.path}: {error}; set RETHINK_FR_OPS=reference to do without it, and please report this"
        ) from None
    return BuildReport(loaded.path, loaded.origin, operators, loaded.instruction_set(), seconds, differences)


def _largest_difference(module: Any, name: str) -> float:
    return max(deviation(module, name, device) for device in ("CPU:0", *gpus()))
