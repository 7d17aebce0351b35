"""An ONNX model whose convolutions and matrix products multiply in float16.

float16 has eleven significant bits: enough to multiply weights and features, not enough for pixel coordinates up to
512, for statistics over a picture, or for choosing among codes. A choice that rounding tips over is not a small
difference but another texture. So only `Conv`, `Gemm` and `MatMul` are converted, and of these only those that no
choice (`ArgMin`, `ArgMax`) depends on. All else stays in float32, inputs and outputs too. (onnxruntime's converter
and that of onnxconverter-common round every tensor between two operators, those before a choice included.)
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Set

import numpy as np

_CONVERTED = ("Conv", "Gemm", "MatMul")
_CHOICES = ("ArgMax", "ArgMin", "TopK")


def to_float16(model: Any) -> Any:
    """A copy of an ONNX model in which the operators named above multiply in float16."""
    from onnx import TensorProto, helper, numpy_helper

    copy = type(model)()
    copy.CopyFrom(model)
    graph = copy.graph
    weights = {weight.name: weight for weight in graph.initializer}
    exact = _that_choices_depend_on(graph)
    halves: Dict[str, str] = {}  # names of tensors: in float32 -> in float16
    nodes: List[Any] = []
    for node in graph.node:
        if node.op_type not in _CONVERTED or node.name in exact:
            nodes.append(node)
            continue
        for place, name in enumerate(node.input):
            if name not in halves:
                halves[name] = f"{name}_float16"
                if name in weights:
                    half = numpy_helper.to_array(weights[name]).astype(np.float16)
                    graph.initializer.append(numpy_helper.from_array(half, halves[name]))
                else:
                    nodes.append(helper.make_node("Cast", [name], [halves[name]], halves[name], to=TensorProto.FLOAT16))
            node.input[place] = halves[name]
        whole = node.output[0]
        node.output[0] = f"{whole}_in_float16"
        nodes += [node, helper.make_node("Cast", [node.output[0]], [whole], f"{whole}_back", to=TensorProto.FLOAT)]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in graph.node for name in _read_by(node)}
    kept = [weight for weight in graph.initializer if weight.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return copy


def _that_choices_depend_on(graph: Any) -> Set[str]:
    """Names of the nodes that an `ArgMin`, `ArgMax` or `TopK` depends on, directly or through others."""
    makers: Dict[str, Any] = {output: node for node in graph.node for output in node.output}
    waiting: List[Any] = [node for node in graph.node if node.op_type in _CHOICES]
    found: Set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.name not in found:
            found.add(node.name)
            waiting += [makers[name] for name in _read_by(node) if name in makers]
    return found


def _read_by(node: Any) -> Iterator[str]:
    """Names of the tensors that a node reads, also from inside of a loop or a branch."""
    yield from node.input
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                yield from _read_by(inner)
