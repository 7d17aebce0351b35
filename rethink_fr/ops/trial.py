"""The native operators built for this machine, and tried: each is compared with TensorFlow's own operations once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional

import tensorflow as tf

from rethink_fr.ops.deform_conv import deform_conv2d
from rethink_fr.ops.group_norm import group_norm_swish
from rethink_fr.ops.implementation import Implementation
from rethink_fr.ops.native import OPERATORS, NativeOpsError, forbidden, native_library

__all__ = ["BuildReport", "NativeOpsError", "build_ops"]

# The largest difference that is accepted, in units of the largest output. A wrong kernel is off by about 1;
# TensorFloat-32, which some GPUs use, by a thousandth.
_TOLERANCE = 1e-2


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

    Args:
        force: build the library even if this machine has built it before.

    Returns:
        What there is now. A difference is the largest one on a small random input, in units of the largest output.

    Raises:
        NativeOpsError: if the library cannot be built, kept or loaded, or if an operator's results are wrong.
    """
    started = time.perf_counter()
    loaded = native_library().build(force)
    seconds = time.perf_counter() - started
    operators = [name for name in OPERATORS if loaded.has(name)]
    differences = None if forbidden() else {name: _difference(_TRIALS[name]) for name in operators}
    for name, difference in (differences or {}).items():
        if not difference <= _TOLERANCE:  # this way NaN is refused too
            raise NativeOpsError(
                f"{name} of {loaded.path} is wrong on this machine, off by {difference:.2g} of its largest value; set "
                "RETHINK_FR_OPS=reference to do without it, and please report this"
            )
    return BuildReport(loaded.path, loaded.origin, operators, loaded.instruction_set(), seconds, differences)


def _difference(trial: Callable[[Implementation], tf.Tensor]) -> float:
    expected = trial("reference")
    return float(tf.reduce_max(tf.abs(trial("compiled") - expected)) / tf.reduce_max(tf.abs(expected)))


def _try_deform_conv2d(implementation: Implementation) -> tf.Tensor:
    inputs, filters = _random([2, 9, 11, 8], 1), _random([3, 3, 8, 12], 2)
    offsets, mask = 2.0 * _random([2, 9, 11, 36], 3), _random([2, 9, 11, 18], 4)
    return deform_conv2d(inputs, offsets, mask, filters, deformable_groups=2, implementation=implementation)


def _try_group_norm_swish(implementation: Implementation) -> tf.Tensor:
    inputs, gamma, beta = _random([2, 9, 11, 24], 1), _random([24], 2), _random([24], 3)
    return group_norm_swish(inputs, gamma, beta, groups=6, implementation=implementation)


_TRIALS = {"deform_conv2d": _try_deform_conv2d, "group_norm_swish": _try_group_norm_swish}


def _random(shape: List[int], seed: int) -> tf.Tensor:
    return tf.random.stateless_normal(shape, [0, seed])
