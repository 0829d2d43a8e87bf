"""Proof that a bundle computes what Keras computed: other paths, held against it tick by tick. Nothing is printed.

    reference    Keras on the run's weights, or the golden arrays that Keras computed when the bundle was made
    onnx         the two graphs, one tick after the other (export.trace)
    batch        the same, in a full batch whose other rows are other pictures and states
    engine       the clip through the live line: reader thread, sampler, geometry, engine, recognizer
    rtsp         a camera through the live line; where it plays the very clip, held against the same reference, else
                 against what the reference makes of the pictures that the camera showed

Times, frame indices, pictures and label order must be equal; numbers must be close:
max|a - b| / max(1, max|a|) <= 1e-4, a being the reference. Below fp32 the bundle says how far from Keras it may be
(`closeness` in bundle.json, measured when it was made). Only a run needs TensorFlow, so only then is it imported.

A bundle with a fused graph has that held against the reference as well (paths fused and fused batch), and, within the
limit whatever its precision, against the two graphs that it was made of.

A bundle with a geometry graph has its engine run once more with that: its pictures are held against those of
stream.geometry, in grey levels, and its scores against the scores without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from export.listen import Crowded, told_by_whole, trace_camera, trace_engine
from export.trace import read_ticks, trace, trace_whole
from stream.bundle import Bundle, Golden
from stream.contracts import Prediction, Tick
from stream.decision import scores_of
from stream.embedded import EmbeddedGeometry
from stream.errors import BundleError
from stream.inference import OnnxFeatures, OnnxHead, OnnxWhole

if TYPE_CHECKING:
    from train.runs import Run

LIMIT = 1e-4
EMBEDDED_LEVELS, EMBEDDED_SCORE = 2.0, 0.02
"""How far the geometry graph may move a pixel, in grey levels, and a score."""

ROWS = 4
"""Of a full batch on the CPU, where the bundle promises none."""
Path_ = Literal["onnx", "batch", "engine", "fused", "fused batch", "rtsp"]

_SUSPECTS = {
    "labels": "the order of the labels",
    "times": "the sampling: the rate, or the tick that a frame is given to",
    "indices": "the sampling: the rate, or the tick that a frame is given to",
    "images": "the geometry: the fit, the size, or the order of the colours",
    "features": "the features graph: its normalisation, the order of its channels, or its weights",
    "logits": "the head graph: the order of its classes, or its weights",
    "scores": "the temperature",
    "fused": "the fused graph, which is not these two",
    "embedded images": "the geometry graph",
    "embedded scores": "the geometry graph",
}
"""What is at fault, where a quantity is the first to differ; in the order of a picture's way to its scores."""
_STATES = "the graph that makes this state: its gates, its weights, or a state that is not handed on"


@dataclass(frozen=True)
class Check:
    """One quantity of one path, against the reference.

    Attributes:
        path: which path.
        name: features, logits, a state's input name, scores, images, times, indices or labels; with the geometry graph
            in place of stream.geometry, `embedded images` and `embedded scores`; `fused`: of features, states and
            logits, what of the fused graph is farthest from the two graphs.
        closeness: max|a - b| / max(1, max|a|), but max|a - b| of what must be equal and of the embedded ones; infinite
            where shapes differ.
        limit: the most that is allowed; 0 where values must be equal.
        first: the first tick that is over the limit, from 0; None where none is.
    """

    path: Path_
    name: str
    closeness: float
    limit: float
    first: int | None

    @property
    def passed(self) -> bool:
        """Whether the quantity is as the reference has it."""
        return self.closeness <= self.limit


@dataclass(frozen=True)
class Report:
    """What a bundle was held against, and how near it came.

    Attributes:
        model: the bundle's name and digest.
        reference: `Keras`, `golden arrays` or `ONNX step by step`.
        clip: the name of the clip's file.
        ticks: how many of it.
        checks: of all paths.
        camera: what the camera of path rtsp showed: `the clip`, or `its own pictures`; None without one.
    """

    model: str
    reference: str
    clip: str
    ticks: int
    checks: tuple[Check, ...]
    camera: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def require(self) -> None:
        """Raises BundleError, naming what differs first on a picture's way to its scores, unless every check passed."""
        failed = sorted((check for check in self.checks if not check.passed), key=_stage)
        if not failed:
            return
        cause = failed[0]
        allowed = f"at most {cause.limit:g}" if cause.limit else "equal values"
        raise BundleError(
            f"{self.model} differs from {self.reference} in {len(failed)} of {len(self.checks)} checks: first "
            f"{cause.name} ({cause.path}) from tick {cause.first} on, by {cause.closeness:.2g}, expected {allowed}; "
            f"look at {_SUSPECTS.get(cause.name, _STATES)}, or export the run again"
        )


