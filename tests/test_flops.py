"""Operations and weights of graphs, against counts that were worked out by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.flops import flops, parameters
from stream.bundle import Bundle
from tests.process import ROOT


def graph(
    node: onnx.NodeProto, given: list[object], weights: dict[str, tuple[int, ...]], made: list[object]
) -> onnx.ModelProto:
    """A model of one node that sees `x` of shape `given`, holds `weights` of ones, and makes `y` of shape `made`."""
    held = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()]
    seen = helper.make_tensor_value_info("x", TensorProto.FLOAT, given)
    told = helper.make_tensor_value_info("y", TensorProto.FLOAT, made)
    return helper.make_model(helper.make_graph([node], "g", [seen], [told], held))


def test_a_convolution() -> None:
    # 3x3 over 3 channels, 8 filters, stride 2 on 10x12 with a border of 1: 8 * 5 * 6 outputs of 27 products each.
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])
    model = graph(node, ["N", 3, 10, 12], {"w": (8, 3, 3, 3)}, ["N", 8, 5, 6])
    assert flops(model) == 2 * 240 * 27
    assert flops(model, batch=4) == 4 * flops(model)
    assert parameters(model) == 216


def test_a_depthwise_convolution() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=6, pads=[1, 1, 1, 1])
    model = graph(node, ["N", 6, 4, 4], {"w": (6, 1, 3, 3)}, ["N", 6, 4, 4])
    assert flops(model) == 2 * 96 * 9


@pytest.mark.parametrize("turned", [0, 1])
def test_a_dense_layer(turned: int) -> None:
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=turned)
    shape = (5, 7) if turned else (7, 5)
    model = graph(node, ["N", 7], {"w": shape, "b": (5,)}, ["N", 5])
    assert flops(model) == 2 * 35
    assert parameters(model) == 40


def test_a_product_of_matrices() -> None:
    model = graph(helper.make_node("MatMul", ["x", "w"], ["y"]), ["N", 3, 7], {"w": (7, 2)}, ["N", 3, 2])
    assert flops(model) == 2 * 3 * 7 * 2


def test_a_shape_that_nobody_knows() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    model = graph(node, ["N", 3, "high", "wide"], {"w": (8, 3, 3, 3)}, ["N", 8, "up", "along"])
    with pytest.raises(ValueError, match="expected a shape"):
        flops(model)


def test_the_embedded_backbone() -> None:
    """MobileNetV2: 0.30 G multiply-adds at 224x224 in print (Sandler et al., 2018), here on the bundle's pictures."""
    bundle = Bundle.load(ROOT / "samples/models/figures")
    model = onnx.load_from_string(bundle.read(bundle.spec.features.file))
    expected = 2 * 0.30e9 * (bundle.input.height * bundle.input.width) / 224**2
    assert flops(model) == pytest.approx(expected, rel=0.08)
