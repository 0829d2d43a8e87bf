"""The values that walk the line, and the two protocols at its ends. numpy and the standard library only.

A frame is decoded (`Frame`), sampled (`Tick`), judged (`Prediction`) and, when something begins or ends, told
(`Event`). All are frozen; those that hold arrays compare by identity. Times are seconds: `time` on the media's own
clock (presentation timestamps), `arrived` on `time.monotonic()`. Axes: N batch, T time, H W, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Fit: TypeAlias = Literal["center", "squash", "letterbox", "region"]
Mode: TypeAlias = Literal["carry", "window", "staggered"]
Kind: TypeAlias = Literal["started", "updated", "ended"]
Health: TypeAlias = Literal["online", "stalled", "offline", "degraded", "failed"]
Layout: TypeAlias = Literal["yuv420", "rgb", "bgr", "gray"]
State: TypeAlias = Mapping[str, NDArray[Any]]
"""Named arrays, each (N, ...): a value. Nothing mutates one; a step returns the next."""

AWAY: tuple[Health, ...] = ("stalled", "offline", "failed")
"""Of these cameras nothing comes."""
FITS: tuple[Fit, ...] = ("center", "squash", "letterbox", "region")
MODES: tuple[Mode, ...] = ("carry", "window", "staggered")


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded picture, as the decoder left it.

    Attributes:
        planes: `yuv420`: Y (h, w), U and V (ceil(h/2), ceil(w/2)); `rgb`, `bgr`: one (h, w, 3); `gray`: one (h, w).
            All uint8; rows may be padded (strided views of the decoder's memory).
        layout: what the planes hold.
        full_range: True where luma runs 0-255 (webcams' yuvj420p) and not 16-235. For `yuv420` and `gray`.
        matrix: luma coefficients of `yuv420`.
        rotation: degrees clockwise, 0, 90, 180 or 270, by which the picture must be turned to stand upright.
    """

    planes: tuple[NDArray[np.uint8], ...]
    layout: Layout
    full_range: bool = False
    matrix: Literal["bt601", "bt709"] = "bt601"
    rotation: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Upright (height, width) in pixels."""
        height, width = self.planes[0].shape[:2]
        return (width, height) if self.rotation in (90, 270) else (height, width)


@dataclass(frozen=True)
class Input:
    """What a bundle wants to see.

    Attributes:
        height, width: pixels of the picture that the model gets.
        fit: how a decoded picture of another shape is brought to that size (stream.geometry).
        rate: ticks a media second; None is `native`, every frame.
        max_gap: media seconds between two frames beyond which a new session begins.
        region: for fit `region`: x0, y0, x1, y1 as shares (0-1) of the upright picture's width and height;
            the region is then letterboxed. None elsewhere.
    """

    height: int
    width: int
    fit: Fit = "letterbox"
    rate: float | None = 10.0
    max_gap: float = 2.0
    region: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """A decoded frame, before sampling.

    Attributes:
        camera: the camera's name; never a number, never a secret.
        index: frames decoded before it in this run of the source, over all sessions.
        session: rises by one at every reconnect, seek, loop or resolution change (the sampler adds gaps).
        time: media seconds, from pts; comparable only inside one session.
        arrived: `time.monotonic()` at which demux returned the frame's last packet.
        picture: the decoded picture.
    """

    camera: str
    index: int
    session: int
    time: float
    arrived: float
    picture: Picture


@dataclass(frozen=True, eq=False)
class Unfitted:
    """The part of a decoded picture that a model sees, not brought to the model's size yet (stream.unfitted).

    Attributes:
        picture: that part and nothing else, as the decoder left it.
        size: upright (height, width) that it fills in the middle of the model's picture; black lies around it.
    """

    picture: Picture
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Tick:
    """A frame that was sampled.

    Attributes:
        camera: the name of the track that it is a tick of: the camera's own, or one of several regions of its picture.
        index, session, time, arrived: as in `Frame` (session with gaps counted in).
        image: (H, W, 3) uint8 RGB at the model's size.
        dt: media seconds since the session's previous tick; 0 at its first. Of a live camera, of which ticks may be
            dropped: since the previous one that is judged.
        unfitted: where a graph does the geometry (stream.embedded): what it is to do it to; `image` is empty then.
    """

    camera: str
    index: int
    session: int
    time: float
    arrived: float
    image: NDArray[np.uint8]
    dt: float
    unfitted: Unfitted | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one tick was judged to be.

    Attributes:
        camera, session, index, time, dt: of its tick.
        label: the decided label: the event label that is on, or the bundle's none label.
        score: the calibrated score of `label`.
        scores: (K,) float32 calibrated scores in the bundle's label order, summing to 1.
        warm: False while the state has seen fewer ticks than the bundle's warm-up.
        latency_ms: arrival to hand-over to the sinks; None until the engine fills it in.
    """

    camera: str
    session: int
    index: int
    time: float
    label: str
    score: float
    scores: NDArray[np.float32]
    warm: bool
    dt: float
    latency_ms: float | None = None


