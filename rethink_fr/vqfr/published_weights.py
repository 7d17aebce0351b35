"""Weights in the names and layouts of the published PyTorch state dicts.

Every layer with weights carries its full official name (`encoder.conv_in`, `decoder.conv_out.2`, ...), so that the
mapping is a walk over the network; the table below says what each kind of variable is called there and how its axes
are ordered.
"""

from __future__ import annotations

import math
from typing import Dict, List, Mapping, NamedTuple, Tuple

import numpy as np
import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.variables import create_variables

# Our name of a variable, its rank -> its official name, and our axes in the official order.
_OFFICIAL: Dict[Tuple[str, int], Tuple[str, Tuple[int, ...]]] = {
    ("kernel", 4): ("weight", (3, 2, 0, 1)),
    ("filters", 4): ("weight", (3, 2, 0, 1)),
    ("depthwise_kernel", 4): ("weight", (2, 3, 0, 1)),
    ("kernel", 2): ("weight", (1, 0)),
    ("codebook", 2): ("weight", (0, 1)),
    ("gamma", 1): ("weight", (0,)),
    ("beta", 1): ("bias", (0,)),
    ("bias", 1): ("bias", (0,)),
    ("running_mean", 1): ("running_mean", (0,)),
    ("running_variance", 1): ("running_var", (0,)),
    ("spectral_kernel", 4): ("weight_bar", (3, 2, 0, 1)),
    ("spectral_kernel", 2): ("weight_bar", (1, 0)),
    ("left_vector", 1): ("weight_u", (0,)),
    ("right_vector", 1): ("weight_v", (0,)),
    ("right_vector", 3): ("weight_v", (2, 0, 1)),  # and flattened
}
_FLATTENED = ("weight_v",)
# Buffers of constants and counters in state dicts: nothing here needs them.
_CONSTANTS = ("ll", "lh", "hl", "hh", "kernel", "num_batches_tracked")


class OfficialWeight(NamedTuple):
    """A variable and how its axes are ordered in PyTorch."""

    variable: tf.Variable
    order: Tuple[int, ...]
    flattened: bool = False  # there, after the axes were ordered

    @property
    def shape(self) -> Tuple[int, ...]:
        """The shape in PyTorch."""
        return (math.prod(self._ordered_shape),) if self.flattened else self._ordered_shape

    def read(self) -> np.ndarray:
        """The value in PyTorch's layout."""
        return np.transpose(self.variable.numpy(), self.order).reshape(self.shape)

    def assign(self, value: np.ndarray) -> None:
        """Set the variable from a value in PyTorch's layout."""
        ordered = np.asarray(value, np.float32).reshape(self._ordered_shape)
        # order maps official axes to ours; argsort of it is the way back.
        self.variable.assign(np.transpose(ordered, np.argsort(self.order)))

    @property
    def _ordered_shape(self) -> Tuple[int, ...]:
        return tuple(int(self.variable.shape[axis]) for axis in self.order)


class TorchStateError(ValueError):
    """A state dict that does not belong to the network; the message names the first entries that do not fit."""


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
    missing = [name for name in weights if name not in state]
    unexpected = [name for name in state if name not in weights and name.rpartition(".")[2] not in _CONSTANTS]
    misshapen = [
        f"{name} {list(np.shape(state[name]))} instead of {list(weight.shape)}"
        for name, weight in weights.items()
        if name in state and tuple(np.shape(state[name])) != weight.shape
    ]
    faults = [
        _first(names, what)
        for names, what in ((missing, "missing"), (unexpected, "unexpected"), (misshapen, "misshapen"))
        if names
    ]
    if faults:
        raise TorchStateError(f"these weights are not those of {_described(model)}: {'; '.join(faults)}")
    for name, weight in weights.items():
        weight.assign(state[name])


def torch_state(model: keras.Model) -> Dict[str, np.ndarray]:
    """The weights of a network under the published names, in PyTorch's layouts: what `load_torch_state` takes."""
    return {name: weight.read() for name, weight in official_weights(model).items()}


def _first(names: List[str], what: str) -> str:
    return f"{len(names)} {what}, the first is {names[0]}"


def _described(model: keras.Model) -> str:
    architecture = getattr(model, "architecture", None)
    version = f" version {architecture.version}" if architecture is not None else ""
    return f"{type(model).__name__}{version}"
