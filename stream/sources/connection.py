"""What is connected to as a source: cameras, webcams, servers and pipes have this in common; none of them lives here.

One connection is one call of `frames`. Nothing here connects again: that is the reader's, which knows when to give up.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import Protocol

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from stream.contracts import Frame, Input, Tick
from stream.errors import SourceError, SourceLost, SourceOpenError, SourceRefused, SourceStalled
from stream.sources.catchup import CatchUp, Waits
from stream.sources.decode import Decoder
from stream.sources.hardware import Decode, Hardware
from stream.sources.lanes import LANES
from stream.sources.patience import Patience
from stream.unfitted import ticks

# FFmpeg cannot be interrupted while it opens or reads: after `close` these are waited for at worst.
OPEN_S = 5.0
SILENCE_S = 2.8  # the least that is a stall; FFmpeg looks at the clock every 0.1 s: it is noticed within 3 s
PICTURE_S = 30.0  # with packets but no picture: cameras with long GOPs send a keyframe every 10-20 s
FOREVER = math.inf

log = logging.getLogger(__name__)

NO_VIDEO = "no video came: the camera did not answer, or the stream has none that is known; try it in a player"


class Readable(Protocol):
    """What FFmpeg can read besides addresses."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


@dataclass(frozen=True)
class Target:
    """What FFmpeg is told to open: an address, a device or an object with `read`; its format where that is known."""

    file: str | Readable
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


