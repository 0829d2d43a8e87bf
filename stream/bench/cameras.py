"""How many real-time cameras the line holds on this machine, and how many it could hold at the very most.

A number of cameras is held when, over the measured seconds, every label that was due was told and the 95th percentile
of the latency stays under a limit. The number is doubled until it is not held, then bisected. Beside it stands the
floor: what receiving and decoding alone, and the graphs alone, cost on the same machine in the same run.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from stream.bench.bare import bare_loop
from stream.bench.conditions import OpenBundle
from stream.bench.process import cpu_s
from stream.contracts import Prediction, Source
from stream.engine import Engine
from stream.errors import SourceError
from stream.latency import LatencyHistogram
from stream.recognizer import Recognizer
from stream.session import CPU
from stream.threads import available_cores

SETTLING_S = 2.0  # from the last camera's first label on, until the measurement begins
OPENING_S = 10.0  # in which the first camera must have come; each more gets a tenth of a second
LEAVING_S = 10.0  # for reader threads of one trial to end before the next
MODEL_S = 2.0
GRACE = 2  # labels a camera that may be told just before, or just after, the time that is measured


@dataclass(frozen=True)
class Trial:
    """What came of one number of cameras.

    Attributes:
        cameras: that were watched.
        held: whether all that was due was told, in time.
        labels: told in the measured seconds.
        missed: labels that were due then and were not told: ticks that were dropped or thinned out, and what cameras
            whose decoding falls behind, or that fell silent, owe by the end.
        p50_ms, p95_ms, max_ms: from a frame's arrival to its label.
        cores: CPU seconds a second of this process.
        server_cores: of the process that plays the cameras; None where there is none, or the system does not tell.
        seconds: that were measured; 0 where not all cameras gave a label.
    """

    cameras: int
    held: bool
    labels: int
    missed: int
    p50_ms: float
    p95_ms: float
    max_ms: float
    cores: float
    server_cores: float | None
    seconds: float


@dataclass(frozen=True)
class Floor:
    """What cannot be done without, in CPU milliseconds, and how many cameras that leaves room for.

    Attributes:
        decode_ms: a second of one camera, received and decoded, in this process; 0 for pictures out of memory.
        model_ms: one label, by the graphs alone, at the batch size that was measured with.
        cameras: that all cores could carry if nothing else cost anything.
    """

    decode_ms: float
    model_ms: float
    cameras: float


def largest(is_held: Callable[[int], bool], start: int, most: int) -> int:
    """The largest number up to `most` that is held, by doubling from `start`, then bisecting to 1 in 16; 0 if none."""
    held, failed = 0, most + 1
    number = min(start, most)
    while held < failed - 1 and failed - held > max(1, held // 16):
        if is_held(number):
            held = number
        else:
            failed = number
        number = min(2 * held, most) if failed > most else (held + failed) // 2
    return held


def trial(
    recognizer: Recognizer,
    sources: Sequence[Source],
    *,
    rate: float,
    seconds: float,
    limit_ms: float,
    server: int | None = None,
) -> Trial:
    """Watches `sources` all together for a while; what came of it.

    Args:
        recognizer: as it would be used.
        sources: live, not read yet.
        rate: labels a second, of each.
        seconds: to measure, once all cameras gave their first label and some more time went by.
        limit_ms: of the 95th percentile of the latency.
        server: id of the process that plays the cameras.

    Raises:
        DeviceError: a graph no longer runs.
    """
    seen = replace(recognizer.input, rate=rate)
    meter = _Meter([source.camera for source in sources], rate, seconds, server)
    engine = Engine(
        recognizer,
        sources,
        tracks={source.camera: {source.camera: seen} for source in sources},
        patient=True,
        duration=OPENING_S + len(sources) / 10 + SETTLING_S + seconds,
        on_prediction=lambda prediction, _: None if meter.told(prediction) else engine.stop(),
    )
    with suppress(SourceError):  # no camera came in time: not held
        engine.run()
    _leave()
    return meter.trial(limit_ms)


def floor(
    opened: OpenBundle,
    sources: Sequence[Source],
    *,
    rate: float,
    batch_size: int,
    seconds: float,
) -> Floor:
    """What `sources` and their labels cost at the least.

    Args:
        opened: what is measured.
        sources: to be received and decoded alone, all together; none where pictures come out of memory.
        rate: labels a second.
        batch_size: of the graphs' runs.
        seconds: to decode for.
    """
    decode_s = _decode_alone(sources, seconds) if sources else 0.0
    cpu, wall = _model_alone(opened, batch_size)
    cores = available_cores()
    most = cores / (decode_s + rate * cpu)
    if opened.features.providers[0] != CPU:  # the model's own machine is the other limit
        most = min(most, 1 / (rate * wall))
    return Floor(decode_ms=decode_s * 1000, model_ms=cpu * 1000, cameras=most)


class _Meter:
    """Counts labels from the time on at which all cameras are there. Called in the engine's thread."""

    def __init__(self, cameras: Sequence[str], rate: float, seconds: float, server: int | None) -> None:
        self._cameras, self._rate, self._seconds, self._server = cameras, rate, seconds, server
        self._last: dict[str, tuple[int, float]] = {}  # session and media time of the newest label
        self._begins: float | None = None  # None: not all cameras are there
        self._cpu: tuple[float, float | None] | None = None
        self._spent: tuple[float, float | None] = 0.0, None
        self._latency = LatencyHistogram()
        self._missed = 0
        self._accounted = Counter[str]()  # labels a camera, told or known to be missed
        self._over = False

    def told(self, prediction: Prediction) -> bool:
        """Takes a label; False once the measurement is over."""
        now = time.monotonic()
        before = self._last.get(prediction.camera)
        self._last[prediction.camera] = prediction.session, prediction.time
        if self._begins is None:
            if len(self._last) == len(self._cameras):
                self._begins = now + SETTLING_S
            return True
        if now < self._begins or self._over:
            return not self._over
        if self._cpu is None:
            self._begins, self._cpu = now, self._used()
        self._latency.add(prediction.latency_ms or 0.0)
        lost = 0
        if before is not None:
            session, media = before
            is_afresh = session != prediction.session
            lost = 1 if is_afresh else max(0, round((prediction.time - media) * self._rate) - 1)
        self._missed += lost
        self._accounted[prediction.camera] += 1 + lost
        if now - self._begins >= self._seconds:
            self._end(now)
        return not self._over

    def _end(self, now: float) -> None:
        """Counts what cameras owe that are behind or silent, and the CPU time."""
        assert self._begins is not None and self._cpu is not None
        self._over = True
        seconds = now - self._begins
        due = int(seconds * self._rate) - GRACE
        self._missed += sum(max(0, due - self._accounted[camera]) for camera in self._cameras)
        own, server = (
            None if before is None or after is None else (after - before) / seconds
            for before, after in zip(self._cpu, self._used(), strict=True)
        )
        self._spent, self._seconds = (own or 0.0, server), seconds

    def _used(self) -> tuple[float, float | None]:
        """CPU seconds so far of this process and of the cameras'."""
        return time.process_time(), None if self._server is None else cpu_s(self._server)

    def trial(self, limit_ms: float) -> Trial:
        """What came of it."""
        p50, p95 = (self._latency.quantile(share) for share in (0.5, 0.95))
        own, server = self._spent
        return Trial(
            cameras=len(self._cameras),
            held=self._over and not self._missed and p95 <= limit_ms,
            labels=len(self._latency),
            missed=self._missed,
            p50_ms=p50,
            p95_ms=p95,
            max_ms=self._latency.max_ms,
            cores=own,
            server_cores=server,
            seconds=self._seconds if self._over else 0.0,
        )


