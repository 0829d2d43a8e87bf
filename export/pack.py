"""A trained run to a bundle on disk: graphs, golden files and card, put together and written at once."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from export.card import card
from export.clip import golden_arrays, golden_clip
from export.convert import FEATURES, HEAD, OPSET, convert
from export.fuse import with_fused
from export.geometry import geometry_graph
from export.golden import slots, trace_keras
from export.trace import read_ticks
from stream.bundle import (
    Bundle,
    BundleSpec,
    Decision,
    GeometrySpec,
    GoldenSpec,
    GraphSpec,
    InputSpec,
    Temporal,
    write_bundle,
)
from stream.contracts import Mode
from stream.errors import ConfigError
from stream.schema import PERSON
from train.runs import Run

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def pack(
    run: Run,
    out: Path,
    *,
    clip: Path | None,
    name: str | None = None,
    mode: Mode | None = None,
    window: int | None = None,
    text: str | None = None,
    person: int | None = None,
    embed_geometry: bool = False,
    fuse: bool = False,
    max_batch: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Bundle:
    """Returns the bundle written to `out`.

    Args:
        run: what was trained.
        out: folder; a bundle that is there is replaced.
        clip: whose first 2 s become the golden clip; None makes a bundle without golden files.
        name: of the bundle; that of the folder if None.
        mode: how the past is carried; the run's if None.
        window: T ticks for modes `window` and `staggered`; the run's if None.
        text: of the card.
        person: lines of the network's picture that the smallest person fills whom it learned from; None if unknown.
        embed_geometry: with a graph that brings decoded pictures to the network's size.
        fuse: with both graphs as one besides.
        max_batch: rows that a run of its graphs may have at most; no limit if None.
        advance: called after each of its three steps: graphs, golden files, all written.

    Raises:
        ConfigError: a name, mode or window that cannot be, a clip that does not get small enough, a run on features
            from files, or a fused graph that was asked for of a network that does not carry its state.
        BundleError: the network does not become the graphs that a bundle may hold, or `out` is in use.
        SourceError: the clip cannot be read.
    """
    name = name or out.resolve().name
    if not NAME.fullmatch(name):
        raise ConfigError(f"name {name!r}: expected letters, digits, dots, dashes, at most 64; choose one with --name")
    if run.network.features.inputs[0].dtype != "uint8":
        raise ConfigError(
            f"run {run.folder.name} takes features from files: expected a network that computes them from pictures, as "
            "a bundle must; train the recipe on videos with --backbone"
        )
    temporal = _temporal(run, mode, window)
    graphs = convert(run.network)
    advance()
    files = {"features.onnx": graphs.features, "head.onnx": graphs.head}
    if embed_geometry:
        files["geometry.onnx"] = geometry_graph(OPSET)
    if clip is not None:
        files |= _golden(run, temporal, clip)
    advance()
    seen = run.input
    spec = BundleSpec(
        name=name,
        labels=run.labels,
        none=run.none,
        input=InputSpec(
            height=seen.height, width=seen.width, fit=seen.fit, rate=seen.rate or "native", region=seen.region
        ),
        features=GraphSpec(
            file="features.onnx", input=FEATURES[0], output=FEATURES[1], state=slots(run.network.features_state)
        ),
        head=GraphSpec(file="head.onnx", input=HEAD[0], output=HEAD[1], state=slots(run.network.head_state)),
        temporal=temporal,
        decision=Decision.model_validate(run.decision),
        max_batch=max_batch,
        geometry=GeometrySpec() if embed_geometry else None,
        golden=None if clip is None else GoldenSpec(),
        provenance={
            **run.provenance,
            **({} if person is None else {PERSON: person}),
            "export": {"opset": OPSET, "tf2onnx": version("tf2onnx")},
        },
    )
    files["CARD.md"] = card(spec, text).encode()
    if fuse:
        spec, files = with_fused(spec, files, out)
    bundle = write_bundle(out, spec, files)
    advance()
    return bundle


def _temporal(run: Run, mode: Mode | None, window: int | None) -> Temporal:
    """The run's, with what the caller changes.

    Raises:
        ConfigError: a window without a length, or over features that keep state; replicas that get no tick of it.
    """
    trained = run.temporal
    mode = mode or trained["mode"]
    window = None if mode == "carry" else window or trained["window"]
    if mode != "carry" and window is None:
        raise ConfigError(f"mode {mode}: expected its length in ticks, got none; give --window T")
    if mode == "window" and run.network.features_state:
        raise ConfigError("mode window: this network's features keep state, expected carry or staggered")
    replicas = Temporal.model_fields["replicas"].default
    if mode == "staggered" and window is not None and window < replicas:
        raise ConfigError(f"mode staggered: expected a window of {replicas} ticks or more, got {window}; give more")
    return Temporal(mode=mode, window=window, warmup=trained["warmup"], max_gap=run.input.max_gap)


def _golden(run: Run, temporal: Temporal, clip: Path) -> dict[str, bytes]:
    """The golden files. Keras sees the clip as it will lie in the bundle: encoded again, and read by stream."""
    content = golden_clip(clip, run.input)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        path.write_bytes(content)
        ticks = read_ticks(path, run.input)
    golden = trace_keras(run.network, temporal, ticks, run.labels)
    return {"golden/clip.mp4": content, "golden/golden.npz": golden_arrays(golden)}