@dataclass(frozen=True)
class Event:
    """The start, or the end, of something.

    Attributes:
        id: 16 hex digits, the hash of camera, session, label, start tick and bundle: the same file, the same ids. An
            engine makes those of a live camera its run's own: no two runs have one in common.
        camera, label: where and what.
        kind: started | updated | ended.
        start: media seconds of the first tick over the enter threshold.
        end: media seconds of the first tick under the exit threshold, of the first one over the enter threshold of the
            label that took its place, or of the session's last; None until it ended.
        peak: highest smoothed score so far.
        delay: media seconds from `start` to the tick that confirmed it.
        model: bundle name and the first 8 digits of its hash, `figures@1a2b3c4d`.
        session: the one that `start` and `end` are times of.
        at: when it was known, by this machine's clock, in UTC; of live cameras in an engine, else None.
    """

    id: str
    camera: str
    label: str
    kind: Kind
    start: float
    end: float | None
    peak: float
    delay: float
    model: str
    session: int = 0
    at: datetime | None = None


@dataclass(frozen=True)
class Status:
    """How a live camera is, told when that changes; of a file, only that it failed.

    Attributes:
        camera: its name; all of its tracks are meant.
        session: of the newest frame, as in its label; at `online`, of the first frame that follows.
        health: `online`: frames come. `stalled`: none come, the connection stands. `offline`: it cannot be reached and
            is tried again. `degraded`: frames come, but not as they should. `failed`: it is not tried again.
        reason: in plain words, without secrets; empty at `online`.
        away: seconds without a frame so far; 0 where frames come without a break.
        at: as in `Event`.
    """

    camera: str
    session: int
    health: Health
    reason: str
    away: float
    at: datetime | None = None

    @property
    def is_away(self) -> bool:
        """True where nothing comes."""
        return self.health in AWAY


class FeatureExtractor(Protocol):
    """Frames to features."""

    def extract(self, images: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """Features (N, D) float32 and the next state of `images` (N, H, W, 3) uint8 RGB."""


class Head(Protocol):
    """Features and state to logits."""

    def step(self, features: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """Logits (N, K) float32 and the next state of `features` (N, D) float32."""


@runtime_checkable
class Source(Protocol):
    """Where frames come from. One thread iterates; `close` may be called from any thread and never blocks."""

    camera: str
    url: str
    """Where it reads from, with user and password removed: safe to print."""
    input: Input

    @property
    def live(self) -> bool:
        """True where frames arrive whether or not they are taken: a live source drops, a file waits."""

    @property
    def corrupt(self) -> int:
        """Packets that could not be decoded and were passed over so far, and pictures that are not whole."""

    @property
    def skipped(self) -> int:
        """Packets that a live source did not decode so far, since decoding had fallen behind the camera."""

    @property
    def timed_by_arrival(self) -> bool:
        """True once a live source's own times proved to be of no use."""

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """Decoded frames, the first of them in `session`.

        Returns normally at the end of a file, or soon (under a second) after `close`.

        Raises:
            SourceOpenError: it could not be opened.
            SourceLost: a live source ended, stalled or broke.
        """

    def __iter__(self) -> Iterator[Tick]:
        """The sampled ticks of `frames()`: `stream.unfitted.ticks(self.frames(), self.input)`."""

    def close(self) -> None:
        """Asks the iterating thread to stop; idempotent."""


@runtime_checkable
class Sink(Protocol):
    """Where results go. One thread calls it; what it was told survives a kill."""

    def prediction(self, prediction: Prediction) -> None:
        """Takes one label."""

    def event(self, event: Event) -> None:
        """Takes one event."""

    def status(self, status: Status) -> None:
        """Takes the news of a camera that went away, came back or is not well."""

    def close(self) -> None:
        """Flushes and releases; idempotent."""


@runtime_checkable
class FrameSink(Sink, Protocol):
    """A sink that also takes one camera's decoded frames, at full size."""

    @property
    def dropped(self) -> int:
        """Frames of a live camera that it was handed and had no time for."""

    def attach(self, camera: str, live: bool) -> None:
        """Is told of each camera, or each of its tracks, before the first frame.

        Raises:
            SinkError: it cannot take this camera.
        """

    def frame(self, frame: Frame, tick: int) -> None:
        """Takes one frame, in the thread of its camera's reader; blocks only while a file's queue is full.

        Args:
            frame: of any attached camera.
            tick: index of the newest tick at or before the frame, whose prediction it is shown with; -1 before the
                first.
        """
