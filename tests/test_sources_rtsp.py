"""Network cameras, from real servers on loopback: the very frames of the file, and the ways in which cameras fail."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from stream.bench.rtsp_server import RtspServer
from stream.contracts import Frame, Input
from stream.errors import SourceLost, SourceOpenError, SourceRefused, SourceStalled
from stream.sources import FileSource, RtspSource, connection, rtsp
from tests.media import encode, encode_h264, moving_pictures
from tests.peers.rtsp_canned import AUDIO_ONLY, NO_MEDIA, NOTHING_SENT, UNKNOWN_CODEC, CannedCamera
from tests.peers.rtsp_pausing import PausingLine
from tests.peers.tls_line import TlsLine

INPUT = Input(32, 32)
FAST = 8.0

pytestmark = pytest.mark.usefixtures("no_thread_left_behind")


def read(source: RtspSource, session: int = 0) -> list[Frame]:
    """The frames until the camera is lost."""
    frames: list[Frame] = []
    with pytest.raises(SourceLost):
        for frame in source.frames(session):
            frames.append(frame)
    return frames


def luma(frame: Frame) -> bytes:
    return b"".join(plane.tobytes() for plane in frame.picture.planes)


@pytest.mark.parametrize("b_frames", [0, 2])
def test_over_tcp_it_is_the_file_bit_for_bit(tmp_path: Path, b_frames: int) -> None:
    path = encode_h264(moving_pictures(60, 320, 240), tmp_path / "clip.mp4", fps=30, b_frames=b_frames)
    expected = list(FileSource(path, INPUT).frames())
    with RtspServer({"/camera": path}, speed=FAST) as server:
        frames = read(RtspSource(server.url("/camera"), INPUT))
    assert [luma(frame) for frame in frames] == [luma(frame) for frame in expected]
    times, truth = [np.array([frame.time for frame in side]) for side in (frames, expected)]
    assert times - times[0] == pytest.approx(truth - truth[0], abs=1 / 90_000)
    assert [frame.index for frame in frames] == list(range(60))
    assert {frame.session for frame in frames} == {0}


def test_over_udp_it_is_the_file_too(h264_clip: Path) -> None:
    expected = [luma(frame) for frame in FileSource(h264_clip, INPUT).frames()]
    with RtspServer({"/camera": h264_clip}, speed=2) as server:
        frames = read(RtspSource(server.url("/camera"), INPUT, transport="udp"))
    # UDP may lose: what came is right up to there, and most of it came.
    assert [luma(frame) for frame in frames][:12] == expected[:12]
    assert len(frames) > 60


def test_a_real_clip(shared: Path, tmp_path: Path) -> None:
    clip = sorted((shared / "ut-interaction" / "hug").glob("*.avi"))[0]
    path = encode_h264(clip, tmp_path / "clip.mp4")
    expected = list(FileSource(path, INPUT))
    with RtspServer({"/camera": path}, speed=FAST) as server:
        source, ticks = RtspSource(server.url("/camera"), INPUT), []
        with pytest.raises(SourceLost):
            for tick in source:
                ticks.append(tick)
    assert [tick.index for tick in ticks] == [tick.index for tick in expected]
    assert all(np.array_equal(tick.image, other.image) for tick, other in zip(ticks, expected, strict=True))


def test_a_lost_camera_can_be_read_again(h264_clip: Path) -> None:
    with RtspServer({"/camera": h264_clip}, speed=FAST) as server:
        source = RtspSource(server.url("/camera"), INPUT)
        first, second = read(source), read(source, session=1)
    assert [frame.session for frame in first + second] == [0] * 75 + [1] * 75
    assert [frame.index for frame in first + second] == list(range(150))
    assert [luma(frame) for frame in first] == [luma(frame) for frame in second]


def test_joined_in_the_middle_it_begins_with_a_whole_picture(tmp_path: Path) -> None:
    path = encode_h264(moving_pictures(100, 320, 240), tmp_path / "clip.mp4", gop=10)
    expected = {luma(frame) for frame in FileSource(path, INPUT).frames()}
    with RtspServer({"/camera": path}, per_client=False, loop=True) as server:
        time.sleep(0.3)
        source, frames = RtspSource(server.url("/camera"), INPUT), []
        for frame in source.frames():
            frames.append(frame)
            if len(frames) == 20:
                source.close()
    assert len(frames) == 20 and all(luma(frame) in expected for frame in frames)


def test_another_size_begins_a_session(tmp_path: Path) -> None:
    small = encode_h264(moving_pictures(12, 160, 128), tmp_path / "small.h264")
    large = encode_h264(moving_pictures(12, 320, 240), tmp_path / "large.h264")
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with RtspServer({"/camera": both}, speed=FAST) as server:
        frames = read(RtspSource(server.url("/camera"), INPUT))
    assert [(frame.session, frame.picture.size) for frame in frames] == [(0, (128, 160))] * 12 + [(1, (240, 320))] * 12


def test_a_camera_that_loses_power_is_lost(h264_clip: Path) -> None:
    with RtspServer({"/camera": h264_clip}, loop=True) as server:
        frames = RtspSource(server.url("/camera"), INPUT).frames()
        next(frames)
        server.hang_up()
        with pytest.raises(SourceLost, match="ended the stream"):
            list(frames)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_camera_that_falls_silent_is_lost(h264_clip: Path, impatient: None, transport: rtsp.Transport) -> None:
    with RtspServer({"/camera": h264_clip}, loop=True) as server:
        frames = RtspSource(server.url("/camera"), INPUT, transport=transport).frames()
        next(frames)
        server.stall("/camera")
        with pytest.raises(SourceStalled, match="nothing came for 1 s"):
            list(frames)


def test_a_stall_is_noticed_in_three_seconds(h264_clip: Path) -> None:
    with RtspServer({"/camera": h264_clip}, loop=True) as server:
        frames = RtspSource(server.url("/camera"), INPUT).frames()
        arrived = next(frames).arrived
        server.stall("/camera")
        with pytest.raises(SourceStalled):
            for frame in frames:
                arrived = frame.arrived
        assert 2.5 < time.monotonic() - arrived < 5  # 2.9 on an idle machine


def test_a_slow_camera_is_given_the_time_that_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends every 0.4 s, and silence counts after 0.25 s: it stalls until patience has grown, and then no more."""
    monkeypatch.setattr(connection, "SILENCE_S", 0.25)
    path = encode_h264(moving_pictures(40), tmp_path / "clip.mp4", fps=2.5, gop=1)
    with RtspServer({"/camera": path}, loop=True) as server:
        source, counts = RtspSource(server.url("/camera"), INPUT), [0]
        while counts[-1] < 12:
            counts.append(0)
            with pytest.raises(SourceStalled) if len(counts) == 2 else suppress(SourceLost, SourceOpenError):
                for _ in source.frames(len(counts)):
                    counts[-1] += 1
                    if counts[-1] == 12:
                        source.close()
        assert source._patience.seconds > 4 * 0.4


