"""A video file as a source: every frame, in order, as fast as it is taken. Nothing is dropped."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from stream.address import safe_url, valid_text
from stream.contracts import Frame, Input
from stream.errors import SourceOpenError
from stream.sources.decode import Decoder
from stream.sources.hardware import Decode, Hardware
from stream.sources.stored import StoredSource

log = logging.getLogger(__name__)


class FileSource(StoredSource):
    """The frames of a video file.

    Args:
        path: of the file.
        input: what the bundle wants to see.
        camera: the name that frames carry; the file's stem if None.
        loop: begin again at the end, in a new session, until closed.
        rotation: degrees clockwise by which pictures are turned, besides what the file says.
        decode: the device that decodes; software if None.

    Attributes:
        corrupt: packets that could not be decoded, in this run.
        decoder: of the file, in this run; None before it is opened.

    Raises:
        SourceOpenError: there is no such file, or it is a folder.
    """

    def __init__(
        self,
        path: Path,
        input: Input,
        *,
        camera: str | None = None,
        loop: bool = False,
        rotation: int = 0,
        decode: Decode | None = None,
    ) -> None:
        name = valid_text(camera or path.stem)
        super().__init__(valid_text(str(path)), input, name, loop=loop, rotation=rotation)
        self.path = path
        self.decoder: Decoder | None = None
        self._hardware = Hardware(decode, self.camera)
        if path.is_dir():
            count = sum(1 for _ in path.iterdir())
            raise SourceOpenError(f"{self.url} is a folder ({count} entries), expected a video file: name one in it")
        if not path.exists() and safe_url(self.url) != self.url:
            raise SourceOpenError(
                "expected a file, got what looks like a camera's address with a login; `actionstream watch` takes it, "
                "with rtsp:// in front"
            )
        if not path.exists():
            raise SourceOpenError(
                f"{self.url}: no such file; check the spelling and the folder you are in ({Path.cwd()})"
            )

    def length(self) -> float | None:
        """Media seconds from the first frame to the end of the last; None where the file does not say."""
        try:
            with av.open(self.path.absolute(), metadata_errors="replace") as container:
                return container.duration / av.time_base if container.duration else None
        except av.FFmpegError:  # no video: `frames` says so better
            return None

    def _once(self, session: int) -> Generator[Frame, None, int]:
        """The file's frames from first to last; what it returns is the session that comes after them."""
        first = self._index
        with self._opened() as container:
            stream = container.streams.video[0]
            self.decoder = decoder = Decoder(self.camera, stream, session=session, index=first, rotation=self._rotation)
            packets = container.demux(stream)
            while not self._closed and (packet := self._next(packets)) is not None:
                for frame in decoder.frames(packet, time.monotonic()):
                    if self._index == first:
                        self._hardware.check(stream)
                    self._index = decoder.index
                    yield frame
        self.corrupt += decoder.corrupt
        if decoder.corrupt:
            log.warning("%s: %d damaged packets were passed over", self.url, decoder.corrupt)
        if self._index == first and not self._closed:
            raise SourceOpenError(
                f"{self.url}: not one frame of its video ({stream.codec_context.name}) can be decoded"
            )
        return decoder.session + 1

    def _next(self, packets: Iterator[Packet[VideoStream]]) -> Packet[VideoStream] | None:
        """The next packet; None at the end, and where the file can be read no further."""
        try:
            return next(packets, None)
        except av.FFmpegError as error:
            log.warning("%s: cannot be read to its end: %s", self.url, error.strerror)
            return None

    def _opened(self) -> InputContainer:
        """The file, open, with a video stream.

        Raises:
            SourceOpenError: it has none.
        """
        if self.path.stat().st_size == 0:
            raise SourceOpenError(f"{self.url} is empty (0 bytes), expected a video file")
        try:
            # Absolute: FFmpeg would take 12:30.mp4 for a protocol.
            container = av.open(self.path.absolute(), metadata_errors="replace", hwaccel=self._hardware.accelerator())
        except av.FFmpegError as error:
            raise SourceOpenError(f"{self.url} is not a video that can be read: {error.strerror}") from None
        found: set[str] = {stream.type for stream in container.streams}
        if container.format.name == "tty":  # FFmpeg draws text files as pictures of a terminal
            found = {"text"}
        elif any(_is_moving(stream) for stream in container.streams.video[:1]):
            return container
        container.close()
        raise SourceOpenError(
            f"{self.url} holds no video, only {', '.join(sorted(found)) or 'nothing'}; name a video file"
        )


def _is_moving(stream: VideoStream) -> bool:
    """True for a stream that has a decoder and is no picture attached to a song."""
    return stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
