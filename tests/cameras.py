"""Cameras of generated pictures that fail on command, for what no server can be made to do. Nothing here is a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stream.contracts import Frame, Input, Picture, Tick
from stream.errors import SourceLost, SourceOpenError
from stream.sampling import ticks
from tests.media import moving_pictures


class PatternCamera:
    """A source that makes its own frames.

    Args:
        input: what the bundle wants to see.
        camera: its name.
        live: as in `Source`.
        fps: frames a second; 0 is as fast as they are taken.
        connections: what each opening gives, in turn: a number of frames, then the exception (None: a normal end).
            Past the last one it is refused.
        pictures: (h, w, 3) uint8 RGB, shown in turn; a walking square when None.
        stuck: frames of a connection after which it never goes on, not even when closed, until `release` is set.

    Attributes:
        opened, let_go: connections that were begun, and that were ended, by itself or by whoever read them.
    """

    def __init__(
        self,
        input: Input,
        camera: str = "pattern",
        *,
        live: bool = True,
        fps: float = 0,
        connections: tuple[tuple[int, Exception | None], ...] = ((50, None),),
        pictures: Sequence[NDArray[np.uint8]] | None = None,
        stuck: int | None = None,
    ) -> None:
        self.input, self.camera, self.live, self.url = input, camera, live, f"pattern:{camera}"
        self.corrupt = 0
        self.timed_by_arrival = False
        self.skipped = 0
        self.opened = self.let_go = 0
        self.release = threading.Event()
        self._pause = 1 / fps if fps else 0.0
        self._connections = connections
        self._stuck = stuck
        self._closed = threading.Event()
        self._index = 0
        self._pictures = [Picture((picture,), "rgb") for picture in pictures or moving_pictures(50, 64, 48)]

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """The next connection's frames, 1/25 media second apart; the camera's clock runs on."""
        opened, self.opened = self.opened, self.opened + 1
        if opened >= len(self._connections) or self._connections[opened][0] == 0:
            raise SourceOpenError(f"{self.url}: nobody there")
        count, end = self._connections[opened]
        try:
            yield from self._shown(count, session)
        finally:
            self.let_go += 1
        if end is not None and not self._closed.is_set():
            raise end

    def _shown(self, count: int, session: int) -> Iterator[Frame]:
        """`count` frames."""
        for number in range(count + 1):
            if number == self._stuck:
                self.release.wait()
            self._closed.wait(self._pause)
            if number == count or self._closed.is_set():
                return
            picture = self._pictures[self._index % len(self._pictures)]
            yield Frame(self.camera, self._index, session, self._index / 25, time.monotonic(), picture)
            self._index += 1

    def __iter__(self) -> Iterator[Tick]:
        """The sampled ticks."""
        return ticks(self.frames(), self.input)

    def close(self) -> None:
        """Ends the frames."""
        self._closed.set()


def lost(reason: str = "hung up") -> SourceLost:
    """What a camera raises that was there and went away."""
    return SourceLost(f"pattern: {reason}")
