"""A bundle's two graphs as one, either plain or with a place for every track's state. Only builds the graph.

`joined` is the plain one, which `export --fuse` puts into the bundle and stream.whole runs:

    frames, states ──► features ──► head ──► logits, features, next states

`fused` keeps the states of all tracks where it runs (stream.resident): gather, features, head, scatter.

    rows, fresh ──► bank rows (zero where fresh) ──► features ──► head ──► logits, healthy
                      ▲                                 │           │
                      └── bank for the next run ◄───────┴───────────┘   (zero where not healthy)

Banks go in and come out as whole tensors, (R, ...) each, so that whoever runs it can let them lie where the graph runs:
what crosses the border is pictures one way, logits the other.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stream.bundle import Bundle
from stream.errors import BundleError, DeviceError
from stream.schema import BundleSpec, GraphSpec, StateTensor

if TYPE_CHECKING:
    import onnx

IMAGES, ROWS, FRESH, LOGITS, HEALTHY = "images", "rows", "fresh", "logits", "healthy"
"""What goes in: (N, H, W, 3) uint8, (N,) int64, (N,) bool; and comes out: (N, K) float32, (N,) bool."""
LEAST_OPSET = 13  # axes are inputs from here on
_FLOATS = ("float32", "float16")


def bank_in(part: str, tensor: StateTensor) -> str:
    """The input for all rows of a state of the `features` or the `head`."""
    return f"bank/{part}/{tensor.input}"


def bank_out(part: str, tensor: StateTensor) -> str:
    """The output in which the next rows of that state come."""
    return f"bank/{part}/{tensor.input}/next"


def parts(spec: BundleSpec) -> tuple[tuple[str, GraphSpec], ...]:
    """The two graphs, by the names that they have in here."""
    return ("features", spec.features), ("head", spec.head)


def joined(spec: BundleSpec, read: Callable[[str], bytes], folder: Path) -> bytes:
    """The plain graph, serialized; what goes in and comes out has the names that bundle.json has for it.

    Features come out, too: whether all of a row's numbers are finite must be seen in them, since what a head makes of
    others may be finite again, such as the tanh of infinity.

    Args:
        spec: of the bundle.
        read: the content of one of the two graphs, by the name of its file.
        folder: of the bundle, for errors.

    Raises:
        BundleError: the two graphs cannot be joined.
        DeviceError: the onnx package, which joins them, is missing.
    """
    serialized: bytes = _Builder(spec, read, folder).plain().SerializeToString()
    return serialized


def fused(bundle: Bundle) -> bytes:
    """The graph with banks, serialized.

    Raises:
        BundleError: the two graphs cannot be joined.
        DeviceError: the onnx package, which joins them, is missing.
    """
    serialized: bytes = _Builder(bundle.spec, bundle.read, bundle.folder).banked().SerializeToString()
    return serialized


def _opened(spec: BundleSpec, read: Callable[[str], bytes], folder: Path) -> dict[str, onnx.ModelProto]:
    """Both graphs, all names in each of them after its own."""
    try:
        import onnx
        from onnx import compose
    except ImportError as error:
        raise DeviceError(
            "expected the onnx package, found none; pip install -e '.[gpu]' in the folder of actionstream's sources"
        ) from error
    models = {}
    for part, graph in parts(spec):
        content = read(graph.file)
        try:
            models[part] = compose.add_prefix(onnx.load_from_string(content), f"{part}/")
        except Exception as error:  # a protobuf of whatever version raises whatever it likes
            raise BundleError(f"{folder / graph.file}: expected an ONNX graph, got: {error}") from error
    return models


class _Builder:
    """The two graphs, and the nodes between them and what goes in and comes out."""

    def __init__(self, spec: BundleSpec, read: Callable[[str], bytes], folder: Path) -> None:
        self._spec, self._folder = spec, folder
        self._models = _opened(spec, read, folder)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def plain(self) -> onnx.ModelProto:
        """The model that takes and gives states."""
        from onnx import TensorProto

        spec = self._spec
        self._through(spec.features.input, self._take, spec.head.output)
        self._node("Identity", [f"features/{spec.features.output}"], spec.features.output)
        inputs = [self._frames(spec.features.input)]
        outputs = [
            self._value(spec.head.output, TensorProto.FLOAT, ["N", len(spec.labels)]),
            self._value(spec.features.output, TensorProto.FLOAT, ["N", self._width()]),
        ]
        for part, graph in parts(spec):
            for tensor in graph.state:
                self._node("Identity", [f"{part}/{tensor.output}"], tensor.output)
                inputs.append(self._state(tensor.input, tensor, "N"))
                outputs.append(self._state(tensor.output, tensor, "N"))
        return self._model(inputs, outputs)

    def banked(self) -> onnx.ModelProto:
        """The model that keeps states."""
        self._node("Unsqueeze", [ROWS, self._axes(1)], f"{ROWS}/column")
        self._through(IMAGES, self._gather, LOGITS)
        self._judge_health()
        for part, graph in parts(self._spec):
            self._scatter(part, graph)
        return self._model(*self._bank_ends())

    def _through(self, images: str, states_of: Callable[[str, GraphSpec], None], logits: str) -> None:
        """From `images` to `logits`; `states_of` brings each graph its states."""
        main = images
        for part, graph in parts(self._spec):
            self._node("Identity", [main], f"{part}/{graph.input}")
            states_of(part, graph)
            self._nodes += self._models[part].graph.node
            main = f"{part}/{graph.output}"
        self._node("Identity", [main], logits)

    def _model(self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
        from onnx import helper

        graph = helper.make_graph(self._nodes, "fused", inputs, outputs)
        models = self._models.values()
        for model in models:
            graph.initializer.extend(model.graph.initializer)
            graph.sparse_initializer.extend(model.graph.sparse_initializer)
        graph.initializer.extend(self._constants.values())
        functions = [function for model in models for function in model.functions]
        made = helper.make_model(graph, opset_imports=self._opsets(), functions=functions)
        made.ir_version = max(model.ir_version for model in models)
        return made

    def _opsets(self) -> list[onnx.OperatorSetIdProto]:
        """The operator sets of both graphs, which must agree."""
        from onnx import helper

        found: dict[str, int] = {}
        for model in self._models.values():
            for opset in model.opset_import:
                if found.setdefault(opset.domain, opset.version) != opset.version:
                    raise BundleError(f"{self._folder}: expected both graphs of one opset; export it again")
        if found.get("", 0) < LEAST_OPSET:
            raise BundleError(f"{self._folder}: expected opset {LEAST_OPSET} or newer; export it again")
        return [helper.make_opsetid(domain, version) for domain, version in found.items()]

    def _take(self, part: str, graph: GraphSpec) -> None:
        """The states that go into a graph, as they came."""
        for tensor in graph.state:
            self._node("Identity", [tensor.input], f"{part}/{tensor.input}")

    def _gather(self, part: str, spec: GraphSpec) -> None:
        """The states that go into a graph: the tracks' rows, or zero."""
        for tensor in spec.state:
            name = f"{part}/{tensor.input}"
            self._node("Gather", [bank_in(part, tensor), ROWS], f"{name}/kept", axis=0)
            self._node("Where", [self._column(FRESH, tensor), self._zero(tensor.dtype), f"{name}/kept"], name)

    def _scatter(self, part: str, spec: GraphSpec) -> None:
        """The banks as they are after the step."""
        for tensor in spec.state:
            after = f"{part}/{tensor.output}"
            sound = [self._column(HEALTHY, tensor), after, self._zero(tensor.dtype)]
            self._node("Where", sound, f"{after}/sound")
            updates = [bank_in(part, tensor), f"{ROWS}/column", f"{after}/sound"]
            self._node("ScatterND", updates, bank_out(part, tensor))

    def _judge_health(self) -> None:
        """Which rows gave and kept only finite numbers: x - x is 0 for those, and for no others."""
        from onnx import TensorProto

        ends: list[tuple[str, int]] = []
        for part, spec in parts(self._spec):
            ends.append((f"{part}/{spec.output}", 1))
            states = (tensor for tensor in spec.state if tensor.dtype in _FLOATS)
            ends += [(f"{part}/{tensor.output}", len(tensor.shape)) for tensor in states]
        sums = []
        for name, rank in ends:
            self._node("Sub", [name, name], f"{name}/self")
            self._node("ReduceSum", [f"{name}/self", self._axes(*range(1, rank + 1))], f"{name}/sum", keepdims=0)
            self._node("Cast", [f"{name}/sum"], f"{name}/float", to=TensorProto.FLOAT)
            sums.append(f"{name}/float")
        self._node("Sum", sums, f"{HEALTHY}/sum")
        self._node("Equal", [f"{HEALTHY}/sum", self._zero("float32")], HEALTHY)

    def _bank_ends(self) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
        """What goes into the model with banks and comes out, declared."""
        from onnx import TensorProto

        inputs = [
            self._frames(IMAGES),
            self._value(ROWS, TensorProto.INT64, ["N"]),
            self._value(FRESH, TensorProto.BOOL, ["N"]),
        ]
        outputs = [
            self._value(LOGITS, TensorProto.FLOAT, ["N", len(self._spec.labels)]),
            self._value(HEALTHY, TensorProto.BOOL, ["N"]),
        ]
        for part, graph in parts(self._spec):
            for tensor in graph.state:
                inputs.append(self._state(bank_in(part, tensor), tensor, "R"))
                outputs.append(self._state(bank_out(part, tensor), tensor, "R"))
        return inputs, outputs

    def _frames(self, name: str) -> onnx.ValueInfoProto:
        from onnx import TensorProto

        return self._value(name, TensorProto.UINT8, ["N", self._spec.input.height, self._spec.input.width, 3])

    def _state(self, name: str, tensor: StateTensor, rows: str) -> onnx.ValueInfoProto:
        from onnx import helper

        return self._value(name, helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), [rows, *tensor.shape])

    def _value(self, name: str, kind: int, shape: list[int | str]) -> onnx.ValueInfoProto:
        from onnx import helper

        return helper.make_tensor_value_info(name, kind, shape)

    def _width(self) -> int | str:
        """D, where the features graph says it."""
        name = f"features/{self._spec.features.output}"
        made = next((each for each in self._models["features"].graph.output if each.name == name), None)
        axes = [] if made is None else made.type.tensor_type.shape.dim
        return axes[1].dim_value or "D" if len(axes) == 2 else "D"

    def _column(self, mask: str, tensor: StateTensor) -> str:
        """`mask` (N,) shaped to pick whole rows of a state."""
        rank = len(tensor.shape)
        if rank == 0:
            return mask
        name = f"{mask}/{rank}"
        if not any(name in node.output for node in self._nodes):
            self._node("Unsqueeze", [mask, self._axes(*range(1, rank + 1))], name)
        return name

    def _axes(self, *axes: int) -> str:
        return self._constant(f"axes/{'_'.join(map(str, axes))}", np.array(axes, np.int64))

    def _zero(self, dtype: str) -> str:
        return self._constant(f"zero/{dtype}", np.zeros((), dtype))

    def _constant(self, name: str, value: np.ndarray[Any, Any]) -> str:
        from onnx import numpy_helper

        self._constants.setdefault(name, numpy_helper.from_array(value, name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
