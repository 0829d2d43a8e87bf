"""Hands results to sinks, each in a thread of its own, through bounded queues. Nothing here judges a result.

Results of files and of live cameras wait in queues of their own. For files a full queue is waited for, so that
nothing is lost; for live cameras the oldest label is dropped and counted, so that a slow sink never slows the line.
Events, and how cameras are, come seldom and are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import TypeAlias

from stream.contracts import Event, FrameSink, Prediction, Sink, Status
from stream.ring import FrameRing

Told: TypeAlias = tuple[Event | Status | Prediction, ...]
"""What is told at once, in order: a tick's events before its prediction, the ends of events before why they ended."""

POLL_S = 0.1


class SinkThread(Thread):
    """The one thread that calls `sink`, closing it at the end.

    Attributes:
        fault: what the sink raised, of any kind; nothing is delivered after it.
        closing: True once all was delivered and the sink is completing its files.
        undelivered: results put that the sink has not got, or not taken in yet.
    """

    def __init__(self, sink: Sink, *, given_up: Callable[[], bool], capacity: int = 256) -> None:
        """Makes the thread; `start` it.

        Args:
            sink: who is told.
            given_up: asked while `put` waits; True where there is no more time to.
            capacity: results of files that may wait, and as many of live cameras.
        """
        super().__init__(name=f"sink {type(sink).__name__}", daemon=True)
        self.sink = sink
        self.fault: BaseException | None = None
        self.closing = False
        self._given_up = given_up
        self._capacity = capacity
        self._signal = Condition()
        self._of_files, self._of_live = (FrameRing[Told](capacity, wait=False, signal=self._signal) for _ in range(2))
        self._in_turn = deque((self._of_files, self._of_live))
        self._put = self._delivered = 0

    @property
    def undelivered(self) -> int:
        """Results that were pushed out by newer ones, came too late, or still wait for a sink that stands still."""
        return self._put - self._delivered

    def put(self, told: Told, *, live: bool) -> None:
        """Hands over what a tick, or a camera's news, came to; in vain once the sink has failed.

        Args:
            told: for the sink.
            live: True where its camera is live and the oldest label makes room, False where room is waited for.
        """
        self._put += 1
        if live:
            self._of_live.put(told, keep=any(not isinstance(result, Prediction) for result in told))
            return
        while self.fault is None and not self._has_room():
            if self._given_up():
                return
        self._of_files.put(told)

    def finish(self) -> None:
        """Lets the thread deliver what waits, close the sink and end."""
        for ring in (self._of_files, self._of_live):
            ring.close()

    def run(self) -> None:
        """Delivers until finished."""
        try:
            self._deliver()
        except BaseException as error:  # noqa: BLE001  raised in the engine's thread: `put` waits for no dead thread
            self.fault = error

    def _deliver(self) -> None:
        try:
            while (told := self._next()) is not None:
                for result in told:
                    self._tell(result)
                self._delivered += 1
        finally:
            self.closing = True
            self.sink.close()

    def _tell(self, result: Event | Status | Prediction) -> None:
        match result:
            case Event():
                self.sink.event(result)
            case Status():
                self.sink.status(result)
            case Prediction():
                self.sink.prediction(result)

    def _next(self) -> Told | None:
        """The oldest result of files or of live cameras, in turn; None once finished and all was taken."""
        with self._signal:
            self._signal.wait_for(lambda: any(len(ring) for ring in self._in_turn) or self._of_live.closed)
        self._in_turn.rotate()
        first, second = self._in_turn
        return first.take(timeout=0) or second.take(timeout=0)

    def _has_room(self) -> bool:
        """True as soon as a file's result has room; False after a moment without."""
        with self._signal:
            return self._signal.wait_for(lambda: len(self._of_files) < self._capacity, POLL_S)


class Outlets:
    """All sinks of a run, each with its thread.

    Attributes:
        of_frames: the sinks that take decoded frames too.
        events: how many that started were told.
    """

    def __init__(self, sinks: Sequence[Sink], given_up: Callable[[], bool]) -> None:
        """Makes the threads; `start` them.

        Args:
            sinks: told everything that is put.
            given_up: True once there is no more time to wait for a sink that stands still.
        """
        self.of_frames = [sink for sink in sinks if isinstance(sink, FrameSink)]
        self.events = 0
        self._given_up = given_up
        self._threads = [SinkThread(sink, given_up=given_up) for sink in sinks]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def put(self, told: Told, *, live: bool) -> None:
        """Tells every sink; one that failed costs the others nothing. Arguments as in `SinkThread.put`."""
        self.events += sum(isinstance(result, Event) and result.kind == "started" for result in told)
        for thread in self._threads:
            thread.put(told, live=live)

    def close(self) -> list[Thread]:
        """The threads that are left behind: the others delivered what waited, and closed their sinks."""
        for thread in self._threads:
            thread.finish()
        for thread in self._threads:
            while thread.is_alive() and (thread.closing or not self._given_up()):
                thread.join(POLL_S)
        return [thread for thread in self._threads if thread.is_alive()]

    @property
    def faults(self) -> list[BaseException]:
        """What sinks raised."""
        return [thread.fault for thread in self._threads if thread.fault is not None]

    @property
    def undelivered(self) -> int:
        """Results that sinks did not get."""
        return sum(thread.undelivered for thread in self._threads)

    @property
    def unsaved(self) -> int:
        """Frames of live cameras that sinks of frames had no time for."""
        return sum(sink.dropped for sink in self.of_frames)
