"""How much a graph computes for one row: floating-point operations, counted in a run, node by node. No onnx is needed.

A run with a profile tells the shape of all that went into each node and came out; nothing is fused or folded in it, so
that nodes are those of the file. Convolutions and matrix products are counted, a multiplication and an addition as two:
that is how papers count.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from stream.bundle import Bundle
from stream.contracts import State
from stream.errors import BundleError
from stream.schema import GraphSpec
from stream.session import CPU, ORT_ERRORS, line_of

Shapes: TypeAlias = Sequence[Sequence[int]]


def operations(bundle: Bundle) -> dict[str, int]:
    """Floating-point operations of each of the bundle's graphs, for one row: `features`, `head`, and `fused` if any.

    Raises:
        BundleError: a graph does not run.
    """
    images = np.zeros((1, bundle.input.height, bundle.input.width, 3), np.uint8)
    features, head = bundle.spec.features, bundle.spec.head
    done, vectors = _of_graph(bundle, features, images)
    steps, _ = _of_graph(bundle, head, vectors)
    found = {"features": done, "head": steps}
    if bundle.spec.fused is not None:
        found["fused"], _ = _of_graph(bundle, bundle.spec.whole, images)
    return found


def _of_graph(bundle: Bundle, graph: GraphSpec, data: NDArray[Any]) -> tuple[int, Any]:
    """The operations of a run of one of the bundle's graphs on `data`, from zero state, and its output."""
    feeds = {graph.input: data, **graph.zeros(len(data))}
    return counted(bundle.read(graph.file), bundle.folder / graph.file, feeds, graph.output)


def counted(graph: bytes, path: Path, feeds: State, output: str) -> tuple[int, Any]:
    """The operations of a run of `graph`, which errors call `path`, on `feeds`; and its `output`.

    Raises:
        BundleError: it does not run.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_prepacking", "1")  # else weights are not among what goes in
    with TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "run")
        try:
            session = ort.InferenceSession(graph, options, providers=[CPU])
            (given,) = session.run([output], dict(feeds))
        except ORT_ERRORS as error:
            raise BundleError(f"{path}: expected a graph that runs, got: {line_of(error)}; export it again") from error
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return sum(_of(event["args"]) for event in events if event.get("cat") == "Node"), given


def _of(node: Mapping[str, Any]) -> int:
    """The operations of one node of a profile."""
    count = _COUNTS.get(node.get("op_name", ""))
    if count is None or "output_type_shape" not in node:
        return 0
    shapes: list[Shapes] = [[next(iter(each.values()), []) for each in node[side]] for side in _SIDES]
    return count(*shapes) if all(shapes) else 0


def _convolution(given: Shapes, made: Shapes) -> int:
    """Of each output, a product with a filter of (C_in / groups, k, k)."""
    return 2 * math.prod(made[0]) * math.prod(given[1][1:])


def _product(given: Shapes, made: Shapes) -> int:
    """Of each output, a product along the first factor's last axis, which the second shares."""
    return 2 * math.prod(made[0]) * given[0][-1]


def _gemm(given: Shapes, made: Shapes) -> int:
    """As `_product`; either factor may lie on its side, so the shared axis K is found by (M K)(K N) / (M N) = K²."""
    return 2 * math.prod(made[0]) * math.isqrt(math.prod(given[0]) * math.prod(given[1]) // math.prod(made[0]))


_SIDES = ("input_type_shape", "output_type_shape")
_COUNTS: Mapping[str, Callable[[Shapes, Shapes], int]] = {
    "Conv": _convolution,
    "Gemm": _gemm,
    "MatMul": _product,
}
