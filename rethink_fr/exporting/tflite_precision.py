"""A TFLite model with smaller weights, by ai-edge-quantizer.

TFLite's own converter makes the weights of every layer smaller, those before a choice of codes too (`ARG_MIN`,
`ARG_MAX`); then rounding tips over choices, and the texture is another one (VQFR: 20 dB from the float32 model instead
of 60). Here layers that a choice depends on keep their weights.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Set

from rethink_fr.errors import install_advice
from rethink_fr.exporting.comparison import ExportError

_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_CHOICES = ("ARG_MAX", "ARG_MIN")


class _Layer(NamedTuple):
    kind: str
    output: str  # name of the tensor


def with_smaller_weights(model: bytes, precision: str) -> bytes:
    """A TFLite model of float32 with the weights of some layers in another type.

    Args:
        model: contents of the file.
        precision: "float16": stored as such, multiplied in float32 (a phone's GPU may multiply in float16);
            "int8": dynamic range: weights in 8 bits, and inputs rounded to 8 bits at run time.

    Raises:
        ExportError: if ai-edge-quantizer is not installed.
    """
    try:
        from ai_edge_quantizer import qtyping, quantizer
        from ai_edge_quantizer.algorithm_manager import AlgorithmName
    except ImportError:
        raise ExportError(
            f"--precision {precision} of TFLite needs ai-edge-quantizer and Python 3.10; {install_advice('export')}"
        ) from None
    work = quantizer.Quantizer(bytearray(model))
    float16 = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    for layer in _free_layers(model):
        # Layers are told by the names of their outputs, followed by semicolons.
        name = f"^{re.escape(layer.output)};$"
        kind = qtyping.TFLOperationName(layer.kind)
        if precision == "float16":
            work.update_quantization_recipe(name, kind, float16, AlgorithmName.FLOAT_CASTING)
        else:
            # One scale for a whole dense layer: the interpreter of TensorFlow 2.15 reads several without using them.
            dense = layer.kind == "FULLY_CONNECTED"
            granularity = qtyping.QuantGranularity.TENSORWISE if dense else qtyping.QuantGranularity.CHANNELWISE
            work.add_dynamic_config(name, kind, num_bits=8, granularity=granularity)
    return bytes(work.quantize(enable_progress_report=False, enable_progress_bar=False).quantized_model)


def _free_layers(model: bytes) -> List[_Layer]:
    """The layers with weights that no `ARG_MIN` or `ARG_MAX` depends on."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator
    from ai_edge_litert.tools.flatbuffer_utils import read_model_from_bytearray

    names = {number: name for name, number in vars(BuiltinOperator).items() if not name.startswith("_")}
    read: Any = read_model_from_bytearray(bytearray(model))
    graph = read.subgraphs[0]  # there are no others: loops are unrolled
    kinds = [names[code.builtinCode] for code in read.operatorCodes]
    makers: Dict[int, Any] = {output: operator for operator in graph.operators for output in operator.outputs}
    waiting = [operator for operator in graph.operators if kinds[operator.opcodeIndex] in _CHOICES]
    exact: Set[int] = set()  # outputs of what choices depend on
    while waiting:
        operator = waiting.pop()
        if operator.outputs[0] not in exact:
            exact.update(operator.outputs)
            waiting += [makers[number] for number in operator.inputs if number in makers]
    return [
        _Layer(kinds[operator.opcodeIndex], graph.tensors[operator.outputs[0]].name.decode())
        for operator in graph.operators
        if kinds[operator.opcodeIndex] in _LAYERS and operator.outputs[0] not in exact
    ]
