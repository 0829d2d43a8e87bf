"""The same network gives the same graphs, byte for byte: in one process and in another."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from export.canonical import canonicalize
from export.compare import random_run
from export.convert import convert
from stream.contracts import Input
from tests.process import ROOT
from train.models import ModelSettings
from train.runs import load_run, save_run
from train.settings import InputSettings, Recipe

PROGRAM = """
import hashlib, sys
from pathlib import Path
from export.convert import convert
from train.runs import load_run
graphs = convert(load_run(Path(sys.argv[1])).network)
print(hashlib.sha256(graphs.features).hexdigest(), hashlib.sha256(graphs.head).hexdigest())
"""


def test_a_run_becomes_the_same_graphs_again_and_in_another_process(tmp_path: Path) -> None:
    settings = ModelSettings(backbone="compact", motion="difference", head="gru", units=8)
    run = random_run(tmp_path / "run", settings, Input(48, 64), ["none", "wave"])
    described = {"name": "none", "input": InputSettings(height=48, width=64), "model": settings}
    save_run(run, Recipe.model_validate(described | {"stages": [{"kind": "head", "epochs": 1}]}))
    graphs = convert(run.network)
    assert convert(run.network) == graphs
    assert convert(load_run(run.folder).network) == graphs  # Keras has numbered its layers on
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(run.folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "7", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    assert done.stdout.split() == [hashlib.sha256(each).hexdigest() for each in (graphs.features, graphs.head)]


def model_of(names: dict[str, str], order: Sequence[int], stray: bool) -> onnx.ModelProto:
    """Y = (x + a) * (x - b), z = x + a: its inner names, the order of its nodes, and something that nobody needs."""
    nodes = [
        helper.make_node("Add", ["x", names["a"]], ["z"], name=names["add"]),
        helper.make_node("Sub", ["x", names["b"]], [names["less"]], name=names["sub"]),
        helper.make_node("Mul", ["z", names["less"]], ["y"], name=names["mul"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([value], np.float32), names[name]) for name, value in (("a", 2), ("b", 5))
    ]
    if stray:
        constants.insert(0, numpy_helper.from_array(np.array([7], np.float32), "stray"))
    graph = helper.make_graph(
        [nodes[i] for i in order],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in ("y", "z")],
        initializer=constants[::-1] if stray else constants,
        doc_string="stray" if stray else "",
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_order_and_names_inside_make_no_difference_and_the_numbers_stay() -> None:
    inside = ("a", "b", "add", "sub", "mul", "less")
    one = model_of({name: f"{name}__1" for name in inside}, (0, 1, 2), stray=False)
    other = model_of({name: f"{name}__{i}" for i, name in enumerate(reversed(inside))}, (1, 0, 2), stray=True)
    canonicalize(one)
    canonicalize(other)
    assert one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)
    onnx.checker.check_model(one, full_check=True)
    assert [node.name for node in one.graph.node] == ["Add_0", "Sub_1", "Mul_2"]
    assert [tensor.name for tensor in one.graph.initializer] == ["Add_0/1", "Sub_1/1"]
    y, z = ort.InferenceSession(one.SerializeToString()).run(["y", "z"], {"x": np.array([3, 10], np.float32)})
    assert y.tolist() == [-10, 60] and z.tolist() == [5, 12]


def test_nodes_whose_first_output_nobody_wants_are_all_kept() -> None:
    """Recurrent operators have such: what they gave at every step, beside the last."""
    tensor, numbers = helper.make_tensor_value_info, np.random.default_rng(0).normal(size=(4, 1, 12, 4))
    weights = [numpy_helper.from_array(each.astype(np.float32), f"w{i}") for i, each in enumerate(numbers)]
    nodes = [
        helper.make_node("GRU", ["x", "w0", "w1"], ["", "h"], hidden_size=4),
        helper.make_node("GRU", ["h", "w2", "w3"], ["", "y"], hidden_size=4),
    ]
    sides = ([tensor(name, TensorProto.FLOAT, [1, 1, 4])] for name in ("x", "y"))
    model = helper.make_model(helper.make_graph(nodes, "graph", *sides, weights), ir_version=8)
    canonicalize(model)
    onnx.checker.check_model(model, full_check=True)
    assert [list(node.output) for node in model.graph.node] == [["", "GRU_0:1"], ["", "y"]]
