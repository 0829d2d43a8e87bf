"""A small RTSP server (RFC 2326) that plays clips as cameras do, for measuring and for tests, on loopback only.

It speaks OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER and TEARDOWN, over TCP (interleaved) and UDP, with digest
authentication (RFC 2617) on request. Encoding is nobody's business here: `rtp` cuts the file's own packets up.

    with RtspServer({"/door": Path("door.mp4")}) as server:
        play(server.url("/door"))
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

from stream.bench.rtp import CLOCK_HZ, Clip, Unit

METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"
REASONS = {200: "OK", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 454: "Session Not Found"}
REALM = "actionstream"
BACKLOG = 1024  # clients that may be connecting at once: hundreds of cameras begin together
DIGEST_FIELD = re.compile(r'(\w+)="?([^",]*)"?')


class RtspServer:
    """Plays clips from a thread of its own, between `__enter__` and `__exit__`.

    Args:
        clips: a file or a packetised clip for each path; paths begin with a slash.
        user, password: what a client must know; None lets everybody in.
        loop: begin again at the clip's end, with times that go on; else a client gets an RTCP BYE and is hung up on.
        per_client: every client starts at the clip's first frame; otherwise all share one clock that began with the
            server, and a client joins in the middle, as with a camera.
        from_key: clients that join in the middle get nothing before the next keyframe; else, as most cameras do it,
            the very next picture.
        speed: media seconds a second; 1 is what a camera does.
        port: to listen at; 0 is a free one.

    Attributes:
        port: that it listens at.
        played: `time.monotonic()` at which each of the last clients began to play.

    Raises:
        ValueError: a clip has a codec that `rtp` does not know.
    """

    def __init__(
        self,
        clips: Mapping[str, Path | Clip],
        *,
        user: str | None = None,
        password: str = "",
        loop: bool = False,
        per_client: bool = True,
        from_key: bool = True,
        speed: float = 1.0,
        port: int = 0,
    ) -> None:
        self.clips = {path: clip if isinstance(clip, Clip) else Clip.load(clip) for path, clip in clips.items()}
        self.user, self.password = user, password
        self.loop, self.per_client, self.from_key, self.speed = loop, per_client, from_key, speed
        self.port = port
        self.played: deque[float] = deque(maxlen=100)
        self.nonce = secrets.token_hex(16)
        self.began = 0.0  # the event loop's clock at which the server opened
        self.flowing = {path: asyncio.Event() for path in self.clips}
        self.clients: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._stopping = asyncio.Event()
        self._events: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="rtsp-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._stopping.set)
        self._thread.join()

    def url(self, path: str, *, user: str | None = None, password: str = "") -> str:
        """The address of a path, with percent-encoded credentials where a user is given."""
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user is not None else ""
        return f"rtsp://{login}127.0.0.1:{self.port}{path}"

    def stall(self, path: str) -> None:
        """Sends nothing more on a path, while connections stay open and requests are answered."""
        self._call(self.flowing[path].clear)

    def resume(self, path: str) -> None:
        """Ends a stall: clients go on with the frame at which they were stopped."""
        self._call(self.flowing[path].set)

    def hang_up(self) -> None:
        """Cuts every client's connection, as a camera does that loses power."""
        self._call(lambda: [client.cancel() for client in self.clients])

    def carried(self, packet: bytes) -> bytes | None:
        """What of an RTP or RTCP packet arrives; None where it is lost. Here, on loopback, all of it does."""
        return packet

    def leaves(self, unit: Unit) -> None:
        """Is told of each picture as it is sent; for those who measure."""

    def _call(self, action: Callable[[], object]) -> None:
        """Runs `action` in the server's thread, if that still runs."""
        assert self._events is not None, "the server was never entered"
        with suppress(RuntimeError):  # its loop is closed
            self._events.call_soon_threadsafe(action)

    async def _serve(self) -> None:
        self._events = asyncio.get_running_loop()
        self.began = self._events.time()
        for event in self.flowing.values():
            event.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=BACKLOG)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        with suppress(NotImplementedError):  # Windows' loop has no readers
            # Closing a server while a connection is being accepted leaks that connection (python/cpython#109564).
            self._events.remove_reader(server.sockets[0].fileno())
        await _settle()
        server.close()
        for client in self.clients:
            client.cancel()
        await asyncio.gather(*self.clients, return_exceptions=True)
        await _settle()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.ensure_future(_Client(self, reader, writer).run())
        self.clients.add(client)
        client.add_done_callback(self.clients.discard)
        # A task that is cancelled before its first step runs no `finally`: its connection would stay open.
        client.add_done_callback(lambda _: writer.transport.abort())


