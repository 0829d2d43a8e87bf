"""Matches labels with the pictures that a camera sent, by a number drawn into each: how old was it when it was told?

Pure but for the clock that a label is told by; no PyAV.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stream.bench.trend import Trend
from stream.contracts import Event, Frame, Prediction
from stream.latency import LatencyHistogram

Number = TypeVar("Number", int, float)

BITS, CELL = 16, 16  # the counter's bits, from the left in the lowest rows, and a bit's edge in pixels
WHITE = 235
KEPT = 512  # pictures that are remembered: far more than can be under way
WAITING = 10  # labels that are told before they are matched: about a second's


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


def draw_counter(picture: NDArray[np.uint8], number: int) -> None:
    """Draws a number into `picture` (h, w, 3), so large that it survives an encoder."""
    bits = (number >> np.arange(BITS)) & 1
    picture[-CELL:, : BITS * CELL] = np.repeat(bits, CELL)[None, :, None] * WHITE


def read_counter(luma: NDArray[np.uint8]) -> int | None:
    """The number drawn into a picture (h, w) of luma; None where a bit is neither black nor white."""
    rows = luma[-CELL + 4 : -4, : BITS * CELL].reshape(CELL - 8, BITS, CELL)
    cells = rows[:, :, 4:-4].mean(axis=(0, 2))
    if ((cells > 80) & (cells < 170)).any():
        return None
    return int((cells > 128) @ (1 << np.arange(BITS)))


class AgeMeter:
    """Matches what was sent, what was seen and what was told; each is called by a thread of its own.

    A label may be told before its frame is seen here, for a reader hands a tick on before it shows the frame. So labels
    wait for some more before they are matched: were those left out, the quickest would be missing.
    """

    def __init__(
        self,
        *,
        progress: Callable[[float], None] = lambda _: None,
        aged: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Makes a meter that has seen nothing.

        Args:
            progress: called with the seconds since the first label.
            aged: called with the age of each matched label, in milliseconds.
        """
        self.aged = aged
        self._progress = progress
        self._sent: dict[int, float] = {}
        self._seen: dict[int, int] = {}
        self._told: deque[tuple[int, float]] = deque()  # frame's index, and when
        self._ages = LatencyHistogram()
        self._unmatched = 0
        self._began = 0.0
        self._line = Trend()

    def sent(self, counter: int, at: float) -> None:
        """Takes a picture's counter and the time on the monotonic clock at which it left the camera."""
        _remember(self._sent, counter, at)

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
        self.aged(age_ms)
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


def _remember(known: dict[int, Number], key: int, value: Number) -> None:
    """Keeps the newest KEPT entries."""
    known.pop(key, None)
    known[key] = value
    if len(known) > KEPT:
        del known[next(iter(known))]
