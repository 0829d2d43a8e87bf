"""The process in which mutated bundles are opened, since ONNX Runtime may crash: run by tests/test_bundle_fuzz.py.

    python -m tests.bundle_fuzz_child FOLDER WHAT FIRST COUNT

opens mutations FIRST to FIRST + COUNT - 1 of the bundle FOLDER/whole, WHAT being `json`, `graphs`, `fused` or `arrays`,
and prints a line before and one after each:

    17                          begun
    17 opened                   loaded, all graphs open, a step on black pictures made, golden arrays read
    17 BundleError: ...         refused, or a run that failed (DeviceError), which costs a row and no more
    17 !KeyError: 5             any other exception: a defect of ours

Mutation 17 is always the same. The hashes are those of the mutated files: a hash hides nothing. The folder of a
mutation that ended the process, mutation-17, is left behind.
"""

from __future__ import annotations

import hashlib
import io
import json
import resource
import shutil
import signal
import sys
import zipfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from stream.bundle import Bundle
from stream.errors import BundleError, DeviceError
from stream.inference import OnnxFeatures, OnnxHead, OnnxWhole
from stream.whole import Whole
from tests.fuzz_child import mutated

HANG_S = 20
MEMORY = 6 * 2**30
"""Bytes that may be asked for: what wants more is told so, as on a machine that has no more."""
ODD: list[Any] = [None, True, -1, 0, 2**63, 1e308, 1e-320, "", "x" * 5000, "../x", [], {}, [[]], "\u0000", "none", 3.5]

OPERATORS = (
    *("Conv", "MatMul", "Gather", "Reshape", "ConstantOfShape", "Tile", "Expand", "Pad", "Resize", "Loop", "Gemm"),
    *("Slice", "Split", "Concat", "TopK", "Range", "OneHot", "CumSum", "Einsum", "GRU", "RoiAlign", "NonZero"),
)
"""That a node may become one of."""


def mutate(folder: Path, what: str, seed: int) -> None:
    """Changes one file of the bundle in `folder`, and the hash that bundle.json says of it."""
    rng = np.random.default_rng([seed, len(what)])
    path = folder / "bundle.json"
    if what == "json":
        text = path.read_text()
        path.write_bytes(_other_json(text, rng) if seed % 2 else mutated(text.encode(), seed))
        return
    spec = json.loads(path.read_text())
    if what == "arrays":
        part, key, file = spec["golden"], "arrays_sha256", "golden/golden.npz"
    else:
        part, key = spec["fused" if what == "fused" else "features" if seed % 2 else "head"], "sha256"
        file = part["file"]
    content = (folder / file).read_bytes()
    if seed % 3:
        content = _other_graph(content, rng) if what != "arrays" else _other_arrays(content, seed)
    else:
        content = mutated(content, seed)
    (folder / file).write_bytes(content)
    part[key] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(spec))


def _other_json(text: str, rng: np.random.Generator) -> bytes:
    """The document with one to three of its values exchanged, removed or added."""
    document = json.loads(text)
    for _ in range(rng.integers(1, 4)):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = keys[rng.integers(len(keys))]
            inner = place[key]
            if isinstance(inner, dict | list) and inner and rng.random() < 0.7:
                place = inner
                continue
            match rng.integers(4):
                case 0:
                    place.pop(key)
                case 1 if isinstance(place, dict):
                    place[str(ODD[rng.integers(len(ODD))])] = inner
                case _:
                    place[key] = deepcopy(ODD[rng.integers(len(ODD))])
            break
    return json.dumps(document).encode("utf-8", "surrogatepass")


def _other_arrays(content: bytes, seed: int) -> bytes:
    """The archive with one of its arrays mutated, and checksums that fit."""
    archive, packed = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    names = archive.namelist()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as other:
        for number, name in enumerate(names):
            array = archive.read(name)
            if number == seed % len(names):  # of a header, which is what says how much memory is wanted
                array = mutated(array[:128], seed) + array[128:] if seed % 2 else mutated(array, seed)
            other.writestr(name, array)
    return packed.getvalue()


def _other_graph(content: bytes, rng: np.random.Generator) -> bytes:
    """The graph with other operators, edges, attributes, shapes or numbers, still well formed."""
    import onnx

    model = onnx.load_from_string(content)
    graph = model.graph
    names = [value for node in graph.node for value in (*node.input, *node.output)]
    for _ in range(rng.integers(1, 4)):
        node = graph.node[rng.integers(len(graph.node))]
        tensor = graph.initializer[rng.integers(len(graph.initializer))]
        match rng.integers(8):
            case 0:
                node.op_type = OPERATORS[rng.integers(len(OPERATORS))]
            case 1 if node.input:
                node.input[rng.integers(len(node.input))] = names[rng.integers(len(names))]
            case 2 if node.attribute:
                attribute = node.attribute[rng.integers(len(node.attribute))]
                attribute.i = int(rng.integers(-(2**62), 2**62))
                attribute.ints[:] = [int(rng.integers(-5, 1 << rng.integers(1, 40))) for _ in attribute.ints]
            case 3:
                tensor.dims[:] = [int(rng.integers(-2, 1 << rng.integers(1, 34))) for _ in range(rng.integers(0, 6))]
            case 4 if tensor.raw_data:
                tensor.raw_data = rng.bytes(len(tensor.raw_data))
            case 5:
                tensor.data_type = int(rng.integers(0, 25))
            case 6:
                value = (*graph.input, *graph.output)[rng.integers(len(graph.input) + len(graph.output))]
                shape = value.type.tensor_type.shape
                shape.dim.add().dim_value = int(rng.integers(-1, 2**40)) if rng.random() < 0.5 else 3
            case _:
                graph.node.append(node)
    return bytes(model.SerializeToString())


def outcome(folder: Path) -> str:
    """What comes of opening the bundle, or `!` and an exception that should not have been."""
    try:
        bundle = Bundle.load(folder)
        bundle.golden()
        features, head = OnnxFeatures(bundle, "cpu", 1), OnnxHead(bundle, "cpu", 1)
        seen = bundle.input
        if seen.height * seen.width > 2**22:
            return "opened, not run: its pictures are large"
        vectors, _ = features.extract(np.zeros((2, seen.height, seen.width, 3), np.uint8), features.zeros(2))
        if head.width in (None, features.width):
            head.step(vectors, head.zeros(2))
        if bundle.spec.fused is not None:
            whole = Whole(bundle, OnnxWhole(bundle, "cpu", 1))
            images = np.zeros((2, seen.height, seen.width, 3), np.uint8)
            for _ in range(2):  # the second goes by what came out of the first
                whole.judge(["a", "b"], images, 2)
    except (BundleError, DeviceError) as error:
        said = str(error)
        return f"!{said!r} is not one line" if "\n" in said else f"{type(error).__name__}: {said}"
    except Exception as error:  # noqa: BLE001  what is looked for
        return f"!{type(error).__name__}: {error}".replace("\n", " ")
    return "opened"


def main(root: Path, what: str, first: int, count: int) -> None:
    """Opens the mutations and prints what comes of them."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for seed in range(first, first + count):
        folder = root / f"mutation-{seed}"
        shutil.copytree(root / "whole", folder, dirs_exist_ok=True)
        mutate(folder, what, seed)
        print(seed, flush=True)  # noqa: T201
        signal.alarm(HANG_S)
        said = outcome(folder)
        print(seed, said, flush=True)  # noqa: T201
        if not said.startswith("!"):
            shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
