"""Cameras of one server, opened one after the other, as the cameras of a building come up. It decodes (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event as Flag

from stream.contracts import Frame, Input
from stream.sources.rtsp import RtspSource

APART_S = 0.037  # no whole part of a period between two labels: they do not ask for labels together


class LaterCamera(RtspSource):
    """A network camera that is first opened after a delay.

    Args:
        url: of the camera.
        input: what the bundle wants to see.
        camera: its name.
        delay: seconds.
    """

    def __init__(self, url: str, input: Input, camera: str, *, delay: float) -> None:
        super().__init__(url, input, camera=camera)
        self._delay = delay
        self._given_up = Flag()

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """As in `RtspSource`."""
        delay, self._delay = self._delay, 0.0
        if not self._given_up.wait(delay):
            yield from super().frames(session)

    def close(self) -> None:
        """As in `RtspSource`."""
        self._given_up.set()
        super().close()


def open_cameras(url: str, input: Input, count: int) -> list[LaterCamera]:
    """`count` cameras at `url`, each opened `APART_S` after the one before it."""
    return [LaterCamera(url, input, f"camera {n}", delay=n * APART_S) for n in range(count)]
