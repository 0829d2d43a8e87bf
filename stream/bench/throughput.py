"""Ticks a second out of memory, through the line's core and through a bare ONNX Runtime loop: the engine's efficiency.

Both run the same sessions on the same pictures in the same batch, in turns of a fraction of a second, so that whatever
else the machine does falls on both alike; the ratio of neighbouring turns is what counts, not milliseconds. Before
anything is timed, both must say the same. Where the line runs a fused graph, the line through the two graphs takes its
turns as well. No threads, no decoding, no PyAV.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.bench.bare import Step, bare_loop
from stream.bench.conditions import OpenBundle
from stream.bundle import Bundle
from stream.contracts import Tick
from stream.decision import scores_of
from stream.errors import ConfigError
from stream.recognizer import Recognizer
from stream.session import CPU

WANTED = {1: 0.95, 16: 0.90}
"""The least efficiency that the project promises, by tracks."""
LIMIT = 1e-5  # between scores of the two
GPU_LIMITS = {"fp32": 1e-4, "fp16": 0.02}
"""The same by precision, where each session chooses its own algorithm for a convolution."""
TURN_S = 0.1
PICTURES = 8  # a track; shown in turn
LEAST_TURNS = 5

Batch: TypeAlias = tuple[NDArray[np.uint8], list[Tick]]
"""The pictures (N, H, W, 3) of all tracks at one time: as the bare loop takes them, and as the line does."""


@dataclass(frozen=True)
class Efficiency:
    """How the line compares with the bare loop.

    Attributes:
        tracks: stepped together, and rows of the batch.
        ticks_per_s, bare_per_s: of the line and of the bare loop; medians over turns.
        efficiency: median over pairs of neighbouring turns of what the line got done in the bare loop's time.
        wanted: the least that the project promises; None where it promises nothing for so many tracks.
        turns: of each.
        apart_per_s: of the line through the two graphs, where it runs the fused one; None elsewhere.
        saved: share of a tick's time that the fused graph saves, median over the same turns; None elsewhere.
    """

    tracks: int
    ticks_per_s: float
    bare_per_s: float
    efficiency: float
    wanted: float | None
    turns: int
    apart_per_s: float | None = None
    saved: float | None = None


def measure(
    opened: OpenBundle,
    *,
    tracks: int,
    seconds: float,
    progress: Callable[[float], None] = lambda _: None,
) -> Efficiency:
    """Returns how near the line comes to the bare loop with `tracks` in one batch.

    Args:
        opened: what is measured.
        tracks: stepped together.
        seconds: to measure, at least; `LEAST_TURNS` are always taken.
        progress: called with the seconds that have gone by.

    Raises:
        ConfigError: the two do not say the same, or the bundle's mode has no bare loop.
        DeviceError: a graph does not run.
    """
    recognizer, bare = opened.recognizer(tracks), bare_loop(opened, tracks)
    batches = _batches(_images(opened.bundle, tracks), 1 / (recognizer.input.rate or 25.0))
    on_cpu, precision = opened.features.providers[0] == CPU, opened.bundle.spec.precision
    limit = LIMIT if on_cpu else GPU_LIMITS.get(precision, LIMIT)
    first = list(itertools.islice(batches, PICTURES))
    _require_agreement(recognizer, bare, first, limit)
    apart = opened.recognizer(tracks, apart=True) if opened.whole else None
    if apart is not None:
        _spent_on_line(apart, first)

    trial = list(itertools.islice(batches, 3))
    calls = max(1, round(TURN_S * len(trial) / _spent_on_line(recognizer, trial)))
    ours: list[float] = []
    others: list[float] = []
    two: list[float] = []
    began = time.monotonic()
    while len(ours) < LEAST_TURNS or time.monotonic() - began < seconds:
        turn = list(itertools.islice(batches, calls))
        ours.append(_spent_on_line(recognizer, turn))
        others.append(_spent_on_bare(bare, turn))
        if apart is not None:
            two.append(_spent_on_line(apart, turn))
        progress(time.monotonic() - began)
    done = calls * tracks
    return Efficiency(
        tracks=tracks,
        ticks_per_s=done / float(np.median(ours)),
        bare_per_s=done / float(np.median(others)),
        efficiency=float(np.median(np.array(others) / np.array(ours))),
        wanted=WANTED.get(tracks),
        turns=len(ours),
        apart_per_s=done / float(np.median(two)) if two else None,
        saved=float(np.median(1 - np.array(ours) / np.array(two))) if two else None,
    )


def _images(bundle: Bundle, tracks: int) -> NDArray[np.uint8]:
    """(PICTURES, tracks, H, W, 3) uint8 noise."""
    shape = (PICTURES, tracks, bundle.input.height, bundle.input.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _batches(images: NDArray[np.uint8], dt: float) -> Iterator[Batch]:
    """The next picture of every track, without end, `dt` media seconds apart: as an array, and as ticks."""
    for number in itertools.count():
        pictures, time_s = images[number % len(images)], number * dt
        ticks = [
            Tick(f"track {track}", number, 0, time_s, 0.0, picture, dt if number else 0.0)
            for track, picture in enumerate(pictures)
        ]
        yield pictures, ticks


def _require_agreement(recognizer: Recognizer, bare: Step, batches: Sequence[Batch], limit: float) -> None:
    """Raises ConfigError where the two do not give the same scores; their first runs are done then, too."""
    temperature = recognizer.bundle.spec.decision.temperature
    for pictures, ticks in batches:
        ours = np.stack([judged.scores for judged in recognizer.step(ticks)])
        apart = float(np.abs(ours - scores_of(bare(pictures), temperature)).max())
        if not apart <= limit:
            raise ConfigError(
                f"{recognizer.model}: expected the scores of the bare loop within {limit:g}, got {apart:g} apart; "
                "run `actionstream verify` on the bundle"
            )


def _spent_on_line(recognizer: Recognizer, batches: Sequence[Batch]) -> float:
    """Seconds that the line takes for `batches`."""
    began = time.perf_counter()
    for _, ticks in batches:
        recognizer.advance(ticks)
    return time.perf_counter() - began


def _spent_on_bare(bare: Step, batches: Sequence[Batch]) -> float:
    """Seconds that the bare loop takes for `batches`."""
    began = time.perf_counter()
    for pictures, _ in batches:
        bare(pictures)
    return time.perf_counter() - began
