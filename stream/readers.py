"""One camera's thread: frames out of a source, ticks into a ring, full frames to whoever asked. No model runs here.

A file that fails ends its reader. A live camera is opened again, for as long as it takes, with a new session; what
became of it goes through the ring too, behind the ticks that came before.
"""

from __future__ import annotations

import hashlib
import logging
import random
import secrets
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event as Flag
from threading import Lock, Thread
from typing import TypeAlias

from stream.address import without_logins
from stream.contracts import Event, Frame, Input, Source, Status, Tick
from stream.errors import ConfigError, DeviceError, SourceRefused, StreamError
from stream.health import CameraHealth, reason_of
from stream.overload import Thinner
from stream.ring import FrameRing
from stream.summary import CameraSummary
from stream.unfitted import sampler_of

News: TypeAlias = Tick | Status
"""What a reader hands over."""

Taker: TypeAlias = Callable[[Frame, int], None]
"""Takes a decoded frame, under its track's name, and the index of that track's newest tick by then (-1: none)."""

logger = logging.getLogger("stream")

BACKOFF_S = (0.2, 5.0)  # shortest and longest wait before a camera is opened again
REFUSED_S = (5.0, 60.0)  # the same after a refused login: cameras lock accounts that are tried too often
STEADY_S = 5.0  # of frames, after which a connection counts as a good one
ASLEEP_S = 0.5  # between two looks at a camera's schedule


class Backoff:
    """How long to wait before a camera is opened again: twice as long each time, and never in step with others."""

    def __init__(self) -> None:
        self._tries = 0
        self._was_refused = False

    def reset(self) -> None:
        """Begins with the shortest wait again."""
        self._tries = 0

    def after(self, error: Exception) -> float:
        """Seconds to wait after one more failure."""
        refused = isinstance(error, SourceRefused)
        if refused != self._was_refused:
            self._was_refused, self._tries = refused, 0
        shortest, longest = REFUSED_S if refused else BACKOFF_S
        self._tries = min(self._tries + 1, 10)
        ceiling = min(longest, shortest * 2**self._tries)
        return random.uniform(max(shortest, ceiling / 2), ceiling)


class Track:
    """One thing that a camera is looked at for: its name, what it sees, and how far it is.

    Attributes:
        tick: the newest that was handed over.
        ticks: sampled.
        thinned: left out of these because the engine does not keep up.
        due: about when the next tick is handed over, of `time.monotonic()`.
    """

    def __init__(self, name: str, input: Input, ceiling: Callable[[], float | None]) -> None:
        """Makes a track that has seen nothing; `ceiling` says how many ticks a second it may hand over, None all."""
        self.name = name
        self.tick: Tick | None = None
        self.ticks = self.sessions = self.thinned = 0
        self.due = 0.0
        self._sampler = sampler_of(input)
        self._thinner = Thinner()
        self._ceiling = ceiling
        self._interval = self._handed = 0.0

    def offer(self, frame: Frame, ring: FrameRing[News]) -> None:
        """Puts the tick that `frame` fires, if it does, into `ring`; one that is closed takes none."""
        tick = self._sampler.offer(frame)
        if tick is None:
            return
        is_first = tick.dt == 0  # of its session: by it others know that one began, so it is never left out
        if not (is_first or self._thinner.keeps(tick.arrived, self._ceiling())):
            self.ticks += 1
            self.thinned += 1
        elif ring.put(tick):
            self.sessions += self.tick is None or tick.session != self.tick.session
            self.ticks += 1
            self.tick = tick
            self._foresee(time.monotonic())

    def _foresee(self, now: float) -> None:
        """Expects the next tick one usual interval after this one, which is handed over `now`."""
        interval = now - self._handed if self._handed else 0.0
        self._interval += (interval - self._interval) / 4
        self._handed, self.due = now, now + self._interval


