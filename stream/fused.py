"""A bundle's two graphs as one that keeps every track's state: gather, features, head, scatter. Only builds the graph.

    rows, fresh ──► bank rows (zero where fresh) ──► features ──► head ──► logits, healthy
                      ▲                                 │           │
                      └── bank for the next run ◄───────┴───────────┘   (zero where not healthy)

Banks go in and come out as whole tensors, (R, ...) each, so that whoever runs it can let them lie where the graph runs:
what crosses the border is pictures one way, logits the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stream.bundle import Bundle
from stream.errors import BundleError, DeviceError
from stream.schema import GraphSpec, StateTensor

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


def parts(bundle: Bundle) -> tuple[tuple[str, GraphSpec], ...]:
    """The two graphs, by the names that they have in here."""
    return ("features", bundle.spec.features), ("head", bundle.spec.head)


def fused(bundle: Bundle) -> bytes:
    """The graph, serialized.

    Raises:
        BundleError: the two graphs cannot be joined.
        DeviceError: the onnx package, which joins them, is missing.
    """
    try:
        import onnx
        from onnx import compose
    except ImportError as error:
        raise DeviceError("expected the onnx package, found none; install actionstream[gpu]") from error
    models = {}
    for part, spec in parts(bundle):
        try:
            models[part] = compose.add_prefix(onnx.load_from_string(bundle.read(spec.file)), f"{part}/")
        except Exception as error:  # a protobuf of whatever version raises whatever it likes
            raise BundleError(f"{bundle.folder / spec.file}: expected an ONNX graph, got: {error}") from error
    serialized: bytes = _Builder(bundle, models).built().SerializeToString()
    return serialized


class _Builder:
    """The nodes between the two graphs and their banks."""

    def __init__(self, bundle: Bundle, models: dict[str, onnx.ModelProto]) -> None:
        self._bundle, self._models = bundle, models
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def built(self) -> onnx.ModelProto:
        """The joined model."""
        from onnx import helper

        features, head = (self._models[part] for part in ("features", "head"))
        spec = self._bundle.spec
        self._node("Unsqueeze", [ROWS, self._axes(1)], f"{ROWS}/column")
        inner = f"features/{spec.features.input}"
        self._node("Identity", [IMAGES], inner)
        self._gather("features", spec.features)
        self._nodes += features.graph.node
        self._node("Identity", [f"features/{spec.features.output}"], f"head/{spec.head.input}")
        self._gather("head", spec.head)
        self._nodes += head.graph.node
        self._node("Identity", [f"head/{spec.head.output}"], LOGITS)
        self._judge_health()
        for part, graph in parts(self._bundle):
            self._scatter(part, graph)
        inputs, outputs = self._ends()
        graph = helper.make_graph(self._nodes, "fused", inputs, outputs)
        for model in (features, head):
            graph.initializer.extend(model.graph.initializer)
            graph.sparse_initializer.extend(model.graph.sparse_initializer)
        graph.initializer.extend(self._constants.values())
        joined = helper.make_model(
            graph, opset_imports=self._opsets(), functions=[*features.functions, *head.functions]
        )
        joined.ir_version = max(features.ir_version, head.ir_version)
        return joined

    def _opsets(self) -> list[onnx.OperatorSetIdProto]:
        """The operator sets of both graphs, which must agree."""
        from onnx import helper

        found: dict[str, int] = {}
        for model in self._models.values():
            for opset in model.opset_import:
                if found.setdefault(opset.domain, opset.version) != opset.version:
                    raise BundleError(f"{self._bundle.folder}: expected both graphs of one opset; export it again")
        if found.get("", 0) < LEAST_OPSET:
            raise BundleError(f"{self._bundle.folder}: expected opset {LEAST_OPSET} or newer; export it again")
        return [helper.make_opsetid(domain, version) for domain, version in found.items()]

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
        for part, spec in parts(self._bundle):
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

    def _ends(self) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
        """What goes in and comes out, declared."""
        from onnx import TensorProto, helper

        seen, labels = self._bundle.input, len(self._bundle.labels)
        inputs = [
            helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["N", seen.height, seen.width, 3]),
            helper.make_tensor_value_info(ROWS, TensorProto.INT64, ["N"]),
            helper.make_tensor_value_info(FRESH, TensorProto.BOOL, ["N"]),
        ]
        outputs = [
            helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["N", labels]),
            helper.make_tensor_value_info(HEALTHY, TensorProto.BOOL, ["N"]),
        ]
        for part, spec in parts(self._bundle):
            for tensor in spec.state:
                kind, shape = helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), ["R", *tensor.shape]
                inputs.append(helper.make_tensor_value_info(bank_in(part, tensor), kind, shape))
                outputs.append(helper.make_tensor_value_info(bank_out(part, tensor), kind, shape))
        return inputs, outputs

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