async def _settle() -> None:
    """Gives the event loop the turns in which an accepted connection becomes a client, or an aborted one is closed."""
    for _ in range(5):
        await asyncio.sleep(0)


class _Client:
    """One connection: answers requests and, between PLAY and TEARDOWN, sends one clip."""

    def __init__(self, server: RtspServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.path = ""
        self.session = secrets.token_hex(4)
        self.sequence, self.offset, self.source = secrets.randbits(16), secrets.randbits(32), secrets.randbits(32)
        self.channel: int | None = None  # interleaved; None: UDP
        self.udp: tuple[asyncio.DatagramTransport, ...] = ()  # RTP and RTCP
        self.sending: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Answers until the client leaves, the clip ends or the server stops."""
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while request := await self._request():
                    await self._answer(*request)
        finally:
            if self.sending is not None:
                self.sending.cancel()
                await asyncio.gather(self.sending, return_exceptions=True)
            for transport in self.udp:
                transport.close()
            self.writer.close()
            with suppress(ConnectionError):
                await self.writer.wait_closed()

    async def _request(self) -> tuple[str, str, dict[str, str]] | None:
        """Method, URL and lower-case headers of the next request, stepping over interleaved RTCP; None at the end."""
        while first := await self.reader.read(1):
            if first == b"$":
                _, size = struct.unpack("!BH", await self.reader.readexactly(3))
                await self.reader.readexactly(size)
                continue
            lines = (first + await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            method, url, _ = lines[0].split(" ", 2)
            fields = (line.partition(":") for line in lines[1:])
            headers = {name.strip().lower(): value.strip() for name, _, value in fields}
            await self.reader.readexactly(int(headers.get("content-length", 0)))
            return method, url, headers
        return None

    async def _answer(self, method: str, url: str, headers: dict[str, str]) -> None:
        sequence = headers.get("cseq", "0")
        if method != "OPTIONS" and not self._is_authorized(method, headers.get("authorization", "")):
            challenge = f'Digest realm="{REALM}", nonce="{self.server.nonce}"'
            return self._reply(401, sequence, {"WWW-Authenticate": challenge})
        if method == "OPTIONS":
            return self._reply(200, sequence, {"Public": METHODS})
        if method == "DESCRIBE":
            return self._describe(url, sequence)
        if method == "SETUP":
            return await self._setup(headers.get("transport", ""), sequence)
        if method not in ("PLAY", "GET_PARAMETER", "TEARDOWN"):
            return self._reply(405, sequence, {"Allow": METHODS})
        if headers.get("session", "").partition(";")[0] != self.session:
            return self._reply(454, sequence, {})
        if method == "TEARDOWN":
            self._reply(200, sequence, {})
            raise ConnectionResetError("the client is done")
        if method == "PLAY" and self.sending is None:
            info = f"url={url};seq={self.sequence};rtptime={self.offset}"
            self._reply(200, sequence, {"Session": self.session, "Range": "npt=0-", "RTP-Info": info})
            self.server.played.append(time.monotonic())
            self.sending = asyncio.ensure_future(self._send(self.server.clips[self.path]))
            return None
        return self._reply(200, sequence, {"Session": self.session})

    def _reply(self, code: int, sequence: str, headers: dict[str, str], body: str = "") -> None:
        lines = [f"RTSP/1.0 {code} {REASONS[code]}", f"CSeq: {sequence}", *(f"{k}: {v}" for k, v in headers.items())]
        if body:
            lines += [f"Content-Length: {len(body)}"]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def _is_authorized(self, method: str, header: str) -> bool:
        """True where no login is asked for, or the digest is that of the right one."""
        if self.server.user is None:
            return True
        field = dict(DIGEST_FIELD.findall(header))
        login = _md5(f"{self.server.user}:{REALM}:{self.server.password}")
        asked = _md5(f"{method}:{field.get('uri', '')}")
        expected = _md5(f"{login}:{self.server.nonce}:{asked}")
        return secrets.compare_digest(field.get("response", ""), expected)

    def _describe(self, url: str, sequence: str) -> None:
        self.path = urlsplit(url).path.rstrip("/")
        clip = self.server.clips.get(self.path)
        if clip is None:
            return self._reply(404, sequence, {})
        lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=clip", "t=0 0", f"m=video 0 RTP/AVP {clip.payload_type}"]
        lines += ["c=IN IP4 127.0.0.1", *(f"a={line}" for line in clip.media), "a=control:video"]
        headers = {"Content-Type": "application/sdp", "Content-Base": f"{url.rstrip('/')}/"}
        return self._reply(200, sequence, headers, "".join(f"{line}\r\n" for line in lines))

    async def _setup(self, transport: str, sequence: str) -> None:
        if interleaved := re.search(r"interleaved=(\d+)", transport):
            self.channel = int(interleaved[1])
            chosen = f"RTP/AVP/TCP;unicast;interleaved={self.channel}-{self.channel + 1}"
        elif ports := re.search(r"client_port=(\d+)-(\d+)", transport):
            self.udp = await self._open_udp(int(ports[1]), int(ports[2]))
            own = "-".join(str(side.get_extra_info("sockname")[1]) for side in self.udp)
            chosen = f"RTP/AVP;unicast;client_port={ports[1]}-{ports[2]};server_port={own}"
        else:
            return self._reply(405, sequence, {"Allow": METHODS})
        return self._reply(200, sequence, {"Transport": chosen, "Session": f"{self.session};timeout=60"})

    async def _open_udp(self, *ports: int) -> tuple[asyncio.DatagramTransport, ...]:
        host = self.writer.get_extra_info("peername")[0]
        events = asyncio.get_running_loop()
        pairs = [
            await events.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0), remote_addr=(host, port)
            )
            for port in ports
        ]
        return tuple(transport for transport, _ in pairs)

    async def _send(self, clip: Clip) -> None:
        """Sends the clip's pictures when they are due, then says goodbye."""
        clock = asyncio.get_running_loop().time
        epoch = clock() if self.server.per_client else self.server.began
        joined = self.server.per_client
        flowing = self.server.flowing[self.path]
        round_ = 0
        with suppress(ConnectionError):
            while round_ == 0 or self.server.loop:
                for unit in clip.units:
                    due = epoch + (round_ * clip.period + unit.due) / self.server.speed
                    joined = joined or (due >= clock() and (unit.key or not self.server.from_key))
                    if not joined:
                        continue
                    await asyncio.sleep(due - clock())
                    if not flowing.is_set():
                        stopped = clock()
                        await flowing.wait()
                        epoch += clock() - stopped
                    self.server.leaves(unit)
                    self._send_unit(unit, round(round_ * clip.period * CLOCK_HZ))
                    await self.writer.drain()
                round_ += 1
            # The goodbye comes when the next picture would have; over UDP it may else overtake the last one.
            await asyncio.sleep((clip.period - clip.units[-1].due) / self.server.speed)
            # An empty receiver report and a BYE (RFC 3550, 6.6).
            self._packet(1, struct.pack("!BBHIBBHI", 0x80, 201, 1, self.source, 0x81, 203, 1, self.source))
            await self.writer.drain()
        self.writer.close()

    def _send_unit(self, unit: Unit, shift: int) -> None:
        """One picture as RTP packets; `shift` is what looping added to its timestamp."""
        payload_type = self.server.clips[self.path].payload_type
        timestamp = (self.offset + unit.timestamp + shift) % 2**32
        for index, payload in enumerate(unit.payloads):
            marker = 0x80 if index == len(unit.payloads) - 1 else 0
            head = struct.pack("!BBHII", 0x80, marker | payload_type, self.sequence, timestamp, self.source)
            self._packet(0, head + payload)
            self.sequence = (self.sequence + 1) % 2**16

    def _packet(self, which: int, packet: bytes) -> None:
        """Hands on one RTP (0) or RTCP (1) packet."""
        carried = self.server.carried(packet)
        if carried is None:
            return
        if self.channel is not None:
            if self.writer.is_closing():  # hung up in the middle of a picture: asyncio would log a line a packet
                return  # `drain`, after the picture, says so
            self.writer.write(struct.pack("!BBH", 0x24, self.channel + which, len(carried)) + carried)
        elif self.udp:
            self.udp[which].sendto(carried)


def _md5(text: str) -> str:
    """The digest that RFC 2617 asks for."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
