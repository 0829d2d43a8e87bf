"""`actionstream inspect`: what a bundle holds, and how it runs on this machine."""

from __future__ import annotations

import json
import math
from pathlib import Path

import onnx
import pytest

from stream.bundle import Bundle
from stream.cli import main
from stream.commands.cameras import CPU_SIZES
from stream.threads import available_cores


def say(arguments: list[str | Path], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command line that goes well prints on stdout."""
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def by_inferred_shapes(model: onnx.ModelProto) -> int:
    """Operations for one row as ONNX's own shape inference has them, where `inspect` counts them in a run."""
    for given in model.graph.input:
        given.type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    total = 0
    for node in graph.node:
        if node.op_type in ("Conv", "MatMul"):
            shared = math.prod(shapes[node.input[1]][1:]) if node.op_type == "Conv" else shapes[node.input[0]][-1]
            total += 2 * math.prod(shapes[node.output[0]]) * shared
    return total


def test_inspect_tells_all_of_a_bundle(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = Bundle.load(tiny_bundle)
    document = json.loads(say(["inspect", tiny_bundle, "--json"], capsys))
    assert document["model"] == bundle.model
    assert document["digest"] == bundle.digest
    assert document["bundle"] == json.loads((tiny_bundle / "bundle.json").read_text())
    assert {name: file["sha256"] for name, file in document["files"].items()} == bundle.spec.hashes()
    for part, graph in document["graphs"].items():
        model = onnx.load_from_string(bundle.read(f"{part}.onnx"))
        assert graph["nodes"] == len(model.graph.node) and graph["opset"] == 17
        assert graph["parameters"] == sum(
            size for tensor in model.graph.initializer if (size := math.prod(tensor.dims)) > 1
        )
        assert graph["operations"] == by_inferred_shapes(model) > 0
    assert document["graphs"]["features"]["operators"]["Conv"] == 1
    runtime = document["runtime"]
    assert runtime["providers"]["head"] == ["CPUExecutionProvider"]
    assert runtime["nodes"]["features"]["CPUExecutionProvider"]["Conv"] == 1
    assert [batch["rows"] for batch in runtime["batches"]] == list(CPU_SIZES)
    assert all(batch["first_ms"] > 0 < batch["then_ms"] for batch in runtime["batches"])
    assert runtime["precision"] == "fp32" and runtime["threads"] == {"features": available_cores(), "head": 1}
    fewer = json.loads(say(["inspect", tiny_bundle, "--threads", "1", "--device", "cpu", "--json"], capsys))["runtime"]
    assert (fewer["device"], fewer["threads"]["features"]) == ("cpu", 1)

    assert runtime["resident"] is None
    shown = say(["inspect", tiny_bundle], capsys)
    for word in (
        bundle.model,
        *bundle.labels,
        "letterbox",
        "h_in",
        "features.onnx",
        "CPUExecutionProvider",
        "1 Conv",
        "operations",
    ):
        assert word in shown


def test_inspect_tells_whether_runs_are_captured_where_states_stay(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on CUDA, but that the CPU captures nothing and says so."""
    monkeypatch.setattr("stream.resident.pays", lambda providers, mode: True)
    stays = json.loads(say(["inspect", tiny_bundle, "--device", "cpu", "--json"], capsys))["runtime"]["resident"]
    assert stays["cuda_graphs"] is False
    assert [batch["rows"] for batch in stays["batches"]] == list(CPU_SIZES)
    assert "stay on the device, in one graph, run without CUDA graphs" in " ".join(
        say(["inspect", tiny_bundle, "--device", "cpu"], capsys).split()
    )
