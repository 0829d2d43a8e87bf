"""A bundle on disk: load, check, hash, write. Nothing here opens a graph.

A bundle is a folder: `bundle.json` (stream.schema), two graphs, golden files and a card. Whatever is read is bounded
in size, lies inside the folder and has the hash that `bundle.json` says; a graph holds nothing that a bundle's may not
(stream.graphs); golden arrays are what they say they are (stream.arrays). Whatever is not so is a `BundleError`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from stream.arrays import unpacked
from stream.contracts import Input, State
from stream.errors import BundleError
from stream.graphs import read_graph
from stream.schema import (
    BundleSpec,
    Decision,
    FusedSpec,
    GeometrySpec,
    GoldenSpec,
    GraphSpec,
    InputSpec,
    LabelRule,
    StateTensor,
    Temporal,
)

__all__ = [
    "Bundle",
    "BundleSpec",
    "Decision",
    "FusedSpec",
    "GeometrySpec",
    "Golden",
    "GoldenSpec",
    "GraphSpec",
    "InputSpec",
    "LabelRule",
    "StateTensor",
    "Temporal",
    "first_fault",
    "write_bundle",
]

SPEC_FILE = "bundle.json"
MAX_SPEC_BYTES = 2**20
MAX_FILE_BYTES = 2**31
"""Protobuf, and so ONNX, ends at 2 GiB."""
MAX_GOLDEN_BYTES = 2**30
"""Of golden.npz when unpacked."""
MAX_TICKS = 100_000
"""Of golden arrays."""


@dataclass(frozen=True, eq=False)
class Golden:
    """What Keras computed on the golden clip, tick by tick.

    Attributes:
        times: (T,) float64 media seconds of the ticks.
        indices: (T,) int64 frame index of each tick.
        images: (T, H, W, 3) uint8 RGB; None where the bundle leaves them out.
        features: (T, D) float32.
        states: each (T, ...), after each tick, by the state's input name; empty in window mode.
        logits: (T, K) float32 in the bundle's temporal mode.
        labels: the order of the logits.
    """

    times: NDArray[np.float64]
    indices: NDArray[np.int64]
    images: NDArray[np.uint8] | None
    features: NDArray[np.float32]
    states: State
    logits: NDArray[np.float32]
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A checked bundle.

    Attributes:
        folder: where it is.
        spec: what bundle.json says.
        digest: sha256 of bundle.json, which holds the hash of every other file: 64 hex digits.
    """

    folder: Path
    spec: BundleSpec
    digest: str

    @classmethod
    def load(cls, folder: Path | str, *, check: bool = True) -> Bundle:
        """The bundle in `folder`.

        Args:
            folder: a folder with a bundle.json.
            check: hash every file now. Each file is hashed again when it is read, before anything is made of it.

        Raises:
            BundleError: it is missing, damaged, or not of this schema.
        """
        folder = Path(folder)
        if not (folder / SPEC_FILE).is_file():
            raise BundleError(
                f"{folder}: expected a folder with a {SPEC_FILE}, found none; export one, or check the path"
            )
        text = _read(folder, SPEC_FILE, MAX_SPEC_BYTES)
        try:
            spec = BundleSpec.model_validate_json(text)
        except ValidationError as error:
            raise BundleError(f"{folder / SPEC_FILE}: {first_fault(error)}; export the bundle again") from error
        bundle = cls(folder, spec, hashlib.sha256(text).hexdigest())
        if check:
            for name in spec.hashes():
                bundle.read(name)
        return bundle

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the logits."""
        return self.spec.labels

    @property
    def none(self) -> str:
        """The label that means that nothing is happening."""
        return self.spec.none

    @property
    def model(self) -> str:
        """Name and the first 8 digits of the digest: `figures@1a2b3c4d`."""
        return f"{self.spec.name}@{self.digest[:8]}"

    @cached_property
    def input(self) -> Input:
        """What the model wants to see, with `native` as None and the longest gap counted in."""
        spec = self.spec.input
        rate = None if spec.rate == "native" else float(spec.rate)
        return Input(spec.height, spec.width, spec.fit, rate, self.spec.temporal.max_gap, spec.region)

    def read(self, name: str) -> bytes:
        """The content of the bundle's file `name`, whose hash was right; a graph is one that a bundle may hold.

        Raises:
            BundleError: it is missing, too large, outside the folder, not the file that bundle.json names, or a graph
                with something in it that is refused (stream.graphs).
        """
        expected = self.spec.hashes()[name]
        content = _read(self.folder, name, MAX_FILE_BYTES)
        got = hashlib.sha256(content).hexdigest()
        if got != expected:
            raise BundleError(
                f"{self.folder / name}: expected sha256 {expected[:16]}..., got {got[:16]}...: "
                "the file was changed or damaged; copy or export the bundle again"
            )
        if name in self.spec.graphs():
            read_graph(content, self.folder / name)
        return content

    def golden(self) -> Golden:
        """The golden arrays.

        Raises:
            BundleError: the bundle has none, or they do not fit it.
        """
        if self.spec.golden is None:
            raise BundleError(f"{self.folder}: expected golden files, found none; export the bundle with a golden clip")
        path = self.folder / self.spec.golden.arrays
        return _golden(path, self.read(self.spec.golden.arrays), self)


def write_bundle(folder: Path | str, spec: BundleSpec, files: Mapping[str, bytes]) -> Bundle:
    """The bundle that now is in `folder`: `files` and a bundle.json with their hashes filled in.

    All is written to a folder beside it and renamed: a reader finds the old bundle or the new one, never half of one.
    Where that fails or is interrupted, the old one stays.

    Args:
        folder: where to; a bundle that is there already is replaced, its whole folder with it.
        spec: what to write as bundle.json; its hashes are ignored, but those that a fused graph was made of.
        files: content by name in the bundle; must hold every file that `spec` names, may hold more (CARD.md).

    Raises:
        BundleError: a file is missing or ill named, a fused graph was made of other graphs than these, or `folder`
            holds something that is not a bundle.
    """
    folder = Path(folder)
    missing = sorted(set(spec.hashes()) - set(files))
    if missing:
        raise BundleError(f"{folder}: expected the files that the bundle names, got none for {missing}; add them")
    if folder.exists() and not (folder / SPEC_FILE).is_file() and not _is_empty(folder):
        raise BundleError(
            f"{folder}: expected no such path, an empty folder or a bundle to replace; choose another path"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    fresh, old = work / "new", work / "old"
    try:
        for name, content in {**files, SPEC_FILE: _hashed(spec, files)}.items():
            path = _inside(fresh, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        Bundle.load(fresh)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(work)
    return Bundle.load(folder)


def _hashed(spec: BundleSpec, files: Mapping[str, bytes]) -> bytes:
    """The JSON text of `spec` with the hashes of `files`."""
    sha256 = {name: hashlib.sha256(files[name]).hexdigest() for name in spec.hashes()}
    graphs = {
        part: graph.model_copy(update={"sha256": sha256[graph.file]})
        for part, graph in (("features", spec.features), ("head", spec.head))
    }
    golden = spec.golden and spec.golden.model_copy(
        update={"clip_sha256": sha256[spec.golden.clip], "arrays_sha256": sha256[spec.golden.arrays]}
    )
    geometry = spec.geometry and spec.geometry.model_copy(update={"sha256": sha256[spec.geometry.file]})
    fused = spec.fused and spec.fused.model_copy(update={"sha256": sha256[spec.fused.file]})
    filled = spec.model_copy(update={**graphs, "geometry": geometry, "fused": fused, "golden": golden})
    return (filled.model_dump_json(by_alias=True, indent=2) + "\n").encode()


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _inside(folder: Path, name: str) -> Path:
    """The path of `name`, which lies in `folder` even when links are followed."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BundleError(f"{path}: expected a file inside the bundle, got one outside; copy it into the bundle")
    return path


