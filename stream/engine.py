"""The line, running: readers' ticks in, one recogniser, results out to sinks; startup, loop and shutdown in order.

    reader threads ──► rings ──► turns ──► engine loop ──► queues ──► sink threads
      (readers.py)     (ring.py) (turns.py)  (this file)   (handover.py)

The loop runs in the thread that calls `run`. Nothing here decodes, judges or draws, or knows the rules by which ticks
are taken (stream.turns) and live cameras slowed down (stream.overload); signals belong to the caller, whose handler may
call `stop`.

Shutdown, in this order: sources are told to close; rings close; the current step ends; open events are ended; sinks
are told the rest, flushed and closed; readers are joined. After `stop` all that takes 2 seconds at most: a thread that
does not end by then, of a camera or of a sink that stands still, is left behind, and that is logged. Only a sink that
is completing its file is waited for, as long as it takes: cut off, a video would be lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Condition
from typing import TYPE_CHECKING

from stream.contracts import Event, Frame, Input, Prediction, Sink, Source, Status
from stream.errors import ConfigError
from stream.handover import POLL_S, Outlets
from stream.latency import LatencyHistogram
from stream.overload import Overload
from stream.readers import Reader, Taker
from stream.ring import FrameRing
from stream.roster import Roster
from stream.summary import Summary
from stream.turns import Turn, Turns

if TYPE_CHECKING:
    from stream.recognizer import Recognizer

logger = logging.getLogger("stream")

SINKS_S, READERS_S = 1.2, 1.5  # after `stop`: until when sinks, then readers, are waited for; the rest is for us
STALE_S, STALE_TICKS = 1.0, 5  # a live tick is too old after so many tick periods, but not before so many seconds
WARM_EVERY = 8  # steps after which a batch size is made ready though ticks wait: it is now that it would be of use


class Engine:
    """Runs one recogniser over many sources, which may come and go meanwhile. Runs once."""

    def __init__(
        self,
        recognizer: Recognizer,
        sources: Sequence[Source] = (),
        sinks: Sequence[Sink] = (),
        *,
        tracks: Mapping[str, Mapping[str, Input]] = {},
        awake: Mapping[str, Callable[[], bool]] = {},
        patient: bool = False,
        forever: bool = False,
        realtime: bool = False,
        capacity: int = 4,
        max_wait_ms: float | None = None,
        stale_s: float | None = None,
        duration: float | None = None,
        on_frame: Callable[[Frame], None] | None = None,
        on_prediction: Callable[[Prediction, tuple[Event, ...]], None] | None = None,
        on_status: Callable[[Status], None] | None = None,
        progress: Callable[[str, float], None] | None = None,
    ) -> None:
        """Puts the parts together; nothing starts yet.

        Args:
            recognizer: judges ticks. Where it has several batch sizes, files run in the smallest, apart from cameras.
            sources: cameras and files, each of its own name. Of files nothing is ever dropped: everything waits for a
                sink that is behind on their results, and live cameras beside them drop ticks meanwhile.
            sinks: told everything, each in a thread of its own; a tick's events before its prediction. The engine
                closes them.
            tracks: cameras that are looked at for several things: camera -> name of a track -> what it sees. Each track
                has a state of its own, and results carry its name. Any other camera is one track of its own name, seen
                as the bundle wants it.
            awake: cameras with a schedule: camera -> False while it is to be closed; must be quick.
            patient: wait for live cameras however long they take to give their first frame; otherwise the run ends
                where every source failed before.
            forever: go on when no source is left, or none is well, until `stop` or `duration`: others may be added.
                Otherwise the run ends then.
            realtime: paces files by their own times.
            capacity: ticks that may wait, a track.
            max_wait_ms: how long a step waits for more ticks once it has one; where that pays (stream.waiting) if None.
            stale_s: age, in seconds from its arrival, at which a live camera's tick is dropped and not judged; 5 tick
                periods of the bundle if None, but not less than a second.
            duration: media seconds of each file, wall seconds of live cameras, after which the run ends.
            on_frame: called in a reader's thread with each decoded frame, once a track, under the track's name; must be
                quick.
            on_prediction: called in the engine's thread with each prediction and its events; must be quick.
            on_status: called in the engine's thread with the news of live cameras; must be quick.
            progress: called in the engine's thread with a camera's name and the media seconds read of it.

        Raises:
            ConfigError: no sources, and not `forever`; two of one name, or two tracks of one name.
        """
        if not sources and not forever:
            raise ConfigError("expected one or more sources, got none; name one, or let the engine run forever")
        if stale_s is None:
            stale_s = max(STALE_S, STALE_TICKS / recognizer.input.rate) if recognizer.input.rate else STALE_S
        self._recognizer = recognizer
        self._realtime, self._capacity, self._duration = realtime, capacity, duration
        self._patient, self._forever = patient, forever
        self._on_prediction, self._on_status = on_prediction, on_status
        self._progress = progress
        self._signal = Condition()  # of all rings: one wait for whichever has something
        self._turns = Turns(
            self._signal,
            apart=len(recognizer.batch_sizes) > 1,
            stale_s=stale_s,
            max_wait_s=None if max_wait_ms is None else max_wait_ms / 1000,
        )
        self._overload = Overload(time.monotonic())
        self._outlets = Outlets(sinks, given_up=self._is_late_for_sinks)
        self._takers: list[Taker] = [sink.frame for sink in self._outlets.of_frames]
        if on_frame is not None:
            self._takers.append(lambda frame, _: on_frame(frame))
        self._roster = Roster(self._attach)
        self._paced = True
        self._stopped_at: float | None = None
        self._started_at = self._looked_at = 0.0
        self._latency = LatencyHistogram()
        self._steps, self._is_cold = 0, False
        self._faults_before = recognizer.faults.copy()
        for source in sources:
            self.add(source, tracks=tracks.get(source.camera), awake=awake.get(source.camera))

    def add(
        self,
        source: Source,
        *,
        tracks: Mapping[str, Input] | None = None,
        awake: Callable[[], bool] | None = None,
    ) -> None:
        """Adds a source, before the run or while it goes on; from any thread, and at once.

        Args:
            source: of a name that no other has; a source that has ended keeps its name until it is removed.
            tracks: name -> what it sees, as in `Engine`; one track of the camera's own name where there are none.
            awake: False while the camera is to be closed, as in `Engine`.

        Raises:
            ConfigError: the name, or that of a track, is taken; or the run is over.
            SinkError: a sink cannot take this camera beside the others.
        """
        inputs = tracks or {source.camera: self._recognizer.input}
        reader = Reader(
            source,
            inputs,
            FrameRing(self._capacity * len(inputs), wait=not source.live, signal=self._signal),
            self._takers,
            awake=awake,
            ceiling=lambda: self._overload.ceiling,
            realtime=self._realtime,
            duration=self._duration,
        )
        self._roster.add(reader)
        self._paced = self._paced and (self._realtime or source.live)

    def remove(self, camera: str) -> None:
        """Removes a source while the run goes on: its events are ended, its state is freed; from any thread, at once.

        What it has handed over and was not judged yet is not judged any more. Its reader is closed and ends by itself;
        its name can be added again at once.

        Raises:
            ConfigError: there is no such source.
        """
        self._roster.remove(camera)

    def run(self) -> Summary:
        """Runs until every source has ended or was removed, `duration` is over or `stop` was called; what became of it.

        Raises:
            SourceError: every source that was not removed failed; the first one's reason; never where it runs forever.
                A live camera has failed while it never gave a frame, a file when it cannot be read on.
            SinkError: a sink cannot be written to, or cannot take these cameras.
            Exception: whatever else the recogniser, a sink, a callback or the only source raised. Sinks that still
                work have been told the ends of open events.
        """
        try:
            self._run()
        finally:
            self._shut_down()
        self._raise_faults()
        self._raise_if_every_camera_failed()
        return self._summary()

    def stop(self) -> None:
        """Ends the run soon; from any thread, or a signal handler: it takes no lock."""
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()

    def _run(self) -> None:
        """All but the shutdown of threads."""
        try:
            self._start()
            self._loop()
        except BaseException:
            self.stop()  # a fault must not wait for a stuck camera either
            raise
        finally:
            self._end_events()

    # startup

    def _start(self) -> None:
        """Starts sinks, then readers; warms up in between, so that the first label is as quick as any."""
        self._outlets.start()
        self._roster.open()
        self._is_cold = self._recognizer.warm_up()
        self._started_at = time.monotonic()
        self._take_note()

    def _attach(self, reader: Reader) -> None:
        """Tells sinks of frames whose frames will come."""
        for sink in self._outlets.of_frames:
            for track in reader.tracks:
                sink.attach(track.name, reader.source.live)

    # loop

    def _loop(self) -> None:
        """Steps whatever is ready until nothing more can come."""
        while self._stopped_at is None and self._may_more_come():
            self._take_note()
            turn = self._turns.next(self._recognizer.sizes)
            if turn.ticks:
                self._step(turn)
            self._raise_faults()
            for reader, status in turn.news:
                if not self._is_told_by_its_error(reader):
                    self._tell_news(reader, status)
            if self._is_hopeless():
                return
            self._end_exhausted_cameras()
            self._look_after_cameras()
            self._keep_up()
            self._warm_up()
            if self._is_live_over():
                for reader in self._roster.readers:
                    if reader.source.live:
                        reader.close()

    def _take_note(self) -> None:
        """Starts readers that were added; ends the events, and frees the state, of those that were removed."""
        for reader, came in self._roster.changes():
            if came:
                self._turns.admit(reader)
                reader.start()
            else:
                self._turns.release(reader)
                self._finish(reader)

    def _step(self, turn: Turn) -> None:
        """Judges a batch and tells the results: every sink all of them, then the caller, who may raise."""
        begun = time.monotonic()
        judged = self._recognizer.advance([tick for _, tick in turn.ticks], fixed=turn.fixed)
        self._turns.took(turn, time.monotonic() - begun)
        self._steps += 1
        results: list[tuple[Prediction, tuple[Event, ...]]] = []
        for (reader, tick), (prediction, events) in zip(turn.ticks, judged, strict=True):
            latency_ms = (time.monotonic() - tick.arrived) * 1000
            self._latency.add(latency_ms)
            prediction, events = replace(prediction, latency_ms=latency_ms), tuple(map(reader.dated, events))
            self._outlets.put((*events, prediction), live=reader.source.live)
            results.append((prediction, events))
        if self._on_prediction is not None:
            for prediction, events in results:
                self._on_prediction(prediction, events)
        if self._progress is not None:
            for reader in dict.fromkeys(reader for reader, _ in turn.ticks):
                self._progress(reader.source.camera, reader.media_s)

    def _tell_news(self, reader: Reader, status: Status) -> None:
        """Tells how a camera is; one that went away has its open events ended first, and will start afresh."""
        logger.info("%s is %s%s", status.camera, status.health, f": {status.reason}" if status.reason else "")
        if status.is_away:
            self._finish(reader)
        self._outlets.put((status,), live=reader.source.live)
        if self._on_status is not None:
            self._on_status(status)

    def _finish(self, reader: Reader) -> None:
        """Ends the open events of a camera and frees its state."""
        events = tuple(reader.dated(event) for track in reader.tracks for event in self._recognizer.finish(track.name))
        if events:
            self._outlets.put(events, live=reader.source.live)

    def _look_after_cameras(self) -> None:
        """Notices, every now and then, cameras that fell silent or are not well."""
        now = time.monotonic()
        if now - self._looked_at >= POLL_S:
            self._looked_at = now
            for reader in self._roster.readers:
                reader.look()

    def _keep_up(self) -> None:
        """Slows all live cameras down where they are more than can be judged, and says so; lets them go again."""
        now, overload = time.monotonic(), self._overload
        overload.saw(self._turns.waiting, self._turns.left)
        if not overload.is_due(now):
            return
        live = [reader for reader in self._turns if reader.source.live]
        offered = {track.name: track.ticks for reader in live for track in reader.tracks}
        was_lasting = overload.lasting
        if overload.decide(now, offered, self._turns.judged, sum(reader.lost for reader in live)):
            for reader in live:
                reader.shed_backlog()
        if overload.lasting and not was_lasting:
            told = "the cameras are more than this machine keeps up with: for now %.2g ticks a second of each, at most"
            logger.warning(told, overload.ceiling)
        elif was_lasting and not overload.lasting:
            logger.warning("this machine keeps up with its cameras again; every tick is judged")

    def _warm_up(self) -> None:
        """Makes one more batch size ready, behind the first labels, when nothing waits or it was put off for long."""
        is_time = not self._turns.left or self._steps % WARM_EVERY == 0
        if self._is_cold and self._steps and is_time:
            self._is_cold = self._recognizer.warm_up()

    def _is_hopeless(self) -> bool:
        """True where every source has failed, and all that came of them was judged and told."""
        may_end = len(self._roster.readers) > 0 and not self._forever
        return may_end and all(
            self._has_failed(reader) and (reader.ring.closed or not reader.given_up) and not len(reader.ring)
            for reader in self._roster.readers
        )

    def _has_failed(self, reader: Reader) -> bool:
        """True for a file that cannot be read on, and for a camera that gave no frame yet and is not waited for."""
        return reader.fault is not None and (reader.given_up or not self._patient)

    def _is_told_by_its_error(self, reader: Reader) -> bool:
        """True for an only source of which nothing came: what `run` raises says it, and nobody should read it twice."""
        is_only = len(self._roster.readers) == 1 and not self._forever
        return is_only and not len(self._latency) and self._has_failed(reader)

    def _end_exhausted_cameras(self) -> None:
        """Ends the open events of cameras that ended and whose last tick was judged."""
        for reader in self._turns:
            if reader.ring.closed and not len(reader.ring):
                self._turns.release(reader)
                self._finish(reader)

    def _may_more_come(self) -> bool:
        """True while a source has not ended, one was added, or one may be."""
        return bool(len(self._turns) or self._roster.changed) or (self._forever and not self._is_live_over())

    def _is_live_over(self) -> bool:
        return self._duration is not None and time.monotonic() - self._started_at >= self._duration

    # shutdown

    def _end_events(self) -> None:
        """Closes sources and rings, then ends the events that are still open."""
        self._roster.close()
        for reader in self._turns:
            self._turns.release(reader)
            self._finish(reader)

    def _shut_down(self) -> None:
        """Ends every thread: sources were told already, sinks are flushed and closed, readers are joined."""
        closed_at = time.monotonic()
        late_sinks = self._outlets.close()
        for thread in late_sinks + self._roster.join((self._stopped_at or closed_at) + READERS_S):
            logger.error("%s did not end in time and is left behind", thread.name)

    def _is_late_for_sinks(self) -> bool:
        """True once `stop` lies so far back that sinks are no longer waited for; without `stop`, they get all time."""
        return self._stopped_at is not None and time.monotonic() - self._stopped_at > SINKS_S

    def _raise_faults(self) -> None:
        """Raises what a sink or a caller's `on_frame` raised in a thread of another's."""
        for fault in (*self._outlets.faults, *(reader.taker_fault for reader in self._roster.readers)):
            if fault is not None:
                raise fault

    def _raise_if_every_camera_failed(self) -> None:
        """Raises the first camera's reason."""
        first = self._roster.readers[0].fault if self._roster.readers else None
        if first is not None and not self._forever and all(self._has_failed(reader) for reader in self._roster.readers):
            raise first

    def _summary(self) -> Summary:
        """What became of the run."""
        return Summary(
            cameras=self._roster.summaries(self._recognizer.faults - self._faults_before),
            predictions=len(self._latency),
            events=self._outlets.events,
            undelivered=self._outlets.undelivered,
            unsaved=self._outlets.unsaved,
            latency_ms=(self._latency.quantile(0.5), self._latency.quantile(0.95), self._latency.max_ms),
            overloaded_s=self._overload.seconds,
            paced=self._paced,
            wall_s=time.monotonic() - self._started_at,
        )