def _leave() -> None:
    """Waits for reader threads that the engine left behind: they would cost the next trial."""
    end = time.monotonic() + LEAVING_S
    for thread in threading.enumerate():
        if thread.name.startswith("reader "):
            thread.join(max(0.0, end - time.monotonic()))


def _decode_alone(sources: Sequence[Source], seconds: float) -> float:
    """CPU seconds a second that one of `sources` costs when all are received and decoded, and nothing more."""
    counts = dict.fromkeys((source.camera for source in sources), 0)

    def read(source: Source) -> None:
        with suppress(SourceError):
            for _ in source.frames():
                counts[source.camera] += 1

    readers = [threading.Thread(target=read, args=(source,), name=f"reader {source.camera}") for source in sources]
    for reader in readers:
        reader.start()
    end = time.monotonic() + OPENING_S + len(sources) / 10
    while not all(counts.values()) and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(SETTLING_S)
    began, before = time.monotonic(), time.process_time()
    time.sleep(seconds)
    spent = (time.process_time() - before) / (time.monotonic() - began)
    for source in sources:
        source.close()
    _leave()
    return spent / len(sources)


def _model_alone(opened: OpenBundle, rows: int) -> tuple[float, float]:
    """CPU seconds and wall seconds of one label, by the graphs alone."""
    bare, seen = bare_loop(opened, rows), opened.bundle.input
    shape = (rows, seen.height, seen.width, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for _ in range(3):
        bare(images)
    began, before, runs = time.monotonic(), time.process_time(), 0
    while time.monotonic() - began < MODEL_S:
        bare(images)
        runs += 1
    labels = runs * rows
    return (time.process_time() - before) / labels, (time.monotonic() - began) / labels