def _read(folder: Path, name: str, limit: int) -> bytes:
    """The content of a file inside `folder`, of at most `limit` bytes."""
    path = _inside(folder, name)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise BundleError(f"{path}: expected at most {limit} bytes, got {size}; is it the right file?")
            return file.read()
    except OSError as error:
        raise BundleError(
            f"{path}: expected a readable file, got: {error.strerror}; copy or export the bundle again"
        ) from error


def first_fault(error: ValidationError) -> str:
    """The first fault of `error` in one line, its key named, and how many more there are."""
    faults = error.errors(include_url=False)
    fault = faults[0]
    key = ".".join(str(part) for part in fault["loc"])
    got = "" if isinstance(fault["input"], dict) else f", got {fault['input']!r:.100}"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    message = fault["msg"].removeprefix("Value error, ")
    return f"{key}: {message}{got}{more}" if key else f"{message}{more}"


def _golden(path: Path, content: bytes, bundle: Bundle) -> Golden:
    """The arrays of golden.npz, as `bundle` says that they must be."""
    arrays = unpacked(content, path, MAX_GOLDEN_BYTES)
    missing = sorted({"times", "indices", "features", "logits", "labels"} - set(arrays))
    if missing:
        raise BundleError(f"{path}: expected all golden arrays, found no {', '.join(missing)}; export the bundle again")
    labels = tuple(str(label) for label in arrays.pop("labels").ravel())
    if labels != bundle.labels:
        raise BundleError(
            f"{path}: expected the labels {list(bundle.labels)}, got {list(labels)}; export the bundle again"
        )
    counts = {name: len(value) if value.ndim else 0 for name, value in arrays.items()}
    if len(set(counts.values())) > 1 or not 0 < counts["times"] <= MAX_TICKS:
        raise BundleError(f"{path}: expected one row a tick in every array, got {counts}; export the bundle again")
    picture = bundle.input.height, bundle.input.width, 3
    states = {tensor.input: tensor for tensor in (*bundle.spec.features.state, *bundle.spec.head.state)}
    wanted: dict[str, tuple[str, tuple[int, ...] | None]] = {
        "times": ("f", ()),
        "indices": ("iu", ()),
        "images": ("u", picture),
        "features": ("f", None),
        "logits": ("f", (len(labels),)),
        **{f"state_{name}": ("fiu", tensor.shape) for name, tensor in states.items()},
    }
    for name, array in arrays.items():
        kinds, shape = wanted.get(name, ("", None))
        got = array.shape[1:]
        if array.dtype.kind not in kinds or (len(got) != 1 if shape is None else got != shape):
            expected = f"(T, {', '.join(map(str, shape))})" if shape is not None else "(T, D)"
            raise BundleError(
                f"{path}: expected {name} {expected} as bundle.json says, got {array.dtype} {array.shape}; "
                "export the bundle again"
            )
    return Golden(
        times=arrays["times"],
        indices=arrays["indices"],
        images=arrays.get("images"),
        features=arrays["features"],
        states={name: arrays[f"state_{name}"] for name in states if f"state_{name}" in arrays},
        logits=arrays["logits"],
        labels=labels,
    )
