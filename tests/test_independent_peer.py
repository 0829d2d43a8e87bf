"""Debian's RTSP server, which shares no code with ours: its cameras give labels in every codec, over TCP and UDP."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.engine import Engine
from stream.recognizer import Recognizer
from stream.sources import RtspSource
from stream.sources.rtsp import Transport
from tests.media import encode, encode_h264, moving_pictures
from tests.running import Notes, Running, wait_until

PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).parent / "peers" / "gst_server.py"
PACKAGES = (
    "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)
LOOK = """
import gi
gi.require_version("Gst", "1.0"), gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ("qtdemux", "avidemux", "rtph264pay", "h265parse", "jpegparse")))
"""
FRAMES = 40

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("no_thread_left_behind")]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the server, which plays 1.6 s at /h264, /h265 and /mjpeg to whoever comes."""
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", LOOK], capture_output=True, check=False).returncode:
        pytest.skip(f"the independent RTSP server is not installed: {PACKAGES}")
    folder, pictures = tmp_path_factory.mktemp("peer"), moving_pictures(FRAMES, 320, 240)
    hevc = {"preset": "ultrafast", "x265-params": "log-level=none"}
    clips = {
        "h264": encode_h264(pictures, folder / "h264.mp4"),
        "h265": encode(pictures, folder / "h265.mp4", codec="libx265", options=hevc),
        "mjpeg": encode(pictures, folder / "mjpeg.avi", codec="mjpeg", pix_fmt="yuvj420p"),
    }
    command = [PYTHON, str(SCRIPT), *(f"/{codec}={clip}" for codec, clip in clips.items())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.terminate()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "h265", "mjpeg"])
def test_a_camera_of_another_make_gives_labels(
    peer: int, codec: str, transport: Transport, recognizer: Recognizer
) -> None:
    """Of every frame from the first on; and again, afresh, once the server has come to its clip's end and hung up."""
    source = RtspSource(f"rtsp://127.0.0.1:{peer}/{codec}", recognizer.input, camera="peer", transport=transport)
    notes = Notes()
    running = Running(Engine(recognizer, [source], [notes], capacity=FRAMES))
    wait_until(lambda: any(p.session == 1 for p in notes.predictions))
    running.engine.stop()
    running.result()
    first = [p for p in notes.predictions if p.session == 0]
    assert [p.index for p in first] == list(range(len(first)))
    # Over UDP the server's goodbye may overtake its last picture.
    assert len(first) in ((FRAMES,) if transport == "tcp" else (FRAMES - 1, FRAMES))
    assert [p.time - first[0].time for p in first] == pytest.approx([k / 25 for k in range(len(first))], abs=0.002)
    assert [status.health for status in notes.statuses] == ["online", "offline", "online"]
