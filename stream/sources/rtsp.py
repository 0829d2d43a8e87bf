"""A network camera as a source (RTSP, over TCP or UDP), tuned for the newest picture and not for the smoothest."""

from __future__ import annotations

from typing import Literal

from av.container import InputContainer

from stream.address import camera_name, expanded, safe_url
from stream.contracts import Input
from stream.sources.catchup import CatchUp
from stream.sources.connection import ConnectedSource, Target
from stream.sources.hardware import Decode

Transport = Literal["tcp", "udp"]

# probesize and analyzeduration: begin with the first packet; the defaults hold 1.1 s back, for good. Not `nobuffer`: it
# throws away the packets that were looked at, the first keyframe among them, and is no faster. Only video is asked for:
# beside a second stream FFmpeg shifts the times when the camera's first clock report comes in.
OPTIONS = {"analyzeduration": "0", "probesize": "32", "allowed_media_types": "video"}


class RtspSource(ConnectedSource):
    """The frames of a network camera.

    Args:
        url: rtsp:// or rtsps://, user and password percent-encoded where they hold special characters, or ${VARIABLE}.
        input: what the bundle wants to see.
        camera: the name that frames carry; host and path if None.
        transport: tcp, or udp for cameras that know nothing else.
        rotation: degrees clockwise by which pictures are turned.
        decode: the device that decodes; software if None.
    """

    def __init__(
        self,
        url: str,
        input: Input,
        *,
        camera: str | None = None,
        transport: Transport = "tcp",
        rotation: int = 0,
        decode: Decode | None = None,
    ) -> None:
        super().__init__(safe_url(url), input, camera or camera_name(url), rotation=rotation, decode=decode)
        self.transport = transport
        self._address = url

    def _catch_up(self, container: InputContainer) -> CatchUp:
        return CatchUp()

    def _target(self) -> Target:
        return Target(expanded(self._address), options=OPTIONS | {"rtsp_transport": self.transport})
