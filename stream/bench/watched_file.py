"""A file source that notes what demuxing and decoding took. It reads and decodes as any file source does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from av.packet import Packet
from av.video.stream import VideoStream

from stream.contracts import Frame, Input
from stream.sources.file import FileSource


class WatchedFile(FileSource):
    """A video file that is listened to.

    Attributes:
        spent: seconds of demuxing and of decoding that brought the frame of an index; where several packets were read
            before it came out of the decoder, of all of them.
    """

    def __init__(self, path: Path, input: Input) -> None:
        super().__init__(path, input)
        self.spent: dict[int, tuple[float, float]] = {}
        self._demuxing = 0.0

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """As in `FileSource`."""
        frames = super().frames(session)
        while True:
            self._demuxing, began = 0.0, time.monotonic()
            frame = next(frames, None)
            if frame is None:
                return
            self.spent[frame.index] = self._demuxing, time.monotonic() - began - self._demuxing
            yield frame

    def _next(self, packets: Iterator[Packet[VideoStream]]) -> Packet[VideoStream] | None:
        began = time.monotonic()
        packet = super()._next(packets)
        self._demuxing += time.monotonic() - began
        return packet
