"""Networks whose weights were published for PyTorch, written as TensorFlow functions.

A network is a plain function `forward(layers, images)` that reads like the table in its paper. Whenever it needs a
weight, it asks `layers` for it by its published name. One such function therefore tells which weights the network has
(`expected_shapes`), and computes with them once they are read from a state dict (`PublishedNetwork`).
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Sequence, Tuple, Union

import numpy as np
import tensorflow as tf

from rethink_fr.weights.state_dicts import (
    CONVOLUTION,
    DENSE,
    VECTOR,
    Axes,
    Shape,
    TorchStateError,
    check_state,
    from_torch,
)

Pair = Union[int, Tuple[int, int]]
# Takes a weight's published name and its shape in PyTorch; returns its value in TensorFlow's layout.
Take = Callable[[str, Shape], tf.Tensor]

_AXES: Dict[int, Axes] = {1: VECTOR, 2: DENSE, 4: CONVOLUTION}  # by the rank of the weight


class Layers:
    """The layers that published networks are made of. Their weights are fixed: nothing here is trained.

    Features are `[B, H, W, C]` unless a method says otherwise. `name` is the layer's name in the state dict.

    Args:
        take: function that gives the value of a weight.
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
        """A convolution. `size` and `padding` are (rows, columns) or one number for both; the padding is zeros."""
        (rows, columns), (above, beside) = _pair(size), _pair(padding)
        kernel = self._take(f"{name}.weight", (filters, _channels(features), rows, columns))
        outputs = tf.nn.conv2d(features, kernel, strides, [[0, 0], [above, above], [beside, beside], [0, 0]])
        return tf.nn.bias_add(outputs, self._take(f"{name}.bias", (filters,))) if bias else outputs

    def batch_norm(self, name: str, features: tf.Tensor, epsilon: float = 1e-5) -> tf.Tensor:
        """Batch normalisation of the last axis with the stored mean and variance; features may have any rank."""
        gamma, beta, mean, variance = (
            self._take(f"{name}.{part}", (_channels(features),))
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma * tf.math.rsqrt(variance + epsilon)
        return features * scale + (beta - mean * scale)

    def unit(
        self, name: str, features: tf.Tensor, filters: int, size: Pair = 1, strides: int = 1, padding: Pair = 0
    ) -> tf.Tensor:
        """The unit of both Inception networks: a convolution without bias, batch normalisation, ReLU."""
        outputs = self.convolution(f"{name}.conv", features, filters, size, strides, padding, bias=False)
        return tf.nn.relu(self.batch_norm(f"{name}.bn", outputs, epsilon=1e-3))

    def prelu(self, name: str, features: tf.Tensor) -> tf.Tensor:
        """max(x, 0) + a min(x, 0), with one learnt `a` for all channels."""
        return tf.nn.relu(features) - self._take(f"{name}.weight", (1,)) * tf.nn.relu(-features)

    def dense(self, name: str, features: tf.Tensor, units: int, bias: bool = True) -> tf.Tensor:
        """A dense layer from `[B, C]` to `[B, units]`."""
        outputs = tf.matmul(features, self._take(f"{name}.weight", (units, _channels(features))))
        return tf.nn.bias_add(outputs, self._take(f"{name}.bias", (units,))) if bias else outputs


Forward = Callable[[Layers, tf.Tensor], Any]


class PublishedNetwork(tf.Module):
    """A network with its published weights, as a differentiable function of images.

    Call with float images `[B, *image_shape]`; the network computes in their dtype. The weights are variables that are
    not trained, so that each device of a distribution strategy has its own copy.

    Args:
        forward: the network.
        image_shape: of one image, such as `[299, 299, 3]`; None stands for a side of any length.
        state: published name to array in PyTorch's layout.
        beside: entries of `state` whose names begin with one of these are ignored, such as those of a classifier.

    Raises:
        TorchStateError: if a weight is missing, unexpected or of another shape.
    """

    def __init__(
        self,
        forward: Forward,
        image_shape: Sequence[Any],
        state: Mapping[str, np.ndarray],
        beside: Tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self._forward = forward
        self._weights: Dict[str, tf.Variable] = {}
        shapes = expected_shapes(forward, image_shape)
        check_state(shapes, state, beside=beside)
        for name, shape in shapes.items():
            value = from_torch(np.asarray(state[name], np.float32), _AXES[len(shape)])
            self._weights[name] = tf.Variable(np.ascontiguousarray(value), trainable=False)

    def __call__(self, images: tf.Tensor) -> Any:
        return self._forward(Layers(lambda name, _: tf.cast(self._weights[name], images.dtype)), images)


def expected_shapes(forward: Forward, image_shape: Sequence[Any]) -> Dict[str, Shape]:
    """The weights of a network: their published names and their shapes in PyTorch. Nothing is computed.

    Args:
        forward: the network.
        image_shape: of one image, such as `[299, 299, 3]`; None stands for a side of any length.
    """
    shapes: Dict[str, Shape] = {}

    def take(name: str, shape: Shape) -> tf.Tensor:
        if shapes.setdefault(name, shape) != shape:
            raise TorchStateError(f"{name} is used as {list(shapes[name])} and as {list(shape)}")
        return tf.zeros([shape[axis] for axis in np.argsort(_AXES[len(shape)])])

    _function(lambda images: forward(Layers(take), images), image_shape).get_concrete_function()
    return shapes


def load_network(
    forward: Forward, image_shape: Sequence[Any], state: Mapping[str, np.ndarray], beside: Tuple[str, ...] = ()
) -> Callable[[np.ndarray], Any]:
    """A `PublishedNetwork` for inference: traced once, for float32 arrays `[B, *image_shape]`. Same arguments."""
    network = PublishedNetwork(forward, image_shape, state, beside)
    return _function(lambda images: network(images), image_shape)  # the lambda keeps the network's variables alive


def max_pool(features: tf.Tensor, size: int, strides: int) -> tf.Tensor:
    """The largest value of each window that lies wholly inside; a rest at the bottom and right is left out."""
    return tf.nn.max_pool2d(features, size, strides, "VALID")


def max_pool_ceil(features: tf.Tensor, size: int, strides: int) -> tf.Tensor:
    """As `max_pool`, but windows that begin inside may reach over the bottom and right (PyTorch's "ceil_mode")."""
    overhang = [-(tf.shape(features)[axis] - size) % strides for axis in (1, 2)]
    padding = [[0, 0], [0, overhang[0]], [0, overhang[1]], [0, 0]]
    return max_pool(tf.pad(features, padding, constant_values=features.dtype.min), size, strides)


def flatten(features: tf.Tensor) -> tf.Tensor:
    """`[B, H, W, C]` to `[B, C * H * W]` in PyTorch's order, where the channel changes slowest."""
    return tf.reshape(tf.transpose(features, [0, 3, 1, 2]), [-1, int(np.prod(features.shape[1:]))])


def _function(network: Callable[[tf.Tensor], Any], image_shape: Sequence[Any]) -> Any:
    signature = [tf.TensorSpec([None, *image_shape], tf.float32)]
    return tf.function(network, input_signature=signature, autograph=False)


def _pair(value: Pair) -> Tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _channels(features: tf.Tensor) -> int:
    return int(features.shape[-1])
