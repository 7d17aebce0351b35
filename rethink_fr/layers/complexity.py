"""Counts the parameters and the multiply-accumulates of a network, by reading its traced graph."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, NamedTuple, Sequence, Set

import numpy as np
import tensorflow as tf
from tensorflow import keras

from rethink_fr.layers.deformable import IMPLEMENTS


class Complexity(NamedTuple):
    """How large a network is, and how much arithmetic one image takes."""

    trained_parameters: int
    codebook_values: int
    multiply_accumulates: int


def network_complexity(
    network: keras.Model, function: Callable[..., Any], *shapes: Sequence[int], codebooks: Sequence[tf.Variable] = ()
) -> Complexity:
    """Count a network's parameters, and the arithmetic of one call.

    Args:
        network: with its variables created.
        function: what is called: the network itself, or a function around it.
        shapes: of the function's float32 inputs, with every size known.
        codebooks: the variables of the network that hold codes.
    """
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    return Complexity(_size(network.trainable_variables), _size(codebooks), multiply_accumulates(function, *specs))


def multiply_accumulates(function: Callable[..., Any], *specs: tf.TensorSpec) -> int:
    """Count the multiply-accumulates of all convolutions and matrix products in one call of `function`.

    Gradients count too, if `function` computes them.

    Example:
        >>> multiply_accumulates(lambda x: x @ tf.ones([8, 2]), tf.TensorSpec([4, 8]))
        64
    """
    graph = tf.function(function).get_concrete_function(*specs).graph
    return sum(count_operations(graph).values())


def count_operations(graph: tf.Graph) -> Dict[str, int]:
    """Count the multiply-accumulates of a graph, by kind of operation. Element-wise work does not count.

    Both branches of a conditional count. A deformable convolution counts as a convolution of its shapes, whichever
    implementation is inside.

    Raises:
        ValueError: if a size is not known.
    """
    counts: Dict[str, int] = {}
    deformable = {
        function.signature.name
        for function in graph.as_graph_def().library.function
        if function.attr["_implements"].s.decode() == IMPLEMENTS
    }
    for operation in _operations(graph, deformable):
        kind = operation.type
        if kind in _CALLS and operation.get_attr("f").name in deformable:
            kind = _DEFORMABLE
        if kind in _COUNTED:
            counts[kind] = counts.get(kind, 0) + _COUNTED[kind](operation)
    return counts


def _operations(graph: tf.Graph, whole: Set[str]) -> Iterator[tf.Operation]:
    """List the operations of a graph and of the functions that it calls, except the functions in `whole`."""
    for operation in graph.get_operations():
        yield operation
        for name in operation.node_def.attr:
            value = operation.node_def.attr[name]
            for called in [value.func, *value.list.func]:
                if called.name and called.name not in whole:
                    yield from _operations(_function_graph(graph, called.name), whole)


def _function_graph(graph: Any, name: str) -> tf.Graph:
    while name not in graph._functions and graph.outer_graph is not None:
        graph = graph.outer_graph
    return graph._functions[name].graph


def _convolution(operation: tf.Operation) -> int:
    kernel = operation.inputs[1].shape  # [k, k, in, out]
    return _elements(operation.outputs[0]) * int(np.prod(kernel[:3]))


def _convolution_to_input(operation: tf.Operation) -> int:
    return _elements(operation.inputs[2]) * int(np.prod(operation.inputs[1].shape[:3]))


def _convolution_to_kernel(operation: tf.Operation) -> int:
    return _elements(operation.inputs[2]) * int(np.prod(operation.outputs[0].shape[:3]))


def _deformable_convolution(operation: tf.Operation) -> int:
    return _elements(operation.outputs[0]) * int(np.prod(operation.inputs[3].shape[:3]))


def _deformable_gradient(operation: tf.Operation) -> int:
    """The gradients of the sampled values and of the filters, each of which takes as much as the forward pass."""
    return 2 * _elements(operation.inputs[4]) * int(np.prod(operation.inputs[3].shape[:3]))


def _depthwise(operation: tf.Operation) -> int:
    return _elements(operation.outputs[0]) * int(np.prod(operation.inputs[1].shape[:2]))


def _depthwise_to_input(operation: tf.Operation) -> int:
    return _elements(operation.inputs[2]) * int(np.prod(operation.inputs[1].shape[:2]))


def _depthwise_to_kernel(operation: tf.Operation) -> int:
    return _elements(operation.inputs[2]) * int(np.prod(operation.outputs[0].shape[:2]))


def _matrix_product(operation: tf.Operation) -> int:
    transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    return _elements(operation.outputs[0]) * int(operation.inputs[0].shape[-2 if transposed else -1])


def _elements(tensor: tf.Tensor) -> int:
    if not tensor.shape.is_fully_defined():
        raise ValueError(f"cannot count {tensor.op.name}: its shape {tensor.shape} is not static")
    return int(np.prod(tensor.shape))


def _size(variables: Sequence[tf.Variable]) -> int:
    return sum(int(np.prod(variable.shape)) for variable in variables)


_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_DEFORMABLE = "RethinkFr>DeformConv2d"
_DEFORMABLE_GRADIENT = "RethinkFr>DeformConv2dGrad"

_COUNTED: Dict[str, Callable[[tf.Operation], int]] = {
    "Conv2D": _convolution,
    "Conv2DBackpropInput": _convolution_to_input,
    "Conv2DBackpropFilter": _convolution_to_kernel,
    "DepthwiseConv2dNative": _depthwise,
    "DepthwiseConv2dNativeBackpropInput": _depthwise_to_input,
    "DepthwiseConv2dNativeBackpropFilter": _depthwise_to_kernel,
    _DEFORMABLE: _deformable_convolution,
    _DEFORMABLE_GRADIENT: _deformable_gradient,
    "MatMul": _matrix_product,
    "BatchMatMulV2": _matrix_product,
}
