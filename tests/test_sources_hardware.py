"""Hardware decoding on request: where there is none, software and one warning; the frames are the same."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from av.codec import Codec
from av.codec.hwaccel import HWAccel

from stream.bench.rtsp_server import RtspServer
from stream.contracts import Input, Source
from stream.errors import SourceLost
from stream.sources import Decode, FileSource, RtspSource, open_source

INPUT = Input(32, 32)


def has(device: str) -> bool:
    """Whether this machine decodes H.264 on the device."""
    try:
        HWAccel(device).create(Codec("h264", "r"))
    except (OSError, ValueError, NotImplementedError):
        return False
    return True


def luma(source: Source) -> list[bytes]:
    return [frame.picture.planes[0].tobytes() for frame in source.frames()]


@pytest.mark.parametrize("device", ["cuda", "vaapi", "videotoolbox"])
def test_without_the_device_it_is_software_and_one_warning(
    device: Decode, h264_clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if has(device):
        pytest.skip(f"this machine has {device}")
    source = open_source(h264_clip, INPUT, camera="gate", decode=device)
    assert luma(source) == luma(FileSource(h264_clip, INPUT)) == luma(source)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    message = caplog.records[0].message
    assert message.startswith(f"gate: decoded in software, though {device} was asked for (") and "\n" not in message


def test_a_camera_that_comes_back_does_not_warn_again(h264_clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    if has("vaapi"):
        pytest.skip("this machine has vaapi")
    with RtspServer({"/camera": h264_clip}, speed=8) as server:
        source = RtspSource(server.url("/camera"), INPUT, decode="vaapi")
        for session in range(2):
            with pytest.raises(SourceLost):
                list(source.frames(session))
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


@pytest.mark.parametrize("decode", [None, "software"])
def test_software_needs_no_warning(decode: Decode | None, h264_clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(luma(open_source(h264_clip, INPUT, decode=decode))) == 75
    assert not caplog.records


def test_auto_takes_what_is_there(h264_clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Hardware's pictures are the same, bit for bit, in another layout."""
    expected = [tick.image.tobytes() for tick in FileSource(h264_clip, INPUT)]
    source = open_source(h264_clip, INPUT, decode="auto")
    assert [tick.image.tobytes() for tick in source] == expected
    assert len(caplog.records) == (0 if any(map(has, ("cuda", "vaapi", "videotoolbox"))) else 1)
