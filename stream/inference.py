"""A bundle's graphs in ONNX Runtime: what goes in, what comes out, checked against what bundle.json says of them.

They are the two, features and head, and the one that is both of them where a bundle has it. A graph is a function:
arrays and state in, arrays and state out. Batching, padding and whose state it is are the recognizer's business;
sessions, providers and their errors are stream.session's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Literal, TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from stream.bundle import Bundle
from stream.contracts import State
from stream.errors import BundleError, ConfigError, DeviceError
from stream.schema import GraphSpec
from stream.session import CPU, ORT_ERRORS, line_of, open_session, resolve_device
from stream.threads import available_cores, candidates, fastest

_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
}

Shape: TypeAlias = tuple[int | None, ...]
"""Axes; None is open."""
Declared: TypeAlias = tuple[str, Shape]
"""Type and shape of a graph's input or output."""
Threads: TypeAlias = int | Literal["auto"] | None
"""CPU threads of a run: a number; `auto`, those measured to be fastest (stream.threads); None, the default."""


class OnnxFeatures:
    """The features graph: frames to features. Satisfies `stream.contracts.FeatureExtractor`."""

    def __init__(self, bundle: Bundle, device: str = "auto", threads: Threads = None, *, rows: int = 1) -> None:
        """Opens the graph.

        Args:
            bundle: whose features graph.
            device: one of DEVICES.
            threads: cores that one run uses; all available ones when None.
            rows: of the runs that `auto` threads are to be fastest for.

        Raises:
            BundleError: the graph is damaged or is not what bundle.json says.
            ConfigError: no such device.
            DeviceError: the device cannot be used here.
        """
        self.threads = _threads(bundle, device, threads, rows)
        self._graph = _features_graph(bundle, device, self.threads)
        self.providers = self._graph.providers
        self.state_spec = bundle.spec.features.state
        self.zeros = bundle.spec.features.zeros

    @property
    def width(self) -> int | None:
        """Features a frame, D; None where the graph leaves it open."""
        return self._graph.output_shape[1]

    @property
    def session(self) -> ort.InferenceSession:
        """ONNX Runtime's own, for those who hold the line against the bare graph."""
        return self._graph.session

    def extract(self, images: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """Features (N, D) float32 and the next state of `images` (N, H, W, 3) uint8 RGB.

        Raises:
            DeviceError: the run failed.
            ValueError: an array is not of the graph's type or shape.
        """
        return self._graph.run(images, state)


class OnnxHead:
    """The head graph: one step from features and state to logits. Satisfies `stream.contracts.Head`."""

    def __init__(self, bundle: Bundle, device: str = "auto", threads: int | None = None) -> None:
        """Opens the graph; arguments and errors as in `OnnxFeatures`, but one thread when `threads` is None.

        A step of a recurrent head takes microseconds: handing a part of it to another thread costs more.
        """
        self.threads = threads or 1
        self._graph = _head_graph(bundle, device, self.threads)
        self.providers = self._graph.providers
        self.state_spec = bundle.spec.head.state
        self.zeros = bundle.spec.head.zeros

    @property
    def width(self) -> int | None:
        """Features that a step takes, D; None where the graph leaves it open."""
        return self._graph.input_shape[1]

    @property
    def session(self) -> ort.InferenceSession:
        """As in `OnnxFeatures`."""
        return self._graph.session

    def step(self, features: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """Logits (N, K) float32 and the next state of `features` (N, D) float32.

        Raises:
            DeviceError: the run failed.
            ValueError: an array is not of the graph's type or shape.
        """
        return self._graph.run(features, state)


class OnnxWhole:
    """The fused graph: frames and the states of both graphs to logits. What stream.whole runs."""

    def __init__(self, bundle: Bundle, device: str = "auto", threads: Threads = None, *, rows: int = 1) -> None:
        """Opens the graph; arguments and errors as in `OnnxFeatures`, and ConfigError where the bundle has none."""
        if bundle.spec.fused is None:
            raise ConfigError(
                f"fused: expected a bundle with both graphs as one, {bundle.model} has none; export it again with "
                "--fuse, or run its two graphs"
            )
        self.threads = _threads(bundle, device, threads, rows)  # of the features graph, which is nearly all of it
        self._graph = _whole_graph(bundle, device, self.threads)
        self.providers = self._graph.providers
        self.features: str = bundle.spec.features.output
        """Under which name features come out among the states."""
        self.zeros = bundle.spec.whole.zeros

    @property
    def session(self) -> ort.InferenceSession:
        """As in `OnnxFeatures`."""
        return self._graph.session

    def step(self, images: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """Logits (N, K) float32 of `images` (N, H, W, 3) uint8 RGB; the next state, and features (N, D) beside it.

        Raises:
            DeviceError: the run failed.
            ValueError: an array is not of the graph's type or shape.
        """
        return self._graph.run(images, state)


class _Graph:
    """A graph in a session, checked against what bundle.json says of it."""

    def __init__(
        self,
        bundle: Bundle,
        spec: GraphSpec,
        data: Declared,
        output: Shape,
        device: str,
        threads: int,
        profile: Path | None = None,
        beside: Mapping[str, Declared] = {},
    ) -> None:
        """Opens it; `beside` output and states, such outputs come."""
        self._path = bundle.folder / spec.file
        self._inputs = {spec.input: data} | {t.input: (t.dtype, (None, *t.shape)) for t in spec.state}
        outputs: dict[str, Declared] = {spec.output: ("float32", output)}
        outputs |= {t.output: (t.dtype, (None, *t.shape)) for t in spec.state} | dict(beside)
        self._outputs = list(outputs)
        self._data = spec.input
        self._after = [*(t.input for t in spec.state), *beside]
        self._accepted: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}  # of the last run: like it, no check

        self.session = _opened(bundle, spec.file, device, threads, profile)
        self.providers: list[str] = self.session.get_providers()
        self.input_shape = self._declared(self.session.get_inputs(), self._inputs)[spec.input]
        self.output_shape = self._declared(self.session.get_outputs(), outputs)[spec.output]

    def run(self, data: NDArray[Any], state: State) -> tuple[NDArray[np.float32], State]:
        """What the graph makes of `data` (N, ...) and `state`; the next state under the names that it goes in by."""
        feeds = {self._data: data, **state}
        given = {name: (array.dtype, array.shape) for name, array in feeds.items()}
        if given != self._accepted:
            self._check(given, len(data))
            self._accepted = given
        try:
            output, *states = self.session.run(self._outputs, feeds)
        except ORT_ERRORS as error:
            raise DeviceError(f"{self._path}: the run failed on {self.providers[0]}: {line_of(error)}") from error
        return output, dict(zip(self._after, states, strict=True))

    def _check(self, given: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]], rows: int) -> None:
        """Raises ValueError unless the types and shapes of what goes in are the graph's, with `rows` rows each."""
        if given.keys() != self._inputs.keys():
            raise ValueError(f"{self._path.name}: expected data and state {sorted(self._inputs)}, got {sorted(given)}")
        for name, (dtype, shape) in self._inputs.items():
            expected, (got_dtype, got_shape) = (rows, *shape[1:]), given[name]
            if got_dtype != dtype or not _fits(got_shape, expected):
                raise ValueError(f"{name}: expected {dtype} {expected}, got {got_dtype} {got_shape}")

    def _declared(self, found: Sequence[ort.NodeArg], expected: Mapping[str, Declared]) -> dict[str, Shape]:
        """The shapes of the graph's inputs, or outputs, by name, None where open; they are as expected."""
        types = {arg.name: _TYPES.get(arg.type, arg.type) for arg in found}
        shapes = {arg.name: tuple(dim if isinstance(dim, int) else None for dim in arg.shape) for arg in found}
        if types.keys() != expected.keys():
            raise self._unlike("the names", sorted(expected), sorted(types))
        for name, (dtype, shape) in expected.items():
            if types[name] != dtype:
                raise self._unlike(f"{name} of type", dtype, types[name])
            if not _fits(shapes[name], shape):
                raise self._unlike(f"{name} of shape", shape, shapes[name])
            if shapes[name][0] is not None:
                raise self._unlike(f"{name} with an open batch axis", shape, shapes[name])
        return shapes

    def _unlike(self, what: str, expected: object, got: object) -> BundleError:
        return BundleError(f"{self._path}: expected {what} {expected} (bundle.json), got {got}; export it again")


