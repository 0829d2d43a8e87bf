"""A stream on standard input as a source: what another program films, converts or receives."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from threading import Event as Flag

import av

from stream.contracts import Frame, Input
from stream.sources.connection import FOREVER, ConnectedSource, Target
from stream.sources.hardware import Decode

STDIN = 0
POLL_S = 0.2


class PipeSource(ConnectedSource):
    """The frames of a stream on standard input. It is live: whoever writes does not wait. It can be read once.

    A pipe that is silent is waited for without a limit; its end ends the frames.

    Args:
        input: what the bundle wants to see.
        camera: the name that frames carry; `stdin` if None.
        rotation: degrees clockwise by which pictures are turned.
        decode: the device that decodes; software if None.
    """

    def __init__(
        self, input: Input, *, camera: str | None = None, rotation: int = 0, decode: Decode | None = None
    ) -> None:
        super().__init__(
            "stdin", input, camera or "stdin", rotation=rotation, decode=decode, open_s=FOREVER, silence_s=FOREVER
        )
        self._ends = True
        self._taken = False

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """As in `ConnectedSource`, once: what was read of a pipe is gone."""
        if not self._taken:
            self._taken = True
            yield from super().frames(session)

    def _target(self) -> Target:
        self._pipe = _Pipe(self._closing)
        return Target(self._pipe)

    def _reason(self, error: av.FFmpegError | ValueError, waited: float) -> str:
        if not self._pipe.came:
            return "nothing came on standard input; pipe a stream into this command, such as MPEG-TS of ffmpeg"
        return self._end(getattr(error, "strerror", None) or "it cannot be understood")

    def _end(self, broken: str | None) -> str:
        return (
            "expected video that can be read from its beginning on, such as MPEG-TS, Matroska or raw H.264 (an MP4 "
            f"keeps its index at the end), got something else ({broken or 'not one picture'})"
        )


class _Pipe:
    """Standard input for FFmpeg to read; a read ends where the source is closed.

    Attributes:
        came: bytes so far.
    """

    def __init__(self, closing: Flag) -> None:
        self.came = 0
        self._closing = closing

    def read(self, size: int) -> bytes:
        """What is there, at most `size` bytes; none at the end and after the source was closed."""
        while not self._closing.is_set():
            # On Windows only sockets can be waited for: there a silent pipe is left behind by whoever stops.
            if sys.platform == "win32" or select.select([STDIN], [], [], POLL_S)[0]:
                data = os.read(STDIN, size)
                self.came += len(data)
                return data
        return b""
