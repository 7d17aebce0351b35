"""Nested outputs of a function as a flat list of tensors, which TensorFlow's custom gradients want, and back."""

from __future__ import annotations

from typing import Any, Callable, List, Sequence

import tensorflow as tf


class FlatOutputs:
    """A function that returns a list of the tensors in what `function` returns, which may be nested; None is left out.

    Args:
        function: of tensors to any structure of tensors and None, the same at every call.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._structure: Any = None  # of what the function returns; known after the first call

    def __call__(self, *inputs: tf.Tensor) -> List[tf.Tensor]:
        self._structure = self._function(*inputs)
        return [output for output in tf.nest.flatten(self._structure) if output is not None]

    def pack(self, tensors: Sequence[tf.Tensor]) -> Any:
        """Tensors like those of a call, in the structure that the function returned."""
        given = iter(tensors)
        flat = [None if output is None else next(given) for output in tf.nest.flatten(self._structure)]
        return tf.nest.pack_sequence_as(self._structure, flat)
