"""A webcam as a source, through FFmpeg's capture devices: V4L2 on Linux, AVFoundation on macOS, DirectShow on Windows.

Not through OpenCV: here a frame carries the driver's own time, and its planes come as the webcam sent them.
"""

from __future__ import annotations

import sys

import av
from av.container import InputContainer

from stream.contracts import Input
from stream.errors import ConfigError
from stream.sources.catchup import CatchUp
from stream.sources.connection import FOREVER, ConnectedSource, Target
from stream.sources.devices import SYSTEMS, Webcam, list_webcams
from stream.sources.hardware import Decode

# V4L2's letters for what FFmpeg calls otherwise
FORMATS = {"YUYV": "yuyv422", "MJPG": "mjpeg", "NV12": "nv12", "YU12": "yuv420p", "H264": "h264"}
COMPRESSED = ("mjpeg", "h264")
SMOOTH_FPS = 25.0  # where no rate is asked for: raw pictures if they come this often at that size, else compressed ones

HELD = 32  # pictures that wait in V4L2 at most
LATE_S = 0.2
"""So far behind the quickest pictures they wait in the driver, and a reader that is a little too slow would for ever be
given the oldest, over a second old. Where each stands for itself (not H.264), these are passed over."""


class WebcamSource(ConnectedSource):
    """The frames of a webcam. It is waited for without a time limit: the driver tells when it was pulled out.

    Args:
        index: its number, as `actionstream devices` lists it.
        input: what the bundle wants to see.
        camera: the name that frames carry; `webcam-0` if None.
        size: (width, height) to ask for; the driver takes the nearest. Its own choice if None.
        fps: frames a second to ask for; its own choice if None.
        format: how it is to send, by V4L2's letters (a key of `FORMATS`); what suits size and rate if None.
        rotation: degrees clockwise by which pictures are turned.
        decode: the device that decodes; software if None.

    Raises:
        ConfigError: there is no such format.
    """

    def __init__(
        self,
        index: int,
        input: Input,
        *,
        camera: str | None = None,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        format: str | None = None,
        rotation: int = 0,
        decode: Decode | None = None,
    ) -> None:
        name = f"webcam-{index}"
        super().__init__(
            f"/dev/video{index}" if sys.platform == "linux" else name,
            input,
            camera or name,
            rotation=rotation,
            decode=decode,
            open_s=FOREVER,
            silence_s=FOREVER,
        )
        self.number, self.size, self.fps, self.format = index, size, fps, format
        if format not in (None, *FORMATS):
            raise ConfigError(f"{self.url}: expected a format among {', '.join(FORMATS)}, got {format!r}")

    def _catch_up(self, container: InputContainer) -> CatchUp:
        is_h264 = container.streams.video[0].codec_context.name == "h264"
        return CatchUp() if is_h264 else CatchUp(LATE_S, lasting_s=0.0, near_s=LATE_S, pace=2 * HELD)

    def _target(self) -> Target:
        webcams = {webcam.index: webcam for webcam in list_webcams()}
        webcam = webcams.get(self.number, Webcam(self.number, self.url, ""))
        path = {"linux": webcam.path, "darwin": str(self.number), "win32": f"video={webcam.name}"}.get(sys.platform, "")
        return Target(path, SYSTEMS.get(sys.platform), self._options(webcam))

    def _options(self, webcam: Webcam) -> dict[str, str]:
        """FFmpeg's options for size, rate and format as asked for; else the first format that `webcam` has for them."""
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
        format_ = self.format or (next(fitting, None) if self.size or self.fps else None)
        return options | ({_option(FORMATS[format_]): FORMATS[format_]} if format_ else {})

    def _reason(self, error: av.FFmpegError | ValueError, waited: float) -> str:
        webcams = {webcam.index: webcam for webcam in list_webcams()}
        if self.number not in webcams:
            found = ", ".join(f"{index} ({webcam.name})" for index, webcam in webcams.items()) or "none"
            return f"webcam {self.number} is not there; webcams found: {found}"
        return (
            f"{webcams[self.number].name} cannot be used ({getattr(error, 'strerror', error)}); close other programs "
            "that use it; ask for a size, rate and format that `actionstream devices` lists"
        )

    def _end(self, broken: str | None) -> str:
        return f"sends no more pictures ({broken or 'it ended'}); was it pulled out?"


def _option(format_: str) -> str:
    """What this system's capture device calls the option for a format."""
    if sys.platform == "linux":
        return "input_format"
    return "vcodec" if sys.platform == "win32" and format_ in COMPRESSED else "pixel_format"
