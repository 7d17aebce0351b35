"""How much memory the tensors of a traced function take at the worst moment, computed from its graph alone.

Operations are taken in the order in which they were traced. A tensor lives from the operation that makes it to the last
one that uses it, as TensorFlow's reference counts have it. Two things save memory and are followed, too: operations
whose result is a view of their input, and element-wise ones that write into an input which nobody needs any more.
"""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, List, Optional, Set, Tuple

import tensorflow as tf

_VIEWS = frozenset(
    "Identity IdentityN Reshape ExpandDims Squeeze StopGradient PreventGradient ReadVariableOp Snapshot "
    "EnsureShape CheckNumerics PlaceholderWithDefault".split()
)
_IN_PLACE = frozenset(
    "Add AddV2 AddN Sub Mul RealDiv Maximum Minimum Neg Square Sqrt Rsqrt Exp Log Abs Sign Relu LeakyRelu Sigmoid Tanh "
    "Softplus Erf BiasAdd ReluGrad LeakyReluGrad SigmoidGrad TanhGrad SqrtGrad RsqrtGrad SoftplusGrad "
    "SelectV2 ClipByValue Log1p DivNoNan SquaredDifference".split()
)
_NOTHING = frozenset("Const Placeholder NoOp VarHandleOp".split())  # inputs and constants belong to somebody else


def graph_peak(graph: tf.Graph) -> int:
    """The largest number of bytes that tensors made in a graph take at the same time.

    Variables, inputs and constants are not counted. In a conditional the larger branch counts. Sizes that are not known
    when the graph is traced count as 1.
    """
    return _Simulation(graph).run()[0]


class _Simulation:
    """Goes through the operations of one graph, and through the functions that they call."""

    def __init__(self, graph: Any, known: Optional[Dict[str, Tuple[int, FrozenSet[int]]]] = None) -> None:
        self._graph = graph
        self._known: Dict[str, Tuple[int, FrozenSet[int]]] = {} if known is None else known
        self._buffer: Dict[Tuple[str, int], int] = {}  # of each tensor: the number of its memory; -1: somebody else's
        self._size: List[int] = []
        self._uses: List[int] = []

    def run(self) -> Tuple[int, FrozenSet[int]]:
        """The peak in bytes, and which outputs of the graph are no memory of its own (inputs that it passes on)."""
        operations = self._graph.get_operations()
        uses: Dict[Tuple[str, int], int] = {}
        for operation in operations:
            for tensor in operation.inputs:
                uses[_key(tensor)] = uses.get(_key(tensor), 0) + 1
        outputs = list(getattr(self._graph, "outputs", []))
        for tensor in outputs:
            uses[_key(tensor)] = uses.get(_key(tensor), 0) + 1
        held = peak = 0
        for operation in operations:
            made, inner = self._made(operation, uses)
            fresh = sum(self._size[buffer] for buffer in made)
            peak = max(peak, held + max(inner, fresh))
            held += fresh
            for tensor in operation.inputs:
                held -= self._released(self._buffer.get(_key(tensor), -1))
            for buffer in made:
                if not self._uses[buffer]:
                    held -= self._size[buffer]
        own = {number for number, tensor in enumerate(outputs) if self._buffer.get(_key(tensor), -1) < 0}
        return peak, frozenset(own)

    def _made(self, operation: tf.Operation, uses: Dict[Tuple[str, int], int]) -> Tuple[Set[int], int]:
        """The memory that an operation takes for its outputs, and what a function in it needs at the same time."""
        inner, passed_on = self._called(operation)
        made: Set[int] = set()
        for number, tensor in enumerate(operation.outputs):
            key, buffer = _key(tensor), -1
            count = uses.get(key, 0)
            if operation.type in _NOTHING or tensor.dtype in (tf.resource, tf.variant) or number in passed_on:
                self._buffer[key] = -1
                continue
            if operation.type in _VIEWS and operation.inputs:
                source = operation.inputs[number if operation.type == "IdentityN" else 0]
                buffer = self._buffer.get(_key(source), -1)
                if operation.type == "ReadVariableOp":
                    buffer = -1
                self._buffer[key] = buffer
                if buffer >= 0:
                    self._uses[buffer] += count
                continue
            if operation.type in _IN_PLACE:
                buffer = self._reusable(operation, _bytes(tensor))
            if buffer < 0:
                buffer = len(self._size)
                self._size.append(_bytes(tensor))
                self._uses.append(0)
                made.add(buffer)
            self._buffer[key] = buffer
            self._uses[buffer] += count
        return made, inner

    def _reusable(self, operation: tf.Operation, size: int) -> int:
        for tensor in operation.inputs:
            buffer = self._buffer.get(_key(tensor), -1)
            if buffer >= 0 and self._uses[buffer] == 1 and self._size[buffer] == size:
                return buffer
        return -1

    def _released(self, buffer: int) -> int:
        if buffer < 0:
            return 0
        self._uses[buffer] -= 1
        return 0 if self._uses[buffer] else self._size[buffer]

    def _called(self, operation: tf.Operation) -> Tuple[int, FrozenSet[int]]:
        found: List[Tuple[int, FrozenSet[int]]] = []
        for name in operation.node_def.attr:
            value = operation.node_def.attr[name]
            for called in [value.func, *value.list.func]:
                if called.name:
                    if called.name not in self._known:
                        self._known[called.name] = _Simulation(
                            _function_graph(self._graph, called.name), self._known
                        ).run()
                    found.append(self._known[called.name])
        if not found:
            return 0, frozenset()
        return max(peak for peak, _ in found), frozenset.intersection(*(own for _, own in found))


def _function_graph(graph: Any, name: str) -> Any:
    while name not in graph._functions and graph.outer_graph is not None:
        graph = graph.outer_graph
    return graph._functions[name].graph


def _key(tensor: tf.Tensor) -> Tuple[str, int]:
    return tensor.op.name, tensor.value_index


def _bytes(tensor: tf.Tensor) -> int:
    count = 1
    for side in tensor.shape.as_list() if tensor.shape.rank is not None else ():
        count *= side if side is not None else 1
    return count * tensor.dtype.size
