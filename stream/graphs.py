"""What an ONNX file says of itself, read from its bytes before any runtime sees it: nothing is run, nothing is trusted.

A bundle may come from anywhere. ONNX Runtime would follow a graph to other files, run whatever operators it was built
with, and take the memory that a shape asks for; so a graph is walked here first, in its own encoding (protobuf), and is
refused unless it is one flat graph of standard operators, none of them random, with all of its numbers inside. Only
fields that matter for that are known here; https://github.com/onnx/onnx/blob/main/onnx/onnx.proto numbers them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from stream.errors import BundleError

CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
"""What is told of a file must not depend on luck; two of them make as much as an attribute says."""
STANDARD = frozenset({"", "ai.onnx"})
"""Domains of operators that every runtime knows."""
MAX_NODES = 50_000
MAX_RANK = 16
MAX_ELEMENTS = 2**28
"""Of what one node makes out of constants: a gigabyte in float32."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_INT64 = 7
_GROWS = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1}
"""Operators whose output is as large as a number says, and which input says it."""

Field: TypeAlias = tuple[int, int | memoryview]
"""A field's number and its value: a number, or the bytes that it holds."""


@dataclass(frozen=True)
class GraphFacts:
    """What a graph is made of.

    Attributes:
        opset: version of the standard operators.
        operators: how many nodes of each kind there are.
        parameters: numbers that it holds, of tensors with more than one element: its weights.
        bytes: of the file.
    """

    opset: int
    operators: Counter[str]
    parameters: int
    bytes: int

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return self.operators.total()


@dataclass
class _Found:
    """What the walk came across."""

    path: Path
    opset: int = 0
    operators: Counter[str] = field(default_factory=Counter)
    parameters: int = 0
    grows: list[str] = field(default_factory=list)
    whole: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def unlike(self, expected: str, got: object) -> BundleError:
        return BundleError(f"{self.path}: expected {expected}, got {got}; export it again, or do not use it")


def read_graph(content: bytes, path: Path) -> GraphFacts:
    """Returns what the ONNX file `content`, which errors call `path`, is made of.

    Raises:
        BundleError: it is no ONNX file, or a graph of other than standard operators, of control flow or functions, of
            random numbers, of numbers that lie in other files, or of sizes that do not fit what it holds.
    """
    found = _Found(path)
    try:
        for number, value in _fields(memoryview(content)):
            match number, value:
                case 7, memoryview():
                    _walk(value, found)
                case 8, memoryview():
                    _opset(value, found)
                case 20 | 25, memoryview():
                    raise found.unlike("one graph", "a file with functions or training steps in it")
    except (ValueError, IndexError) as error:
        if isinstance(error, BundleError):
            raise
        raise found.unlike("an ONNX graph", f"bytes that are none ({error})") from error
    for name in found.grows:
        asked = found.whole.get(name, ())
        if any(each > MAX_ELEMENTS for each in asked) or math.prod(max(1, each) for each in asked) > MAX_ELEMENTS:
            raise found.unlike(f"at most {MAX_ELEMENTS} numbers of a node", f"a node that makes {list(asked)[:8]}")
    return GraphFacts(found.opset, found.operators, found.parameters, len(content))


def _walk(graph: memoryview, found: _Found) -> None:
    for number, value in _fields(graph):
        match number, value:
            case 1, memoryview():
                _node(value, found)
            case 5, memoryview():
                _tensor(value, found)
            case 11 | 12 | 13, memoryview():
                for key, name in _fields(value):
                    if key == 1 and isinstance(name, memoryview):
                        _text(name)
            case 15, memoryview():
                raise found.unlike("dense tensors", "a sparse one")


def _opset(entry: memoryview, found: _Found) -> None:
    domain, version = "", 0
    for number, value in _fields(entry):
        match number, value:
            case 1, memoryview():
                domain = _text(value)
            case 2, int():
                version = value
    if domain in STANDARD:
        found.opset = version


