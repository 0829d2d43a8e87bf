"""How old a picture is when its label is told: from the moment at which a camera sent it, on one clock.

A camera in a process of its own (`age_camera`) plays pictures with a counter drawn into them and writes down when it
sent each. The live line runs here as it always does; the counter that is read out of a decoded frame says which
picture its label belongs to.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TypeVar

from stream.bench.age_camera import read_counter, write_counted
from stream.contracts import Event, Frame, Prediction
from stream.engine import Engine
from stream.errors import SourceError
from stream.latency import LatencyHistogram
from stream.recognizer import Recognizer
from stream.sources import open_source

Number = TypeVar("Number", int, float)

KEPT = 512  # pictures that are remembered: far more than can be under way
WAITING = 10  # labels that are told before they are matched: about a second's
LOOP_S = 20.0  # seconds of pictures, played again and again


@dataclass(frozen=True)
class Ages:
    """What was measured.

    Attributes:
        labels: that were told, after the first second.
        unmatched: labels whose picture's counter could not be read, or was never sent.
        p50_ms, p95_ms, max_ms: ages.
        slope_ms: growth of the age a minute, and its standard error; (0, None) of fewer than three labels.
        dropped: ticks that were pushed out by newer ones.
        seconds: how long it was measured.
    """

    labels: int
    unmatched: int
    p50_ms: float
    p95_ms: float
    max_ms: float
    slope_ms: tuple[float, float | None]
    dropped: int
    seconds: float


def measure_age(
    recognizer: Recognizer,
    *,
    seconds: float,
    size: tuple[int, int] = (640, 360),
    fps: int = 25,
    progress: Callable[[float], None] = lambda _: None,
) -> Ages:
    """Returns the ages of the labels of `recognizer` over `seconds`.

    Args:
        recognizer: as it would be used.
        seconds: to measure; memory does not grow with it.
        size: (width, height) of the camera's pictures.
        fps: of the camera.
        progress: called with the seconds that have gone by.

    Raises:
        SourceError: the camera did not come up.
    """
    with tempfile.TemporaryDirectory() as folder:
        clip = write_counted(Path(folder) / "counted.mp4", seconds=LOOP_S, size=size, fps=fps)
        command = [sys.executable, "-m", "stream.bench.age_camera", str(clip)]
        listener: Thread | None = None
        camera = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert camera.stdout is not None
            url = camera.stdout.readline().strip()
            if not url:
                raise SourceError("the camera that is measured with did not start; run the command with --debug")
            meter = _Meter(progress)
            listener = Thread(target=meter.listen, args=(camera.stdout,), name="sent", daemon=True)
            listener.start()
            engine = Engine(
                recognizer,
                [open_source(url, recognizer.input)],
                duration=seconds,
                on_frame=meter.saw,
                on_prediction=meter.told,
            )
            summary = engine.run()
        finally:
            camera.kill()
            if listener is not None:
                listener.join()  # before its file is closed
            camera.communicate()
    return meter.ages(dropped=sum(each.dropped for each in summary.cameras.values()))


class _Meter:
    """Matches what was sent, what was seen and what was told; each is called by a thread of its own.

    A label may be told before its frame is seen here, for a reader hands a tick on before it shows the frame. So labels
    wait for some more before they are matched: were those left out, the quickest would be missing.
    """

    def __init__(self, progress: Callable[[float], None]) -> None:
        self._progress = progress
        self._sent: dict[int, float] = {}
        self._seen: dict[int, int] = {}
        self._told: deque[tuple[int, float]] = deque()  # frame's index, and when
        self._ages = LatencyHistogram()
        self._unmatched = 0
        self._began = 0.0
        self._line = _Line()

    def listen(self, lines: Iterable[str]) -> None:
        """Takes the camera's lines: counter and `time.monotonic()` at which that picture was sent."""
        for line in lines:
            counter, at = line.split()
            _remember(self._sent, int(counter), float(at))

    def saw(self, frame: Frame) -> None:
        """Takes a decoded frame."""
        counter = read_counter(frame.picture.planes[0])
        if counter is not None:
            _remember(self._seen, frame.index, counter)

    def told(self, prediction: Prediction, _: tuple[Event, ...]) -> None:
        """Takes a label, just told."""
        now = time.monotonic()
        self._began = self._began or now
        elapsed = now - self._began
        self._progress(elapsed)
        if elapsed >= 1:  # the line is warm
            self._told.append((prediction.index, now))
        if len(self._told) > WAITING:
            self._match()

    def _match(self) -> None:
        """Counts the oldest label that waits."""
        index, at = self._told.popleft()
        sent = self._sent.get(self._seen.get(index, -1))
        if sent is None:
            self._unmatched += 1
            return
        age_ms = (at - sent) * 1000
        self._ages.add(age_ms)
        self._line.add((at - self._began) / 60, age_ms)

    def ages(self, *, dropped: int) -> Ages:
        """What came of it, once all is over."""
        while self._told:
            self._match()
        p50, p95 = (self._ages.quantile(share) for share in (0.5, 0.95))
        return Ages(
            labels=len(self._ages) + self._unmatched,
            unmatched=self._unmatched,
            p50_ms=p50,
            p95_ms=p95,
            max_ms=self._ages.max_ms,
            slope_ms=self._line.slope(),
            dropped=dropped,
            seconds=self._line.last * 60,
        )


class _Line:
    """A line through points by least squares, from running sums."""

    def __init__(self) -> None:
        self.last = 0.0
        self._n = 0
        self._mean_x = self._mean_y = self._xx = self._xy = self._yy = 0.0

    def add(self, x: float, y: float) -> None:
        """Counts a point; `x` rises."""
        self.last = x
        self._n += 1
        dx, dy = x - self._mean_x, y - self._mean_y
        self._mean_x += dx / self._n
        self._mean_y += dy / self._n
        self._xx += dx * (x - self._mean_x)
        self._xy += dx * (y - self._mean_y)
        self._yy += dy * (y - self._mean_y)

    def slope(self) -> tuple[float, float | None]:
        """Slope and its standard error; (0, None) below three points."""
        if self._n < 3 or self._xx == 0:
            return 0.0, None
        slope = self._xy / self._xx
        residual = max(0.0, self._yy - slope * self._xy)
        return slope, math.sqrt(residual / (self._n - 2) / self._xx)


def _remember(known: dict[int, Number], key: int, value: Number) -> None:
    """Keeps the newest KEPT entries."""
    known.pop(key, None)
    known[key] = value
    if len(known) > KEPT:
        del known[next(iter(known))]