class Reader(Thread):
    """Reads one source until it ends or is closed.

    Attributes:
        ring: where its ticks go, and how a camera is; closed when no more will come.
        tracks: by name; every frame is offered to each.
        fault: why the file failed, or why the camera never gave a frame yet; else None.
        given_up: True where it failed for good.
        stale, shed: ticks that the engine took too late to judge them, and that it threw away when it fell behind.
        taker_fault: what a taker raised, which ends the thread: it is no failure of the camera; else None.
    """

    def __init__(
        self,
        source: Source,
        inputs: Mapping[str, Input],
        ring: FrameRing[News],
        takers: Sequence[Taker] = (),
        *,
        awake: Callable[[], bool] | None = None,
        ceiling: Callable[[], float | None] = lambda: None,
        realtime: bool = False,
        duration: float | None = None,
    ) -> None:
        """Makes the thread; `start` it.

        Args:
            source: where frames come from; this thread iterates it.
            inputs: the camera's tracks: name -> what the model is to see of a frame.
            ring: waits when full for a file, drops the oldest for a live camera.
            takers: called with each frame, once a track, after the track's tick is in the ring.
            awake: False while a live camera is to be closed; asked about every frame, so it must be quick. None: never.
            ceiling: ticks a second that each track of a live camera may hand over at present; None for all.
            realtime: paces a file by its own times.
            duration: media seconds after which a file ends.
        """
        super().__init__(name=f"reader {source.camera}", daemon=True)
        self.source = source
        self.ring = ring
        limit = ceiling if source.live else lambda: None
        self.tracks = tuple(Track(name, input, limit) for name, input in inputs.items())
        self.fault: Exception | None = None
        self.given_up = False
        self.stale = self.shed = 0
        self.taker_fault: Exception | None = None
        self.media_s = 0.0
        self._takers = takers
        self._awake = awake if awake is not None and source.live else lambda: True
        self._paced = realtime and not source.live
        self._duration = None if source.live else duration
        self._closing = Flag()
        self._telling = Lock()  # guards the camera's health: the engine's thread looks after it too
        self._health = CameraHealth(source.camera, source.url, time.monotonic())
        self._backoff = Backoff()
        self._last: Frame | None = None
        self._since: float | None = None  # when this connection's first frame arrived
        self._stalls = 0  # of this connection: silences that it survived
        self._anchor = 0.0
        self._frames = self._reopened = 0
        self._token = secrets.token_hex(8)

    def close(self) -> None:
        """Asks the thread to end; never blocks."""
        self._closing.set()
        self.source.close()
        self.ring.close()

    def look(self) -> None:
        """Notices a live camera that fell silent though its thread still waits for it, or is unwell; in any thread."""
        if not self.source.live or self._closing.is_set():
            return
        with self._telling:
            now, source = time.monotonic(), self.source
            lost = self.dropped + source.skipped
            self._tell(self._health.look(now, source.corrupt, lost, source.timed_by_arrival))

    def dated(self, event: Event) -> Event:
        """`event`; of a live camera with the present time, and an id of this run alone: in another its ticks repeat."""
        if not self.source.live:
            return event
        own = hashlib.sha256(f"{self._token} {event.id}".encode()).hexdigest()[:16]
        return replace(event, id=own, at=datetime.now(UTC))

    @property
    def thinned(self) -> int:
        """Ticks that were left out because the engine does not keep up."""
        return self.shed + sum(track.thinned for track in self.tracks)

    @property
    def lost(self) -> int:
        """Ticks that were handed over in vain: pushed out by newer ones, or too old when their turn came."""
        return self.ring.dropped + self.stale

    @property
    def dropped(self) -> int:
        """Ticks that are not judged."""
        return self.lost + self.thinned

    def shed_backlog(self) -> None:
        """Throws away the ticks that wait, but for the newest of each track."""
        self.shed += self.ring.shed(len(self.tracks))

    def summary(self, faults: int) -> CameraSummary:
        """What became of the camera so far, `faults` of its ticks being of no use to whoever judged them."""
        return CameraSummary(
            frames=self._frames,
            ticks=sum(track.ticks for track in self.tracks),
            dropped=self.dropped,
            stale=self.stale,
            thinned=self.thinned,
            faults=faults,
            corrupt=self.source.corrupt,
            skipped=self.source.skipped,
            sessions=max(track.sessions for track in self.tracks),
            reopened=self._reopened,
            media_s=self.media_s,
            error=None if self.fault is None else reason_of(self.fault),
        )

    def run(self) -> None:
        """Reads; whatever goes wrong stays with this camera."""
        try:
            if self.source.live:
                self._read_forever()
            else:
                self._read(0)
        except Exception as error:  # noqa: BLE001  law 6: a camera that fails costs nobody else a frame
            self.fault, self.given_up = error, True
            with self._telling:
                self._tell(self._health.failed(error))
        finally:
            self.ring.close()

    def _read_forever(self) -> None:
        """Reads a live camera, opening it again whenever it fails, until it ends or is closed.

        Raises:
            ConfigError, DeviceError: what is asked of it cannot be; opening it again would change nothing.
        """
        while not self._closing.is_set():
            if not self._awake():
                with self._telling:
                    self._tell(self._health.asleep(time.monotonic()))
                self._closing.wait(ASLEEP_S)
                continue
            try:
                self._read(self._last.session + 1 if self._last else 0)
            except (ConfigError, DeviceError):
                raise
            except Exception as error:  # noqa: BLE001  a damaged stream raises far more than SourceError
                self._lose(error)
            else:
                if self._awake():
                    return

    def _lose(self, error: Exception) -> None:
        """Tells that the connection is gone, and waits before the next."""
        if self._closing.is_set():
            return
        now = time.monotonic()
        if self._last is None:
            self.fault = error
        elif self._since is not None and self._last.arrived - self._since >= STEADY_S:
            self._backoff.reset()
        if not isinstance(error, StreamError):
            trace = without_logins("".join(traceback.format_exception(error)))
            logger.debug("%s: an error that nobody foresaw\n%s", self.source.camera, trace)
        with self._telling:
            self._tell(self._health.lost(error, now))
        self._closing.wait(self._backoff.after(error))

    def _read(self, session: int) -> None:
        """Reads the source once, from its opening to its end, or to the end of its schedule."""
        self._since, self._stalls = None, 0
        for frame in self.source.frames(session):
            if self._closing.is_set() or self._is_past_duration(frame) or not self._awake():
                return
            if self.source.live:
                frame = self._welcomed(frame)
            elif self._paced:
                frame = self._on_time(frame)
            self._take(frame)

    def _welcomed(self, frame: Frame) -> Frame:
        """The frame of a live camera, in a session of its own where the camera was away before it; that it is back."""
        with self._telling:
            # Its engine ended what was on when it fell silent: a connection that survived that goes on afresh.
            self._stalls += self._since is not None and self._health.is_away
            if self._stalls:
                frame = replace(frame, session=frame.session + self._stalls)
            self._tell(self._health.frame(frame.session + self._gaps(), time.monotonic()))
        if self._since is None:
            self._since = frame.arrived
            self._reopened += self._last is not None
            self.fault = None
        return frame

    def _tell(self, status: Status | None) -> None:
        """Puts news behind the ticks that came before it; its caller holds `_telling`."""
        if status is not None:
            self.ring.put(replace(status, at=datetime.now(UTC)) if self.source.live else status, keep=True)

    def _take(self, frame: Frame) -> None:
        """Counts a frame, and hands it on to each track and its takers."""
        self.media_s += self._advance(frame)
        self._last = frame
        self._frames += 1
        for track in self.tracks:
            seen = frame if frame.camera == track.name else replace(frame, camera=track.name)
            track.offer(seen, self.ring)  # before the takers: a video sink waits for the prediction
            try:
                for taker in self._takers:
                    taker(seen, track.tick.index if track.tick else -1)
            except Exception as error:  # noqa: BLE001  raised in the engine's thread
                self.taker_fault = error
                self.close()
                return
        self._health.session = self._last.session + self._gaps()

    def _gaps(self) -> int:
        """Sessions that samplers began beside the source's own: labels count them in, and so does what is told."""
        tick = self.tracks[0].tick
        return tick.session - self._last.session if tick and self._last else 0

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
