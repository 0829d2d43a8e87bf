"""What lies on a disk as a source, a file or a folder: read from first to last, again where it loops, never dropping.

A kind of it says how its frames are read once; opening and decoding live with the kinds.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from stream.contracts import Frame, Input, Tick
from stream.unfitted import ticks


class StoredSource:
    """The frames of something that is whole before it is read.

    Args:
        url: what it is called in errors and logs.
        input: what the bundle wants to see.
        camera: the name that frames carry.
        loop: begin again at the end, in a new session, until closed.
        rotation: degrees clockwise by which pictures are turned, besides what they say themselves.

    Attributes:
        corrupt: packets or pictures that could not be decoded, in this run.
    """

    live = False
    timed_by_arrival = False
    skipped = 0

    def __init__(self, url: str, input: Input, camera: str, *, loop: bool, rotation: int) -> None:
        self.url, self.input, self.camera, self.loop = url, input, camera, loop
        self.corrupt = 0
        self._rotation = rotation
        self._index = 0
        self._closed = False

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """Every frame, the first of them in `session`; session 0 also counts frames from 0 again.

        Returns after the last one (with `loop`, never), or after `close`.

        Raises:
            SourceOpenError: it is empty, or nothing in it can be decoded.
        """
        if session == 0:
            self._index = self.corrupt = 0
        while not self._closed:
            session = yield from self._once(session)
            if not self.loop:
                return

    def __iter__(self) -> Iterator[Tick]:
        """The sampled ticks."""
        return ticks(self.frames(), self.input)

    def close(self) -> None:
        """Asks the iterating thread to stop before the next frame."""
        self._closed = True

    def _once(self, session: int) -> Generator[Frame, None, int]:
        """The frames from first to last; what it returns is the session that comes after them."""
        raise NotImplementedError
