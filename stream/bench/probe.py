"""What a camera sends, measured over some seconds: codec, size, rate, keyframes, and how its clock runs against ours.

Nothing is judged here; what follows from it for a bundle is said in `advice`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stream.address import without_logins
from stream.contracts import Frame, Source
from stream.errors import StreamError
from stream.sources.decode import Decoder

OPENING_S = 10.0  # beyond the seconds asked for: what a camera may take until its first picture
CLOSING_S = 6.0  # FFmpeg cannot be interrupted while it opens or reads
POLL_S = 0.1

SETTLING_S = 1.0  # some cameras begin with what they had in store
FASTEST = 0.1  # seconds in which a second comes; quicker is no camera but a file that is piped in, and has no clock
BLOCK_S, BLOCKS = 1.0, 6  # the least delayed picture of each block counts; from fewer blocks nothing is concluded
TELLING_MS = 120.0  # a minute (0.2 %): a clock known less well than that is not known


@dataclass(frozen=True)
class Drift:
    """How a camera's clock runs against ours, in milliseconds a minute: what it gains, and twice the standard error."""

    gain_ms: float
    error_ms: float


@dataclass(frozen=True)
class Probe:
    """What came of one camera.

    Attributes:
        camera, url: its name, and its address without secrets.
        live: False for a file.
        codec: in FFmpeg's words; empty where nothing came.
        size: upright (height, width) of the newest picture.
        frames, seconds: pictures of the newest session, and the media seconds from the first to the last of them.
        fps: pictures a media second, by their timestamps; None where fewer than two came.
        keyframe_s: the longest media seconds from one keyframe to the next; None where fewer than two came.
        untimed: True where the stream has no usable timestamps, so that arrival stands in for them.
        drift: None where it cannot be told: from a file, an untimed stream, or in so short a time.
        corrupt: packets that could not be decoded.
        error: why it failed; None where it went well.
    """

    camera: str
    url: str
    live: bool = True
    codec: str = ""
    size: tuple[int, int] = (0, 0)
    frames: int = 0
    seconds: float = 0.0
    fps: float | None = None
    keyframe_s: float | None = None
    untimed: bool = False
    drift: Drift | None = None
    corrupt: int = 0
    error: str | None = None


def probe(sources: Sequence[Source], seconds: float, progress: Callable[[float], None] = lambda _: None) -> list[Probe]:
    """What came of each of `sources`, in order, all looked at together: in `seconds`, and `OPENING_S` more at most.

    Args:
        sources: of `open_source`, not read yet.
        seconds: of video to look at.
        progress: called with the seconds that have gone by.
    """
    lookers = [_Looker(source, seconds) for source in sources]
    for looker in lookers:
        looker.start()
    began = time.monotonic()
    while any(looker.is_alive() for looker in lookers) and time.monotonic() - began < seconds + OPENING_S:
        progress(time.monotonic() - began)
        time.sleep(POLL_S)
    for looker in lookers:
        looker.source.close()
    closed = time.monotonic()
    for looker in lookers:
        looker.join(max(0.0, closed + CLOSING_S - time.monotonic()))
    return [looker.result() for looker in lookers]


def drift_of(times: NDArray[np.float64], arrivals: NDArray[np.float64]) -> Drift | None:
    """How the clock of pictures with `times` (N,) that came at `arrivals` (N,) runs; None where it cannot be told.

    A network only ever delays: the least delayed picture of each second lies nearest to the clock itself, and a line
    through those gives its rate (Moon, Skelly and Towsley, INFOCOM 1999, take their lower hull).
    """
    elapsed = times - times[0]
    delays = arrivals - arrivals[0] - elapsed
    blocks = np.floor((elapsed - SETTLING_S) / BLOCK_S)
    least = [
        np.flatnonzero(blocks == block)[delays[blocks == block].argmin()] for block in np.unique(blocks[blocks >= 0])
    ]
    if len(least) < BLOCKS:
        return None
    x, y = elapsed[least], delays[least]
    slope, offset = np.polyfit(x, y, 1)
    if slope <= FASTEST - 1:
        return None
    spread = np.sqrt(np.square(y - slope * x - offset).sum() / (len(x) - 2) / np.square(x - x.mean()).sum())
    drift = Drift(gain_ms=float(-slope / (1 + slope) * 60_000), error_ms=float(2 * spread * 60_000))
    return drift if drift.error_ms <= TELLING_MS else None


@runtime_checkable
class Decoding(Protocol):
    """A source that decodes a stream; a folder of pictures is none."""

    decoder: Decoder | None
    """Of the newest connection; None before the first."""


class _Looker(Thread):
    """Looks at one camera."""

    def __init__(self, source: Source, seconds: float) -> None:
        super().__init__(name=f"probe {source.camera}", daemon=True)
        self.source = source
        self._seconds = seconds
        self._error: str | None = None
        self._frames: list[tuple[float, float, bool]] = []  # media time, arrival, is it a keyframe
        self._session = -1
        self._keyframes = 0
        self._size = (0, 0)

    def run(self) -> None:
        try:
            for frame in self.source.frames():
                self._take(frame)
                if frame.time - self._frames[0][0] >= self._seconds:
                    break
        except StreamError as error:
            self._error = str(error)
        except Exception as error:  # noqa: BLE001  law 6: a damaged stream raises far more, and costs only this camera
            self._error = without_logins(f"{self.source.url}: unexpected {type(error).__name__}: {error}")
        finally:
            self.source.close()

    def _take(self, frame: Frame) -> None:
        """Notes a frame; of a new session, whose clock is another, it is the first."""
        if frame.session != self._session:
            self._session, self._frames = frame.session, []
        decoder = self._decoder()
        keyframes = decoder.keyframes if decoder else 0
        self._frames.append((frame.time, frame.arrived, keyframes > self._keyframes))
        self._keyframes = keyframes
        self._size = frame.picture.size

    def _decoder(self) -> Decoder | None:
        return self.source.decoder if isinstance(self.source, Decoding) else None

    def result(self) -> Probe:
        """What came of it so far."""
        source, decoder, frames = self.source, self._decoder(), self._frames[:]
        if not frames or self._error:
            late = f"{source.url}: no picture came in time; look at it for longer, or try it in a player"
            return Probe(source.camera, source.url, source.live, error=self._error or late)
        times, arrivals, keys = (np.array(column) for column in zip(*frames, strict=True))
        seconds = float(times[-1] - times[0])
        intervals = np.diff(times[keys])
        return Probe(
            camera=source.camera,
            url=source.url,
            live=source.live,
            codec=decoder.codec if decoder else "pictures",
            size=self._size,
            frames=len(frames),
            seconds=seconds,
            fps=(len(frames) - 1) / seconds if seconds > 0 else None,
            keyframe_s=float(intervals.max()) if len(intervals) else None,
            untimed=source.timed_by_arrival,
            drift=drift_of(times, arrivals) if source.live and not source.timed_by_arrival else None,
            corrupt=source.corrupt,
        )