class ConnectedSource:
    """The frames of something that is connected to. A kind of it says what to open and what its failures mean.

    Args:
        url: what it is called in errors and logs; it holds no secret.
        input: what the bundle wants to see.
        camera: the name that frames carry.
        rotation: degrees clockwise by which pictures are turned.
        decode: the device that decodes; software if None.
        open_s: seconds that opening may take; `OPEN_S` if None.
        silence_s: the least silence in seconds that counts as a stall; `SILENCE_S` if None.

    Attributes:
        corrupt: packets that could not be decoded, over all connections.
        skipped: packets that were not, so as not to fall behind the camera.
        decoder: of the newest connection; None before the first.
    """

    live = True

    def __init__(
        self,
        url: str,
        input: Input,
        camera: str,
        *,
        rotation: int = 0,
        decode: Decode | None = None,
        open_s: float | None = None,
        silence_s: float | None = None,
    ) -> None:
        self.url, self.input, self.camera = url, input, camera
        self.corrupt = self.skipped = 0
        self.decoder: Decoder | None = None
        self._rotation, self._hardware = rotation, Hardware(decode, camera)
        self._open_s = OPEN_S if open_s is None else open_s
        self._patience = Patience(SILENCE_S if silence_s is None else silence_s)
        self._ends = False  # True where an end is no loss
        self._lane = LANES.next()
        self._index = self._first = 0
        self._closing = Flag()

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """The frames of one connection; session 0 counts frames from 0 again. Cameras begin at their first keyframe.

        Returns at the end of what has one, and at the next packet after `close`; where the source is silent, when its
        patience is over, and where it was just being opened, after up to `OPEN_S`.

        Raises:
            ConfigError: a variable in its address is not set.
            SourceRefused: it wants another user or password.
            SourceOpenError: it cannot be reached, has no video, or sends none that can be decoded.
            SourceStalled: it fell silent.
            SourceLost: it hung up or broke.
        """
        if session == 0:
            self._index = self.corrupt = self.skipped = 0
        if self._closing.is_set():
            return
        self._first, damaged = self._index, self.corrupt
        with self._open() as container:
            stream = container.streams.video[0]
            self.decoder = decoder = Decoder(
                self.camera, stream, session=session, index=self._first, live=self.live, rotation=self._rotation
            )
            seen = time.monotonic()
            for packet in self._packets_in_time(container):
                for frame in self._decoded(decoder, packet):
                    if self._index == self._first:
                        self._hardware.check(stream)
                    self._index = frame.index + 1
                    yield frame
                    seen = time.monotonic()
                self.corrupt = damaged + decoder.corrupt
                if time.monotonic() > seen + max(PICTURE_S, self._patience.seconds):
                    raise self._gone(f"sent no picture that can be decoded for {time.monotonic() - seen:.0f} s")
        if not self._closing.is_set() and (self._index == self._first or not self._ends):
            raise self._gone(self._end(None))

    def __iter__(self) -> Iterator[Tick]:
        """The sampled ticks of one connection."""
        return ticks(self.frames(), self.input)

    @property
    def timed_by_arrival(self) -> bool:
        """True once the newest connection's own times proved to be of no use."""
        return self.decoder is not None and self.decoder.timed_by_arrival

    def close(self) -> None:
        """Asks the iterating thread to stop; it closes the connection itself (FFmpeg crashes otherwise)."""
        self._closing.set()

    # what a kind says

    def _target(self) -> Target:
        """What to open now.

        Raises:
            SourceError, ConfigError: there is nothing to open.
        """
        raise NotImplementedError

    def _connected(self, container: InputContainer) -> None:
        """Is told of each connection, before the first frame."""

    def _catch_up(self, container: InputContainer) -> CatchUp | Waits | None:
        """What follows a connection whose packets come at a camera's pace; None where they need not."""
        return None

    def _reason(self, error: av.FFmpegError | ValueError, waited: float) -> str:
        """Why it could not be opened after `waited` seconds, in words; FFmpeg's own text would name the password."""
        if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
            return (
                "wrong or missing user and password; write both into the address, before the host, specials "
                "percent-encoded, or as ${VARIABLE}"
            )
        if isinstance(error, av.error.HTTPNotFoundError):
            return "the server answers but knows no such path; a camera's manual names the paths of its streams"
        if isinstance(error, ConnectionRefusedError):
            return "nothing listens at that address; check host and port, and that the camera's video is switched on"
        if waited >= self._open_s:
            return f"{NO_VIDEO} (waited {waited:.0f} s)"
        return f"cannot be reached ({_words(error)}); check the host's name, the port and the network"

    def _end(self, broken: str | None) -> str:
        """Why it sends no more: `broken` in FFmpeg's words, None where it merely ended."""
        return f"the connection broke ({broken})" if broken else "the camera ended the stream"

    # the connection

    def _open(self) -> InputContainer:
        """The connection, with a video stream."""
        target, began = self._target(), time.monotonic()
        kind: type[SourceError] = SourceOpenError
        self._patience.connected()
        try:
            container = av.open(
                target.file,
                "r",
                target.format,
                options=dict(target.options),
                metadata_errors="replace",  # a title in another encoding is no reason to refuse a camera
                timeout=(self._open_s, self._patience.seconds),
                hwaccel=self._hardware.accelerator(),
            )
        except (av.FFmpegError, ValueError) as error:
            reason = self._reason(error, time.monotonic() - began)
            if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
                kind = SourceRefused
        else:
            if any(stream.codec_context for stream in container.streams.video[:1]):
                self._connected(container)
                return container
            container.close()
            reason = NO_VIDEO
        # Raised out here so that it does not chain to FFmpeg's error, whose text holds the password.
        raise kind(f"{self.url}: {reason}")

    def _decoded(self, decoder: Decoder, packet: Packet[VideoStream]) -> list[Frame]:
        """The frames that `packet` releases, decoded when it is this camera's turn."""
        arrived, entered = time.monotonic(), self._lane.enter()
        try:
            return list(decoder.frames(packet, arrived))
        finally:
            self._lane.leave(entered)

    def _packets_in_time(self, container: InputContainer) -> Iterator[Packet[VideoStream]]:
        """`_packets`, without those that must be left out to stay near a camera that sends at its own pace."""
        follower, before = self._catch_up(container), self.skipped
        base = float(container.streams.video[0].time_base or 1)
        asked = time.monotonic()
        for packet in self._packets(container):
            now, is_late = time.monotonic(), False
            if isinstance(follower, Waits):
                is_late = follower.leaves_out(asked, now)
            elif follower and packet.size and not self.timed_by_arrival:
                shown = None if packet.pts is None else packet.pts * base
                is_late = follower.leaves_out(shown, now, packet.is_keyframe)
            if not is_late:
                yield packet
            else:
                if self.skipped == before:
                    log.warning("%s: decoding fell behind; pictures are left out to catch up", self.camera)
                self.skipped += 1
            asked = time.monotonic()

    def _packets(self, container: InputContainer) -> Iterator[Packet[VideoStream]]:
        """The packets until it ends (the last one, empty, flushes the decoder) or `close` is called.

        Raises:
            SourceOpenError, SourceLost: it fell silent, or the connection broke.
        """
        packets, failure = container.demux(video=0), None
        limit, kind = self._patience.seconds, SourceLost  # FFmpeg knows of no later patience
        while not self._closing.is_set() and failure is None:
            packet, asked = None, time.monotonic()
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                failure = self._end(error.strerror)
            # FFmpeg does not raise when its time is up, but hands out what its parser still holds and raises when the
            # time is up once more; in the middle of an RTP packet it throws away the half that it has, takes the other
            # half for a new one and goes on with rubbish. So nothing is read after a time-out.
            if time.monotonic() - asked >= limit:
                failure, kind = f"nothing came for {limit:.0f} s", SourceStalled
                self._patience.ran_out()
            elif packet is not None:
                if packet.size:
                    self._patience.packet(time.monotonic())
                yield packet
            elif failure is None:
                return
        if failure is not None and not self._closing.is_set():
            raise self._gone(failure, kind)  # out here: see `_open`

    def _gone(self, why: str, kind: type[SourceLost] = SourceLost) -> SourceError:
        """The error for what sends no more: it was never open if not one frame came."""
        never_open = self._index == self._first
        return (SourceOpenError if never_open else kind)(f"{self.url}: {why}")


def _words(error: av.FFmpegError | ValueError) -> str:
    """What FFmpeg calls an error, without the address that its full text holds."""
    return getattr(error, "strerror", None) or "it cannot be understood"
