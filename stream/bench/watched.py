"""A file and a camera that note what demuxing and decoding took. They read and decode as any of their kind does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from av.packet import Packet
from av.video.stream import VideoStream

from stream.bench.latency import Reading
from stream.contracts import Frame, Input
from stream.sources.file import FileSource
from stream.sources.rtsp import RtspSource


class WatchedFile(FileSource):
    """A video file that is listened to.

    Attributes:
        spent: what brought the frame of an index; where several packets were read before it came out of the decoder,
            all of them together.
    """

    def __init__(self, path: Path, input: Input) -> None:
        super().__init__(path, input)
        self.spent: dict[int, Reading] = {}
        self._demuxing = 0.0

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """As in `FileSource`."""
        frames = super().frames(session)
        while True:
            self._demuxing, began = 0.0, time.monotonic()
            frame = next(frames, None)
            if frame is None:
                return
            self.spent[frame.index] = Reading(self._demuxing, time.monotonic() - began - self._demuxing)
            yield frame

    def _next(self, packets: Iterator[Packet[VideoStream]]) -> Packet[VideoStream] | None:
        began = time.monotonic()
        packet = super()._next(packets)
        self._demuxing += time.monotonic() - began
        return packet


class WatchedCamera(RtspSource):
    """A network camera that is listened to.

    Attributes:
        spent: what brought the frame of an index; demuxing, which is waiting for the camera, counts as nothing.
    """

    def __init__(self, url: str, input: Input) -> None:
        super().__init__(url, input)
        self.spent: dict[int, Reading] = {}

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """As in `RtspSource`."""
        for frame in super().frames(session):
            self.spent[frame.index] = Reading(0.0, time.monotonic() - frame.arrived, arrived_first=True)
            yield frame
