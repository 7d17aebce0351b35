"""Blocks whose activations are computed again for the gradient instead of being kept for it."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable

import tensorflow as tf

from rethink_fr.layers.flat_outputs import FlatOutputs


def recomputable(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a method of a module, so that `set_recompute` can have its activations computed again.

    Gradient checkpointing (Chen et al. 2016, arXiv:1604.06174): only the tensors that it is given are kept, and it is
    computed once more when the gradient reaches it. The gradient is the same. A block within a block keeps less still,
    and is computed twice more. It can be differentiated once, so that R1, which differentiates a gradient, needs a
    network without it. The method may not assign variables. Its arguments and what it returns may be nested; what is
    no tensor must not depend on tensors.
    """
    signature = inspect.signature(method)

    @functools.wraps(method)
    @tf.autograph.experimental.do_not_convert
    def wrapped(module: tf.Module, *inputs: Any, **named: Any) -> Any:
        if not getattr(module, "recomputes", False):
            return method(module, *inputs, **named)
        arguments = signature.bind(module, *inputs, **named).args[1:]
        flat = tf.nest.flatten(arguments)
        places = [place for place, value in enumerate(flat) if tf.is_tensor(value)]

        def compute(*tensors: tf.Tensor) -> Any:
            given = dict(zip(places, tensors))
            filled = [given.get(place, value) for place, value in enumerate(flat)]
            return method(module, *tf.nest.pack_sequence_as(arguments, filled))

        outputs = FlatOutputs(compute)
        # A plain function, because `recompute_grad` looks at its name and signature.
        recomputed = tf.recompute_grad(lambda *tensors: outputs(*tensors))
        return outputs.pack(recomputed(*(flat[place] for place in places)))

    wrapped.__signature__ = signature  # type: ignore[attr-defined]  # Keras looks at it
    return wrapped


def set_recompute(network: tf.Module, enabled: bool) -> None:
    """Let the blocks of a network compute their activations again, or keep them. It takes effect when it is traced."""
    for module in (network, *network.submodules):
        module.recomputes = enabled
