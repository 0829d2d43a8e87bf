"""The line, running: readers' ticks in, one recogniser, results out to sinks; startup, loop and shutdown in order.

    reader threads ──► rings ──► engine loop ──► queues ──► sink threads
      (readers.py)     (ring.py)   (this file)   (handover.py)

The loop runs in the thread that calls `run`. Nothing here decodes, judges or draws; signals belong to the caller,
whose handler may call `stop`.

Shutdown, in this order: sources are told to close; rings close; the current step ends; open events are ended; sinks
are told the rest, flushed and closed; readers are joined. After `stop` all that takes 2 seconds at most, whatever a
camera does, or a sink that stands still: a thread that does not end by then is left behind, and that is logged. Only
a sink that is completing its file is waited for, as long as it takes: cut off, a video would be lost.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Condition, Thread
from typing import TYPE_CHECKING

from stream.contracts import Event, Frame, FrameSink, Input, Prediction, Sink, Source, Status, Tick
from stream.errors import ConfigError
from stream.handover import POLL_S, SinkThread, Told
from stream.latency import LatencyHistogram
from stream.readers import CameraSummary, Reader, Taker
from stream.ring import FrameRing

if TYPE_CHECKING:
    from stream.recognizer import Recognizer

logger = logging.getLogger("stream")

SINKS_S, READERS_S = 1.2, 1.5  # after `stop`: until when sinks, then readers, are waited for; the rest is for us


@dataclass(frozen=True)
class Summary:
    """What became of a run.

    Attributes:
        cameras: by name.
        predictions, events: labels told, and events that started.
        undelivered: results that slow sinks of live cameras, or sinks that were left behind, never got.
        unsaved: frames of live cameras that slow sinks of frames never wrote.
        latency_ms: median, 95th percentile and maximum.
        paced: False where a file was read as fast as it goes: latency then is mostly waiting in the queue.
        wall_s: how long it ran.
    """

    cameras: dict[str, CameraSummary]
    predictions: int
    events: int
    undelivered: int
    unsaved: int
    latency_ms: tuple[float, float, float]
    paced: bool
    wall_s: float


class Engine:
    """Runs one recogniser over many sources. Runs once."""

    def __init__(
        self,
        recognizer: Recognizer,
        sources: Sequence[Source],
        sinks: Sequence[Sink] = (),
        *,
        tracks: Mapping[str, Mapping[str, Input]] = {},
        awake: Mapping[str, Callable[[], bool]] = {},
        patient: bool = False,
        realtime: bool = False,
        capacity: int = 4,
        max_wait_ms: float = 0.0,
        duration: float | None = None,
        on_frame: Callable[[Frame], None] | None = None,
        on_prediction: Callable[[Prediction, tuple[Event, ...]], None] | None = None,
        on_status: Callable[[Status], None] | None = None,
        progress: Callable[[str, float], None] | None = None,
    ) -> None:
        """Puts the parts together; nothing starts yet.

        Args:
            recognizer: judges ticks; its batch size is the largest step.
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
            realtime: paces files by their own times.
            capacity: ticks that may wait, a track.
            max_wait_ms: how long a step waits for more cameras once it has one tick.
            duration: media seconds of each file, wall seconds of live cameras, after which the run ends.
            on_frame: called in a reader's thread with each decoded frame, once a track, under the track's name; must be
                quick.
            on_prediction: called in the engine's thread with each prediction and its events; must be quick.
            on_status: called in the engine's thread with the news of live cameras; must be quick.
            progress: called in the engine's thread with a camera's name and the media seconds read of it.

        Raises:
            ConfigError: no sources, two of one name, or two tracks of one name.
        """
        names = [source.camera for source in sources]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"expected one or more sources of different names, got {names}; name them apart")
        tracks = {name: tracks.get(name) or {name: recognizer.input} for name in names}
        seen = [track for of_camera in tracks.values() for track in of_camera]
        if len(set(seen)) < len(seen):
            raise ConfigError(f"expected tracks of different names, got {seen}; name them apart")
        self._recognizer = recognizer
        self._max_wait_s = max_wait_ms / 1000
        self._duration = duration
        self._on_prediction, self._on_status = on_prediction, on_status
        self._progress = progress
        self._signal = Condition()  # of all rings: one wait for whichever has something
        self._frame_sinks = [sink for sink in sinks if isinstance(sink, FrameSink)]
        takers: list[Taker] = [sink.frame for sink in self._frame_sinks]
        if on_frame is not None:
            takers.append(lambda frame, _: on_frame(frame))
        self._readers = [
            Reader(
                source,
                tracks[source.camera],
                FrameRing(capacity * len(tracks[source.camera]), wait=not source.live, signal=self._signal),
                takers,
                awake=awake.get(source.camera),
                realtime=realtime,
                duration=duration,
            )
            for source in sources
        ]
        self._live = {track for source in sources if source.live for track in tracks[source.camera]}
        self._paced = realtime or all(source.live for source in sources)
        self._patient = patient
        self._sinks = [SinkThread(sink, given_up=self._is_late_for_sinks) for sink in sinks]
        self._open = deque(self._readers)  # cameras not ended yet, the next in turn first
        self._stopped_at: float | None = None
        self._started_at = self._looked_at = 0.0
        self._latency = LatencyHistogram()
        self._events = 0
        self._faults_before = recognizer.faults.copy()

    def run(self) -> Summary:
        """Runs until every source has ended, `duration` is over or `stop` was called; what became of it.

        Raises:
            SourceError: every source failed; the first one's reason. A live camera has failed while it never gave a
                frame, a file when it cannot be read on.
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
        for sink in self._sinks:
            sink.start()
        for frame_sink in self._frame_sinks:
            for reader in self._readers:
                for track in reader.tracks:
                    frame_sink.attach(track.name, reader.source.live)
        self._recognizer.warm_up()
        self._started_at = time.monotonic()
        for reader in self._readers:
            reader.start()

    # loop

    def _loop(self) -> None:
        """Steps whatever is ready until nothing more can come."""
        while self._open and self._stopped_at is None:
            batch, news = self._next_batch()
            if batch:
                self._step(batch)
            self._raise_faults()
            for reader, status in news:
                if not self._is_told_by_its_error(reader):
                    self._tell_news(reader, status)
            if self._is_hopeless():
                return
            self._end_exhausted_cameras()
            self._look_after_cameras()
            if self._is_live_over():
                for reader in self._readers:
                    if reader.source.live:
                        reader.close()

    def _next_batch(self) -> tuple[list[Tick], list[tuple[Reader, Status]]]:
        """The oldest tick of each track that has one, cameras in turn, and the news behind them; none after a while.

        No more cameras are asked once a batch is full. News ends a camera's turn: it is told before the ticks behind.
        """
        with self._signal:
            self._signal.wait_for(lambda: any(len(r.ring) or r.ring.closed for r in self._open), POLL_S)
            full = min(self._recognizer.batch_size, len(self._open))
            self._signal.wait_for(lambda: sum(len(r.ring) > 0 for r in self._open) >= full, self._max_wait_s)
        batch: list[Tick] = []
        news: list[tuple[Reader, Status]] = []
        for _ in range(len(self._open)):
            if len(batch) >= self._recognizer.batch_size:
                break
            reader = self._open[0]
            self._open.rotate(-1)
            for _ in reader.tracks:
                item = reader.ring.take(timeout=0)
                if isinstance(item, Status):
                    news.append((reader, item))
                if not isinstance(item, Tick):
                    break
                batch.append(item)
        return batch, news

    def _step(self, batch: list[Tick]) -> None:
        """Judges a batch and tells the results: every sink all of them, then the caller, who may raise."""
        results: list[tuple[Prediction, tuple[Event, ...]]] = []
        for tick, (judged, events) in zip(batch, self._recognizer.advance(batch), strict=True):
            latency_ms = (time.monotonic() - tick.arrived) * 1000
            self._latency.add(latency_ms)
            prediction = replace(judged, latency_ms=latency_ms)
            self._tell_sinks((*events, prediction), live=tick.camera in self._live)
            results.append((prediction, events))
        if self._on_prediction is not None:
            for prediction, events in results:
                self._on_prediction(prediction, events)
        if self._progress is not None:
            for reader in self._readers:
                self._progress(reader.source.camera, reader.media_s)

    def _tell_sinks(self, told: Told, *, live: bool) -> None:
        """Tells every sink what came of a camera's tick, or of its end; a sink that failed costs the others nothing."""
        self._events += sum(isinstance(result, Event) and result.kind == "started" for result in told)
        for sink in self._sinks:
            sink.put(told, live=live)

    def _tell_news(self, reader: Reader, status: Status) -> None:
        """Tells how a camera is; one that went away has its open events ended first, and will start afresh."""
        logger.info("%s is %s%s", status.camera, status.health, f": {status.reason}" if status.reason else "")
        if status.is_away:
            self._finish(reader)
        self._tell_sinks((status,), live=reader.source.live)
        if self._on_status is not None:
            self._on_status(status)

    def _finish(self, reader: Reader) -> None:
        """Ends the open events of a camera."""
        events = tuple(event for track in reader.tracks for event in self._recognizer.finish(track.name))
        if events:
            self._tell_sinks(events, live=reader.source.live)

    def _look_after_cameras(self) -> None:
        """Notices, every now and then, cameras that fell silent or are not well."""
        now = time.monotonic()
        if now - self._looked_at >= POLL_S:
            self._looked_at = now
            for reader in self._readers:
                reader.look()

    def _is_hopeless(self) -> bool:
        """True where every source has failed, and all that came of them was judged and told."""
        return all(
            self._has_failed(reader) and (reader.ring.closed or not reader.given_up) and not len(reader.ring)
            for reader in self._readers
        )

    def _has_failed(self, reader: Reader) -> bool:
        """True for a file that cannot be read on, and for a camera that gave no frame yet and is not waited for."""
        return reader.fault is not None and (reader.given_up or not self._patient)

    def _is_told_by_its_error(self, reader: Reader) -> bool:
        """True for an only source of which nothing came: what `run` raises says it, and nobody should read it twice."""
        return len(self._readers) == 1 and not len(self._latency) and self._has_failed(reader)

    def _end_exhausted_cameras(self) -> None:
        """Ends the open events of cameras that ended and whose last tick was judged."""
        for reader in [reader for reader in self._open if reader.ring.closed and not len(reader.ring)]:
            self._open.remove(reader)
            self._finish(reader)

    def _is_live_over(self) -> bool:
        return self._duration is not None and time.monotonic() - self._started_at >= self._duration

    # shutdown

    def _end_events(self) -> None:
        """Closes sources and rings, then ends the events that are still open."""
        for reader in self._readers:
            reader.close()
        while self._open:
            self._finish(self._open.popleft())

    def _shut_down(self) -> None:
        """Ends every thread: sources are told first, sinks are flushed and closed, readers are joined."""
        closed_at = time.monotonic()
        for reader in self._readers:
            reader.close()
        for sink in self._sinks:
            sink.finish()
        for sink in self._sinks:
            while sink.is_alive() and (sink.closing or not self._is_late_for_sinks()):
                sink.join(POLL_S)
        for reader in self._readers:
            if reader.is_alive():
                reader.join(max(0.0, (self._stopped_at or closed_at) + READERS_S - time.monotonic()))
        late: list[Thread] = [thread for thread in (*self._sinks, *self._readers) if thread.is_alive()]
        for thread in late:
            logger.error("%s did not end in time and is left behind", thread.name)

    def _is_late_for_sinks(self) -> bool:
        """True once `stop` lies so far back that sinks are no longer waited for; without `stop`, they get all time."""
        return self._stopped_at is not None and time.monotonic() - self._stopped_at > SINKS_S

    def _raise_faults(self) -> None:
        """Raises what a sink or a caller's `on_frame` raised in a thread of another's."""
        for fault in (*(sink.fault for sink in self._sinks), *(reader.taker_fault for reader in self._readers)):
            if fault is not None:
                raise fault

    def _raise_if_every_camera_failed(self) -> None:
        """Raises the first camera's reason."""
        first = self._readers[0].fault
        if first is not None and all(self._has_failed(reader) for reader in self._readers):
            raise first

    def _summary(self) -> Summary:
        """What became of the run."""
        faults = self._recognizer.faults - self._faults_before
        return Summary(
            cameras={
                reader.source.camera: reader.summary(sum(faults[track.name] for track in reader.tracks))
                for reader in self._readers
            },
            predictions=len(self._latency),
            events=self._events,
            undelivered=sum(sink.undelivered for sink in self._sinks),
            unsaved=sum(sink.dropped for sink in self._frame_sinks),
            latency_ms=(self._latency.quantile(0.5), self._latency.quantile(0.95), self._latency.max_ms),
            paced=self._paced,
            wall_s=time.monotonic() - self._started_at,
        )
