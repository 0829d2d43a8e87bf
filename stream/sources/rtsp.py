"""A network camera as a source (RTSP, over TCP or UDP), tuned for the newest picture and not for the smoothest.

One connection is one call of `frames`. Nothing here connects again: that is the engine's, which knows when to give up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from stream.address import camera_name, safe_url
from stream.contracts import Frame, Input, Tick
from stream.errors import SourceError, SourceLost, SourceOpenError
from stream.sampling import ticks
from stream.sources.decode import Decoder

Transport = Literal["tcp", "udp"]

# FFmpeg cannot be interrupted while it opens or reads: after `close` these are waited for at worst.
OPEN_S = 5.0
STALL_S = 4.0  # silence after which a camera counts as lost; one picture must not take longer to arrive
FIRST_FRAME_S = 30.0  # with a packet but no picture: cameras with long GOPs send a keyframe every 10-20 s

# probesize and analyzeduration: begin with the first packet; the defaults hold 1.1 s back, for good. Not `nobuffer`: it
# throws away the packets that were looked at, the first keyframe among them, and is no faster. Only video is asked for:
# beside a second stream FFmpeg shifts the times when the camera's first clock report comes in.
OPTIONS = {"analyzeduration": "0", "probesize": "32", "allowed_media_types": "video"}
NO_VIDEO = "no video came: the camera did not answer, or the stream has none that is known; try it in a player"


class RtspSource:
    """The frames of a network camera.

    Args:
        url: rtsp:// or rtsps://, user and password percent-encoded where they hold special characters.
        input: what the bundle wants to see.
        camera: the name that frames carry; host and path if None.
        transport: tcp, or udp for cameras that know nothing else.
    """

    live = True

    def __init__(self, url: str, input: Input, *, camera: str | None = None, transport: Transport = "tcp") -> None:
        self._url = url
        self.url, self.input, self.transport = safe_url(url), input, transport
        self.camera = camera or camera_name(url)
        self.corrupt = 0
        self._index = self._first = 0
        self._closed = False

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """The frames of one connection, from its first keyframe on; session 0 counts frames from 0 again.

        Returns at the next packet after `close`; where the camera is silent, after up to `STALL_S`, and where it was
        just being opened, after up to `OPEN_S`.

        Raises:
            SourceOpenError: it cannot be reached, refuses, has no video, or sends none that can be decoded.
            SourceLost: it hung up or fell silent.
        """
        if session == 0:
            self._index = self.corrupt = 0
        if self._closed:
            return
        self._first, damaged = self._index, self.corrupt
        with self._open() as container:
            decoder = Decoder(self.camera, container.streams.video[0], session=session, index=self._first, live=True)
            opened = time.monotonic()
            for packet in self._packets(container):
                for frame in decoder.frames(packet, time.monotonic()):
                    self._index = decoder.index
                    yield frame
                self.corrupt = damaged + decoder.corrupt
                if self._index == self._first and time.monotonic() > opened + FIRST_FRAME_S:
                    raise self._gone(f"sent no picture that can be decoded in {FIRST_FRAME_S:.0f} s")
        if not self._closed:
            raise self._gone("the camera ended the stream")

    def __iter__(self) -> Iterator[Tick]:
        """The sampled ticks of one connection."""
        return ticks(self.frames(), self.input)

    def close(self) -> None:
        """Asks the iterating thread to stop; it closes the connection itself (FFmpeg crashes otherwise).

        Never blocks, but that thread may be reading from a silent camera for up to `STALL_S` more.
        """
        self._closed = True

    def _open(self) -> InputContainer:
        """The camera, open, with one video stream."""
        began = time.monotonic()
        options = OPTIONS | {"rtsp_transport": self.transport}
        try:
            container = av.open(self._url, options=options, timeout=(OPEN_S, STALL_S))
        except av.FFmpegError as error:
            reason = _reason(error, time.monotonic() - began)
        else:
            if any(stream.codec_context for stream in container.streams.video):
                return container
            container.close()
            reason = NO_VIDEO
        # Raised out here so that it does not chain to FFmpeg's error, whose text holds the password.
        raise SourceOpenError(f"{self.url}: {reason}")

    def _packets(self, container: InputContainer) -> Iterator[Packet[VideoStream]]:
        """The camera's packets, until it hangs up (the last one, empty, flushes the decoder) or `close` is called.

        Raises:
            SourceOpenError, SourceLost: it fell silent, or the connection broke.
        """
        packets, failure = container.demux(video=0), None
        while not self._closed and failure is None:
            packet, asked = None, time.monotonic()
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                failure = f"the connection broke ({error.strerror})"
            # FFmpeg does not always raise when its time is up: in the middle of a packet it throws away the half that
            # it has, takes the other half for a new one and goes on with rubbish. So nothing is read after a time-out.
            if time.monotonic() - asked >= STALL_S:
                failure = f"nothing came for {STALL_S:.0f} s"
            elif packet is not None:
                yield packet
            elif failure is None:
                return
        if failure is not None and not self._closed:
            raise self._gone(failure)  # out here, so that it does not chain to FFmpeg's error, which holds the password

    def _gone(self, why: str) -> SourceError:
        """The error for a camera that sends no more: it was never open if not one frame came."""
        kind = SourceLost if self._index > self._first else SourceOpenError
        return kind(f"{self.url}: {why}")


def _reason(error: av.FFmpegError, waited: float) -> str:
    """Why a camera could not be opened after `waited` seconds, in words; FFmpeg's own text would name the password."""
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return (
            "wrong or missing user and password; write both into the address, before the host, specials percent-encoded"
        )
    if isinstance(error, av.error.HTTPNotFoundError):
        return "the camera answers but knows no such path; its manual names the paths of its streams"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens at that address; check host and port, and that the camera's RTSP is switched on"
    if waited >= OPEN_S:
        return f"{NO_VIDEO} (waited {OPEN_S:.0f} s)"
    return f"cannot be reached ({error.strerror}); check the host's name, the port and the network"
