"""Where frames come from: `open_source` picks the source that an address asks for; each has a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

# Before PyAV, whose modules come next: both wheels bring a library of one name (libxcb-shm), and with PyAV's copy
# loaded first, OpenCV's windows hang.
import cv2  # noqa: F401

from stream.address import camera_name, safe_url, webcam_index
from stream.contracts import Input, Source
from stream.errors import SourceOpenError
from stream.sources.devices import Mode, Webcam, list_webcams
from stream.sources.file import FileSource
from stream.sources.rtsp import RtspSource
from stream.sources.webcam import WebcamSource

__all__ = [
    "FileSource",
    "Mode",
    "RtspSource",
    "Webcam",
    "WebcamSource",
    "camera_name",
    "list_webcams",
    "open_source",
    "safe_url",
]


def open_source(
    url: str | Path,
    input: Input,
    *,
    camera: str | None = None,
    transport: Literal["tcp", "udp"] = "tcp",
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    loop: bool = False,
) -> Source:
    """The source that `url` names. It is opened when its frames are first asked for.

    Args:
        url: a webcam ("0", "/dev/video0"), a camera ("rtsp://host/path") or a file.
        input: what the bundle wants to see.
        camera: the name that frames carry; one made from `url` if None.
        transport: of RTSP.
        size: (width, height) asked of a webcam.
        fps: frames a second asked of a webcam.
        loop: begin a file again at its end.

    Raises:
        SourceOpenError: no such file, a folder, or an address of a kind that is not known.
    """
    address = str(url)
    index = webcam_index(address)
    if index is not None:
        return WebcamSource(index, input, camera=camera, size=size, fps=fps)
    if address.lower().startswith(("rtsp://", "rtsps://")):
        return RtspSource(address, input, camera=camera, transport=transport)
    if "://" in address:
        raise SourceOpenError(f"{safe_url(address)}: expected rtsp://, a file or a webcam's number")
    return FileSource(Path(address), input, camera=camera, loop=loop)
