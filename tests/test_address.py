"""Addresses: which source they name, what the camera is called, and that no secret survives in what is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stream.address import camera_name, expanded, safe_url, without_logins
from stream.contracts import Input, Source
from stream.errors import ConfigError, SourceOpenError
from stream.sources import (
    FileSource,
    HttpSource,
    PatternSource,
    PictureSource,
    PipeSource,
    RtspSource,
    WebcamSource,
    open_source,
)

INPUT = Input(32, 32)
SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"rtsp://admin:{SECRET}@10.0.0.2:554/stream1",
        f"rtsp://admin:p@ss/{SECRET}#?@10.0.0.2/stream1",
        f"rtsp://admin:%40{SECRET}@10.0.0.2/stream1",
        f"rtsp://10.0.0.2/stream1?user=admin&password={SECRET}",
        f"rtsp://10.0.0.2/user=admin&password={SECRET}&channel=1&stream=0.sdp",
        f"rtsp://10.0.0.2/user=admin_password={SECRET}_channel=1",
        f"RTSPS://admin:{SECRET}@10.0.0.2/token={SECRET}",
        f"http://admin:{SECRET}@10.0.0.2/video",
        f"rtsp://10.0.0.2/live/u=admin&p={SECRET}",
        f"rtsp://10.0.0.2/live;u=admin;p={SECRET}",
        f"rtsp://10.0.0.2/live/ch=1_usr=admin_pw={SECRET}",
        f"rtsp://admin:{SECRET} and\n{SECRET}@10.0.0.2/stream1",
        f"rtsp://10.0.0.2/stream1?key=a b&x={SECRET}",
    ],
)
def test_no_secret_in_what_is_shown(url: str) -> None:
    for text in (safe_url(url), camera_name(url)):
        assert "10.0.0.2" in text
        assert SECRET not in text
        assert "admin" not in text
    source = open_source(url, INPUT)
    assert SECRET not in source.url + source.camera + repr(source)


@pytest.mark.parametrize(
    "address",
    [
        f"admin:{SECRET}@10.0.0.2/stream",
        f"admin:p@ss/{SECRET}#?@10.0.0.2/stream",
        f"rtsp:/admin:{SECRET}@10.0.0.2/stream",
        f"rtsp:/admin:my {SECRET}@10.0.0.2/stream",
        f"rtsp:admin:{SECRET}@10.0.0.2/stream",
        f"rtsp://cam/user=admin_password={SECRET}",
        f"rtsp:/cam/live/u=admin&p={SECRET}",
        f"rtsp://cam/live;u=admin;p={SECRET}",
        f"rtsp://cam/live?channel=admin&x={SECRET}",
        f"cam/live/u=admin&p={SECRET}",
    ],
)
@pytest.mark.parametrize("text", ["{}", "Error: got ({}) twice ({})\nusage 2", "cannot open '{}': no such file"])
def test_no_login_in_any_text(address: str, text: str) -> None:
    shown = without_logins(text.replace("{}", address))
    assert SECRET not in shown and "admin" not in shown
    assert shown.startswith(text.partition("{")[0]) and shown.endswith("usage 2" if "usage" in text else "")


@pytest.mark.parametrize(
    "address",
    [f"admin:{SECRET}@10.0.0.2/stream", f"admin:my {SECRET}@10.0.0.2/s", f"10.0.0.2/user=admin&password={SECRET}"],
)
def test_a_login_without_a_scheme_is_refused_and_not_shown(address: str) -> None:
    for path in (address, f"rtsp:/{address}"):  # the second is what pathlib makes of rtsp://
        with pytest.raises(SourceOpenError, match="rtsp:// in front") as caught:
            open_source(path, INPUT)
        assert not any(word in str(caught.value) for word in (SECRET, "admin", "10.0.0.2", "\n"))


def test_names_are_text_whatever_the_bytes() -> None:
    assert camera_name(os.fsdecode(b"caf\xe9.mp4")) == "caf\ufffd"
    assert camera_name("café.mp4") == "café"


def test_what_holds_no_secret_is_left_alone() -> None:
    message = "clips/12:30 me.mp4: no such file; check the spelling and the folder you are in (/home/me@work/a)"
    assert without_logins(message) == message
    assert safe_url("clips/front door.mp4") == "clips/front door.mp4"
    assert safe_url("rtsp://10.0.0.2:8554/live/0") == "rtsp://10.0.0.2:8554/live/0"
    assert safe_url("clips/a@b?.mp4") == "clips/a@b?.mp4"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("0", "webcam-0"),
        ("/dev/video2", "webcam-2"),
        ("some/folder/front door.mp4", "front door"),
        ("rtsp://me:x@10.0.0.2:554/live/", "10.0.0.2/live"),
        ("rtsp://10.0.0.2:8554/live", "10.0.0.2:8554/live"),
    ],
)
def test_cameras_get_readable_names(url: str, name: str) -> None:
    assert camera_name(url) == name


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("rtsp://${ME}:${MINE}@10.0.0.2/live", "rtsp://ad%20min:p%40ss%2Fw%3Ard%25@10.0.0.2/live"),
        ("rtsp://admin:${MINE}@${HOST}/live", "rtsp://admin:p%40ss%2Fw%3Ard%25@10.0.0.2:8554/live"),
        ("rtsp://${HOST}/${WAY}/0", "rtsp://10.0.0.2:8554/live/main/0"),
        ("rtsp://${HOST}/a@b/${WAY}", "rtsp://10.0.0.2:8554/a@b/live/main"),
        ("http://${HOST}/video?token=${MINE}&size=1", "http://10.0.0.2:8554/video?token=p%40ss%2Fw%3Ard%25&size=1"),
        ("${ALL}", "rtsp://admin:p%40ss@10.0.0.2/live"),
        ("rtsp://10.0.0.2/$ME/{ME}", "rtsp://10.0.0.2/$ME/{ME}"),
    ],
)
def test_variables_are_expanded_where_they_stand(url: str, reached: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"ME": "ad min", "MINE": "p@ss/w:rd%", "HOST": "10.0.0.2:8554", "WAY": "live/main"}
    for name, value in (values | {"ALL": "rtsp://admin:p%40ss@10.0.0.2/live"}).items():
        monkeypatch.setenv(name, value)
    assert expanded(url) == reached
    source = open_source(url, INPUT)
    assert isinstance(source, RtspSource | HttpSource)
    shown = source.url + source.camera + repr(source) + safe_url(url) + without_logins(f"{url}: gone")
    assert not any(value in shown for value in (*values.values(), "p%40", "admin"))


@pytest.mark.parametrize("url", ["rtsp://${NOBODY_SET_ME}:secret@10.0.0.2/live", "${NOBODY_SET_ME}"])
def test_a_variable_that_is_not_set_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="the variable NOBODY_SET_ME is not set") as caught:
        open_source(url, INPUT)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.setenv("NOBODY_SET_ME", "rtsp://10.0.0.2/live")
    source = open_source("${NOBODY_SET_ME}", INPUT)
    monkeypatch.delenv("NOBODY_SET_ME")
    with pytest.raises(ConfigError, match="NOBODY_SET_ME"):
        next(source.frames())


@pytest.mark.parametrize(
    ("url", "kind", "live", "camera"),
    [
        ("/dev/video3", WebcamSource, True, "webcam-3"),
        ("rtsp://h/s", RtspSource, True, "h/s"),
        ("RTSPS://h/s", RtspSource, True, "h/s"),
        ("http://h/video", HttpSource, True, "h/video"),
        ("http://h/cgi/mjpg?name=a.mp4", HttpSource, True, "h/cgi/mjpg"),
        ("https://h/a%20clip.MP4?token=x", HttpSource, False, "h/a%20clip.MP4"),
        ("lavfi:testsrc2=size=64x48,realtime", PatternSource, True, "testsrc2"),
        ("lavfi:testsrc2=size=64x48", PatternSource, False, "testsrc2"),
        ("-", PipeSource, True, "stdin"),
        ("test_address.py", FileSource, False, "test_address"),
    ],
)
def test_open_source_picks_by_address(url: str, kind: type[Source], live: bool, camera: str) -> None:
    path = str(Path(__file__)) if url.endswith(".py") else url
    source = open_source(path, INPUT, rotation=90, decode="software")
    assert isinstance(source, kind) and isinstance(source, Source)
    assert (source.live, source.camera) == (live, camera)


def test_what_is_asked_for_is_handed_on(tmp_path: Path) -> None:
    camera = open_source("rtsp://h/s", INPUT, camera="door", transport="udp")
    webcam = open_source("0", INPUT, size=(640, 480), fps=15, format="MJPG")
    (tmp_path / "1.png").touch()
    pictures = open_source(tmp_path, INPUT, fps=5, loop=True)
    assert isinstance(camera, RtspSource) and (camera.camera, camera.transport) == ("door", "udp")
    assert isinstance(webcam, WebcamSource) and (webcam.size, webcam.fps, webcam.format) == ((640, 480), 15, "MJPG")
    assert isinstance(pictures, PictureSource) and (pictures.fps, pictures.loop) == (5, True)
    with pytest.raises(SourceOpenError, match="expected rtsp://"):
        open_source("gopher://x", INPUT)