def _node(node: memoryview, found: _Found) -> None:
    kind = domain = ""
    inputs: list[str] = []
    outputs: list[str] = []
    values: list[tuple[int, ...]] = []
    for number, value in _fields(node):
        match number, value:
            case 1, memoryview():
                inputs.append(_text(value))
            case 2, memoryview():
                outputs.append(_text(value))
            case 3, memoryview():
                _text(value)  # ONNX Runtime quotes it
            case 4, memoryview():
                kind = _text(value)
            case 5, memoryview():
                values += _attribute(value, kind, found)
            case 7, memoryview():
                domain = _text(value)
    if domain not in STANDARD:
        raise found.unlike("standard operators", f"{kind!r:.80} of {domain!r:.80}")
    if kind in CONTROL_FLOW:
        raise found.unlike("one flat graph", f"a {kind} node")
    if kind in RANDOM:
        raise found.unlike("the same numbers every time", f"a {kind} node")
    found.operators[kind] += 1
    if found.operators.total() > MAX_NODES:
        raise found.unlike(f"at most {MAX_NODES} nodes", "more")
    if kind == "Constant" and outputs and values:
        found.whole[outputs[0]] = values[0]
    if kind in _GROWS and len(inputs) > _GROWS[kind]:
        found.grows.append(inputs[_GROWS[kind]])


def _attribute(attribute: memoryview, kind: str, found: _Found) -> list[tuple[int, ...]]:
    """The whole numbers of the tensors in an attribute, or those that it lists itself."""
    tensors = []
    plain: list[int] = []
    for number, value in _fields(attribute):
        match number, value:
            case 5 | 10, memoryview():
                tensors.append(_tensor(value, found))
            case 3 | 8, _:
                plain += _numbers(value) if len(plain) <= MAX_RANK else []
            case 6 | 11, memoryview():
                raise found.unlike("one flat graph", f"a graph inside {kind or 'a node'!r:.80}")
            case 22 | 23, memoryview():
                raise found.unlike("dense tensors", "a sparse one")
    return [*tensors, tuple(plain)] if plain else tensors


def _tensor(tensor: memoryview, found: _Found) -> tuple[int, ...]:
    """Counts a tensor whose numbers all lie in it; its numbers, where they are few and of int64."""
    dims: list[int] = []
    name, kind, raw, plain, held = "", 0, memoryview(b""), list[int](), 0
    for number, value in _fields(tensor):
        match number, value:
            case 1, _:
                dims += _numbers(value)
            case 2, int():
                kind = value
            case 7, _:
                plain += _numbers(value) if len(plain) <= MAX_RANK else []
            case 8, memoryview():
                name = _text(value)
            case 9, memoryview():
                raw = value
            case (13, _) | (14, 1):
                raise found.unlike("all numbers inside the graph", f"tensor {name!r:.80}, whose numbers lie elsewhere")
        held += len(value) if isinstance(value, memoryview) else 8
    if len(dims) > MAX_RANK or any(dim < 0 for dim in dims):
        raise found.unlike(f"tensors of at most {MAX_RANK} axes", f"{name!r:.80} of shape {dims[: MAX_RANK + 1]}")
    count = math.prod(dims)
    if count > 2 * held:  # four bits are the smallest number that there is
        raise found.unlike("tensors that hold their numbers", f"{name!r:.80} of shape {dims} in {held} bytes")
    found.parameters += count if count > 1 else 0
    if kind != _INT64 or count > MAX_RANK:
        return ()
    numbers = tuple(memoryview(bytes(raw)).cast("q")) if len(raw) == 8 * count else tuple(plain)
    found.whole[name] = numbers
    return numbers


def _numbers(value: int | memoryview) -> list[int]:
    """Signed whole numbers, one or packed; of many, the first few."""
    if isinstance(value, int):
        return [_signed(value)]
    numbers: list[int] = []
    place = 0
    while place < len(value) and len(numbers) <= MAX_RANK:
        number, place = _varint(value, place)
        numbers.append(_signed(number))
    return numbers


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _text(value: memoryview) -> str:
    return str(value, "utf-8")


def _fields(message: memoryview) -> Iterator[Field]:
    """The fields of a message, in order.

    Raises:
        ValueError: it is none, or is cut off.
    """
    place, end = 0, len(message)
    while place < end:
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == _BYTES:
            size, place = _varint(message, place)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if size > end - place:
            raise ValueError("it is cut off")
        yield number, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where the next begins."""
    number = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & (2**64 - 1), place
    raise ValueError("a number without an end")
