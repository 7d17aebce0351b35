"""A restorer as an ONNX file: of the operators of ONNX itself, for any number of images.

Converted by tf2onnx, to opset 17 (ONNX 1.12). Deformable convolution becomes ONNX's own `DeformConv`, which needs opset
19, if the installed onnxruntime has it; otherwise, or for another runtime that lacks it (`plain`), it becomes a loop of
plain operators, which is slower.
"""

from __future__ import annotations

import logging
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import numpy.typing as npt

from rethink_fr.errors import install_advice
from rethink_fr.exporting.comparison import Arrays, ExportError, Restore
from rethink_fr.exporting.onnx_float16 import to_float16
from rethink_fr.exporting.operations import has_deformable_convolution, traced_with
from rethink_fr.exporting.portable import portable_function
from rethink_fr.ops.native import NativeOpsError, native_ops
from rethink_fr.system import Inference

OPSET, _LAST_OF_TF2ONNX, _WITH_DEFORM_CONV = 17, 18, 19
_IR_VERSION = {OPSET: 8, _WITH_DEFORM_CONV: 9}  # of ONNX files, by opset: what onnx 1.12 and 1.14 wrote
_OWN_OPERATOR = "RethinkFr>DeformConv2d"


class OnnxModel(NamedTuple):
    """A converted model, and what is to be said about it."""

    model: Any  # onnx.ModelProto
    notes: List[str]


def to_onnx(inference: Inference, precision: str, plain: bool = False) -> OnnxModel:
    """Convert a restorer.

    Args:
        inference: of the network.
        precision: "float32" or "float16", see `onnx_float16`.
        plain: whether deformable convolution becomes plain operators in any case.

    Raises:
        ExportError: if a package is missing, or the model would need operators that ONNX does not have.
    """
    tf2onnx, onnx = _packages()
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    reason = _why_plain(plain) if has_deformable_convolution(inference.network) else ""
    with_operator = has_deformable_convolution(inference.network) and not reason
    function = portable_function(inference, batch=None)
    handlers: Any = {_OWN_OPERATOR: (_deform_conv, [])} if with_operator else None
    try:
        with traced_with(inference.network, "reference", "compiled" if with_operator else "reference"):
            model, _ = tf2onnx.convert.from_function(
                function,
                input_signature=function.input_signature,
                opset=_LAST_OF_TF2ONNX if with_operator else OPSET,
                custom_op_handlers=handlers,
            )
    except Exception as error:  # tf2onnx raises ValueError, KeyError, AssertionError, ...
        raise ExportError(f"tf2onnx cannot convert this network ({_first_line(error)})") from error
    opset = _WITH_DEFORM_CONV if with_operator else OPSET
    foreign = foreign_operators(model, opset)
    if foreign:
        raise ExportError(f"ONNX has no operator for these of the network: {', '.join(foreign)}")
    _tidy(model, opset)
    notes = [f"opset {opset}, operators of ONNX only"]
    if with_operator:
        notes.append("deformable convolution is ONNX's DeformConv; --plain writes it as plain operators instead")
    elif reason:
        notes.append(f"deformable convolution is written as plain operators, which are slower: {reason}")
    if precision == "float16":
        model = to_float16(model)
        notes.append("convolutions and matrix products after the last choice of codes multiply in float16")
    onnx.checker.check_model(model, full_check=True)
    return OnnxModel(model, notes)


def onnx_restorer(model: bytes) -> Restore:
    """Run an ONNX file by onnxruntime on the processor; see `comparison.Restore`.

    Raises:
        ExportError: if onnxruntime cannot load it.
    """
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(model, _quiet_options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise ExportError(f"onnxruntime {onnxruntime.__version__} cannot load it ({_first_line(error)})") from None
    names = [tensor.name for tensor in session.get_outputs()]
    control = [tensor.name for tensor in session.get_inputs() if tensor.name != "images"]

    def restore(picture: npt.NDArray[np.uint8], value: Optional[npt.NDArray[np.float32]]) -> Arrays:
        return dict(zip(names, session.run(names, {"images": picture, **{name: value for name in control}})))

    return restore


def foreign_operators(model: Any, opset: int) -> List[str]:
    """The operators of a model that are not ONNX's own, by name, those of loops and branches included.

    What tf2onnx cannot convert it leaves as TensorFlow calls it.
    """
    from onnx import defs

    return sorted(
        {
            node.op_type
            for node in _nodes(model.graph)
            if node.domain not in ("", "ai.onnx") or not defs.has(node.op_type, opset, "")
        }
    )


def runtime_has_deform_conv() -> bool:
    """Whether the installed onnxruntime runs `DeformConv` on the processor (1.32 does, 1.20 did not)."""
    import onnxruntime
    from onnx import TensorProto, helper

    shapes: Dict[str, Tuple[int, ...]] = {
        "x": (1, 1, 4, 4),
        "w": (1, 1, 3, 3),
        "offset": (1, 18, 4, 4),
        "y": (1, 1, 4, 4),
    }
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    node = helper.make_node("DeformConv", ["x", "w", "offset"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    graph = helper.make_graph([node], "trial", [values["x"], values["w"], values["offset"]], [values["y"]])
    opset = helper.make_opsetid("", _WITH_DEFORM_CONV)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION[_WITH_DEFORM_CONV])
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), _quiet_options(), providers=["CPUExecutionProvider"])
    except Exception:  # NotImplemented, InvalidGraph, Fail: by version
        return False
    return True


