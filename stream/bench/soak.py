"""Whether anything grows over hours: memory, open files, threads, the state, the latency, the age of the pictures.

The line runs as it always does and is looked at every few seconds; each look is a line of JSON, written at once, so
that a run that is killed leaves what it saw. A line through the looks says how fast something grows, and how sure that
is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from stream.bench import process
from stream.bench.age_meter import AgeMeter
from stream.bench.conditions import OpenBundle
from stream.bench.trend import Trend
from stream.contracts import Event, Frame, Head, Prediction, Source, State
from stream.engine import Engine
from stream.errors import ConfigError
from stream.latency import LatencyHistogram
from stream.recognizer import Recognizer

WARM_SHARE = 0.1
"""Of the looks: the first ones, in which caches fill, and through which no line is drawn."""
HOUR_S = 3600.0


@dataclass(frozen=True)
class Look:
    """What was seen at one time; None where the system does not tell, or nothing was told since the look before.

    Attributes:
        t: seconds since the first label.
        rss_bytes: memory in RAM.
        open_files, threads: of the process.
        state_norm: largest Euclidean norm of a row of the head's newest state.
        latency_p50_ms, latency_p95_ms: from a frame's arrival to its label, since the look before.
        age_p50_ms, age_p95_ms: from a picture's sending to its label, since the look before; None without RTSP.
        labels: told since the look before.
    """

    t: float
    rss_bytes: int | None
    open_files: int | None
    threads: int | None
    state_norm: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    age_p50_ms: float | None
    age_p95_ms: float | None
    labels: int


QUANTITIES = tuple(field.name for field in fields(Look) if field.name not in ("t", "labels"))
"""What may grow."""


@dataclass(frozen=True)
class Growth:
    """How one quantity went.

    Attributes:
        name: one of QUANTITIES.
        first, last, highest: of the looks that count.
        per_hour: slope of the line through them.
        error: its standard error; None of fewer than three.
        offset: of that line, at the first label.
    """

    name: str
    first: float
    last: float
    highest: float
    per_hour: float
    error: float | None
    offset: float


def run(
    opened: OpenBundle,
    sources: Sequence[Source],
    out: Path,
    *,
    seconds: float,
    every: float,
    batch_sizes: Sequence[int] = (1,),
    meter: AgeMeter | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> list[Look]:
    """Returns what was seen of a run over `sources`; each look is in `out` as soon as it was taken.

    Args:
        opened: what is measured.
        sources: live.
        out: a file of JSON lines, written anew.
        seconds: how long.
        every: seconds between two looks.
        batch_sizes: rows of a step.
        meter: is told when the first source's pictures are sent, and knows their ages; None where nobody tells.
        progress: called with the seconds that have gone by.

    Raises:
        SourceError: not one source gave a frame.
        DeviceError: a graph does not run.
    """
    watched = _WatchedHead(opened.head)
    with out.open("w", encoding="utf-8") as file:
        watcher = _Watcher(watched, every, file, progress)
        counted = sources[0].camera
        if meter is not None:
            meter.aged = watcher.age.add

        def saw(frame: Frame) -> None:
            if meter is not None and frame.camera == counted:
                meter.saw(frame)

        def told(prediction: Prediction, events: tuple[Event, ...]) -> None:
            if meter is not None and prediction.camera == counted:
                meter.told(prediction, events)
            watcher.told(prediction)

        recognizer = Recognizer(opened.bundle, opened.features, watched, batch_size=batch_sizes)
        Engine(recognizer, sources, duration=seconds, on_frame=saw, on_prediction=told).run()
    return watcher.looks


def read(path: Path) -> list[Look]:
    """The looks of an earlier run, of one that was killed too; a line that was being written then is passed over.

    Raises:
        ConfigError: they are not looks.
    """
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    try:
        return [Look(**json.loads(line)) for line in lines if line.endswith("\n")]
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: expected the lines of a soak, got: {error}; name its --out file") from None


def growth(looks: Sequence[Look]) -> list[Growth]:
    """How each of QUANTITIES that was known went; the first looks, while caches fill, are left out."""
    kept = looks[int(len(looks) * WARM_SHARE) :]
    return [found for name in QUANTITIES if (found := _growth(name, kept)) is not None]


def _growth(name: str, looks: Iterable[Look]) -> Growth | None:
    points = [(look.t / HOUR_S, float(getattr(look, name))) for look in looks if getattr(look, name) is not None]
    if not points:
        return None
    trend = Trend()
    for point in points:
        trend.add(*point)
    values = [value for _, value in points]
    return Growth(name, values[0], values[-1], max(values), *trend.slope(), trend.offset())


class _WatchedHead:
    """A head that remembers the newest state."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._newest: State = {}

    def step(self, features: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """As in `Head`."""
        logits, self._newest = self._head.step(features, state)
        return logits, self._newest

    def state_norm(self) -> float | None:
        """Largest Euclidean norm of a row of the newest state, all its arrays together; None without state."""
        if not self._newest:
            return None
        rows = [np.square(value.astype(np.float64)).reshape(len(value), -1).sum(1) for value in self._newest.values()]
        return float(np.sqrt(np.sum(rows, axis=0)).max())


class _Watcher:
    """Looks, every now and then, in the engine's thread."""

    def __init__(self, head: _WatchedHead, every: float, file: TextIO, progress: Callable[[float], None]) -> None:
        self.looks: list[Look] = []
        self.latency, self.age = LatencyHistogram(), LatencyHistogram()
        self._head, self._every, self._file, self._progress = head, every, file, progress
        self._began = self._next = 0.0

    def told(self, prediction: Prediction) -> None:
        """Takes a label, just told."""
        now = time.monotonic()
        if not self._began:
            self._began, self._next = now, now + self._every
        self._progress(now - self._began)
        self.latency.add(prediction.latency_ms or 0.0)
        if now >= self._next:
            self._next += self._every
            self._look(now - self._began)

    def _look(self, t: float) -> None:
        latency, age = _quantiles(self.latency), _quantiles(self.age)
        look = Look(
            t=round(t, 3),
            rss_bytes=process.rss_bytes(),
            open_files=process.open_files(),
            threads=process.threads(),
            state_norm=self._head.state_norm(),
            latency_p50_ms=latency[0],
            latency_p95_ms=latency[1],
            age_p50_ms=age[0],
            age_p95_ms=age[1],
            labels=len(self.latency),
        )
        self.latency.clear()
        self.age.clear()
        self.looks.append(look)
        self._file.write(json.dumps(asdict(look)) + "\n")
        self._file.flush()


def _quantiles(histogram: LatencyHistogram) -> tuple[float | None, float | None]:
    """Median and 95th percentile; None of nothing."""
    if not len(histogram):
        return None, None
    return histogram.quantile(0.5), histogram.quantile(0.95)
