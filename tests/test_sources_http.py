"""Video over HTTP from a real web server: MJPEG cameras, live and finished HLS, files; and what leaks of a login."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from pathlib import Path

import av
import cv2
import pytest

from stream.contracts import Frame, Input, Source
from stream.errors import SourceLost, SourceOpenError, SourceRefused, SourceStalled
from stream.sources import FileSource, HttpSource, connection, open_source
from tests.media import encode, encode_h264, moving_pictures
from tests.peers.web import WebServer

INPUT = Input(32, 32)
SECRET = "hunter2"
SEGMENT_S = 1.0

pytestmark = pytest.mark.usefixtures("no_thread_left_behind")


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in moving_pictures(30)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clip.mp4, the same as HLS (vod.m3u8, of segments of a second), and a playlist of playlists (master.m3u8)."""
    folder = tmp_path_factory.mktemp("site")
    clip = encode_h264(moving_pictures(200), folder / "clip.mp4", gop=25)
    options = {"hls_time": f"{SEGMENT_S:g}", "hls_playlist_type": "vod", "hls_list_size": "0"}
    with av.open(clip) as source, av.open(folder / "vod.m3u8", "w", format="hls", options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    (folder / "master.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000\nvod.m3u8\n")
    return folder


def luma(frame: Frame) -> bytes:
    return frame.picture.planes[0].tobytes()


def test_an_mjpeg_camera_is_live_and_timed_by_arrival(jpegs: list[bytes]) -> None:
    with WebServer(pictures=jpegs, fps=20) as server:
        source = open_source(server.url("/camera"), INPUT)
        assert isinstance(source, HttpSource) and isinstance(source, Source) and source.live
        frames = []
        for frame in source.frames():
            frames.append(frame)
            if len(frames) == 10:
                source.close()
    assert [frame.index for frame in frames] == list(range(10))
    arrivals = [frame.arrived - frames[0].arrived for frame in frames]
    assert [frame.time - frames[0].time for frame in frames] == pytest.approx(arrivals)
    assert arrivals != pytest.approx([index / 25 for index in range(10)], abs=1e-3), "FFmpeg makes up 25 a second"


def test_a_slow_reader_is_not_given_what_waits_on_the_way(jpegs: list[bytes]) -> None:
    """It takes 12 of 50 a second; all others would wait in the connection, for minutes."""
    with WebServer(pictures=jpegs, fps=50) as server:
        source = open_source(server.url("/camera"), INPUT)
        began, behind = time.monotonic(), []
        for frame in source.frames():
            behind.append(server.sent - source.skipped - frame.index)
            if time.monotonic() - began > 3:
                source.close()
            time.sleep(0.08)
    assert isinstance(source, HttpSource) and source.skipped > 20
    assert max(behind) < 50, "a second of pictures; at the end there would be a hundred"


def test_a_camera_that_hangs_up_is_lost_and_can_be_read_again(jpegs: list[bytes]) -> None:
    with WebServer(pictures=jpegs) as server:
        source = HttpSource(server.url("/camera"), INPUT)
        frames = source.frames()
        next(frames)
        server.hang_up()
        with pytest.raises(SourceLost, match=r"connection broke|ended the stream"):
            list(frames)
        server.cutting.clear()
        assert next(source.frames(1)).session == 1
        source.close()


def test_a_camera_that_falls_silent_is_stalled(jpegs: list[bytes], impatient: None) -> None:
    with WebServer(pictures=jpegs) as server:
        frames = HttpSource(server.url("/camera"), INPUT).frames()
        next(frames)
        server.stall()
        with pytest.raises(SourceStalled, match="nothing came for 1 s"):
            list(frames)


def test_a_camera_whose_pictures_cannot_be_decoded_any_more_is_lost(
    jpegs: list[bytes], impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its packets come on, so it is not silent; a new connection may ask for what it sends now."""
    monkeypatch.setattr(connection, "PICTURE_S", 1.0)
    with WebServer(pictures=[*jpegs[:5], *[b"no picture"] * 10_000]) as server:
        source, count = HttpSource(server.url("/camera"), INPUT), 0
        with pytest.raises(SourceLost, match=r"no picture that can be decoded for \d+ s"):
            for _ in source.frames():
                count += 1
        assert count == 5 and source.corrupt > 5


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
@pytest.mark.parametrize("name", ["clip.mp4", "vod.m3u8", "master.m3u8", "vod.m3u8?token=a.mjpg"])
def test_what_has_an_end_waits_and_loses_nothing(site: Path, name: str, ranges: bool) -> None:
    expected = [luma(frame) for frame in FileSource(site / "clip.mp4", INPUT).frames()]
    with WebServer(folder=site, ranges=ranges) as server:
        source = HttpSource(server.url(f"/{name}"), INPUT)
        assert not source.live
        assert [luma(frame) for frame in source.frames()] == expected


def test_a_file_whose_connection_breaks_is_read_on(tmp_path: Path) -> None:
    path = encode(moving_pictures(50), tmp_path / "clip.mkv", options={"preset": "veryfast"})
    with WebServer(folder=tmp_path, cut_after=path.stat().st_size // 2) as server:
        assert len(list(HttpSource(server.url("/clip.mkv"), INPUT).frames())) == 50


def test_a_file_that_pauses_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is silence from a camera is a slow network here, and a file is not tried again."""
    monkeypatch.setattr(connection, "SILENCE_S", 0.3)
    encode(moving_pictures(50, 320, 240), tmp_path / "clip.mkv", codec="ffv1")
    with WebServer(folder=tmp_path, pause_s=1.0) as server:
        assert len(list(HttpSource(server.url("/clip.mkv"), INPUT).frames())) == 50


def test_a_file_that_cannot_be_read_to_its_end_says_so(tmp_path: Path) -> None:
    path = encode(moving_pictures(50), tmp_path / "clip.mkv", options={"preset": "veryfast"})
    with WebServer(folder=tmp_path, cut_after=path.stat().st_size // 2, ranges=False) as server:
        frames = HttpSource(server.url("/clip.mkv"), INPUT).frames()
        with pytest.raises(SourceLost, match="broke"):
            list(frames)


def test_a_broadcast_is_live_and_comes_at_its_own_speed(site: Path) -> None:
    """Its segments arrive all at once, a second of video at a time."""
    names = sorted((path.name for path in site.glob("*.ts")), key=lambda name: int(name[3:-3]))
    expected = [luma(frame) for frame in FileSource(site / "clip.mp4", INPUT).frames()]
    with WebServer(folder=site, segments=names, segment_s=SEGMENT_S) as server:
        source = HttpSource(server.url("/live.m3u8"), INPUT)
        assert source.live
        frames = []
        for frame in source.frames():
            frames.append(frame)
            if len(frames) == 40:
                source.close()
    first = expected.index(luma(frames[0]))
    assert first >= 25, "it begins with the newest segment"
    assert [luma(frame) for frame in frames] == expected[first : first + 40]
    assert frames[-1].arrived - frames[0].arrived >= 0.99 * (frames[-1].time - frames[0].time)


def test_a_file_that_does_not_look_like_one_is_played_at_its_own_speed_and_ends(tmp_path: Path) -> None:
    """Its address could be a camera's, so it counts as live: read at once, most of it would be dropped."""
    encode(moving_pictures(15), tmp_path / "clip.mp4", options={"preset": "veryfast"}).rename(tmp_path / "download")
    with WebServer(folder=tmp_path) as server:
        source = HttpSource(server.url("/download?id=3"), INPUT)
        frames = list(source.frames())
    assert source.live and len(frames) == 15
    assert frames[-1].arrived - frames[0].arrived >= 0.99 * (frames[-1].time - frames[0].time)


def test_a_playlist_that_cannot_be_read_counts_as_live(impatient: None) -> None:
    """It will be tried again, as a camera is."""
    with WebServer() as server:
        assert HttpSource(server.url("/status/500/x.m3u8"), INPUT).live
    assert HttpSource(server.url("/gone.m3u8"), INPUT).live


@pytest.mark.parametrize(
    ("path", "kind", "says"),
    [
        ("/status/401", SourceRefused, "user and password"),
        ("/status/403", SourceRefused, "user and password"),
        ("/status/404", SourceOpenError, "no such path"),
        ("/status/500", SourceOpenError, "cannot be reached"),
        ("/silent", SourceOpenError, "no video came"),
        ("/page.html", SourceOpenError, "cannot be reached"),
    ],
)
def test_what_a_server_refuses(
    path: str, kind: type, says: str, tmp_path: Path, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "page.html").write_text("<html>sign in</html>")
    caplog.set_level(logging.DEBUG)
    with WebServer(folder=tmp_path) as server:
        source = HttpSource(server.url(f"{path}?token={SECRET}", login=f"admin:{SECRET}@"), INPUT)
        with pytest.raises(kind, match=says) as caught:
            list(source.frames())
    assert type(caught.value) is kind
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__) + caplog.text
    assert "\n" not in str(caught.value)
    assert SECRET not in shown + repr(source) + source.url + source.camera and "admin" not in shown


def test_a_login_out_of_the_environment(jpegs: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_USER", "ad min")
    monkeypatch.setenv("CAMERA_PASSWORD", "p@ss/w:rd %é#?")
    monkeypatch.setenv("SIZE", "before it was opened")
    with WebServer(pictures=jpegs, login=("ad min", "p@ss/w:rd %é#?")) as server:
        source = open_source(server.url("/camera?size=${SIZE}", login="${CAMERA_USER}:${CAMERA_PASSWORD}@"), INPUT)
        frames = source.frames()
        monkeypatch.setenv("SIZE", "1&2")
        next(frames)
        source.close()
        assert server.asked[-1] == "/camera?size=1%262"
        assert source.url == server.url("/camera")


def test_close_while_it_is_silent(jpegs: list[bytes], impatient: None) -> None:
    with WebServer(pictures=jpegs) as server:
        source = HttpSource(server.url("/camera"), INPUT)
        frames = source.frames()
        next(frames)
        server.stall()
        timer = threading.Timer(0.2, source.close)
        timer.start()
        began = time.monotonic()
        list(frames)  # not lost: closed
        timer.join()
        assert time.monotonic() - began < 5
