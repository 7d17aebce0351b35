"""Weights in the names and layouts of the published PyTorch state dicts.

Every layer with weights carries its full official name (`encoder.conv_in`, `decoder.conv_out.2`, ...), so that the
mapping is a walk over the network; the table below says what each kind of variable is called there and how its axes
are ordered.
"""

from __future__ import annotations

import math
from typing import Dict, Mapping, NamedTuple, Tuple

import numpy as np
import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.variables import create_variables
from rethink_fr.weights.state_dicts import (
    CONVOLUTION,
    COUNTER,
    DENSE,
    DEPTHWISE,
    VECTOR,
    Axes,
    Shape,
    check_state,
    from_torch,
    to_torch,
)

# Name of a variable here and its rank -> its published name, and which of its axes PyTorch has first, second, ...
_OFFICIAL: Dict[Tuple[str, int], Tuple[str, Axes]] = {
    ("kernel", 4): ("weight", CONVOLUTION),
    ("filters", 4): ("weight", CONVOLUTION),
    ("depthwise_kernel", 4): ("weight", DEPTHWISE),
    ("kernel", 2): ("weight", DENSE),
    ("codebook", 2): ("weight", (0, 1)),
    ("gamma", 1): ("weight", VECTOR),
    ("beta", 1): ("bias", VECTOR),
    ("bias", 1): ("bias", VECTOR),
    ("running_mean", 1): ("running_mean", VECTOR),
    ("running_variance", 1): ("running_var", VECTOR),
    ("spectral_kernel", 4): ("weight_bar", CONVOLUTION),
    ("spectral_kernel", 2): ("weight_bar", DENSE),
    ("left_vector", 1): ("weight_u", VECTOR),
    ("right_vector", 1): ("weight_v", VECTOR),
    ("right_vector", 3): ("weight_v", (2, 0, 1)),  # and flattened
}
_FLATTENED = ("weight_v",)
# Buffers of constants and counters in state dicts: nothing here needs them.
_CONSTANTS = ("ll", "lh", "hl", "hh", "kernel", COUNTER)


class OfficialWeight(NamedTuple):
    """A variable and how its axes are ordered in PyTorch."""

    variable: tf.Variable
    order: Axes  # which of its axes PyTorch has first, second, ...
    flattened: bool = False  # in PyTorch, after its axes were ordered

    @property
    def shape(self) -> Shape:
        """The shape in PyTorch."""
        return (math.prod(self._ordered_shape),) if self.flattened else self._ordered_shape

    def read(self) -> np.ndarray:
        """The value in PyTorch's layout."""
        return to_torch(self.variable.numpy(), self.order).reshape(self.shape)

    def assign(self, value: np.ndarray) -> None:
        """Set the variable from a value in PyTorch's layout."""
        ordered = np.asarray(value, np.float32).reshape(self._ordered_shape)
        self.variable.assign(from_torch(ordered, self.order))

    @property
    def _ordered_shape(self) -> Shape:
        return tuple(int(self.variable.shape[axis]) for axis in self.order)


def official_weights(model: keras.Model) -> Dict[str, OfficialWeight]:
    """Every variable of a network by its official name, creating the variables if need be."""
    create_variables(model)
    weights: Dict[str, OfficialWeight] = {}
    for layer in model.submodules:
        if not isinstance(layer, keras.layers.Layer) or layer.submodules:
            continue
        for variable in layer.weights:
            own_name = variable.name.split("/")[-1].split(":")[0]
            name, order = _OFFICIAL[own_name, len(variable.shape)]
            weights[f"{layer.name}.{name}"] = OfficialWeight(variable, order, name in _FLATTENED)
    return weights


def load_torch_state(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Load weights that have the published names and PyTorch's layouts.

    Strict: every entry is used exactly once and every variable is set, or nothing is changed. Only buffers of constants
    (wavelet and blur kernels, `num_batches_tracked`) are passed over, and may be absent.

    Args:
        model: a network of `rethink_fr.vqfr`.
        state: official name to array.

    Raises:
        TorchStateError: naming the first missing, unexpected and misshapen entry.
    """
    weights = official_weights(model)
    shapes = {name: weight.shape for name, weight in weights.items()}
    check_state(shapes, state, f"these weights are not those of {_described(model)}", _CONSTANTS)
    for name, weight in weights.items():
        weight.assign(state[name])


def torch_state(model: keras.Model) -> Dict[str, np.ndarray]:
    """The weights of a network under the published names, in PyTorch's layouts: what `load_torch_state` takes."""
    return {name: weight.read() for name, weight in official_weights(model).items()}


def _described(model: keras.Model) -> str:
    architecture = getattr(model, "architecture", None)
    version = f" version {architecture.version}" if architecture is not None else ""
    return f"{type(model).__name__}{version}"
