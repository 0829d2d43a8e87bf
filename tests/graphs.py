"""Small, real bundles for tests: two ONNX graphs with seeded weights, and the same model in numpy to hold them against.

The features graph normalises uint8 pictures, convolves, pools and, if asked, remembers; the head is a GRU step of plain
MatMul, Sigmoid and Tanh. With `traps` the first pixel's red value can hurt: 255 makes the row's features NaN, 254
makes the whole run fail. Nothing here is a test, and none of it needs TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.clip import golden_arrays
from stream.bundle import (
    Bundle,
    BundleSpec,
    Decision,
    GeometrySpec,
    Golden,
    GoldenSpec,
    GraphSpec,
    InputSpec,
    LabelRule,
    StateTensor,
    Temporal,
    write_bundle,
)
from stream.contracts import Frame, Picture
from stream.sampling import ticks
from tests.media import encode_h264, moving_pictures

LABELS = ("none", "wave", "clap")
NAN_PIXEL = 255
FAIL_PIXEL = 254
FILTERS = 8
UNITS = 6
OPSET = 17
SEED = 7
"""With these weights the default bundle's golden clip begins with none and then holds an event."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A model's numbers; `trace` is the share of the previous features that is added, 0 for a stateless graph."""

    kernel: NDArray[np.float32]  # (FILTERS, 3, 3, 3)
    bias: NDArray[np.float32]  # (FILTERS,)
    inputs: NDArray[np.float32]  # (FILTERS, 3 U): update, reset, candidate
    recurrent: NDArray[np.float32]  # (U, 3 U)
    gates: NDArray[np.float32]  # (3 U,)
    logits: NDArray[np.float32]  # (U, K)
    trace: float

    @classmethod
    def seeded(cls, seed: int, classes: int, trace: float) -> Weights:
        """Weights large enough that pictures, their order and the state all matter."""
        rng = np.random.default_rng(seed)

        def normal(*shape: int, scale: float) -> NDArray[np.float32]:
            return (scale * rng.standard_normal(shape)).astype(np.float32)

        return cls(
            kernel=normal(FILTERS, 3, 3, 3, scale=0.8),
            bias=normal(FILTERS, scale=0.3),
            inputs=normal(FILTERS, 3 * UNITS, scale=1.0),
            recurrent=normal(UNITS, 3 * UNITS, scale=0.7),
            gates=normal(3 * UNITS, scale=0.2),
            logits=normal(UNITS, classes, scale=6.0),
            trace=trace,
        )


class Reference:
    """The model in numpy, in float64, written from its formulas."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Features (T, D) of one camera's `images` (T, H, W, 3), in order, from zero state."""
        w = self.weights
        x = np.pad(images.astype(np.float64) / 127.5 - 1, ((0, 0), (1, 1), (1, 1), (0, 0)))
        patches = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2]
        maps = np.einsum("nhwcij,fcij->nhwf", patches, w.kernel.astype(np.float64)) + w.bias
        rows: NDArray[np.float64] = np.maximum(maps, 0).mean(axis=(1, 2))
        for t in range(1, len(rows)):
            rows[t] += w.trace * rows[t - 1]
        return rows

    def carried(self, features: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logits (T, K), and the state (T, U) after each step, over `features` (T, D) from zero state."""
        w, h = self.weights, np.zeros(UNITS)
        states = []
        for x in features.astype(np.float64):
            from_x, from_h = x @ w.inputs + w.gates, h @ w.recurrent
            update = _sigmoid(from_x[:UNITS] + from_h[:UNITS])
            reset = _sigmoid(from_x[UNITS : 2 * UNITS] + from_h[UNITS : 2 * UNITS])
            candidate = np.tanh(from_x[2 * UNITS :] + reset * from_h[2 * UNITS :])
            h = update * h + (1 - update) * candidate
            states.append(h)
        return np.array(states) @ w.logits, np.array(states)

    def windowed(self, features: NDArray[np.floating[Any]], window: int) -> NDArray[np.float64]:
        """Logits (T, K): at each tick those of the offline model on the last min(k, window) ticks."""
        last = range(1, len(features) + 1)
        return np.array([self.carried(features[max(0, k - window) : k])[0][-1] for k in last])


def make_bundle(
    folder: Path,
    *,
    seed: int = SEED,
    name: str = "tiny",
    labels: Sequence[str] = LABELS,
    size: tuple[int, int] = (24, 32),
    fit: str = "letterbox",
    rate: float | str = 10.0,
    mode: str = "carry",
    window: int | None = None,
    warmup: int = 0,
    max_gap: float = 2.0,
    feature_state: bool = False,
    traps: bool = False,
    smoothing: float = 0.0,
    enter: float = 0.5,
    exit: float = 0.4,
    minimum: float = 0.0,
    golden: bool = True,
) -> Bundle:
    """A bundle in `folder`: the model of `weights_of(...)` as ONNX, with golden files computed by `Reference`.

    Args:
        folder: where to.
        seed: of the weights.
        name: the bundle's.
        labels: `none` among them.
        size: height and width of the model's picture.
        fit: as in bundle.json, but `region`.
        rate: as in bundle.json.
        mode: carry or window.
        window: ticks, for mode window.
        warmup: ticks.
        max_gap: media seconds.
        feature_state: the features graph adds half of its previous features (state `trace_in`).
        traps: see the module.
        smoothing: seconds.
        enter: of every label but none.
        exit: of every label but none.
        minimum: of every label but none.
        golden: with golden files.
    """
    weights = weights_of(seed, labels, feature_state)
    trace = (StateTensor(input="trace_in", output="trace_out", shape=(FILTERS,)),) if feature_state else ()
    rule = LabelRule(enter=enter, exit=exit, min=minimum)
    spec = BundleSpec.model_validate(
        {
            "name": name,
            "labels": tuple(labels),
            "input": InputSpec.model_validate({"height": size[0], "width": size[1], "fit": fit, "rate": rate}),
            "features": GraphSpec(file="features.onnx", input="frames", output="features", state=trace),
            "head": GraphSpec(
                file="head.onnx",
                input="features",
                output="logits",
                state=(StateTensor(input="h_in", output="h_out", shape=(UNITS,)),),
            ),
            "temporal": Temporal.model_validate({"mode": mode, "window": window, "warmup": warmup, "max_gap": max_gap}),
            "decision": Decision(smoothing=smoothing, labels={label: rule for label in labels if label != "none"}),
            "golden": GoldenSpec() if golden else None,
            "provenance": {"recipe": "tests/graphs.py", "seed": seed},
        }
    )
    files = {
        "features.onnx": features_graph(weights, size, traps).SerializeToString(),
        "head.onnx": head_graph(weights).SerializeToString(),
        "CARD.md": b"# tiny\n\nSeeded weights, for tests only.\n",
    }
    if golden:
        files |= _golden_files(write_bundle(folder, spec.model_copy(update={"golden": None}), files), weights)
    return write_bundle(folder, spec, files)


def weights_of(seed: int = SEED, labels: Sequence[str] = LABELS, feature_state: bool = False) -> Weights:
    """The weights that `make_bundle` builds from."""
    return Weights.seeded(seed, len(labels), 0.5 if feature_state else 0.0)


def features_graph(weights: Weights, size: tuple[int, int], traps: bool = False) -> onnx.ModelProto:
    """Frames (N, H, W, 3) uint8, and trace_in (N, D) if there is a trace, to features (N, D) and trace_out."""
    height, width = size
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "half_range"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "one"], ["centred"]),
        helper.make_node("Transpose", ["centred"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel", "bias"], ["maps"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("ReduceMean", ["active"], ["pooled"], axes=[2, 3], keepdims=0),
    ]
    constants: dict[str, Any] = {
        "half_range": np.float32(127.5),
        "one": np.float32(1),
        "kernel": weights.kernel,
        "bias": weights.bias,
    }
    out = "pooled"
    if traps:
        nodes += [
            helper.make_node("Slice", ["pixels", "first", "second", "axes"], ["corner"]),
            helper.make_node("Reshape", ["corner", "column"], ["red"]),
            helper.make_node("Sub", ["nan_pixel", "red"], ["distance"]),
            helper.make_node("Div", ["distance", "distance"], ["unit"]),  # 1, but NaN for NAN_PIXEL
            helper.make_node("Mul", [out, "unit"], ["risky"]),
            helper.make_node("Equal", ["red", "fail_pixel"], ["fails"]),
            helper.make_node("Cast", ["fails"], ["place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "place"], ["nothing"]),  # place 1 of a table of 1 fails the run
            helper.make_node("Add", ["risky", "nothing"], ["trapped"]),
        ]
        constants |= {
            "first": np.array([0, 0, 0]),
            "second": np.array([1, 1, 1]),
            "axes": np.array([1, 2, 3]),
            "column": np.array([-1, 1]),
            "nan_pixel": np.float32(NAN_PIXEL),
            "fail_pixel": np.float32(FAIL_PIXEL),
            "table": np.zeros(1, np.float32),
        }
        out = "trapped"
    inputs = [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["n", height, width, 3])]
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", FILTERS])]
    if weights.trace:
        nodes += [
            helper.make_node("Mul", ["trace_in", "decay"], ["past"]),
            helper.make_node("Add", [out, "past"], ["features"]),
            helper.make_node("Identity", ["features"], ["trace_out"]),
        ]
        constants["decay"] = np.float32(weights.trace)
        inputs.append(helper.make_tensor_value_info("trace_in", TensorProto.FLOAT, ["n", FILTERS]))
        outputs.append(helper.make_tensor_value_info("trace_out", TensorProto.FLOAT, ["n", FILTERS]))
    else:
        nodes.append(helper.make_node("Identity", [out], ["features"]))
    return _model("features", nodes, inputs, outputs, constants)


def head_graph(weights: Weights) -> onnx.ModelProto:
    """Features (N, D) and h_in (N, U) to logits (N, K) and h_out (N, U): one GRU step, flat."""
    nodes = [
        helper.make_node("MatMul", ["features", "inputs"], ["weighed"]),
        helper.make_node("Add", ["weighed", "gates"], ["from_x"]),
        helper.make_node("MatMul", ["h_in", "recurrent"], ["from_h"]),
        helper.make_node("Split", ["from_x", "parts"], ["update_x", "reset_x", "candidate_x"], axis=1),
        helper.make_node("Split", ["from_h", "parts"], ["update_h", "reset_h", "candidate_h"], axis=1),
        helper.make_node("Add", ["update_x", "update_h"], ["update_sum"]),
        helper.make_node("Sigmoid", ["update_sum"], ["update"]),
        helper.make_node("Add", ["reset_x", "reset_h"], ["reset_sum"]),
        helper.make_node("Sigmoid", ["reset_sum"], ["reset"]),
        helper.make_node("Mul", ["reset", "candidate_h"], ["recalled"]),
        helper.make_node("Add", ["candidate_x", "recalled"], ["candidate_sum"]),
        helper.make_node("Tanh", ["candidate_sum"], ["candidate"]),
        helper.make_node("Mul", ["update", "h_in"], ["kept"]),
        helper.make_node("Sub", ["one", "update"], ["rest"]),
        helper.make_node("Mul", ["rest", "candidate"], ["new"]),
        helper.make_node("Add", ["kept", "new"], ["h_out"]),
        helper.make_node("MatMul", ["h_out", "logit_weights"], ["logits"]),
    ]
    constants: dict[str, Any] = {
        "inputs": weights.inputs,
        "gates": weights.gates,
        "recurrent": weights.recurrent,
        "parts": np.array([UNITS] * 3),
        "one": np.float32(1),
        "logit_weights": weights.logits,
    }
    inputs = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", FILTERS]),
        helper.make_tensor_value_info("h_in", TensorProto.FLOAT, ["n", UNITS]),
    ]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", weights.logits.shape[1]]),
        helper.make_tensor_value_info("h_out", TensorProto.FLOAT, ["n", UNITS]),
    ]
    return _model("head", nodes, inputs, outputs, constants)


def decoded(clip: Path, camera: str = "golden") -> list[Frame]:
    """The frames of a 4:2:0 clip, decoded by PyAV without any of our sources."""
    with av.open(clip) as container:
        return [
            Frame(camera, index, 0, float(frame.time or 0), 0.0, Picture(tuple(map(_plane, frame.planes)), "yuv420"))
            for index, frame in enumerate(container.decode(video=0))
        ]


def _golden_files(bundle: Bundle, weights: Weights) -> dict[str, bytes]:
    """A clip of 2 s at 25 a second, and what `Reference` makes of its ticks."""
    with TemporaryDirectory() as folder:
        clip = encode_h264(moving_pictures(50), Path(folder) / "clip.mp4")
        content = clip.read_bytes()
        sampled = list(ticks(decoded(clip), bundle.input))
    images = np.stack([tick.image for tick in sampled])
    reference = Reference(weights)
    features = reference.features(images)
    logits, states = reference.carried(features)
    kept: dict[str, Any] = {"h_in": states.astype(np.float32)}
    if weights.trace:
        kept["trace_in"] = features.astype(np.float32)
    if bundle.spec.temporal.mode == "window":
        kept, logits = {}, reference.windowed(features, bundle.spec.temporal.window or 1)
    golden = Golden(
        times=np.array([tick.time for tick in sampled]),
        indices=np.array([tick.index for tick in sampled]),
        images=images,
        features=features.astype(np.float32),
        states=kept,
        logits=logits.astype(np.float32),
        labels=bundle.labels,
    )
    return {"golden/clip.mp4": content, "golden/golden.npz": golden_arrays(golden)}


def _model(
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, Any],
) -> onnx.ModelProto:
    """A checked model of one graph."""
    weights = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _plane(plane: av.video.plane.VideoPlane) -> NDArray[np.uint8]:
    return np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def with_one_graph(bundle: Bundle, folder: Path) -> Bundle:
    """`bundle` in `folder` with both graphs as one besides, as `export --fuse` makes it."""
    from export.fuse import with_fused

    files = {name: bundle.read(name) for name in bundle.spec.hashes()}
    return write_bundle(folder, *with_fused(bundle.spec, files, folder))


def with_geometry(bundle: Bundle, folder: Path, graph: bytes | None = None) -> Bundle:
    """`bundle` in `folder` with a geometry graph besides, as `export --embed-geometry` makes it where none is given."""
    from export.geometry import geometry_graph

    files = {name: bundle.read(name) for name in bundle.spec.hashes()}
    spec = bundle.spec.model_copy(update={"geometry": GeometrySpec()})
    return write_bundle(folder, spec, {**files, "geometry.onnx": graph or geometry_graph(OPSET)})
