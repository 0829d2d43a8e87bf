"""A webcam as a source, through FFmpeg's capture devices: V4L2 on Linux, AVFoundation on macOS, DirectShow on Windows.

Not through OpenCV: here a frame carries the driver's own time, and its planes come as the webcam sent them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import av
from av.container import InputContainer

from stream.contracts import Frame, Input, Tick
from stream.errors import SourceError, SourceLost, SourceOpenError
from stream.sampling import ticks
from stream.sources.decode import Decoder
from stream.sources.devices import SYSTEMS, Webcam, list_webcams

# V4L2's letters for what FFmpeg calls otherwise
FORMATS = {"YUYV": "yuyv422", "MJPG": "mjpeg", "NV12": "nv12", "YU12": "yuv420p", "H264": "h264"}
SMOOTH_FPS = 25.0  # where no rate is asked for: raw pictures if they come this often at that size, else compressed ones


class WebcamSource:
    """The frames of a webcam.

    Args:
        index: its number, as `actionstream devices` lists it.
        input: what the bundle wants to see.
        camera: the name that frames carry; `webcam-0` if None.
        size: (width, height) to ask for; the driver takes the nearest. Its own choice if None.
        fps: frames a second to ask for; its own choice if None.
    """

    live = True

    def __init__(
        self,
        index: int,
        input: Input,
        *,
        camera: str | None = None,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
    ) -> None:
        self.number, self.input, self.size, self.fps = index, input, size, fps
        self.camera = camera or f"webcam-{index}"
        self.url = f"/dev/video{index}" if sys.platform == "linux" else self.camera
        self.corrupt = 0
        self._index = self._first = 0
        self._closed = False

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """Its frames as they come; session 0 counts them from 0 again.

        Returns at the next frame after `close`: a driver is waited for without a time limit, and tells when the webcam
        was pulled out.

        Raises:
            SourceOpenError: it is not there, is in use or is not ours to use.
            SourceLost: it was pulled out or failed.
        """
        if session == 0:
            self._index = self.corrupt = 0
        if self._closed:
            return
        self._first, damaged = self._index, self.corrupt
        with self._open() as container:
            decoder = Decoder(self.camera, container.streams.video[0], session=session, index=self._first, live=True)
            packets = container.demux(video=0)
            while not self._closed:
                try:
                    packet = next(packets)
                except (av.FFmpegError, StopIteration) as error:
                    raise self._gone(str(getattr(error, "strerror", "it ended"))) from None
                for frame in decoder.frames(packet, time.monotonic()):
                    self._index = decoder.index
                    yield frame
                self.corrupt = damaged + decoder.corrupt

    def __iter__(self) -> Iterator[Tick]:
        """The sampled ticks."""
        return ticks(self.frames(), self.input)

    def close(self) -> None:
        """Asks the iterating thread to stop at the next frame."""
        self._closed = True

    def _open(self) -> InputContainer:
        """The webcam, open and sending."""
        webcams = {webcam.index: webcam for webcam in list_webcams()}
        webcam = webcams.get(self.number, Webcam(self.number, self.url, ""))
        path = {"linux": webcam.path, "darwin": str(self.number), "win32": f"video={webcam.name}"}.get(sys.platform, "")
        try:
            return av.open(path, format=SYSTEMS.get(sys.platform), options=self._options(webcam))
        except (av.FFmpegError, ValueError) as error:
            if self.number in webcams:
                reason = getattr(error, "strerror", None) or str(error)
                advice = "close other programs that use it; ask for a size and rate that `actionstream devices` lists"
                raise SourceOpenError(f"{self.url} ({webcam.name}) cannot be used: {reason}; {advice}") from None
        found = ", ".join(f"{index} ({webcam.name})" for index, webcam in webcams.items()) or "none"
        raise SourceOpenError(f"webcam {self.number} ({self.url}) is not there; webcams found: {found}")

    def _options(self, webcam: Webcam) -> dict[str, str]:
        """FFmpeg's options for the size and rate asked for, in the first format in which `webcam` has them."""
        options = (
            {"framerate": "30"} if sys.platform == "darwin" else {}
        )  # AVFoundation's default, 29.97, rarely exists
        if self.size is not None:
            options["video_size"] = "{}x{}".format(*self.size)
        if self.fps is not None:
            options["framerate"] = f"{self.fps:g}"
        fitting = (
            mode.format
            for mode in webcam.modes
            if mode.format in FORMATS
            and self.size in (None, (mode.width, mode.height))
            and mode.fps >= (self.fps or SMOOTH_FPS)
        )
        format_ = next(fitting, None) if self.size or self.fps else None
        return options | ({"input_format": FORMATS[format_]} if format_ else {})

    def _gone(self, why: str) -> SourceError:
        """The error for a webcam that sends no more: it was never open if not one frame came."""
        kind = SourceLost if self._index > self._first else SourceOpenError
        return kind(f"{self.url}: sends no more pictures ({why}); was it pulled out?")
