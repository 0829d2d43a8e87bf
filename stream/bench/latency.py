"""Where a tick's time goes, stage by stage, in the live line itself: reader thread, engine, graphs, decision, sink.

The line runs as it always does; its source, its recognizer, its graphs and its sink are listened to, so that ordinary
runs carry no timestamps for it. Files are paced by their own times, as a camera would send them: unpaced, a tick's time
from its arrival would be the length of the queue. Or a real camera plays them, over RTSP. Beside it, `measure_steps`:
the same work without the line, one step after the other, as on a machine that is kept busy. Between two ticks a tenth
of a second apart, caches go cold and cores fall asleep.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream.bench.conditions import OpenBundle
from stream.bench.synthetic import SyntheticSource, decoded_pictures
from stream.contracts import Event, FeatureExtractor, Frame, Head, Prediction, Source, State, Status, Tick
from stream.engine import Engine
from stream.errors import ConfigError
from stream.recognizer import Recognizer, Result
from stream.unfitted import ticks

READING = ("demux", "decode")
"""Of the tick's own frame; not of pictures out of memory, and of a camera's only the decoding, its wait for a core
included: demuxing is waiting for the camera."""
LINE = ("geometry", "wait", "features", "head", "decision", "hand-over")
"""`geometry`: sampling too. `wait`: in the queue. `features`: gathering of pictures and states too, and geometry where
that is in a graph. `hand-over`: until a sink's thread has the label."""
WHOLE = "arrival to label"
"""`decode` and all of LINE: for a camera, from the frame's last packet to its label."""
STEP = "step"
"""`geometry`, `features`, `head` and `decision`: what a tick costs once its frame is decoded."""
STAGES = (*READING, *LINE, STEP, WHOLE)


@dataclass(frozen=True)
class Stage:
    """How long one stage took, over all ticks: milliseconds."""

    name: str
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class Reading:
    """What it took to read one frame, seconds.

    Attributes:
        demux: waiting for its packets.
        decode: the decoder, and the wait for it.
        arrived_first: whether `decode` comes after the frame's `arrived`: a file's frames "arrive" decoded, when it is
            their time to be shown.
    """

    demux: float
    decode: float
    arrived_first: bool = False


@dataclass
class _Passing:
    """When one tick passed the points of the line, on the monotonic clock, in order."""

    arrived: float = 0.0
    taken: float = 0.0
    seen: float = 0.0
    judged: float = 0.0
    decided: float = 0.0


@dataclass
class _Notes:
    """What was heard, by index of the tick's frame; each mapping is written by one thread and read at the end.

    Attributes:
        ready: when the reader had handed the tick on.
        passing: what happened to it in the engine's thread.
        told: when a sink had its label.
        current: the tick that the engine is at.
    """

    ready: dict[int, float] = field(default_factory=dict)
    passing: dict[int, _Passing] = field(default_factory=dict)
    told: dict[int, float] = field(default_factory=dict)
    current: _Passing = field(default_factory=_Passing)


def measure(
    opened: OpenBundle,
    clip: Path | None = None,
    *,
    served: bool = False,
    duration: float,
    size: tuple[int, int] = (1280, 720),
    fps: int = 25,
    progress: Callable[[str, float], None] | None = None,
) -> tuple[int, list[Stage]]:
    """Returns how many ticks were measured, and each of STAGES that there was.

    Args:
        opened: what is measured.
        clip: a video file, played at its own speed; None for pictures out of memory, which need no decoder.
        served: a camera of this machine plays it over RTSP, as H.264 of `size` and `fps`.
        duration: seconds after which it ends.
        size: (width, height) of pictures out of memory, or of a camera.
        fps: of them a second.
        progress: called with the camera's name and the media seconds read of it.

    Raises:
        SourceError: the clip cannot be read.
        ConfigError: it is too short for a single tick.
        DeviceError: a graph does not run.
    """
    if clip is None:
        synthetic = SyntheticSource("synthetic", opened.input, decoded_pictures(size), fps=fps)
        return _listen(opened, synthetic, (*LINE, STEP, WHOLE), {}, duration, progress)
    if not served:
        from stream.bench.watched import WatchedFile  # PyAV, which pictures out of memory do without

        file = WatchedFile(clip, opened.input)
        return _listen(opened, file, STAGES, file.spent, duration, progress)
    from stream.bench.camera_process import CameraProcess
    from stream.bench.clips import write_as_camera
    from stream.bench.watched import WatchedCamera

    with tempfile.TemporaryDirectory() as folder:
        played = write_as_camera(Path(folder) / "camera.mp4", clip, seconds=duration, size=size, fps=fps)
        with CameraProcess(played) as server:
            camera = WatchedCamera(server.url, opened.input)
            return _listen(opened, camera, STAGES[1:], camera.spent, duration, progress)


