"""Where frames come from: `open_source` picks the source that an address asks for; each has a file of its own."""

from __future__ import annotations

from pathlib import Path

# Before PyAV, whose modules come next: both wheels bring a library of one name (libxcb-shm), and with PyAV's copy
# loaded first, OpenCV's windows hang.
import cv2  # noqa: F401

from stream.address import VARIABLE, camera_name, expanded, safe_url, webcam_index
from stream.contracts import Input, Source
from stream.errors import SourceOpenError
from stream.sources.devices import Mode, Webcam, list_webcams
from stream.sources.file import FileSource
from stream.sources.hardware import Decode
from stream.sources.http import HttpSource
from stream.sources.patterns import SCHEME, PatternSource
from stream.sources.pictures import PictureSource
from stream.sources.pipe import PipeSource
from stream.sources.rtsp import RtspSource, Transport
from stream.sources.webcam import WebcamSource

__all__ = [
    "Decode",
    "FileSource",
    "HttpSource",
    "Mode",
    "PatternSource",
    "PictureSource",
    "PipeSource",
    "RtspSource",
    "Webcam",
    "WebcamSource",
    "camera_name",
    "list_webcams",
    "open_source",
    "safe_url",
]

PIPE = "-"


def open_source(
    url: str | Path,
    input: Input,
    *,
    camera: str | None = None,
    transport: Transport = "tcp",
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    format: str | None = None,
    loop: bool = False,
    rotation: int = 0,
    decode: Decode | None = None,
) -> Source:
    """The source that `url` names. It is opened when its frames are first asked for.

    Args:
        url: a webcam ("0", "/dev/video0"), a camera or a stream ("rtsp://", "rtsps://", "http://", "https://"), a file,
            a folder of numbered pictures, test pictures ("lavfi:testsrc2"), or "-" for standard input. In addresses
            with "://", `${VARIABLE}` stands for that variable of the environment, which may also be all of one.
        input: what the bundle wants to see.
        camera: the name that frames carry; one made from `url` if None.
        transport: of RTSP.
        size: (width, height) asked of a webcam.
        fps: frames a second asked of a webcam, or of a folder of pictures.
        format: asked of a webcam, by V4L2's letters: MJPG, YUYV.
        loop: begin a file or a folder again at its end.
        rotation: degrees clockwise, 0, 90, 180 or 270, by which pictures are turned, besides what the stream says.
        decode: the device that decodes; software if None.

    Raises:
        SourceOpenError: no address, no such file, a folder without pictures, or an address of no known kind.
        ConfigError: a variable that is not set, or a format that does not exist.
    """
    address = str(url)
    if not address.strip():
        raise SourceOpenError(
            "expected a camera's address or a file's name, got nothing; is the variable that holds it set?"
        )
    index = webcam_index(address)
    if index is not None:
        return WebcamSource(
            index, input, camera=camera, size=size, fps=fps, format=format, rotation=rotation, decode=decode
        )
    if address == PIPE:
        return PipeSource(input, camera=camera, rotation=rotation, decode=decode)
    if address.lower().startswith(SCHEME):
        return PatternSource(address, input, camera=camera, rotation=rotation)
    scheme, is_address, _ = _with_scheme(address).lower().partition("://")
    if scheme in ("rtsp", "rtsps"):
        return RtspSource(address, input, camera=camera, transport=transport, rotation=rotation, decode=decode)
    if scheme in ("http", "https"):
        return HttpSource(address, input, camera=camera, rotation=rotation, decode=decode)
    if is_address:
        raise SourceOpenError(
            f"{safe_url(address)}: expected rtsp://, rtsps://, http://, https://, lavfi:, a file, a folder of "
            "pictures, a webcam's number, or - for standard input"
        )
    path = Path(address)
    if path.is_dir():
        return PictureSource(path, input, camera=camera, fps=fps, loop=loop, rotation=rotation)
    return FileSource(path, input, camera=camera, loop=loop, rotation=rotation, decode=decode)


def _with_scheme(address: str) -> str:
    """`address`, with the values of its variables where it may be more than a file's name. A secret."""
    return expanded(address) if "://" in address or VARIABLE.match(address) else address
