"""Webcams, through the real capture code: a preloaded library answers for the driver (tests/peers/v4l2_shim.c)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from stream.commands.options import DECODERS, FORMATS
from stream.contracts import Input
from stream.errors import ConfigError, SourceOpenError
from stream.sources import Decode, Mode, Webcam, WebcamSource, list_webcams, webcam
from stream.sources.webcam import LATE_S

ROOT = Path(__file__).resolve().parent.parent
SHIM = ROOT / "tests" / "peers" / "v4l2_shim.c"
INPUT = Input(32, 32)

FILM = """
import json, time
from stream.contracts import Input
from stream.errors import SourceLost
from stream.sources import open_source
source = open_source("0", Input(32, 32), size=(320, 240), fps=30)
frames, lost = [], None
try:
    for frame in source.frames():
        y, u, v = frame.picture.planes
        facts = [frame.index, frame.session, frame.time, frame.arrived, y.shape, u.shape, int(y.min()), int(y.max())]
        frames.append([*facts, int(u.min()), int(v.max())])
        if len(frames) == STOP:
            source.close()
except SourceLost as error:
    lost = str(error)
print(json.dumps([frames, lost, source.camera]))
"""
SLOW = """
import json, time
from stream.contracts import Input
from stream.sources import open_source
source = open_source("0", Input(32, 32))
late, indices = [], []
for frame in source.frames():
    late.append(time.monotonic() - frame.time)
    indices.append(frame.index)
    if len(late) == 60:
        source.close()
    time.sleep(0.045)
print(json.dumps([late, indices, source.skipped, source.corrupt]))
"""
FORMAT = """
import json
from stream.contracts import Input
from stream.errors import SourceOpenError
from stream.sources import open_source
source = open_source("0", Input(32, 32), format="FORMAT")
count, error = 0, None
try:
    for frame in source.frames():
        count += 1
        if count == 3:
            source.close()
except SourceOpenError as raised:
    error = str(raised)
print(json.dumps([count, error]))
"""
LIST = """
import dataclasses, json
from stream.sources import list_webcams
print(json.dumps([dataclasses.asdict(webcam) for webcam in list_webcams()]))
"""


def run(program: str, shim: Path, **environment: str) -> Any:
    """What `program` prints as JSON in a process that has the shim's webcam."""
    variables = os.environ | {"LD_PRELOAD": str(shim), "PYTHONPATH": str(ROOT)} | environment
    done = subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_listed_with_sizes_and_rates(webcam_shim: Path) -> None:
    (found,) = run(LIST, webcam_shim)
    webcam = Webcam(**found | {"modes": tuple(Mode(**mode) for mode in found["modes"])})
    assert webcam == Webcam(0, "/dev/video0", "Shim Camera", (Mode(320, 240, 30.0, "YUYV"),))


def test_its_frames_carry_the_drivers_time(webcam_shim: Path) -> None:
    frames, lost, camera = run(FILM.replace("STOP", "12"), webcam_shim)
    assert (len(frames), lost, camera) == (12, None, "webcam-0")
    for count, (index, session, time, arrived, luma, chroma, *levels) in enumerate(frames):
        assert (index, session, luma, chroma) == (count, 0, [240, 320], [120, 160])
        assert levels == [count + 20, count + 20, 128, 128]
        assert time <= arrived, "the driver stamps a picture before it hands it over, on the same clock"
    span = frames[-1][2] - frames[0][2]
    assert span >= 10 / 30, "eleven periods of the driver's timer"


def test_a_slow_reader_is_not_given_old_pictures(webcam_shim: Path) -> None:
    """It takes 20 of 30 a second. The driver holds 32: without passing any over, the last is over 0.9 s old."""
    late, indices, skipped, corrupt = run(SLOW, webcam_shim)
    assert indices == list(range(60)) and corrupt == 0
    assert skipped > 5
    assert max(late[-10:]) < LATE_S + 0.2


def test_one_that_is_pulled_out_is_lost(webcam_shim: Path) -> None:
    frames, lost, _ = run(FILM.replace("STOP", "None"), webcam_shim, ACTIONSTREAM_SHIM_FRAMES="5")
    assert len(frames) == 5
    assert lost == "/dev/video0: sends no more pictures (No such device); was it pulled out?"


def test_one_that_is_not_there_gets_one_line() -> None:
    number = 63
    assert number not in [webcam.index for webcam in list_webcams()]
    source = WebcamSource(number, INPUT)
    with pytest.raises(SourceOpenError, match=r"webcam 63 is not there; webcams found: ") as caught:
        next(source.frames())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "fps", "expected"),
    [
        (None, None, {}),
        ((640, 480), None, {"video_size": "640x480", "input_format": "yuyv422"}),
        ((1280, 720), None, {"video_size": "1280x720", "input_format": "mjpeg"}),
        ((1280, 720), 10, {"video_size": "1280x720", "framerate": "10", "input_format": "yuyv422"}),
        ((800, 600), None, {"video_size": "800x600"}),
        (None, 60, {"framerate": "60", "input_format": "mjpeg"}),
    ],
)
def test_it_sends_raw_where_that_is_fast_enough(
    size: tuple[int, int] | None, fps: float | None, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As most USB webcams: uncompressed they manage 30 a second at 640x480 only, and 10 at 1280x720."""
    monkeypatch.setattr(sys, "platform", "linux")
    modes = (
        Mode(640, 480, 30, "YUYV"),
        Mode(1280, 720, 10, "YUYV"),
        Mode(640, 480, 60, "MJPG"),
        Mode(1280, 720, 30, "MJPG"),
    )
    source = WebcamSource(0, INPUT, size=size, fps=fps)
    assert source._options(Webcam(0, "/dev/video0", "usual", modes)) == expected


@pytest.mark.parametrize(
    ("system", "format_", "expected"),
    [
        ("linux", "MJPG", {"video_size": "640x480", "input_format": "mjpeg"}),
        ("linux", "YUYV", {"video_size": "640x480", "input_format": "yuyv422"}),
        ("darwin", "YUYV", {"video_size": "640x480", "framerate": "30", "pixel_format": "yuyv422"}),
        ("win32", "MJPG", {"video_size": "640x480", "vcodec": "mjpeg"}),
        ("win32", "NV12", {"video_size": "640x480", "pixel_format": "nv12"}),
    ],
)
def test_it_sends_as_it_is_asked_to(
    system: str, format_: str, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    source = WebcamSource(0, INPUT, size=(640, 480), format=format_)
    assert source._options(Webcam(0, "/dev/video0", "usual", (Mode(640, 480, 30, "YUYV"),))) == expected


@pytest.mark.parametrize(
    ("format_", "outcome"), [("YUYV", [3, None]), ("MJPG", [0, "/dev/video0: Shim Camera cannot be used ("])]
)
def test_it_is_asked_for_a_format(format_: str, outcome: list[Any], webcam_shim: Path) -> None:
    count, error = run(FORMAT.replace("FORMAT", format_), webcam_shim)
    assert count == outcome[0]
    assert error == outcome[1] or error.startswith(outcome[1])


def test_a_format_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a format among YUYV, MJPG"):
        WebcamSource(0, INPUT, format="VHS")


def test_the_options_know_all_formats_and_decoders() -> None:
    assert tuple(webcam.FORMATS) == FORMATS and get_args(Decode) == DECODERS