def _opened(bundle: Bundle, name: str, device: str, threads: int, profile: Path | None) -> ort.InferenceSession:
    """A session on the bundle's graph `name`. The CPU takes every graph that is one: what it refuses is the graph's."""
    path = bundle.folder / name
    try:
        return open_session(bundle.read(name), path, bundle, device, threads, profile)
    except (DeviceError, UnicodeDecodeError) as error:  # what it quotes of a damaged graph may be no text
        if isinstance(error, DeviceError) and resolve_device(device)[0] != CPU:
            raise
        raise BundleError(f"{path}: expected a graph that runs, got: {error}; export it again") from error


def _features_graph(bundle: Bundle, device: str, threads: int, profile: Path | None = None) -> _Graph:
    return _Graph(bundle, bundle.spec.features, _frames(bundle), (None, None), device, threads, profile)


def _head_graph(bundle: Bundle, device: str, threads: int, profile: Path | None = None) -> _Graph:
    features, logits = ("float32", (None, None)), (None, len(bundle.labels))
    return _Graph(bundle, bundle.spec.head, features, logits, device, threads, profile)


def _whole_graph(bundle: Bundle, device: str, threads: int) -> _Graph:
    beside: dict[str, Declared] = {bundle.spec.features.output: ("float32", (None, None))}
    logits = (None, len(bundle.labels))
    return _Graph(bundle, bundle.spec.whole, _frames(bundle), logits, device, threads, beside=beside)


