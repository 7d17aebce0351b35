"""MobileFace's published MXNet files to ONNX, so that `rethink-fr evaluate --identity-net` can use them.

    python tools/mobileface_to_onnx.py MobileFace_Identification_V2-symbol.json \\
        MobileFace_Identification_V2-0000.params mobileface.onnx

Needs the `onnx` package; MXNet is not needed. The result takes float32 RGB `[N, 3, 112, 112]` in 0..255 (the network
itself subtracts 127.5 and divides by 128) and gives embeddings `[N, 256]`. The file says so itself: that range, and the
crop of insightface's five-point template in FFHQ's framing, are in its metadata, where `rethink-fr` looks.
"""

from __future__ import annotations

import argparse
import ast
import json
import struct
import sys
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 112
# Insightface's template in FFHQ's 512 x 512 framing: (63.6, 59.9) to (447.0, 443.4), fitted to the five points.
FFHQ_CROP = (0.12421379, 0.11705820, 0.87312669, 0.86597110)

_LIST_MAGIC, _ARRAY_MAGIC = 0x112, 0xF993FAC9
_FLOAT32 = 0
_EPSILON = 1e-3  # MXNet's default of BatchNorm
_SCALARS = {"_minus_scalar": "Sub", "_mul_scalar": "Mul", "_maximum_scalar": "Max", "_minimum_scalar": "Min"}
_OPSET = 13


class ConversionError(ValueError):
    """Files that are something else than expected; one line."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("symbol", type=Path, help="SYMBOL.json")
    parser.add_argument("params", type=Path, help="NETWORK.params")
    parser.add_argument("output", type=Path, help="FILE.onnx")
    arguments = parser.parse_args()
    try:
        arrays = read_params(arguments.params.read_bytes())
        model = convert(json.loads(arguments.symbol.read_text(encoding="utf-8")), arrays)
    except (OSError, ConversionError, json.JSONDecodeError) as error:
        print(f"mobileface_to_onnx: error: {error}", file=sys.stderr)
        return 2
    arguments.output.write_bytes(model.SerializeToString())
    print(f"{arguments.output}: {sum(array.size for array in arrays.values()):,} numbers, value range 0..255")
    return 0


def read_params(data: bytes) -> Dict[str, np.ndarray]:
    """Arrays of an MXNet NDArray file by name, without the leading `arg:` or `aux:`.

    Raises:
        ConversionError: if the file is something else, or holds other than dense float32 arrays.
    """
    try:
        return _read_params(data)
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise ConversionError(f"not a usable MXNet params file ({error})") from None


def convert(symbol: Dict[str, Any], arrays: Dict[str, np.ndarray]) -> onnx.ModelProto:
    """The graph of an MXNet symbol with its arrays; every array is used.

    Raises:
        ConversionError: if an operator is not one of MobileFace's twelve, or arrays are missing or left over.
    """
    names = [node["name"] for node in symbol["nodes"]]
    nodes: List[onnx.NodeProto] = []
    constants: Dict[str, np.ndarray] = {}
    for node in symbol["nodes"]:
        inputs = [names[number] for number, *_ in node["inputs"]]
        if node["op"] == "null":
            if node["name"] != "data":
                if node["name"] not in arrays:
                    raise ConversionError(f"{node['name']}: not in the params file")
                constants[node["name"]] = arrays[node["name"]]
            continue
        nodes.append(_converted(node, inputs, constants))
    left_over = sorted(set(arrays) - set(names))
    if left_over:
        raise ConversionError(f"{left_over[0]}: in the params file, but not in the graph")
    output = names[symbol["heads"][0][0]]
    graph = helper.make_graph(
        nodes,
        "MobileFace",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", None])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="rethink-fr")
    helper.set_model_props(
        model,
        {"rethink_fr.value_range": "0..255", "rethink_fr.crop": ",".join(f"{edge:.6f}" for edge in FFHQ_CROP)},
    )
    model.ir_version = 8  # which every onnxruntime since 1.10 reads
    onnx.checker.check_model(model, full_check=True)
    return model


def _converted(node: Dict[str, Any], inputs: Sequence[str], constants: Dict[str, np.ndarray]) -> onnx.NodeProto:
    operator, name = node["op"], node["name"]
    attributes = node.get("attrs", {})
    if operator in _SCALARS:
        constants[f"{name}_scalar"] = np.array(float(attributes["scalar"]), np.float32)
        return helper.make_node(_SCALARS[operator], [*inputs, f"{name}_scalar"], [name], name)
    if operator == "elemwise_add":
        return helper.make_node("Add", inputs, [name], name)
    if operator == "Flatten":
        return helper.make_node("Flatten", inputs, [name], name)
    if operator == "FullyConnected":
        return helper.make_node("Gemm", inputs, [name], name, transB=1)
    if operator == "BatchNorm":
        if attributes.get("fix_gamma", "True") == "True":  # MXNet's default: a stored gamma is not looked at
            constants[inputs[1]] = np.ones_like(constants[inputs[1]])
        epsilon = float(attributes.get("eps", _EPSILON))
        return helper.make_node("BatchNormalization", inputs, [name], name, epsilon=epsilon)
    if operator == "Convolution":
        above, beside = _pair(attributes, "pad", (0, 0))
        return helper.make_node(
            "Conv",
            inputs,
            [name],
            name,
            kernel_shape=_pair(attributes, "kernel", None),
            strides=_pair(attributes, "stride", (1, 1)),
            dilations=_pair(attributes, "dilate", (1, 1)),
            pads=[above, beside, above, beside],
            group=int(attributes.get("num_group", 1)),
        )
    raise ConversionError(f"{name}: the operator {operator} is not one of MobileFace's")


def _pair(attributes: Dict[str, str], name: str, default: Any) -> Tuple[int, int]:
    rows, columns = ast.literal_eval(attributes[name]) if name in attributes else default
    return int(rows), int(columns)


def _read_params(data: bytes) -> Dict[str, np.ndarray]:
    position = 0

    def read(layout: str) -> Tuple[Any, ...]:
        nonlocal position
        values = struct.unpack_from(f"<{layout}", data, position)
        position += struct.calcsize(f"<{layout}")
        return values

    magic, _, count = read("QQQ")
    if magic != _LIST_MAGIC:
        raise ValueError("another magic number")
    arrays = []
    for _ in range(count):
        array_magic, storage, rank = read("IiI")
        if array_magic != _ARRAY_MAGIC or storage != 0:
            raise ValueError("an array that is not dense")
        shape = read(f"{rank}q")
        _, _, kind = read("iii")  # device, its number, type
        if kind != _FLOAT32:
            raise ValueError("an array that is not float32")
        size = int(np.prod(shape))
        arrays.append(np.frombuffer(data, "<f4", size, position).reshape(shape).copy())
        position += 4 * size
    (named,) = read("Q")
    if named != count:
        raise ValueError("names and arrays differ in number")
    names = []
    for _ in range(named):
        (length,) = read("Q")
        names.append(read(f"{length}s")[0].decode("utf-8").partition(":")[2])
    return dict(zip(names, arrays))


if __name__ == "__main__":
    sys.exit(main())
