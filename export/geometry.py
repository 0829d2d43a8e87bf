"""The graph that does stream.geometry's work on decoded pictures of any size. Only builds it; stream.embedded runs it.

    luma, chroma ──► halved ──► rows @ plane @ columns ──► whole numbers ──► colours ──► black around ──► frames

One graph serves every camera and every bundle: what differs from camera to camera goes in as scales, matrices and
colours, which stream.resampling makes so that all sums here are exact in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stream.embedded import CHROMA, COLOURS, FRAMES, LUMA, PLANES, halving, matrix
from stream.resampling import HALVINGS

CONSTANTS: dict[str, tuple[Any, type]] = {
    "fraction": (256, np.float32),
    "half": (0.5, np.float32),
    "least": (0, np.float32),
    "most": (255, np.float32),
    "height": ([0], np.int64),
    "width": ([1], np.int64),
}


def geometry_graph(opset: int) -> bytes:
    """The graph, serialised and checked; `opset` is that of the bundle's other graphs, 13 or newer."""
    model = _Builder().built(opset)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Builder:
    """The nodes of the graph, one after the other."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []

    def built(self, opset: int) -> onnx.ModelProto:
        """The model, of any batch size."""
        self._resized(LUMA)
        self._resized(CHROMA)
        self._coloured()
        self._framed()
        inputs = [
            helper.make_tensor_value_info(LUMA, TensorProto.UINT8, ["N", 1, "h", "w"]),
            helper.make_tensor_value_info(CHROMA, TensorProto.UINT8, ["N", 2, "h'", "w'"]),
            helper.make_tensor_value_info(COLOURS, TensorProto.FLOAT, ["N", 12, 1, 1]),
        ]
        for plane in PLANES:
            shapes: dict[str, list[int | str]] = {halving(plane, number): [4] for number in range(HALVINGS)}
            shapes[matrix(plane, "rows")] = ["H", f"{plane}_h"]
            shapes[matrix(plane, "columns")] = [f"{plane}_w", "W"]
            shapes[matrix(plane, "bounds")] = [2]
            inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
        outputs = [helper.make_tensor_value_info(FRAMES, TensorProto.UINT8, ["N", "H", "W", 3])]
        numbers = [numpy_helper.from_array(np.array(value, kind), name) for name, (value, kind) in CONSTANTS.items()]
        graph = helper.make_graph(self._nodes, "geometry", inputs, outputs, numbers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)

    def _resized(self, plane: str) -> None:
        """`plane`/whole: what `fit` would have of it at the model's size, or half-way between what it may have."""
        self._node("Cast", [plane], f"{plane}/0", to=TensorProto.FLOAT)
        for number in range(HALVINGS):
            name = f"{plane}/{number + 1}"
            # Interpolation at half the size is the mean of four; at the same size, nothing.
            scaled = [f"{plane}/{number}", "", halving(plane, number)]
            self._node("Resize", scaled, f"{name}/mean", mode="linear", coordinate_transformation_mode="half_pixel")
            self._node("Add", [f"{name}/mean", "half"], f"{name}/up")
            self._node("Floor", [f"{name}/up"], name)
        self._node("MatMul", [matrix(plane, "rows"), f"{plane}/{HALVINGS}"], f"{plane}/lower")
        self._multiplied_exactly(f"{plane}/lower", matrix(plane, "columns"), f"{plane}/small")
        bounds = [f"{plane}/least", f"{plane}/most"]
        self._node("Split", [matrix(plane, "bounds")], *bounds, axis=0)
        for bound in bounds:
            self._node("Add", [f"{plane}/small", bound], f"{bound}/real")
            self._node("Round", [f"{bound}/real"], f"{bound}/whole")
        self._node("Add", [f"{bound}/whole" for bound in bounds], f"{plane}/twice")
        self._node("Mul", [f"{plane}/twice", "half"], f"{plane}/whole")

    def _multiplied_exactly(self, values: str, columns: str, product: str) -> None:
        """`values` @ `columns`, whole levels and 256ths each by themselves: neither needs more than 24 bits."""
        whole, rest = f"{values}/whole", f"{values}/rest"
        self._node("Floor", [values], whole)
        self._node("Sub", [values, whole], f"{rest}/real")
        self._node("Mul", [f"{rest}/real", "fraction"], f"{rest}/scaled")
        self._node("Round", [f"{rest}/scaled"], f"{rest}/rounded")
        self._node("Div", [f"{rest}/rounded", "fraction"], rest)
        for part in (whole, rest):
            self._node("MatMul", [part, columns], f"{part}/product")
        self._node("Add", [f"{whole}/product", f"{rest}/product"], product)

    def _coloured(self) -> None:
        """colours/rgb (N, 3, H, W)."""
        planes = [f"{LUMA}/whole", f"{CHROMA}/first", f"{CHROMA}/second"]
        self._node("Split", [f"{CHROMA}/whole"], *planes[1:], axis=1)
        shares = [f"{COLOURS}/{number}" for number in range(4)]
        self._node("Split", [COLOURS], *shares, axis=1)
        total = shares[3]
        for plane, share in zip(planes, shares, strict=False):
            self._node("Mul", [plane, share], f"{share}/part")
            self._node("Add", [total, f"{share}/part"], f"{share}/total")
            total = f"{share}/total"
        self._node("Floor", [total], f"{COLOURS}/whole")
        self._node("Clip", [f"{COLOURS}/whole", "least", "most"], f"{COLOURS}/rgb")

    def _framed(self) -> None:
        """The frames, black where the matrices hold nothing of the picture."""
        self._node("ReduceSum", [matrix(LUMA, "rows"), "width"], "reached/rows", keepdims=1)
        self._node("ReduceSum", [matrix(LUMA, "columns"), "height"], "reached/columns", keepdims=1)
        self._node("MatMul", ["reached/rows", "reached/columns"], "reached")
        self._node("Mul", [f"{COLOURS}/rgb", "reached"], "framed")
        self._node("Cast", ["framed"], "pixels", to=TensorProto.UINT8)
        self._node("Transpose", ["pixels"], FRAMES, perm=[0, 2, 3, 1])

    def _node(self, kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, list(outputs), **attributes))
