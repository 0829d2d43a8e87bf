"""Keras to ONNX: the two graphs of a bundle, checked for everything that the runtime relies on. Nothing is run here.

tf2onnx converts one step of each model as it stands: uint8 frames in, any batch size, every state a named input and a
named output, no control flow. A graph that comes out otherwise is refused here rather than found out about in a stream.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import onnx
import tensorflow as tf

from export.canonical import canonicalize
from export.rewrites import keep_zero_padding, spell_out_erfc
from stream.errors import BundleError
from train.models import Network, StateTensor, step

OPSET = 17
"""Known to ONNX Runtime 1.13 and newer, TensorRT 8.6 and newer."""
FORBIDDEN = frozenset({"If", "Loop", "Scan"})
FEATURES = ("frames", "features")
"""Main input and main output of features.onnx."""
HEAD = ("features", "logits")
"""Main input and main output of head.onnx."""


@dataclass(frozen=True)
class Graphs:
    """The two graphs, serialised."""

    features: bytes
    head: bytes


def convert(network: Network) -> Graphs:
    """Returns `network` as two ONNX graphs.

    Raises:
        BundleError: a graph is not what a bundle may hold: control flow, custom operators, constants as inputs, or
            names and shapes that differ from the network's.
    """
    return Graphs(
        to_onnx(network.features, *FEATURES, network.features_state),
        to_onnx(network.head, *HEAD, network.head_state),
    )


def to_onnx(model: keras.Model, input: str, output: str, states: tuple[StateTensor, ...]) -> bytes:
    """Returns the one-step `model` as a graph from `input` and states to `output` and next states, N left open.

    The same weights give the same bytes, in any process.

    Raises:
        BundleError: as `convert`.
    """
    outputs = [output, *(state.output for state in states)]
    signature = [
        tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype, name)
        for tensor, name in zip(model.inputs, [input, *(state.input for state in states)], strict=True)
    ]

    # A dictionary comes out: tf2onnx names the graph's outputs by its keys.
    def named(main: Any, *before: Any) -> dict[str, Any]:
        result, after = step(model, main, list(before))
        return dict(zip(outputs, [result, *after], strict=True))

    function = tf.function(named)
    with _traced_in_place():
        graph = _convert_quietly(function, signature)
        _settle_constants(graph, function.get_concrete_function(*signature))
    spell_out_erfc(graph)
    keep_zero_padding(graph)
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    _check(graph, model, [spec.name for spec in signature], outputs)
    inputs = [spec.name for spec in signature]
    graph.graph.input.sort(key=lambda value: inputs.index(value.name))
    graph.graph.output.sort(key=lambda value: outputs.index(value.name))  # TensorFlow sorts them by name
    canonicalize(graph)
    return bytes(graph.SerializeToString(deterministic=True))


@contextmanager
def _traced_in_place() -> Iterator[None]:
    """Has Keras trace in place what it wraps for XLA: grouped convolutions, which TensorFlow's CPU lacks.

    What is wrapped so stays a call (StatefulPartitionedCall) in the frozen graph, and ONNX has none; tf2onnx converts
    the convolution in it, as in ConvNeXt, by itself.
    """
    wrap = tf.function

    def function(body: Any = None, **options: Any) -> Any:
        if not options.get("jit_compile"):
            return wrap(body, **options)
        return body if body is not None else lambda inner: inner

    tf.function = function
    try:
        yield
    finally:
        tf.function = wrap


def _convert_quietly(function: Any, signature: list[tf.TensorSpec]) -> onnx.ModelProto:
    """The graph of `function`. tf2onnx logs each optimiser pass and uses deprecated names: neither is for its user."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tf2onnx

        logger.setLevel(logging.CRITICAL)
        try:
            graph, _ = tf2onnx.convert.from_function(function, signature, opset=OPSET)
        finally:
            logger.setLevel(level)
    return graph


def _settle_constants(graph: onnx.ModelProto, function: Any) -> None:
    """Makes initializers of the constants that the traced `function` captured, and that tf2onnx takes for inputs.

    The channel means of VGG16 and EfficientNet are such constants; some are left over, for tf2onnx folded them as well.
    """
    used = {name for node in graph.graph.node for name in node.input}
    inputs = {value.name: value for value in graph.graph.input}
    for constant, inner in function.graph.captures:
        if inner.name not in inputs:
            continue
        graph.graph.input.remove(inputs[inner.name])
        if inner.name in used:
            graph.graph.initializer.append(onnx.numpy_helper.from_array(constant.numpy(), inner.name))


def _check(graph: onnx.ModelProto, model: keras.Model, inputs: list[str], outputs: list[str]) -> None:
    """Raises BundleError unless `graph` is flat, standard, and has exactly the model's inputs and outputs."""
    onnx.checker.check_model(graph, full_check=True)
    kinds = {node.op_type for node in graph.graph.node}
    if kinds & FORBIDDEN:
        raise BundleError(
            f"the graph of {model.name} holds {sorted(kinds & FORBIDDEN)}: expected one flat step; "
            "build the network from cells, not from recurrent layers"
        )
    domains = {node.domain for node in graph.graph.node} - {"", "ai.onnx"}
    if domains:
        raise BundleError(
            f"the graph of {model.name} needs operators of {sorted(domains)}: expected standard ones of opset {OPSET}; "
            "replace the layer that they come from"
        )
    expected = _tensors(zip(inputs, model.inputs, strict=True)), _tensors(zip(outputs, model.outputs, strict=True))
    got = [_values(values) for values in (graph.graph.input, graph.graph.output)]
    for side, wanted, found in zip(("inputs", "outputs"), expected, got, strict=True):
        if wanted != found:
            raise BundleError(
                f"the graph of {model.name} has the {side} {found}: expected {wanted}; "
                "replace the layer whose constants became inputs, or the one that fixes a shape"
            )


def _tensors(named: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Element type and shape without N of Keras tensors, by name."""
    return {name: (str(tensor.dtype), tuple(tensor.shape[1:])) for name, tensor in named}


def _values(values: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Element type and shape without N of a graph's inputs or outputs, by name."""
    found = {}
    for value in values:
        tensor = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        found[value.name] = dtype, tuple(dim.dim_value for dim in tensor.shape.dim[1:])
    return found
