"""Published weights by name ("state dicts"): the order of axes in PyTorch, and the check that weights fit a network."""

from __future__ import annotations

from typing import Dict, Mapping, Sequence, Tuple

import numpy as np

Shape = Tuple[int, ...]
Axes = Tuple[int, ...]

# For each kind of array: which of TensorFlow's axes PyTorch has first, second, and so on.
CONVOLUTION: Axes = (3, 2, 0, 1)  # [rows, columns, in, out] in TensorFlow is [out, in, rows, columns] in PyTorch
DEPTHWISE: Axes = (2, 3, 0, 1)  # [rows, columns, channels, 1] is [channels, 1, rows, columns]
DENSE: Axes = (1, 0)  # [in, out] is [out, in]
VECTOR: Axes = (0,)

# Batch normalisation counts its steps in this entry. Nothing needs it at inference.
COUNTER = "num_batches_tracked"


class TorchStateError(ValueError):
    """A state dict that does not belong to the network. The message is one line that names the first misfits."""


def check_state(
    shapes: Mapping[str, Shape],
    state: Mapping[str, np.ndarray],
    complaint: str = "not the weights of this network",
    buffers: Sequence[str] = (COUNTER,),
    beside: Tuple[str, ...] = (),
) -> None:
    """Check that a state dict has every weight of a network, in the right shape, and nothing else.

    Args:
        shapes: the shape that PyTorch gives each weight, by published name.
        state: published name to array.
        complaint: how the error message begins.
        buffers: entries whose last name (after the last dot) is one of these are ignored.
        beside: entries whose name begins with one of these are ignored: what the file holds beside the network.

    Raises:
        TorchStateError: if weights are missing, unexpected or of another shape; it names the first of each kind.
    """
    faults: Dict[str, Sequence[str]] = {
        "missing": [name for name in shapes if name not in state],
        "unexpected": [
            name
            for name in state
            if name not in shapes and name.rpartition(".")[2] not in buffers and not name.startswith(beside)
        ],
        "misshapen": [
            f"{name} {list(np.shape(state[name]))} instead of {list(shape)}"
            for name, shape in shapes.items()
            if name in state and np.shape(state[name]) != shape
        ],
    }
    listed = [f"{len(names)} {what}, the first is {names[0]}" for what, names in faults.items() if names]
    if listed:
        raise TorchStateError(f"{complaint}: {'; '.join(listed)}")


def to_torch(value: np.ndarray, axes: Axes) -> np.ndarray:
    """An array of TensorFlow's layout in PyTorch's layout; `axes` is one of the constants of this module."""
    return np.transpose(value, axes)


def from_torch(value: np.ndarray, axes: Axes) -> np.ndarray:
    """An array of PyTorch's layout in TensorFlow's layout; the inverse of `to_torch`."""
    return np.transpose(value, np.argsort(axes))
