"""Graphs that ONNX Runtime computes otherwise than they say, and what export does about it."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.rewrites import keep_zero_padding, open_batch, spell_out_erfc

BELOW = -np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
"""All negative, so that zeros around it are the largest."""


def padded_maximum(value: float | None = None) -> onnx.ModelProto:
    """Pad, by one on each side, and a 3x3 maximum at every second place."""
    names = ["x", "pads"] if value is None else ["x", "pads", "value"]
    nodes = [
        helper.make_node("Relu", ["given"], ["positive"]),
        helper.make_node("Sub", ["given", "positive"], ["x"]),
        helper.make_node("Pad", names, ["framed"]),
        helper.make_node("MaxPool", ["framed"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    numbers = [numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads")]
    if value is not None:
        numbers.append(numpy_helper.from_array(np.array(value, np.float32), "value"))
    shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, None, None]) for name in ("given", "y")]
    graph = helper.make_graph(nodes, "padded", shapes[:1], shapes[1:], numbers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_zeros_that_are_a_node_count_too() -> None:
    """As PyTorch's older exporter writes numbers."""
    model = padded_maximum(0.0)
    (value,) = (tensor for tensor in model.graph.initializer if tensor.name == "value")
    model.graph.initializer.remove(value)
    model.graph.node.insert(0, helper.make_node("Constant", [], ["value"], value=value))
    assert keep_zero_padding(model) == 1
    assert run(model)[0, 0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "opened"), [([1, 16], 1), ([2, 8], 0), ([16], 0), ([1, -1], 1)], ids=["1x16", "2x8", "16", "1x-1"]
)
def test_only_reshapes_that_keep_the_rows_are_opened(shape: list[int], opened: int) -> None:
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"], allowzero=1)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    numbers = [numpy_helper.from_array(np.array(shape), "shape")]
    graph = helper.make_graph(nodes, "reshaped", ends[:1], ends[1:], numbers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    scale = numpy_helper.from_array(np.ones(16, np.float32), "scale")  # that one keeps no rows
    model.graph.initializer.append(scale)
    model.graph.node.append(helper.make_node("Reshape", ["scale", "shape"], ["z"]))
    assert open_batch(model, 1) == opened
    if opened:
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        given = np.arange(48, dtype=np.float32).reshape(3, 4, 4)
        np.testing.assert_array_equal(session.run(None, {"x": given})[0], given.reshape(3, 16))


def run(model: onnx.ModelProto) -> NDArray[np.float32]:
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: NDArray[np.float32] = session.run(None, {"given": BELOW})[0][0, 0]
    return result


@pytest.mark.parametrize("value", [None, 0.0])
def test_zeros_around_a_maximum_count(value: float | None) -> None:
    model = padded_maximum(value)
    assert keep_zero_padding(model) == 1
    np.testing.assert_allclose(run(model), [[0, 0], [0, -6]], atol=1e-7)
    assert keep_zero_padding(model) == 0


@pytest.mark.parametrize("value", [-50.0, 3.0])
def test_other_numbers_are_left_alone(value: float) -> None:
    model = padded_maximum(value)
    before = model.SerializeToString()
    assert keep_zero_padding(model) == 0 and model.SerializeToString() == before


@pytest.mark.xfail(strict=True, reason="microsoft/onnxruntime#24737: a Pad of zeros becomes MaxPool's, of -infinity")
def test_onnx_runtime_does_so_by_itself() -> None:
    """Once this passes, keep_zero_padding can go."""
    np.testing.assert_allclose(run(padded_maximum()), [[0, 0], [0, -6]])


def test_what_keras_makes_of_gelu_runs() -> None:
    values = np.linspace(-6, 6, 101, dtype=np.float32)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in ("given", "y")]
    graph = helper.make_graph([helper.make_node("Erfc", ["given"], ["y"], name="e")], "erfc", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert spell_out_erfc(model) == 1
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = [math.erfc(value) for value in values]
    np.testing.assert_allclose(session.run(None, {"given": values})[0], wanted, atol=3e-7)
    assert spell_out_erfc(model) == 0
