"""Blocks whose activations are computed again for the gradient instead of being kept for it."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable

import tensorflow as tf
from tensorflow import keras


def recomputable(call: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate the `call` of a block, so that `set_recompute` can have its activations computed again.

    Gradient checkpointing (Chen et al. 2016, arXiv:1604.06174): only the inputs of the block are kept, and it is
    computed once more when the gradient reaches it. The gradient is the same. It can be differentiated once, so that
    R1, which differentiates a gradient, needs a network without it. The block may not assign variables.
    """
    signature = inspect.signature(call)

    @functools.wraps(call)
    def wrapped(block: keras.layers.Layer, *inputs: Any, **named: Any) -> Any:
        if not getattr(block, "recomputes", False):
            return call(block, *inputs, **named)
        every = signature.bind(block, *inputs, **named).args[1:]
        given = [position for position, tensor in enumerate(every) if tensor is not None]

        def compute(*tensors: tf.Tensor) -> Any:
            filled = dict(zip(given, tensors))
            return call(block, *(filled.get(position) for position in range(len(every))))

        return tf.recompute_grad(compute)(*(every[position] for position in given))

    wrapped.__signature__ = signature  # type: ignore[attr-defined]  # Keras looks at it
    wrapped.recomputable = True  # type: ignore[attr-defined]
    return wrapped


def set_recompute(network: tf.Module, enabled: bool) -> None:
    """Let the blocks of a network compute their activations again, or keep them. It takes effect when it is traced."""
    for layer in network.submodules:
        if getattr(getattr(type(layer), "call", None), "recomputable", False):
            layer.recomputes = enabled
