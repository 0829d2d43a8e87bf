"""Faults planted in copies of the embedded bundles, hashes and all: the golden files alone tell, without TensorFlow.

Each fault is one that real exports have had. What is said must name the quantity that differs first, and its tick.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import av
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from export.clip import golden_arrays
from export.trace import read_ticks
from stream.bundle import Bundle, write_bundle
from tests.process import ROOT

Plant = tuple[dict[str, bytes], dict[str, Any]]
"""Files of the bundle that are others, and keys of bundle.json."""
EMBEDDED = ("figures", "interactions")


def channel_order(bundle: Bundle) -> Plant:
    """The first convolution takes its channels the other way round: BGR for RGB, or, of grey levels, the oldest first.

    These are alike at a session's first tick, which nothing came before.
    """
    model = _graph(bundle, "features")
    kernel = next(node.input[1] for node in model.graph.node if node.op_type == "Conv")
    _change(model, kernel, lambda weights: weights[:, ::-1])
    return {"features.onnx": model.SerializeToString()}, {}


def colours_of_the_pictures(bundle: Bundle) -> Plant:
    """Keras saw BGR where the stream gives RGB."""
    golden = bundle.golden()
    assert golden.images is not None
    return {"golden/golden.npz": golden_arrays(replace(golden, images=golden.images[..., ::-1]))}, {}


def normalised_twice(bundle: Bundle) -> Plant:
    model = _graph(bundle, "features")
    nodes = list(model.graph.node)
    cast = next(node for node in nodes if node.op_type == "Cast" and node.input[0] == "frames")
    result, cast.output[0] = cast.output[0], "planted/float"
    again = [
        helper.make_node("Div", ["planted/float", "planted/half"], ["planted/divided"]),
        helper.make_node("Sub", ["planted/divided", "planted/one"], [result]),
    ]
    place = nodes.index(cast) + 1
    _put(model, [*nodes[:place], *again, *nodes[place:]])
    for value, name in ((127.5, "planted/half"), (1.0, "planted/one")):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    return {"features.onnx": model.SerializeToString()}, {}


def swapped_gates(bundle: Bundle) -> Plant:
    """The update gate has the reset gate's weights: the order of PyTorch's GRU in a graph that means Keras'."""
    model = _graph(bundle, "head")
    units = next(state.shape[0] for state in bundle.spec.head.state if state.input == "h_in")
    gates = [each.name for each in model.graph.initializer if each.dims and each.dims[-1] == 3 * units]
    assert len(gates) >= 3

    def swap(weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        update, reset, candidate = np.split(weights, 3, axis=-1)
        return np.concatenate([reset, update, candidate], axis=-1)

    for name in gates:
        _change(model, name, swap)
    return {"head.onnx": model.SerializeToString()}, {}


def stale_state(bundle: Bundle) -> Plant:
    """The state that comes out is the one that went in."""
    model = _graph(bundle, "head")
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["planted/fresh" if name == "h_out" else name for name in names]
    model.graph.node.append(helper.make_node("Identity", ["h_in"], ["h_out"]))
    return {"head.onnx": model.SerializeToString()}, {}


def order_of_the_labels(bundle: Bundle) -> Plant:
    """bundle.json has its labels in the order of the alphabet."""
    return {}, {"labels": tuple(sorted(bundle.labels, reverse=True))}


def order_of_the_logits(bundle: Bundle) -> Plant:
    """The head has its classes in another order than bundle.json."""
    model = _graph(bundle, "head")
    last = [each.name for each in model.graph.initializer if each.dims and each.dims[-1] == len(bundle.labels)]
    assert last
    for name in last:
        _change(model, name, lambda weights: np.roll(weights, 1, axis=-1))
    return {"head.onnx": model.SerializeToString()}, {}


def off_by_one_sampling(bundle: Bundle) -> Plant:
    """Keras saw the frame after the one that each tick falls on."""
    golden = bundle.golden()
    clip = bundle.folder / "golden" / "clip.mp4"
    frames = {tick.index: tick for tick in read_ticks(clip, replace(bundle.input, rate=None))}
    late = [frames.get(index + 1, frames[index]) for index in golden.indices.tolist()]
    other = replace(
        golden,
        times=np.array([tick.time for tick in late]),
        indices=np.array([tick.index for tick in late]),
        images=np.stack([tick.image for tick in late]),
    )
    return {"golden/golden.npz": golden_arrays(other)}, {}


def another_rate(bundle: Bundle) -> Plant:
    assert bundle.spec.input.rate != "native"
    return {}, {"input": bundle.spec.input.model_copy(update={"rate": 0.9 * bundle.spec.input.rate})}


def another_fit(bundle: Bundle) -> Plant:
    other = "letterbox" if bundle.spec.input.fit == "squash" else "squash"
    return {}, {"input": bundle.spec.input.model_copy(update={"fit": other})}


FAULTS: dict[Callable[[Bundle], Plant], str] = {
    channel_order: r"first features \(onnx\) from tick [01] on, by .*order of its channels",
    colours_of_the_pictures: r"first images \(engine\) from tick 0 on, by .*order of the colours",
    normalised_twice: r"first (features|previous_in) \(onnx\) from tick 0 on, by .*",
    swapped_gates: r"first h_in \(onnx\) from tick [0-5] on, by .*gates",
    stale_state: r"first h_in \(onnx\) from tick 0 on, by .*not handed on",
    order_of_the_labels: r"expected the labels \['shake_hands|expected the labels \['wave",
    order_of_the_logits: r"first (logits|evidence_in) \(onnx\) from tick 0 on, by ",
    off_by_one_sampling: r"first times \(engine\) from tick 0 on, by .*the sampling",
    another_rate: r"first times \(engine\) from tick [0-9]+ on, by .*the sampling",
    another_fit: r"first images \(engine\) from tick 0 on, by .*the fit",
}
"""What must be said of each."""

PROVE_EACH = """
import json, sys
sys.modules.update(dict.fromkeys(["tensorflow", "keras", "tf2onnx", "onnx"]))  # as if they were not installed
from export.verify import verify
from stream.bundle import Bundle
from stream.errors import BundleError
for folder in sys.argv[1:]:
    try:
        verify(Bundle.load(folder), rows=2).require()
        said = ""
    except BundleError as error:
        said = str(error)
    print(json.dumps(said))
"""


@pytest.fixture(scope="module", params=EMBEDDED)
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of an embedded bundle, whole and with each of the faults, by a process without TensorFlow."""
    bundle = Bundle.load(ROOT / "samples" / "models" / request.param)
    folder = tmp_path_factory.mktemp(request.param)
    kept = {name: bundle.read(name) for name in bundle.spec.hashes()}
    folders = [bundle.folder]
    for fault in FAULTS:
        files, keys = fault(bundle)
        faulty = write_bundle(folder / fault.__name__, bundle.spec.model_copy(update=keys), {**kept, **files})
        folders.append(faulty.folder)
    command = [sys.executable, "-c", PROVE_EACH, *map(str, folders)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = ["whole", *(fault.__name__ for fault in FAULTS)]
    return dict(zip(names, map(json.loads, done.stdout.splitlines()), strict=True))


def test_nothing_is_said_of_a_whole_bundle(said: dict[str, str]) -> None:
    assert said["whole"] == ""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught(said: dict[str, str], fault: Callable[[Bundle], Plant]) -> None:
    message = said[fault.__name__]
    assert re.search(FAULTS[fault], message), message
    assert "\n" not in message


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_golden_clip_tells_one_fit_from_another(name: str) -> None:
    """A clip of the proportion of the model's picture looks the same by every fit."""
    bundle = Bundle.load(ROOT / "samples" / "models" / name)
    with av.open(bundle.folder / "golden" / "clip.mp4") as container:
        clip = container.streams.video[0]
        proportion = clip.width / clip.height
    assert abs(proportion * bundle.input.height / bundle.input.width - 1) > 0.02, "export it again"


def _graph(bundle: Bundle, part: str) -> onnx.ModelProto:
    return onnx.load_from_string(bundle.read(f"{part}.onnx"))


def _change(model: onnx.ModelProto, name: str, change: Callable[[Any], Any]) -> None:
    """Changes the values of one initializer."""
    tensor = next(each for each in model.graph.initializer if each.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(change(numpy_helper.to_array(tensor))), name))


def _put(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
