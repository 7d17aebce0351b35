"""`rethink-fr build-ops`: the native operators, built for this machine and tried once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import tensorflow as tf

from rethink_fr.ops import NativeOpsError, deform_conv2d, group_norm_swish
from rethink_fr.ops.native import OPERATORS, forbidden, native_library

__all__ = ["BuildReport", "NativeOpsError", "build_ops"]

# Of the largest output. A wrong kernel is off by all of it; TensorFloat-32, where a GPU has it, by a thousandth.
_TOLERANCE = 1e-2


class BuildReport(NamedTuple):
    """What there is after `build_ops`."""

    library: Path
    origin: str
    operators: List[str]
    instruction_set: str
    seconds: float
    differences: Optional[Dict[str, float]]  # to TensorFlow's own operations; None: RETHINK_FR_OPS forbids the trial


def build_ops(force: bool = False) -> BuildReport:
    """Build the native operators unless they are there already, load them, and compare each with its twin.

    Args:
        force: build again what was built on this machine.

    Raises:
        NativeOpsError: if they cannot be built, kept or loaded, or compute something else than their twins.
    """
    started = time.perf_counter()
    loaded = native_library().build(force)
    seconds = time.perf_counter() - started
    operators = [name for name in OPERATORS if loaded.has(name)]
    differences = None if forbidden() else {name: _difference(name) for name in operators}
    for name, difference in (differences or {}).items():
        if not difference <= _TOLERANCE:  # NaN is caught too
            raise NativeOpsError(
                f"{name} of {loaded.path} is wrong on this machine, off by {difference:.2g} of its largest value; set "
                "RETHINK_FR_OPS=reference to do without it, and please report this"
            )
    return BuildReport(loaded.path, loaded.origin, operators, loaded.instruction_set(), seconds, differences)


def _difference(operator: str) -> float:
    """Largest difference between the two implementations on a small random input, in units of the largest output."""
    if operator == "deform_conv2d":
        inputs, filters = _random([2, 9, 11, 8], 1), _random([3, 3, 8, 12], 2)
        offsets, mask = 2.0 * _random([2, 9, 11, 36], 3), _random([2, 9, 11, 18], 4)

        def run(implementation):
            return deform_conv2d(inputs, offsets, mask, filters, deformable_groups=2, implementation=implementation)
    else:
        inputs, gamma, beta = _random([2, 9, 11, 24], 1), _random([24], 2), _random([24], 3)

        def run(implementation):
            return group_norm_swish(inputs, gamma, beta, groups=6, implementation=implementation)

    expected = run("reference")
    return float(tf.reduce_max(tf.abs(run("compiled") - expected)) / tf.reduce_max(tf.abs(expected)))


def _random(shape: List[int], seed: int) -> tf.Tensor:
    return tf.random.stateless_normal(shape, [0, seed])
