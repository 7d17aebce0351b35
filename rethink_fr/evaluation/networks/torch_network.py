"""Networks of published PyTorch weights, as TensorFlow functions that ask for each weight by its published name.

A network is a plain function `forward(layers, images)`: it reads as the paper's table does, and `layers` hands out the
weights. So the same text says which weights there are (`expected_shapes`), takes a state dict (`load_network`, strict)
and computes. Inference only: nothing here is trained.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Sequence, Tuple, Union

import numpy as np
import tensorflow as tf

Shape = Tuple[int, ...]
Pair = Union[int, Tuple[int, int]]
# From a weight's published name and its shape in PyTorch to its value with our order of axes.
Take = Callable[[str, Shape], tf.Tensor]

_COUNTER = "num_batches_tracked"  # of batch normalisations: nothing at inference
# Axes of PyTorch in our order, by rank: convolutions [out, in, h, w], dense layers [out, in], vectors.
_ORDER = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}


class WeightsError(ValueError):
    """Weights that are not those of the network; one line naming the first entries that do not fit."""


class Layers:
    """Layers of PyTorch at inference. Each takes and returns float32 `[B, H, W, C]`, and is named as in the state dict.

    Args:
        take: gives a weight by name and PyTorch shape.
    """

    def __init__(self, take: Take) -> None:
        self._take = take

    def convolution(
        self,
        name: str,
        features: tf.Tensor,
        filters: int,
        size: Pair = 1,
        strides: int = 1,
        padding: Pair = 0,
        bias: bool = True,
    ) -> tf.Tensor:
        """Convolution; `size` and `padding` are (rows, columns) or one number for both, zeros outside."""
        (rows, columns), (above, beside) = _pair(size), _pair(padding)
        kernel = self._take(f"{name}.weight", (filters, _channels(features), rows, columns))
        outputs = tf.nn.conv2d(features, kernel, strides, [[0, 0], [above, above], [beside, beside], [0, 0]])
        return tf.nn.bias_add(outputs, self._take(f"{name}.bias", (filters,))) if bias else outputs

    def batch_norm(self, name: str, features: tf.Tensor, epsilon: float = 1e-5) -> tf.Tensor:
        """Batch normalisation by the stored mean and variance, of the last axis. Any rank."""
        gamma, beta, mean, variance = (
            self._take(f"{name}.{part}", (_channels(features),))
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma * tf.math.rsqrt(variance + epsilon)
        return features * scale + (beta - mean * scale)

    def unit(
        self,
        name: str,
        features: tf.Tensor,
        filters: int,
        size: Pair = 1,
        strides: int = 1,
        padding: Pair = 0,
    ) -> tf.Tensor:
        """What both Inception networks are made of: convolution without bias, batch normalisation, ReLU."""
        outputs = self.convolution(f"{name}.conv", features, filters, size, strides, padding, bias=False)
        return tf.nn.relu(self.batch_norm(f"{name}.bn", outputs, epsilon=1e-3))

    def prelu(self, name: str, features: tf.Tensor) -> tf.Tensor:
        """max(x, 0) + a min(x, 0) with one `a` for all channels."""
        return tf.nn.relu(features) - self._take(f"{name}.weight", (1,)) * tf.nn.relu(-features)

    def dense(self, name: str, features: tf.Tensor, units: int, bias: bool = True) -> tf.Tensor:
        """`[B, C]` to `[B, units]`."""
        outputs = tf.matmul(features, self._take(f"{name}.weight", (units, _channels(features))))
        return tf.nn.bias_add(outputs, self._take(f"{name}.bias", (units,))) if bias else outputs


Forward = Callable[[Layers, tf.Tensor], Any]


def expected_shapes(forward: Forward, image_shape: Sequence[Any]) -> Dict[str, Shape]:
    """The weights of a network, by published name: their shapes in PyTorch. Nothing is computed.

    Args:
        forward: the network.
        image_shape: of one image, such as `[299, 299, 3]`; None where any size goes.
    """
    shapes: Dict[str, Shape] = {}

    def take(name: str, shape: Shape) -> tf.Tensor:
        if shapes.setdefault(name, shape) != shape:
            raise WeightsError(f"{name} is used as {list(shapes[name])} and as {list(shape)}")
        return tf.zeros([shape[axis] for axis in _ORDER[len(shape)]])

    _traced(forward, Layers(take), image_shape)
    return shapes


def load_network(
    forward: Forward, image_shape: Sequence[Any], state: Mapping[str, np.ndarray], unused: Sequence[str] = ()
) -> Callable[[np.ndarray], Any]:
    """A network with its weights, ready to be called with float32 `[B, *image_shape]`.

    Strict: every weight is there and every entry is used, or it raises.

    Args:
        forward: the network.
        image_shape: of one image, without the batch.
        state: published name to array in PyTorch's layout.
        unused: how the names begin of entries that the published file has beside the network (a classifier);
            they may be absent.

    Raises:
        WeightsError: naming the first missing, unexpected and misshapen entry.
    """
    shapes = expected_shapes(forward, image_shape)
    _check(shapes, state, tuple(unused))
    weights = {
        name: tf.constant(np.ascontiguousarray(np.transpose(np.asarray(state[name], np.float32), _ORDER[len(shape)])))
        for name, shape in shapes.items()
    }
    return _traced(forward, Layers(lambda name, shape: weights[name]), image_shape)


def max_pool(features: tf.Tensor, size: int, strides: int) -> tf.Tensor:
    """Largest value of each window that lies inside; the rest at the bottom and right is left out."""
    return tf.nn.max_pool2d(features, size, strides, "VALID")


def max_pool_ceil(features: tf.Tensor, size: int, strides: int) -> tf.Tensor:
    """As `max_pool`, but windows may hang over the bottom and right ("ceil_mode"), as far as they begin inside."""
    overhang = [-(tf.shape(features)[axis] - size) % strides for axis in (1, 2)]
    padding = [[0, 0], [0, overhang[0]], [0, overhang[1]], [0, 0]]
    return max_pool(tf.pad(features, padding, constant_values=features.dtype.min), size, strides)


def flatten(features: tf.Tensor) -> tf.Tensor:
    """`[B, H, W, C]` to `[B, C * H * W]` in PyTorch's order: channels are the slowest."""
    return tf.reshape(tf.transpose(features, [0, 3, 1, 2]), [-1, int(np.prod(features.shape[1:]))])


def _traced(forward: Forward, layers: Layers, image_shape: Sequence[Any]) -> Callable[[np.ndarray], Any]:
    signature = [tf.TensorSpec([None, *image_shape], tf.float32)]
    function = tf.function(lambda images: forward(layers, images), input_signature=signature, autograph=False)
    return function.get_concrete_function()


def _check(shapes: Mapping[str, Shape], state: Mapping[str, np.ndarray], unused: Tuple[str, ...]) -> None:
    missing = [name for name in shapes if name not in state]
    unexpected = [
        name
        for name in state
        if name not in shapes and name.rpartition(".")[2] != _COUNTER and not name.startswith(unused)
    ]
    misshapen = [
        f"{name} {list(np.shape(state[name]))} instead of {list(shape)}"
        for name, shape in shapes.items()
        if name in state and np.shape(state[name]) != shape
    ]
    faults = [
        f"{len(names)} {what}, the first is {names[0]}"
        for names, what in ((missing, "missing"), (unexpected, "unexpected"), (misshapen, "misshapen"))
        if names
    ]
    if faults:
        raise WeightsError(f"not the weights of this network: {'; '.join(faults)}")


def _pair(value: Pair) -> Tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _channels(features: tf.Tensor) -> int:
    return int(features.shape[-1])
