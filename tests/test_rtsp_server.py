"""The RTSP server by itself: what it answers, when it sends, and that it leaves nothing behind."""

from __future__ import annotations

import gc
import re
import socket
import threading
import time
from itertools import pairwise
from pathlib import Path

import av
import pytest

from stream.bench.rtp import PAYLOAD_BYTES, Clip
from stream.bench.rtsp_server import RtspServer
from tests.media import encode, encode_h264, moving_pictures


class Talk:
    """A client that speaks RTSP by hand."""

    def __init__(self, server: RtspServer) -> None:
        self.url = server.url("/camera")
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        self.replies = self.socket.makefile("rb")
        self.count = 0

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.replies.close()
        self.socket.close()

    def ask(self, method: str, url: str = "", **headers: str) -> tuple[int, dict[str, str], str]:
        """Code, lower-case headers and body of the answer."""
        self.count += 1
        lines = [f"{method} {url or self.url} RTSP/1.0", f"CSeq: {self.count}"]
        self.socket.sendall(
            ("\r\n".join(lines + [f"{name}: {value}" for name, value in headers.items()]) + "\r\n\r\n").encode()
        )
        status = self.replies.readline().decode()
        fields = {}
        while line := self.replies.readline().decode().strip():
            name, _, value = line.partition(": ")
            fields[name.lower()] = value
        assert fields["cseq"] == str(self.count)
        return int(status.split()[1]), fields, self.replies.read(int(fields.get("content-length", 0))).decode()

    def packet(self) -> tuple[int, bytes]:
        """Channel and content of the next interleaved packet."""
        head = self.replies.read(4)
        assert head[:1] == b"$"
        return head[1], self.replies.read(int.from_bytes(head[2:], "big"))


def test_a_session_by_hand(h264_clip: Path) -> None:
    with RtspServer({"/camera": h264_clip}, speed=20) as server, Talk(server) as talk:
        code, headers, _ = talk.ask("OPTIONS")
        assert code == 200 and "DESCRIBE" in headers["public"]
        code, headers, sdp = talk.ask("DESCRIBE")
        assert code == 200 and headers["content-type"] == "application/sdp"
        assert "m=video 0 RTP/AVP 96" in sdp and re.search(r"sprop-parameter-sets=[\w+/=]+,[\w+/=]+", sdp)
        assert talk.ask("PLAY", Session="stolen")[0] == 454
        code, headers, _ = talk.ask("SETUP", f"{talk.url}/video", Transport="RTP/AVP/TCP;unicast;interleaved=4-5")
        assert code == 200 and headers["transport"] == "RTP/AVP/TCP;unicast;interleaved=4-5"
        session = headers["session"].partition(";")[0]
        assert talk.ask("GET_PARAMETER", Session=session)[0] == 200
        assert talk.ask("RECORD", Session=session)[0] == 405
        code, headers, _ = talk.ask("PLAY", Session=session)
        first = int(re.search(r"seq=(\d+)", headers["rtp-info"])[1])  # type: ignore[index]

        sequence, pictures = first, 0
        while (packet := talk.packet())[0] == 4:
            content = packet[1]
            assert len(content) <= 12 + PAYLOAD_BYTES
            assert int.from_bytes(content[2:4], "big") == sequence % 2**16
            sequence, pictures = sequence + 1, pictures + (content[1] >> 7)
        assert pictures == 75
        assert packet[0] == 5 and packet[1][8:10] == b"\x81\xcb", "an RTCP BYE ends it"
        assert talk.replies.read() == b""


def test_no_such_path_and_teardown(h264_clip: Path) -> None:
    with RtspServer({"/camera": h264_clip}) as server, Talk(server) as talk:
        assert talk.ask("DESCRIBE", server.url("/other"))[0] == 404
        talk.ask("DESCRIBE")
        session = talk.ask("SETUP", Transport="RTP/AVP/TCP;interleaved=0-1")[1]["session"].partition(";")[0]
        assert talk.ask("TEARDOWN", Session=session)[0] == 200
        assert talk.replies.read() == b""


def test_nothing_is_told_without_the_login(h264_clip: Path) -> None:
    with RtspServer({"/camera": h264_clip}, user="me", password="right") as server, Talk(server) as talk:
        code, headers, body = talk.ask("DESCRIBE")
        assert code == 401 and headers["www-authenticate"].startswith("Digest realm=") and body == ""
        assert talk.ask("DESCRIBE", Authorization='Digest username="me", response="0"')[0] == 401
        assert talk.ask("PLAY")[0] == 401


def test_pictures_come_when_they_are_due(h264_clip: Path) -> None:
    """Never early; how late is the machine's business."""
    with RtspServer({"/camera": h264_clip}) as server:
        began = time.monotonic()
        with av.open(server.url("/camera"), options={"rtsp_transport": "tcp"}, timeout=10) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
    assert len(packets) == 75
    assert time.monotonic() - began >= 74 / 25


def test_a_looped_clip_goes_on_in_time(tmp_path: Path) -> None:
    path = encode_h264(moving_pictures(10), tmp_path / "clip.mp4", fps=25)
    times: list[int] = []
    with (
        RtspServer({"/camera": path}, loop=True, speed=4) as server,
        av.open(server.url("/camera"), options={"rtsp_transport": "tcp"}, timeout=10) as container,
    ):
        for packet in container.demux(video=0):
            times += [packet.pts] if packet.pts is not None else []
            if len(times) == 35:
                break
    assert {after - before for before, after in pairwise(times)} == {3600}


def test_several_clips_and_clients_at_once(h264_clip: Path) -> None:
    counts: dict[str, int] = {}

    def play(name: str, url: str) -> None:
        with av.open(url, options={"rtsp_transport": "tcp"}, timeout=10) as container:
            counts[name] = sum(1 for packet in container.demux(video=0) if packet.size)

    with RtspServer({"/a": h264_clip, "/b": Clip.load(h264_clip)}, speed=8) as server:
        players = [
            threading.Thread(target=play, args=(f"{path}{index}", server.url(path)))
            for path in ("/a", "/b")
            for index in range(3)
        ]
        for player in players:
            player.start()
        for player in players:
            player.join()
    assert list(counts.values()) == [75] * 6


def test_it_leaves_nothing_behind(h264_clip: Path) -> None:
    before = threading.active_count()
    with RtspServer({"/camera": h264_clip}, loop=True) as server, Talk(server) as talk:
        talk.ask("DESCRIBE")
        session = talk.ask("SETUP", Transport="RTP/AVP/TCP;interleaved=0-1")[1]["session"].partition(";")[0]
        talk.ask("PLAY", Session=session)
        talk.packet()
        server.stall("/camera")
        stopped = time.monotonic()
        server.__exit__(None, None, None)
        assert time.monotonic() - stopped < 5
        while talk.replies.read(4096):
            pass
    assert threading.active_count() == before
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0


def test_a_client_that_knocks_while_it_closes_leaves_no_socket(h264_clip: Path) -> None:
    """A connection that nobody closed would warn as it is collected, and a warning fails the test."""
    clip = Clip.load(h264_clip)
    for _ in range(50):
        with RtspServer({"/camera": clip}) as server:
            knocking = socket.create_connection(("127.0.0.1", server.port))
        knocking.close()
        gc.collect()


def test_a_codec_it_cannot_send_is_refused(tmp_path: Path) -> None:
    path = encode(moving_pictures(3), tmp_path / "clip.avi", codec="mpeg4")
    with pytest.raises(ValueError, match=r"clip\.avi holds mpeg4, expected one of h264, hevc, mjpeg"):
        RtspServer({"/camera": path})