def _listen(
    opened: OpenBundle,
    source: Source,
    names: Sequence[str],
    spent: Mapping[int, Reading],
    duration: float,
    progress: Callable[[str, float], None] | None,
) -> tuple[int, list[Stage]]:
    """Runs the line on `source`; returns the number of ticks and the stages of `names`, the last ones of STAGES."""
    notes = _Notes()
    Engine(
        _WatchedRecognizer(opened, notes),
        [source],
        [_Ear(notes)],
        realtime=True,
        duration=duration,
        on_frame=lambda frame: notes.ready.__setitem__(frame.index, time.monotonic()),
        progress=progress,
    ).run()
    if not notes.told:
        raise ConfigError(f"{source.url}: expected at least one tick to measure, got none; give it more --seconds")
    rows = [_row(notes, index, spent.get(index, Reading(0.0, 0.0))) for index in notes.told]
    return len(rows), _stages(names, np.array(rows)[:, -len(names) :])


def measure_steps(
    opened: OpenBundle, *, size: tuple[int, int], seconds: float, progress: Callable[[float], None] = lambda _: None
) -> tuple[int, list[Stage]]:
    """Returns how many steps were measured, and their geometry (by whom it may be), model with decision, and the whole.

    Args:
        opened: what is measured.
        size: (width, height) of the decoded pictures that a step begins with.
        seconds: to measure.
        progress: called with the seconds that have gone by.

    Raises:
        DeviceError: a graph does not run.
    """
    recognizer, pictures = opened.recognizer(), decoded_pictures(size)
    recognizer.warm_up()
    rate = recognizer.input.rate or 25.0
    frames = (Frame("alone", n, 0, n / rate, 0.0, pictures[n % len(pictures)]) for n in itertools.count())
    sampled = ticks(frames, opened.input)
    rows: list[tuple[float, float, float]] = []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds or not rows:
        begin = time.perf_counter()
        tick = next(sampled)
        if opened.geometry is not None:
            (tick,) = opened.geometry.fitted([tick])
        fitted = time.perf_counter()
        recognizer.advance([tick])
        done = time.perf_counter()
        rows.append((fitted - begin, done - fitted, done - begin))
        progress(passed)
    return len(rows), _stages(("geometry", "model and decision", STEP), np.array(rows))


def _stages(names: Sequence[str], seconds: NDArray[np.float64]) -> list[Stage]:
    """The stages of `names`, out of the seconds (N, stages) that each tick took."""
    quantiles = np.percentile(seconds * 1000, (50, 95, 99, 100), axis=0).T
    return [Stage(name, *map(float, row)) for name, row in zip(names, quantiles, strict=True)]


def _row(notes: _Notes, index: int, reading: Reading) -> list[float]:
    """Seconds that each of STAGES took for the tick of a frame's index."""
    passing = notes.passing[index]
    begun = passing.arrived + (reading.decode if reading.arrived_first else 0.0)
    # The engine may have taken the tick before its reader came to note that it was there.
    ready = min(notes.ready[index], passing.taken)
    engine = (passing.taken, passing.seen, passing.judged, passing.decided)
    line = [after - before for before, after in pairwise((begun, ready, *engine, notes.told[index]))]
    parts = dict(zip(LINE, line, strict=True))
    step = sum(parts[name] for name in ("geometry", "features", "head", "decision"))
    return [reading.demux, reading.decode, *line, step, reading.decode + sum(line)]


class _WatchedRecognizer(Recognizer):
    """A recognizer that notes when it takes a tick and when that is decided."""

    def __init__(self, opened: OpenBundle, notes: _Notes) -> None:
        graphs = _Watch(opened.features, opened.head, notes)
        super().__init__(opened.bundle, graphs, graphs, batch_size=1, geometry=opened.geometry)
        self._notes = notes

    def advance(self, ticks: Sequence[Tick], *, fixed: bool = False) -> list[Result]:
        """As in `Recognizer`."""
        (tick,) = ticks
        passing = self._notes.current = self._notes.passing[tick.index] = _Passing(tick.arrived, time.monotonic())
        results = super().advance(ticks, fixed=fixed)
        passing.decided = time.monotonic()
        return results


class _Watch:
    """Both graphs, with the times at which a tick's features were there and were judged."""

    def __init__(self, features: FeatureExtractor, head: Head, notes: _Notes) -> None:
        self._features, self._head, self._notes = features, head, notes

    def extract(self, images: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """As in `FeatureExtractor`."""
        result = self._features.extract(images, state)
        self._notes.current.seen = time.monotonic()
        return result

    def step(self, features: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """As in `Head`; of the steps of a window, the last one's end counts."""
        result = self._head.step(features, state)
        self._notes.current.judged = time.monotonic()
        return result


class _Ear:
    """A sink that notes when it was told a label."""

    def __init__(self, notes: _Notes) -> None:
        self._notes = notes

    def prediction(self, prediction: Prediction) -> None:
        """Notes it."""
        self._notes.told[prediction.index] = time.monotonic()

    def event(self, event: Event) -> None:
        """Not looked at."""

    def status(self, status: Status) -> None:
        """Not looked at."""

    def close(self) -> None:
        """Nothing is held."""
