"""What an ONNX file says of itself before anything is run, and all that makes a bundle's graph be refused for it."""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from stream.arrays import unpacked
from stream.bundle import Bundle, write_bundle
from stream.errors import BundleError
from stream.graphs import MAX_ELEMENTS, read_graph
from tests.graphs import features_graph, weights_of
from tests.process import ROOT

PATH = Path("features.onnx")


@pytest.mark.parametrize("name", ["figures", "interactions"])
def test_it_counts_what_onnx_counts(name: str) -> None:
    bundle = Bundle.load(ROOT / "samples" / "models" / name)
    for file in bundle.spec.graphs():
        content = bundle.read(file)
        graph = onnx.load_from_string(content).graph
        facts = read_graph(content, PATH)
        assert facts.operators == Counter(node.op_type for node in graph.node)
        assert facts.nodes == len(graph.node) and facts.bytes == len(content) and facts.opset == 17
        sizes = [math.prod(tensor.dims) for tensor in graph.initializer]
        constants = [a.t.dims for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.TENSOR]
        assert facts.parameters == sum(n for n in [*sizes, *map(math.prod, constants)] if n > 1)


def custom_domain(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example"


def contributed_operator(model: onnx.ModelProto) -> None:
    """ONNX Runtime has it built in, and others do not."""
    model.graph.node.append(helper.make_node("Gelu", ["features"], ["again"], domain="com.microsoft"))


def loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", "", "features"], ["again"], body=body))


def inner_graph(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Abs", ["features"], ["again"], body=body))


def function(model: onnx.ModelProto) -> None:
    abs_node = helper.make_node("Abs", ["x"], ["y"])
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [abs_node], [helper.make_opsetid("", 17)]))


def numbers_elsewhere(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../../../etc/passwd"), ("offset", "0"), ("length", "4")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def numbers_elsewhere_in_a_constant(model: onnx.ModelProto) -> None:
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    model.graph.node.append(helper.make_node("Constant", [], ["far"], value=tensor))


def sparse(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "indices")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2**40]))


def shape_without_numbers(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [2**31, 2**20]


def huge_from_little(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([MAX_ELEMENTS, 2]), "wanted"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["wanted"], ["huge"]))


def huge_from_a_constant(model: onnx.ModelProto) -> None:
    wanted = helper.make_tensor("wanted", TensorProto.INT64, [1], [MAX_ELEMENTS + 1])
    model.graph.node.append(helper.make_node("Constant", [], ["wanted"], value=wanted))
    model.graph.node.append(helper.make_node("Expand", ["features", "wanted"], ["huge"]))


def huge_from_a_list(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["wanted"], value_ints=[MAX_ELEMENTS, 2]))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["wanted"], ["huge"]))


def random(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("RandomNormal", [], ["noise"], shape=[1]))


@pytest.mark.parametrize(
    ("plant", "named"),
    [
        (custom_domain, "'Cast' of 'com.example'"),
        (contributed_operator, "'Gelu' of 'com.microsoft'"),
        (loop, "a graph inside 'Loop'|a Loop node"),
        (inner_graph, "a graph inside 'Abs'"),
        (function, "functions"),
        (numbers_elsewhere, "whose numbers lie elsewhere"),
        (numbers_elsewhere_in_a_constant, "whose numbers lie elsewhere"),
        (sparse, "sparse"),
        (shape_without_numbers, "hold their numbers"),
        (huge_from_little, "a node that makes"),
        (huge_from_a_constant, "a node that makes"),
        (huge_from_a_list, "a node that makes"),
        (random, "the same numbers every time, got a RandomNormal"),
    ],
)
def test_what_no_graph_of_a_bundle_may_hold(
    tiny_bundle: Path, tmp_path: Path, plant: Callable[[onnx.ModelProto], None], named: str
) -> None:
    """It is refused when a bundle is loaded, and so can't be written either."""
    model = features_graph(weights_of(), (24, 32))
    assert read_graph(model.SerializeToString(), PATH).nodes == len(model.graph.node)
    plant(model)
    bundle = Bundle.load(tiny_bundle)
    files = {name: bundle.read(name) for name in bundle.spec.hashes()} | {"features.onnx": model.SerializeToString()}
    with pytest.raises(BundleError, match=named) as caught:
        write_bundle(tmp_path / "planted", bundle.spec, files)
    assert "features.onnx" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"\x00", b"\x3a\xff\xff\xff\xff\x0f", b"\x3b", b"\x08" + b"\xff" * 11, b"\x3a\x05\x0a\x03\x22\x01\xff"]
)
def test_bytes_that_are_no_graph(content: bytes) -> None:
    with pytest.raises(BundleError, match="bytes that are none"):
        read_graph(content, PATH)


def archive(header: bytes, body: bytes = b"") -> bytes:
    """An .npz file of one array `x` with this header."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body)
    return packed.getvalue()


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",  # four terabytes
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }",  # of a number that is no character
        b"__import__('os').abort()",
    ],
)
def test_an_array_that_is_not_what_its_header_says(header: bytes) -> None:
    with pytest.raises(BundleError, match=r"golden\.npz: expected arrays"):
        unpacked(archive(header, b"\xff\xff\xff\xff"), Path("golden.npz"), 2**20)


def test_arrays_that_are_too_large_together() -> None:
    packed = io.BytesIO()
    np.savez_compressed(packed, a=np.zeros(1000), b=np.zeros(1000))
    assert unpacked(packed.getvalue(), PATH, 17_000)["b"].shape == (1000,)
    with pytest.raises(BundleError, match="at most 10000 bytes"):
        unpacked(packed.getvalue(), PATH, 10_000)
