"""Hands results to a sink in a thread of the sink's own, through a bounded queue. Nothing here looks at a result.

For files a full queue is waited for, so that nothing is lost; where a camera is live the oldest result is dropped and
counted, so that a slow sink never slows the line.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread
from typing import TypeAlias

from stream.contracts import Event, Prediction, Sink
from stream.ring import FrameRing

Told: TypeAlias = tuple[tuple[Event, ...], Prediction | None]
"""The events of one tick, and its prediction; None where a camera ended."""

POLL_S = 0.1


class SinkThread(Thread):
    """The one thread that calls `sink`, closing it at the end.

    Attributes:
        fault: what the sink raised; nothing is delivered after it.
        closing: True once all was delivered and the sink is completing its files.
        undelivered: results that it never got.
    """

    def __init__(self, sink: Sink, *, wait: bool, given_up: Callable[[], bool], capacity: int = 256) -> None:
        """Makes the thread; `start` it.

        Args:
            sink: who is told.
            wait: True where `put` waits for room, False where it drops the oldest.
            given_up: asked while `put` waits; True where there is no more time to.
            capacity: results that may wait.
        """
        super().__init__(name=f"sink {type(sink).__name__}", daemon=True)
        self.sink = sink
        self.fault: Exception | None = None
        self.closing = False
        self._wait = wait
        self._given_up = given_up
        self._capacity = capacity
        self._signal = Condition()
        self._ring: FrameRing[Told] = FrameRing(capacity, wait=False, signal=self._signal)
        self._abandoned = 0

    @property
    def undelivered(self) -> int:
        """Results that were dropped: pushed out by newer ones, or too late at the end."""
        return self._ring.dropped + self._abandoned

    def put(self, events: tuple[Event, ...], prediction: Prediction | None) -> None:
        """Hands over one tick's results.

        Raises:
            Exception: whatever the sink raised.
        """
        while self._wait and not self._has_room() and self.fault is None:
            if self._given_up():
                self._abandoned += 1
                return
        if self.fault is not None:
            raise self.fault
        self._ring.put((events, prediction))

    def finish(self) -> None:
        """Lets the thread deliver what waits, close the sink and end."""
        self._ring.close()

    def run(self) -> None:
        """Delivers until finished."""
        try:
            self._deliver()
        except Exception as error:  # noqa: BLE001  raised in the engine's thread by put, or at the end
            self.fault = error

    def _deliver(self) -> None:
        try:
            while (told := self._ring.take()) is not None:
                events, prediction = told
                for event in events:
                    self.sink.event(event)
                if prediction is not None:
                    self.sink.prediction(prediction)
        finally:
            self.closing = True
            self.sink.close()

    def _has_room(self) -> bool:
        """True as soon as there is room; False after a moment without."""
        with self._signal:
            return self._signal.wait_for(lambda: len(self._ring) < self._capacity, POLL_S)