def _why_plain(plain: bool) -> str:
    """Why deformable convolution cannot become `DeformConv`; "" if it can."""
    if plain:
        return "--plain was given"
    if not runtime_has_deform_conv():
        return "the installed onnxruntime has no DeformConv to check it with"
    try:
        native_ops(required=True)
    except NativeOpsError as error:  # only the registered operator marks in a graph where it stands
        return f"tracing it needs the native operators ({_first_line(error)})"
    return ""


def _deform_conv(context: Any, node: Any, name: str, arguments: Any) -> None:
    """Replace our operator by ONNX's, for tf2onnx. Both order offsets and masks alike; ONNX has channels first."""
    features, offsets, mask, filters = node.input
    rows, columns, per_group, count = context.get_shape(filters)
    strides, padding, dilations = (list(node.get_attr_value(key)) for key in ("strides", "padding", "dilations"))
    attributes = {
        "kernel_shape": [rows, columns],
        "strides": strides,
        "pads": [*padding, *padding],
        "dilations": dilations,
        "offset_group": node.get_attr_value("deformable_groups"),
        "group": context.get_shape(features)[3] // per_group,
    }
    outputs, shapes, types = node.output, node.output_shapes, node.output_dtypes
    context.remove_node(node.name)

    def transposed(tensor: str, order: List[int]) -> str:
        made: str = context.make_node("Transpose", [tensor], attr={"perm": order}).output[0]
        return made

    first = [0, 3, 1, 2]
    bias = context.make_const(f"{node.name}_no_bias", np.zeros([count], np.float32)).output[0]
    inputs = [transposed(features, first), transposed(filters, [3, 2, 0, 1]), transposed(offsets, first), bias]
    convolved = context.make_node("DeformConv", [*inputs, transposed(mask, first)], attr=attributes)
    context.make_node(
        "Transpose",
        [convolved.output[0]],
        attr={"perm": [0, 2, 3, 1]},
        name=node.name,
        outputs=outputs,
        shapes=shapes,
        dtypes=types,
    )


def _tidy(model: Any, opset: int) -> None:
    """State the opset, name the batch, and replace what a newer opset has deprecated."""
    # To the operators of 18 that a network becomes, opset 19 only added types and optional attributes. (onnx's own
    # version converter refuses a model of 18 with DeformConv, which 18 lacks.)
    del model.opset_import[:]
    model.opset_import.add(domain="", version=opset)
    model.ir_version = _IR_VERSION[opset]
    for value in (*model.graph.input, *model.graph.output):
        dimension = value.type.tensor_type.shape.dim[0]
        dimension.dim_param = "B"
    for node in _nodes(model.graph):
        for attribute in node.attribute:
            if attribute.name == "coordinate_transformation_mode" and attribute.s == b"tf_half_pixel_for_nn":
                # For whole factors, by which alone these networks enlarge, it is the same as:
                attribute.s = b"asymmetric"
                _set_nearest_mode(node, b"floor")


def _set_nearest_mode(node: Any, mode: bytes) -> None:
    for attribute in node.attribute:
        if attribute.name == "nearest_mode":
            attribute.s = mode


def _nodes(graph: Any) -> List[Any]:
    """All nodes of a graph, and those of the graphs inside of them."""
    found = []
    for node in graph.node:
        found.append(node)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found += _nodes(attribute.g)
    return found


def _packages() -> Tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime  # noqa: F401  (needed later: said now)
        import tf2onnx
    except ImportError as error:
        raise ExportError(f"an ONNX file needs {error.name}; {install_advice('export')}") from None
    return tf2onnx, onnx


def _quiet_options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return options


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
