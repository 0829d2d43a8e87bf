"""The features graph in int8 or in fp16: operators and numbers. Where it is kept, and how near it is, is elsewhere.

Only what lies behind the first convolution is lowered: pictures are normalised in fp32. Whatever makes the features'
own state stays fp32 too, so that a remembered picture is the very picture.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quant_pre_process, quantize_static
from onnxruntime.transformers.onnx_model import OnnxModel

from stream.bundle import Bundle
from stream.errors import BundleError

IN_FLOAT = 3
"""Convolutions at the start that stay fp32: all others inherit their rounding, and MobileNetV2's second has channels of
very different range. On clips that gave no ranges this takes the features' mean error of the figures bundle from 3.9 to
2.8 %, and the largest difference of a score from 0.37 to 0.20, at no measurable cost."""
OPERATORS = ("Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "MaxPool", "AveragePool", "Concat", "Pad")
FLOAT, FLOAT16 = TensorProto.FLOAT, TensorProto.FLOAT16

Feed = Mapping[str, NDArray[Any]]


def to_fp16(bundle: Bundle) -> bytes:
    """The features graph with fp16 weights and activations; frames, features and states keep their types.

    ONNX Runtime's own converter is not used: it passes whatever comes in through fp16, remembered pictures too.

    Raises:
        BundleError: it has no convolution.
    """
    model = onnx.shape_inference.infer_shapes(_opened(bundle))
    graph = model.graph
    lowered = _behind_convolutions(bundle, graph, 0)
    constants = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == FLOAT}
    values = (*graph.value_info, *graph.input, *graph.output)
    floats = {value.name for value in values if value.type.tensor_type.elem_type == FLOAT} | constants.keys()
    made = {name for node in lowered for name in node.output} & floats
    halves: dict[str, onnx.TensorProto] = {}
    casts: dict[str, onnx.NodeProto] = {}
    for node in lowered:
        for place, name in enumerate(node.input):
            if name not in floats:
                continue
            node.input[place] = f"{name}/fp16"
            if name in constants:
                value = numpy_helper.to_array(constants[name]).astype(np.float16)
                halves[name] = numpy_helper.from_array(value, f"{name}/fp16")
            elif name not in made:
                casts[f"{name}/fp16"] = helper.make_node("Cast", [name], [f"{name}/fp16"], to=FLOAT16)
        node.output[:] = [f"{name}/fp16" if name in made else name for name in node.output]
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
                attribute.i = FLOAT16
    asked = {name for node in graph.node for name in node.input} | {each.name for each in graph.output}
    for name in sorted(made & asked):
        casts[name] = helper.make_node("Cast", [f"{name}/fp16"], [name], to=FLOAT)
    graph.node.extend(casts.values())
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:], graph.value_info[:]  # these said fp32
    graph.initializer.extend([*kept, *halves.values()])
    OnnxModel(model).topological_sort()
    return _checked(bundle, model)


class _Feeds(CalibrationDataReader):  # type: ignore[misc]
    """Feeds one after the other, as ONNX Runtime's calibration asks for them."""

    def __init__(self, feeds: Iterator[Feed]) -> None:
        self._feeds = feeds

    def get_next(self) -> Feed | None:
        """The next feed; None when there are no more."""
        return next(self._feeds, None)


def to_int8(bundle: Bundle, feeds: Iterator[Feed], *, reduce_range: bool = True) -> bytes:
    """The features graph in QDQ form, with ranges taken from what `feeds` makes of it.

    Activations are unsigned and have 8 bits and a scale a tensor, weights are signed and have a scale a channel and 8
    bits, or 7 with `reduce_range`: CPUs without VNNI add pairs of 8-bit products in 16 bits, which overflow (with 8
    bits the features' error doubled on one), and a bundle is for both kinds of CPU unless something else is said.

    Raises:
        BundleError: it has no convolution behind those that stay fp32, or needs operators that are not standard.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, made = (Path(folder) / name for name in ("source.onnx", "prepared.onnx", "made.onnx"))
        onnx.save(_opened(bundle), source)
        # Folds normalisation into the convolutions. Symbolic shapes would need sympy and add nothing to these graphs.
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        nodes = _behind_convolutions(bundle, onnx.load(prepared).graph, IN_FLOAT)
        # Without CalibMaxIntermediateOutputs, which throws away all but the last few ticks, and fails where none is
        # left over (microsoft/onnxruntime#32577). Kept are two numbers a tensor and tick.
        quantize_static(
            prepared,
            made,
            _Feeds(feeds),
            QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=[node.name for node in nodes if node.op_type in OPERATORS],
        )
        model = onnx.load(made)
    return _checked(bundle, model)


def _opened(bundle: Bundle) -> onnx.ModelProto:
    """The features graph, each node with a name of its own, by which it is chosen: other people's may have none."""
    model = onnx.load_from_string(bundle.read(bundle.spec.features.file))
    taken: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"nameless/{number}"
        taken.add(node.name)
    return model


def _checked(bundle: Bundle, model: onnx.ModelProto) -> bytes:
    """`model`, serialised, once it is valid and asks for standard operators alone."""
    foreign = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if foreign:
        raise BundleError(f"{bundle.folder}: the lowered graph needs operators of {sorted(foreign)}; keep it fp32")
    standard = [opset for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    del model.opset_import[:]  # the preparation lists all that ONNX Runtime knows
    model.opset_import.extend(standard)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _behind_convolutions(bundle: Bundle, graph: onnx.GraphProto, skipped: int) -> list[onnx.NodeProto]:
    """The nodes that depend on a convolution and are on no way to a state, less the first `skipped` convolutions.

    Raises:
        BundleError: there are no more convolutions than that.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    exact: set[str] = set()
    asked = [tensor.output for tensor in bundle.spec.features.state]
    while asked:
        node = made_by.get(asked.pop())
        if node is not None and node.name not in exact:
            exact.add(node.name)
            asked += node.input
    convolutions = [node.name for node in graph.node if node.op_type == "Conv" and node.name not in exact]
    if len(convolutions) <= skipped:
        raise BundleError(
            f"{bundle.folder}: expected more than {skipped} convolutions to lower, found {len(convolutions)}; "
            "keep it fp32"
        )
    exact.update(convolutions[:skipped])
    behind: set[str] = set()
    chosen = []
    for node in graph.node:  # in the order of computation, as ONNX demands
        if node.name in convolutions or behind.intersection(node.input):
            behind.update(node.output)
            if node.name not in exact:
                chosen.append(node)
    return chosen
