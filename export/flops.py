"""How much a graph computes: floating-point operations of one run, counted node by node. Nothing runs here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import onnx
from onnx import NodeProto, shape_inference

Shape: TypeAlias = tuple[int, ...]


def flops(model: onnx.ModelProto, *, batch: int = 1) -> int:
    """Operations of one run on `batch` rows, a multiplication and an addition counted as two.

    Convolutions and matrix products are counted, which is how papers count; what works element by element is not.

    Raises:
        ValueError: a shape that is counted cannot be told.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for given in fixed.graph.input:
        given.type.tensor_type.shape.dim[0].dim_value = batch
    shapes = _shapes(shape_inference.infer_shapes(fixed, data_prop=True).graph)
    return sum(_COUNTS[node.op_type](node, shapes) for node in fixed.graph.node if node.op_type in _COUNTS)


def parameters(model: onnx.ModelProto) -> int:
    """Numbers that the graph holds, of more than one element each: its weights."""
    sizes = (math.prod(tensor.dims) for tensor in model.graph.initializer)
    return sum(size for size in sizes if size > 1)


def _shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    """The known shapes of all that flows in `graph`, by name; 0 where an axis is open."""
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    return shapes | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def _convolution(node: NodeProto, shapes: Mapping[str, Shape]) -> int:
    """Of each output, a product with a filter of (C_in / groups, k, k)."""
    _, *kernel = _known(node.input[1], shapes)
    return 2 * math.prod(_known(node.output[0], shapes)) * math.prod(kernel)


def _product(node: NodeProto, shapes: Mapping[str, Shape]) -> int:
    """Of each output, a product along the axis that both factors share."""
    transposed = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
    shared = _known(node.input[0], shapes)[-2 if transposed else -1]
    return 2 * math.prod(_known(node.output[0], shapes)) * shared


def _known(name: str, shapes: Mapping[str, Shape]) -> Shape:
    shape = shapes.get(name, ())
    if not shape or 0 in shape:
        raise ValueError(f"{name}: expected a shape that can be inferred, got {shape or 'none'}")
    return shape


_COUNTS: Mapping[str, Callable[[NodeProto, Mapping[str, Shape]], int]] = {
    "Conv": _convolution,
    "Gemm": _product,
    "MatMul": _product,
}
