"""One camera's thread: frames out of a source, ticks into a ring, full frames to whoever asked. No model runs here.

A file that fails ends its reader. A live camera is opened again, for as long as it takes, with a new session.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Event as Flag
from threading import Thread
from typing import TypeAlias

from stream.contracts import Frame, Input, Source, Tick
from stream.ring import FrameRing
from stream.sampling import Sampler

Taker: TypeAlias = Callable[[Frame, int], None]
"""Takes a decoded frame and the index of the newest tick at or before it (-1: none)."""

logger = logging.getLogger("stream")

BACKOFF_S = (0.2, 5.0)  # first and longest wait before a camera is opened again


@dataclass(frozen=True)
class CameraSummary:
    """What became of one camera.

    Attributes:
        frames: decoded.
        ticks: sampled; of these `dropped` were pushed out by newer ones before they were judged.
        faults: ticks judged to be none because their numbers were not finite, or their run failed.
        corrupt: packets that could not be decoded and were passed over.
        sessions: with at least one tick.
        reopened: times that it was lost and came back.
        media_s: media seconds covered, over all sessions.
        error: why it ended early, or never began; None when it went well.
    """

    frames: int
    ticks: int
    dropped: int
    faults: int
    corrupt: int
    sessions: int
    reopened: int
    media_s: float
    error: str | None


class Reader(Thread):
    """Reads one source until it ends or is closed.

    Attributes:
        ring: where its ticks go; closed when no more will come.
        fault: why the file failed, or why the camera never gave a frame yet; else None.
        taker_fault: what a taker raised, which ends the thread: it is no failure of the camera; else None.
    """

    def __init__(
        self,
        source: Source,
        input: Input,
        ring: FrameRing[Tick],
        takers: Sequence[Taker] = (),
        *,
        realtime: bool = False,
        duration: float | None = None,
    ) -> None:
        """Makes the thread; `start` it.

        Args:
            source: where frames come from; this thread iterates it.
            input: what the model wants of them.
            ring: waits when full for a file, drops the oldest for a live camera.
            takers: called with each frame, after its tick is in the ring.
            realtime: paces a file by its own times.
            duration: media seconds after which a file ends.
        """
        super().__init__(name=f"reader {source.camera}", daemon=True)
        self.source = source
        self.ring = ring
        self.fault: Exception | None = None
        self.taker_fault: Exception | None = None
        self.media_s = 0.0
        self._takers = takers
        self._paced = realtime and not source.live
        self._duration = None if source.live else duration
        self._sampler = Sampler(input)
        self._closing = Flag()
        self._last: Frame | None = None
        self._tick: Tick | None = None
        self._anchor = 0.0
        self._frames = self._ticks = self._sessions = self._reopened = 0

    def close(self) -> None:
        """Asks the thread to end; never blocks."""
        self._closing.set()
        self.source.close()
        self.ring.close()

    def summary(self, faults: int) -> CameraSummary:
        """What became of the camera so far, `faults` of its ticks being of no use to whoever judged them."""
        return CameraSummary(
            frames=self._frames,
            ticks=self._ticks,
            dropped=self.ring.dropped,
            faults=faults,
            corrupt=self.source.corrupt,
            sessions=self._sessions,
            reopened=self._reopened,
            media_s=self.media_s,
            error=None if self.fault is None else str(self.fault),
        )

    def run(self) -> None:
        """Reads; whatever goes wrong stays with this camera."""
        try:
            if self.source.live:
                self._read_forever()
            else:
                self._read(0)
        except Exception as error:  # noqa: BLE001  law 6: a camera that fails costs nobody else a frame
            self.fault = error
            logger.error("%s failed: %s", self.source.camera, error)
        finally:
            self.ring.close()

    def _read_forever(self) -> None:
        """Reads a live camera, opening it again whenever it fails, until it ends or is closed."""
        first, longest = BACKOFF_S
        pause = first
        away = False
        while not self._closing.is_set():
            frames_before, began = self._frames, time.monotonic()
            try:
                self._read(self._last.session + 1 if self._last else 0)
                return
            except Exception as error:  # noqa: BLE001  a damaged stream raises far more than SourceError
                was_there = self._frames > frames_before
                if not self._closing.is_set() and (was_there or not away):
                    logger.warning("%s is away, will be opened again: %s", self.source.camera, error)
                if self._last is None:
                    self.fault = error
            away = True
            if time.monotonic() - began > longest:  # not for a camera that comes and goes
                pause = first
            self._closing.wait(pause * random.uniform(0.5, 1))
            pause = min(longest, 2 * pause)

    def _read(self, session: int) -> None:
        """Reads the source once, from its opening to its end."""
        opened = False
        for frame in self.source.frames(session):
            if not opened:
                opened = True
                self._welcome()
            if self._closing.is_set() or self._is_past_duration(frame):
                return
            self._take(self._on_time(frame) if self._paced else frame)

    def _welcome(self) -> None:
        """The source gave its first frame, maybe after it was away."""
        self.fault = None
        if self._last is not None:
            self._reopened += 1
            logger.warning("%s is back", self.source.camera)

    def _take(self, frame: Frame) -> None:
        """Counts a frame, samples it, hands it on."""
        self.media_s += self._advance(frame)
        self._last = frame
        self._frames += 1
        tick = self._sampler.offer(frame)
        # The tick goes before the frame: a video sink waits for its prediction. A ring that is closed takes none.
        if tick is not None and self.ring.put(tick):
            self._sessions += self._tick is None or tick.session != self._tick.session
            self._tick = tick
            self._ticks += 1
        try:
            for taker in self._takers:
                taker(frame, self._tick.index if self._tick else -1)
        except Exception as error:  # noqa: BLE001  raised in the engine's thread
            self.taker_fault = error
            self.close()

    def _advance(self, frame: Frame) -> float:
        """Media seconds from the last frame to this one; 0 at a session's first."""
        if self._last is None or self._last.session != frame.session:
            return 0.0
        return max(0.0, frame.time - self._last.time)

    def _is_past_duration(self, frame: Frame) -> bool:
        return self._duration is not None and self.media_s + self._advance(frame) >= self._duration

    def _on_time(self, frame: Frame) -> Frame:
        """The frame, held back until its time has come, as if it arrived just then."""
        now = time.monotonic()
        if self._last is None or self._last.session != frame.session:
            self._anchor = now - frame.time
        self._closing.wait(max(0.0, self._anchor + frame.time - now))
        return replace(frame, arrived=time.monotonic())