def _frames(bundle: Bundle) -> Declared:
    """What the graphs that see pictures take."""
    return "uint8", (None, bundle.input.height, bundle.input.width, 3)


def placement(bundle: Bundle, device: str = "auto") -> dict[str, dict[str, Counter[str]]]:
    """Where each node runs: graph -> provider -> how many nodes of each operator, as a profiled run of zeros tells it.

    A provider that lacks an operator leaves it to the next one, the CPU last: that is how ONNX Runtime is built, and
    costs two copies at each border.

    Raises:
        BundleError: a graph is damaged or is not what bundle.json says.
        DeviceError: the device cannot be used here.
    """
    size = bundle.input.height, bundle.input.width, 3
    with TemporaryDirectory() as folder:
        features = _features_graph(bundle, device, 1, Path(folder) / "features")
        head = _head_graph(bundle, device, 1, Path(folder) / "head")
        seen, _ = features.run(np.zeros((1, *size), np.uint8), bundle.spec.features.zeros(1))
        head.run(seen, bundle.spec.head.zeros(1))
        return {name: _by_provider(graph.session) for name, graph in (("features", features), ("head", head))}


def _by_provider(session: ort.InferenceSession) -> dict[str, Counter[str]]:
    """Provider -> operators of the nodes that it ran, out of the profile of a session that ran once."""
    nodes: dict[str, Counter[str]] = {}
    for event in json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")):
        if event.get("cat") == "Node" and "provider" in event["args"]:
            nodes.setdefault(event["args"]["provider"], Counter())[event["args"]["op_name"]] += 1
    return nodes


def _threads(bundle: Bundle, device: str, threads: Threads, rows: int) -> int:
    """How many are meant by `threads`, as in `OnnxFeatures`."""
    asked = _fastest_threads(bundle, device, rows) if threads == "auto" else threads
    return asked or available_cores()


def _fastest_threads(bundle: Bundle, device: str, rows: int) -> int | None:
    """The threads that a run of `rows` rows is fastest with; None where it runs on another device than the CPU."""
    if resolve_device(device)[0] != CPU:
        return None
    images = np.zeros((rows, bundle.input.height, bundle.input.width, 3), np.uint8)
    state = bundle.spec.features.zeros(rows)

    def timer(threads: int) -> Callable[[], float]:
        graph = _features_graph(bundle, device, threads)

        def timed() -> float:
            begin = perf_counter()
            graph.run(images, state)
            return perf_counter() - begin

        return timed

    return fastest(f"{ort.__version__} {bundle.spec.features.sha256} {rows}", candidates(available_cores()), timer)


def _fits(got: Shape, expected: Shape) -> bool:
    """True where the shapes are equal wherever neither is open."""
    return len(got) == len(expected) and all(
        g is None or e is None or g == e for g, e in zip(got, expected, strict=True)
    )