def test_a_short_silence_costs_nothing(h264_clip: Path) -> None:
    expected = [luma(frame) for frame in FileSource(h264_clip, INPUT).frames()]
    with RtspServer({"/camera": h264_clip}, speed=FAST) as server:
        resume = threading.Timer(0.7, server.resume, ["/camera"])
        frames: list[Frame] = []
        with pytest.raises(SourceLost):
            for frame in RtspSource(server.url("/camera"), INPUT).frames():
                frames.append(frame)
                if len(frames) == 10:
                    server.stall("/camera")
                    resume.start()
        resume.join()
    assert [luma(frame) for frame in frames] == expected


def test_a_silence_in_the_middle_of_a_packet_costs_nothing(tmp_path: Path) -> None:
    path = encode_h264(moving_pictures(70, 320, 240), tmp_path / "clip.mp4", gop=100)
    expected = [luma(frame) for frame in FileSource(path, INPUT).frames()]
    with RtspServer({"/camera": path}, speed=FAST) as server, PausingLine(server.port, (15, 40), 0.8) as line:
        frames = read(RtspSource(f"rtsp://127.0.0.1:{line.port}/camera", INPUT))
        assert line.pauses == 2
    assert [luma(frame) for frame in frames] == expected


@pytest.mark.parametrize("seconds", [1.5, 2.5])  # in the first FFmpeg hides the time-out, in the second it raises
def test_after_a_stall_in_the_middle_of_a_packet_nothing_is_read_on(
    tmp_path: Path, seconds: float, impatient: None
) -> None:
    """What FFmpeg had of the packet is gone: frames after it would be rubbish."""
    path = encode_h264(moving_pictures(70, 320, 240), tmp_path / "clip.mp4", gop=100)
    expected = [luma(frame) for frame in FileSource(path, INPUT).frames()]
    with RtspServer({"/camera": path}, speed=FAST) as server, PausingLine(server.port, (40,), seconds) as line:
        frames, source = [], RtspSource(f"rtsp://127.0.0.1:{line.port}/camera", INPUT)
        with pytest.raises(SourceLost, match="nothing came for 1 s"):
            for frame in source.frames():
                frames.append(luma(frame))
    assert 0 < len(frames) < 70 and frames == expected[: len(frames)]


def test_close_ends_it_while_the_camera_is_silent(h264_clip: Path, impatient: None) -> None:
    with RtspServer({"/camera": h264_clip}, loop=True) as server:
        source = RtspSource(server.url("/camera"), INPUT)
        frames = source.frames()
        next(frames)
        server.stall("/camera")
        threading.Timer(0.2, source.close).start()
        rest = list(frames)  # not lost: closed
        assert len(rest) < 10
        assert list(source.frames(1)) == [], "closed stays closed"