def verify(
    bundle: Bundle,
    *,
    run: Run | None = None,
    video: Path | None = None,
    device: str = "cpu",
    rows: int | None = None,
    rtsp: str | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Report:
    """Returns how near the bundle's graphs and the live engine come to Keras.

    Args:
        bundle: what is to be proven.
        run: the trained run that it was exported from: Keras then computes the reference anew.
        video: a clip to use in place of the golden one. Without a run the graphs themselves, step by step, are then
            the reference for the engine.
        device: where the graphs run.
        rows: of a full batch; as many as the bundle promises, or else `ROWS`, if None.
        rtsp: address of a camera, judged live for as many ticks as the clip has.
        advance: called after each of its four steps: ticks read, Keras, graphs, engine.

    Raises:
        BundleError: the bundle has no golden files where they are needed, or they are damaged.
        SourceError: the clip cannot be read.
        DeviceError: the graphs cannot run on the device.
    """
    clip, rows = video or _golden_clip(bundle), rows or bundle.spec.max_batch or ROWS
    features, head = OnnxFeatures(bundle, device), OnnxHead(bundle, device)
    ticks = read_ticks(clip, bundle.input)
    advance()

    reference: Golden | None = None
    name = "ONNX step by step"
    if run is not None:
        if run.input != bundle.input:
            raise BundleError(f"{bundle.folder}: expected the input of the run, {run.input}, got {bundle.input}")
        from export.golden import trace_keras

        name = "Keras"
        reference = trace_keras(run.network, bundle.spec.temporal, ticks, run.labels)
    elif video is None:
        name = "golden arrays"
        reference = bundle.golden()
        ticks = _golden_ticks(reference, ticks)
    advance()

    states = bundle.spec.features.state, bundle.spec.head.state
    steps = trace(features, head, states, bundle.spec.temporal, ticks, bundle.labels)
    crowd = Crowded(features, rows), Crowded(head, rows)
    among = trace(*crowd, states, bundle.spec.temporal, ticks, bundle.labels)
    advance()
    live, predictions = trace_engine(bundle, features, head, clip)
    advance()
    allowed = {} if reference is None else bundle.spec.closeness
    checks = [] if reference is None else list(_compare("onnx", reference, steps, allowed))
    wanted = reference or steps
    checks += _compare("engine", wanted, live, allowed)
    checks.append(_scores(bundle, "engine", wanted, predictions, allowed))
    checks += _compare("batch", wanted, among, allowed)
    if bundle.spec.fused is not None:
        checks += _fused(bundle, device, rows, clip, ticks, (wanted, steps, among), allowed)
    if bundle.spec.geometry is not None:
        geometry = EmbeddedGeometry(bundle, device, features.threads)
        checks += _compare_embedded((live, predictions), trace_engine(bundle, features, head, clip, geometry))
    shown = None
    if rtsp is not None:
        seen, told, theirs = trace_camera(bundle, features, head, rtsp, len(wanted.times))
        shown = "the clip" if _is_start_of(wanted, seen) else "its own pictures"
        if shown == "the clip":
            basis = _first(wanted, len(theirs))
        elif run is not None:
            basis = trace_keras(run.network, bundle.spec.temporal, theirs, run.labels)
        else:
            basis, allowed = trace(features, head, states, bundle.spec.temporal, theirs, bundle.labels), {}
        checks += _compare("rtsp", basis, seen, allowed)
        checks.append(_scores(bundle, "rtsp", basis, told, allowed))
    return Report(bundle.model, name, clip.name, len(wanted.times), tuple(checks), shown)


def _fused(
    bundle: Bundle,
    device: str,
    rows: int,
    clip: Path,
    ticks: Sequence[Tick],
    known: tuple[Golden, Golden, Golden],
    allowed: Mapping[str, float],
) -> Iterator[Check]:
    """The fused graph, alone and in a full batch of `rows`, against what is `known` of the ticks.

    That is the reference, the two graphs step by step, and these in a full batch.
    """
    wanted, steps, among = known
    whole, states = OnnxWhole(bundle, device), bundle.spec.whole.state
    alone, full = (
        trace_whole(run, whole.features, states, ticks, bundle.labels) for run in (whole.step, Crowded(whole, rows))
    )
    yield from _compare("fused", wanted, alone, allowed)
    yield _scores(bundle, "fused", wanted, told_by_whole(bundle, whole, clip), allowed)
    yield from _compare("fused batch", wanted, full, allowed)
    paths: tuple[tuple[Path_, Golden, Golden], ...] = (("fused", steps, alone), ("fused batch", among, full))
    for path, two, one in paths:
        apart = list(_compare(path, two, one, {}))
        first = min((each.first for each in apart if each.first is not None), default=None)
        yield Check(path, "fused", max(each.closeness for each in apart), LIMIT, first)


def _scores(
    bundle: Bundle, path: Path_, wanted: Golden, told: Sequence[Prediction], allowed: Mapping[str, float]
) -> Check:
    """The scores that were `told`, against those of the logits that are `wanted`."""
    scores = scores_of(wanted.logits, bundle.spec.decision.temperature)
    return check(path, "scores", scores, np.stack([each.scores for each in told]), allowed.get("scores", LIMIT))


def _is_start_of(whole: Golden, part: Golden) -> bool:
    """Whether the pictures of `part` are the first ones of `whole`, in one session."""
    if whole.images is None or part.images is None or len(part.images) > len(whole.images):
        return False
    return bool(np.array_equal(whole.images[: len(part.images)], part.images))


def _first(golden: Golden, count: int) -> Golden:
    """The first `count` ticks of it."""
    return replace(
        golden,
        times=golden.times[:count],
        indices=golden.indices[:count],
        images=None if golden.images is None else golden.images[:count],
        features=golden.features[:count],
        states={name: value[:count] for name, value in golden.states.items()},
        logits=golden.logits[:count],
    )


def check(
    path: Path_, name: str, wanted: NDArray[Any], got: NDArray[Any], limit: float, *, scaled: bool = True
) -> Check:
    """How near `got` (T, ...) comes to `wanted` (T, ...), by their scale if asked; the first tick where it does not."""
    if wanted.shape[1:] != got.shape[1:]:
        return Check(path, name, math.inf, limit, 0)
    shared = min(len(wanted), len(got))
    # Equal is asked of times and indices: no scale there, one tick off must not drown in large numbers.
    scale = max(1.0, float(np.abs(wanted).max())) if limit and scaled else 1.0
    apart = np.abs(wanted[:shared].astype(np.float64) - got[:shared]).reshape(shared, -1).max(axis=1) / scale
    apart = np.where(np.isnan(apart), math.inf, apart)
    over = np.flatnonzero(apart > limit)
    first = int(over[0]) if len(over) else None
    closeness = float(apart.max())
    if len(wanted) != len(got):
        return Check(path, name, math.inf, limit, shared if first is None else first)
    return Check(path, name, closeness, limit, first)


def _stage(check: Check) -> int:
    """How far along a picture's way to its scores a check stands; states come between features and logits."""
    names = [*_SUSPECTS]
    return 2 * names.index(check.name) if check.name in names else 2 * names.index("logits") - 1


def _compare(path: Path_, wanted: Golden, got: Golden, allowed: Mapping[str, float]) -> Iterator[Check]:
    """Every quantity that both have; what is `allowed` counts in place of the limit of all others."""
    if path in ("onnx", "engine"):
        same = wanted.labels == got.labels
        yield Check(path, "labels", 0.0 if same else math.inf, 0.0, None if same else 0)
    if path == "engine":  # the graphs were fed with the reference's own pictures
        yield check(path, "times", wanted.times, got.times, 0.0)
        yield check(path, "indices", wanted.indices, got.indices, 0.0)
        if wanted.images is not None and got.images is not None:
            yield check(path, "images", wanted.images, got.images, 0.0)
    yield check(path, "features", wanted.features, got.features, allowed.get("features", LIMIT))
    for name in dict.fromkeys([*wanted.states, *got.states]):  # in the graphs' order: a cause before what it causes
        nothing = np.zeros((0, 0))
        limit = allowed.get(name, LIMIT)
        yield check(path, name, wanted.states.get(name, nothing), got.states.get(name, nothing), limit)
    yield check(path, "logits", wanted.logits, got.logits, allowed.get("logits", LIMIT))


def _compare_embedded(
    fitted: tuple[Golden, Sequence[Prediction]], embedded: tuple[Golden, Sequence[Prediction]]
) -> Iterator[Check]:
    """What the engine saw and told with the geometry graph, against what it did with stream.geometry."""
    (wanted, told), (got, told_then) = fitted, embedded
    if wanted.images is not None and got.images is not None:
        yield check("engine", "embedded images", wanted.images, got.images, EMBEDDED_LEVELS, scaled=False)
    scores, then = (np.stack([each.scores for each in predictions]) for predictions in (told, told_then))
    yield check("engine", "embedded scores", scores, then, EMBEDDED_SCORE, scaled=False)


def _golden_clip(bundle: Bundle) -> Path:
    if bundle.spec.golden is None:
        raise BundleError(
            f"{bundle.folder}: expected golden files, found none; give --run and --video, or export it again"
        )
    bundle.read(bundle.spec.golden.clip)  # its hash
    return bundle.folder / bundle.spec.golden.clip


def _golden_ticks(golden: Golden, read: list[Tick]) -> list[Tick]:
    """The ticks that Keras saw; those `read` from the clip where the bundle keeps no pictures."""
    if golden.images is None:
        return read
    first = read[0]
    return [
        replace(first, index=int(index), time=float(time), image=image, dt=0.0)
        for index, time, image in zip(golden.indices, golden.times, golden.images, strict=True)
    ]
