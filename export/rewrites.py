"""Graphs rewritten so that they run, and compute what they say. Each rewriting names the defect that it goes round."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

NEARLY_ZERO = 2.0**-24
"""The smallest number that is not zero in fp16 either."""


def keep_zero_padding(model: onnx.ModelProto) -> int:
    """Makes zeros around a maximum count, in place; returns around how many.

    ONNX Runtime (1.31 too) takes a Pad of zeros into the MaxPool behind it, whose own padding is minus infinity: where
    all of a border is negative, as in ResNet50V2, the maximum is then negative too (microsoft/onnxruntime#24737, and
    https://github.com/onnxsim/onnxsim/issues/290 of another optimiser). It leaves a Pad of any other number alone.
    """
    graph = model.graph
    pooled = {node.input[0] for node in graph.node if node.op_type == "MaxPool"}
    constants = _constants(graph)
    kept = 0
    for node in graph.node:
        if node.op_type != "Pad" or node.output[0] not in pooled or not _pads_with_zeros(node, constants):
            continue
        name = f"{node.output[0]}/nearly_zero"
        kind = constants[node.input[2]].data_type if len(node.input) > 2 and node.input[2] else onnx.TensorProto.FLOAT
        value = np.array(NEARLY_ZERO, onnx.helper.tensor_dtype_to_np_dtype(kind))
        graph.initializer.append(numpy_helper.from_array(value, name))
        node.input[:] = [*node.input[:2], name, *node.input[3:]]
        kept += 1
    return kept


def spell_out_erfc(model: onnx.ModelProto) -> int:
    """Makes 1 - erf of every Erfc, in place; returns of how many. Keras' GELU is made of it, and ONNX has none.

    tf2onnx (1.17) leaves such nodes as they are.
    """
    graph = model.graph
    nodes = []
    found = 0
    for node in graph.node:
        if node.op_type != "Erfc":
            nodes.append(node)
            continue
        found += 1
        inner = f"{node.output[0]}/erf"
        nodes.append(helper.make_node("Erf", [node.input[0]], [inner], name=f"{node.name}/erf"))
        nodes.append(helper.make_node("Sub", ["erfc/one", inner], [node.output[0]], name=node.name))
    if found:
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)
        graph.initializer.append(numpy_helper.from_array(np.float32(1), "erfc/one"))
    return found


def open_batch(model: onnx.ModelProto, rows: int) -> int:
    """Makes reshapes that keep the `rows` rows of an example keep any number of them, in place; returns of how many.

    PyTorch's exporter writes the shape that it saw, [1, 32], where its user wrote `x.flatten(1)`. Only a full batch can
    show that this was not the batch axis after all: `verify` does.
    """
    graph = model.graph
    constants = _constants(graph)
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.input, *inferred.value_info)
    first = {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim[:1]] for value in values}
    first |= {name: list(tensor.dims[:1]) for name, tensor in constants.items()}
    opened = 0
    for node in graph.node:
        if node.op_type != "Reshape" or node.input[1] not in constants:
            continue
        shape = numpy_helper.to_array(constants[node.input[1]])
        keeps_rows = first.get(node.input[0], [rows])[:1] in ([rows], [0], [])  # unknown: the full batch will tell
        if shape.ndim != 1 or not len(shape) or shape[0] != rows or 0 in shape or not keeps_rows:
            continue
        name = f"{node.output[0]}/open"
        graph.initializer.append(numpy_helper.from_array(np.array([0, *shape[1:]], np.int64), name))  # 0: as it is
        node.input[1] = name
        kept = [each for each in node.attribute if each.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)
        opened += 1
    return opened


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The tensors that a graph holds, as initializers and as constants among its nodes."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found.update((node.output[0], each.t) for each in node.attribute if each.name == "value")
    return found


def _pads_with_zeros(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    mode = next((each.s for each in node.attribute if each.name == "mode"), b"constant")
    if mode != b"constant" or len(node.input) < 2:
        return False
    if len(node.input) < 3 or not node.input[2]:
        return True
    value = constants.get(node.input[2])
    return (
        value is not None
        and value.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
        and not np.any(numpy_helper.to_array(value))
    )
