"""A network camera that fails as cameras do: refuses, stays silent, loses packets, sends rubbish, jumps in time."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from stream.bench.rtp import CLOCK_HZ, Clip
from stream.bench.rtsp_server import RtspServer

RTP_HEAD_BYTES = 12


class FaultyServer(RtspServer):
    """An RTSP server with faults that can be switched on and off while it runs.

    Attributes:
        door: `open`; `refusing` hangs up on whoever comes, as a camera does that has all the clients it can serve;
            `deaf` takes the connection and never answers.
        loss: share (0-1) of packets that get lost on the way.
        garbage: share (0-1) of packets whose payload arrives as noise.
        jump: seconds by which the camera's clock is off.
        knocks: connections made so far.
    """

    def __init__(self, clips: Mapping[str, Path | Clip], **options: Any) -> None:
        super().__init__(clips, **{"loop": True, "per_client": False} | options)
        self.door: Literal["open", "refusing", "deaf"] = "open"
        self.loss = self.garbage = self.jump = 0.0
        self.knocks = 0
        self._dice = random.Random(0)

    def show(self, path: str, clip: Path) -> None:
        """Plays `clip` at `path` to whoever comes from now on."""
        self.clips[path] = Clip.load(clip)
        flowing = self.flowing.setdefault(path, asyncio.Event())
        self._call(flowing.set)

    def carried(self, packet: bytes) -> bytes | None:
        """What of a packet arrives."""
        if self._dice.random() < self.loss:
            return None
        sequence, stamp = struct.unpack("!HI", packet[2:8])
        stamp = (stamp + round(self.jump * CLOCK_HZ)) % 2**32
        head, payload = packet[:2] + struct.pack("!HI", sequence, stamp) + packet[8:RTP_HEAD_BYTES], packet[12:]
        return head + (self._dice.randbytes(len(payload)) if self._dice.random() < self.garbage else payload)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks += 1
        if self.door == "open":
            super()._accept(reader, writer)
            return
        turned_away = asyncio.ensure_future(_turn_away(reader, writer, deaf=self.door == "deaf"))
        self.clients.add(turned_away)
        turned_away.add_done_callback(self.clients.discard)


async def _turn_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, deaf: bool) -> None:
    """Hangs up; at once, or once the client does."""
    try:
        while deaf and await reader.read(4096):
            pass
    finally:
        writer.close()
