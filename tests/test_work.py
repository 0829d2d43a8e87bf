"""Operations and weights of graphs, against counts that were worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from stream.bundle import Bundle
from stream.errors import BundleError
from stream.graphs import read_graph
from stream.work import counted, operations
from tests.process import ROOT

PATH = Path("g.onnx")


def graph(node: onnx.NodeProto, weights: dict[str, tuple[int, ...]], rank: int) -> bytes:
    """A graph of one node that sees `x` of that rank, holds `weights` of ones, and makes `y`."""
    held = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()]
    seen = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *"abc"[: rank - 1]])
    told = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    made = helper.make_graph([node], "g", [seen], [told], held)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def work(content: bytes, *shape: int) -> int:
    """Its operations on an `x` of that shape."""
    return counted(content, PATH, {"x": np.ones(shape, np.float32)}, "y")[0]


def parameters(content: bytes) -> int:
    return read_graph(content, PATH).parameters


def test_a_convolution() -> None:
    # 3x3 over 3 channels, 8 filters, stride 2 on 10x12 with a border of 1: 8 * 5 * 6 outputs of 27 products each.
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])
    content = graph(node, {"w": (8, 3, 3, 3)}, 4)
    assert work(content, 1, 3, 10, 12) == 2 * 240 * 27
    assert work(content, 4, 3, 10, 12) == 4 * 2 * 240 * 27
    assert parameters(content) == 216


def test_a_depthwise_convolution() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=6, pads=[1, 1, 1, 1])
    assert work(graph(node, {"w": (6, 1, 3, 3)}, 4), 1, 6, 4, 4) == 2 * 96 * 9


@pytest.mark.parametrize("turned", [0, 1])
def test_a_dense_layer(turned: int) -> None:
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=turned)
    content = graph(node, {"w": (5, 7) if turned else (7, 5), "b": (5,)}, 2)
    assert work(content, 1, 7) == 2 * 35
    assert parameters(content) == 40


def test_a_product_of_matrices() -> None:
    assert work(graph(helper.make_node("MatMul", ["x", "w"], ["y"]), {"w": (7, 2)}, 3), 1, 3, 7) == 2 * 3 * 7 * 2


def test_a_graph_that_does_not_run() -> None:
    content = graph(helper.make_node("MatMul", ["x", "w"], ["y"]), {"w": (7, 2)}, 2)
    with pytest.raises(BundleError, match=r"g\.onnx: expected a graph that runs, got: .*; export it again"):
        work(content, 1, 6)


def test_the_embedded_backbone() -> None:
    """MobileNetV2: 0.30 G multiply-adds at 224x224 in print (Sandler et al., 2018), here on the bundle's pictures."""
    bundle = Bundle.load(ROOT / "samples/models/figures")
    expected = 2 * 0.30e9 * (bundle.input.height * bundle.input.width) / 224**2
    assert operations(bundle)["features"] == pytest.approx(expected, rel=0.08)