def test_a_login_with_special_characters(h264_clip: Path) -> None:
    password = "p@ss/w:rd %é#?"
    with RtspServer({"/camera": h264_clip}, user="ad min", password=password, speed=FAST) as server:
        source = RtspSource(server.url("/camera", user="ad min", password=password), INPUT)
        assert len(read(source)) == 75
        assert source.url == server.url("/camera")


def test_a_login_out_of_the_environment(h264_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = "p@ss/w:rd %é#?"
    monkeypatch.setenv("CAMERA_PASSWORD", password)
    with RtspServer({"/camera": h264_clip}, user="admin", password=password, speed=FAST) as server:
        source = RtspSource(f"rtsp://admin:${{CAMERA_PASSWORD}}@127.0.0.1:{server.port}/camera", INPUT)
        assert len(read(source)) == 75
        monkeypatch.setenv("CAMERA_PASSWORD", "hunter2")
        with pytest.raises(SourceRefused) as caught:
            list(source.frames(1))
        assert_says_it_in_a_line(caught.value, f"rtsp://127.0.0.1:{server.port}/camera: wrong or missing")


def test_over_tls_it_is_the_file_too(h264_clip: Path, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("the certificate is made with openssl, which is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=camera"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    expected = [luma(frame) for frame in FileSource(h264_clip, INPUT).frames()]
    with RtspServer({"/camera": h264_clip}, speed=FAST) as server, TlsLine(server.port, certificate, key) as line:
        frames = read(RtspSource(f"rtsps://127.0.0.1:{line.port}/camera", INPUT))
    assert [luma(frame) for frame in frames] == expected


def with_login(port: int, path: str = "/camera", host: str = "127.0.0.1") -> str:
    return f"rtsp://admin:hunter%32@{host}:{port}{path}"


def assert_says_it_in_a_line(error: BaseException, says: str) -> None:
    """One line, and no login in it, nor in what it chains to."""
    text = "".join(traceback.format_exception(error)) + repr(error.__context__) + repr(error.__cause__)
    assert says in str(error)
    assert "\n" not in str(error)
    assert "hunter" not in text and "admin" not in text


def test_what_a_server_refuses(h264_clip: Path) -> None:
    with RtspServer({"/camera": h264_clip}, user="someone", password="else") as server:
        with pytest.raises(SourceRefused) as refused:
            list(RtspSource(with_login(server.port), INPUT).frames())
        assert_says_it_in_a_line(refused.value, "wrong or missing user and password")
    with RtspServer({"/camera": h264_clip}) as server:
        with pytest.raises(SourceOpenError) as caught:
            list(RtspSource(with_login(server.port, "/nothing"), INPUT).frames())
        assert_says_it_in_a_line(caught.value, "no such path")


def test_nobody_there(impatient: None) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(SourceOpenError) as caught:
        list(RtspSource(with_login(port), INPUT).frames())
    assert_says_it_in_a_line(caught.value, "nothing listens at that address")
    with pytest.raises(SourceOpenError) as caught:
        list(RtspSource(with_login(554, host="no-such-host.invalid"), INPUT).frames())
    assert_says_it_in_a_line(caught.value, "cannot be reached")


@pytest.mark.parametrize(
    ("sdp", "says"),
    [
        (None, "no video came"),
        (NO_MEDIA, "no video came"),
        (AUDIO_ONLY, "no video came"),
        (UNKNOWN_CODEC, "no video came"),
        (NOTHING_SENT, "nothing came for 1 s"),
    ],
    ids=["silent", "no media", "audio only", "unknown codec", "nothing sent"],
)
def test_a_camera_without_video_fails_in_time(sdp: str | None, says: str, impatient: None) -> None:
    with CannedCamera(sdp) as camera:
        with pytest.raises(SourceOpenError) as caught:
            list(RtspSource(with_login(camera.port), INPUT).frames())
        assert_says_it_in_a_line(caught.value, says)


@pytest.mark.parametrize("codec", ["libx265", "mjpeg"])
def test_other_codecs(tmp_path: Path, codec: str) -> None:
    pix_fmt, options = ("yuv420p", {"x265-params": "log-level=none"}) if codec == "libx265" else ("yuvj420p", {})
    name = "clip.mp4" if codec == "libx265" else "clip.avi"
    options |= {"huffman": "default"} if codec == "mjpeg" else {"preset": "ultrafast"}
    path = encode(moving_pictures(20, 320, 240), tmp_path / name, codec=codec, pix_fmt=pix_fmt, options=options)
    expected = [luma(frame) for frame in FileSource(path, INPUT).frames()]
    with RtspServer({"/camera": path}, speed=FAST) as server:
        assert [luma(frame) for frame in read(RtspSource(server.url("/camera"), INPUT))] == expected
