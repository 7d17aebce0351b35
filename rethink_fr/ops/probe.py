"""Tries a native operator on one device: a tiny case and its gradients, beside TensorFlow's own operations on the CPU.

A native operator can be loaded and still be of no use on a GPU: its CUDA kernels are compiled when they are first
launched, for which NVRTC has to be there and has to fit the driver, and the GPU must not be newer or older than both.
"""

from __future__ import annotations

import re
from typing import Any, Callable, List, Optional

import numpy as np
import tensorflow as tf

from rethink_fr.ops.deform_conv_reference import DeformConvGeometry, deform_conv2d_reference
from rethink_fr.ops.group_norm_reference import group_norm_swish_reference

# The largest difference that is accepted, in units of the largest value. Float32 is off by a millionth here, a wrong
# kernel by about 1. The reference is computed on the CPU, where TensorFloat-32 cannot make it less accurate.
_TOLERANCE = 1e-4
_NODES = re.compile(r"\{\{.*?\}\}|\[Op:.*")  # TensorFlow's names around the operator's own message
_LONGEST = 400  # letters of a reason that are shown: NVRTC's can be pages

_Outputs = List[tf.Tensor]


def gpus() -> List[str]:
    """The names of the GPUs that this process uses. Without any, TensorFlow's devices are not set up by the call."""
    if not tf.config.list_physical_devices("GPU"):
        return []
    return [f"GPU:{number}" for number in range(len(tf.config.list_logical_devices("GPU")))]


class FaultyOperatorError(RuntimeError):
    """A native operator is of no use on a device; the message is one line."""


def deviation(operators: Any, name: str, device: str) -> float:
    """How far an operator and its gradient are from the reference, at most, in units of the largest value.

    Args:
        operators: the module that holds the native operators.
        name: of the operator, one of `native.OPERATORS`.
        device: where it runs, such as "GPU:0".

    Raises:
        FaultyOperatorError: if it does not run there, or is too far off.
    """
    with tf.device("CPU:0"):
        expected = [tensor.numpy() for tensor in _TRIALS[name](None)]
    try:
        with tf.device(device):
            found = [tensor.numpy() for tensor in _TRIALS[name](operators)]
    except tf.errors.OpError as error:
        reason = " ".join(_NODES.sub("", error.message).split())[:_LONGEST]
        raise FaultyOperatorError(f"{name} does not run on {device} ({reason})") from None
    with np.errstate(invalid="ignore"):
        differences = [np.max(np.abs(one - other)) / np.max(np.abs(other)) for one, other in zip(found, expected)]
    off = float(np.max(differences))  # which keeps a NaN, where Python's max may lose it
    if not off <= _TOLERANCE:  # this way NaN is refused too
        raise FaultyOperatorError(f"{name} is wrong on {device}, off by {off:.2g} of its largest value")
    return off


def _deform_conv2d(operators: Optional[Any]) -> _Outputs:
    """Outputs and gradients by the native operators, or by the reference if these are None."""
    sizes = ([2, 9, 11, 8], [2, 9, 11, 36], [2, 9, 11, 18], [3, 3, 8, 12], [2, 9, 11, 12])
    *sources, upstream = (2.0 * _random(size, seed) for seed, size in enumerate(sizes))
    geometry = DeformConvGeometry((3, 3), (1, 1), (1, 1), (1, 1), deformable_groups=2)
    if operators is None:
        return _with_gradients(lambda a, b, c, d: deform_conv2d_reference(a, b, c, d, geometry), sources, upstream)
    attributes = geometry._asdict()
    del attributes["kernel"]
    outputs = operators.rethink_fr_deform_conv2d(*sources, **attributes)
    return [outputs, *operators.rethink_fr_deform_conv2d_grad(*sources, upstream, **attributes)]


def _group_norm_swish(operators: Optional[Any]) -> _Outputs:
    """As `_deform_conv2d`."""
    *sources, upstream = (_random(size, seed) for seed, size in enumerate(([2, 9, 11, 24], [24], [24], [2, 9, 11, 24])))
    if operators is None:
        return _with_gradients(lambda a, b, c: group_norm_swish_reference(a, b, c, 6, 1e-6), sources, upstream)
    outputs, *statistics = operators.rethink_fr_group_norm_swish(*sources, groups=6, epsilon=1e-6)
    return [outputs, *operators.rethink_fr_group_norm_swish_grad(*sources, *statistics, upstream, groups=6)]


def _with_gradients(function: Callable[..., tf.Tensor], sources: _Outputs, upstream: tf.Tensor) -> _Outputs:
    with tf.GradientTape() as tape:
        tape.watch(sources)
        outputs = function(*sources)
    return [outputs, *tape.gradient(outputs, sources, upstream)]


def _random(shape: List[int], seed: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


_TRIALS = {"deform_conv2d": _deform_conv2d, "group_norm_swish": _group_norm_swish}
