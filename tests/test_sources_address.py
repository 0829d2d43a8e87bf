"""Addresses: which source they name, what the camera is called, and that no secret survives `safe_url`."""

from __future__ import annotations

import pytest

from stream.contracts import Input, Source
from stream.errors import SourceOpenError
from stream.sources import RtspSource, WebcamSource, camera_name, open_source, safe_url

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
    ],
)
def test_no_secret_in_what_is_shown(url: str) -> None:
    for text in (safe_url(url), camera_name(url)):
        assert "10.0.0.2" in text
        assert SECRET not in text
        assert "admin" not in text
    if url.lower().startswith("rtsp"):
        source = open_source(url, INPUT)
        assert SECRET not in source.url + source.camera + repr(source)


def test_what_holds_no_secret_is_left_alone() -> None:
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


def test_open_source_picks_by_address() -> None:
    webcam, camera = open_source("/dev/video3", INPUT), open_source("rtsp://h/s", INPUT, camera="door", transport="udp")
    assert isinstance(webcam, WebcamSource) and webcam.camera == "webcam-3"
    assert isinstance(camera, RtspSource) and (camera.camera, camera.transport) == ("door", "udp")
    assert isinstance(webcam, Source) and isinstance(camera, Source)
    with pytest.raises(SourceOpenError, match="expected rtsp://"):
        open_source("gopher://x", INPUT)
