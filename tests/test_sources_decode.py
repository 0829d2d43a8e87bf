"""Decoded frames to pictures: which planes, without a copy, and with the range, matrix and rotation of the frame."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from stream.contracts import Input, Layout, Picture
from stream.sources import FileSource
from stream.sources.decode import picture_of
from tests.media import encode, encode_h264, moving_pictures


def made(pix_fmt: str, width: int = 64, height: int = 48) -> VideoFrame:
    """A picture with a bright square, in some pixel format."""
    picture = moving_pictures(1, width, height)[0]
    return VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)


def of(frame: VideoFrame) -> Picture:
    return picture_of(frame, VideoReformatter())


@pytest.mark.parametrize(
    ("pix_fmt", "layout", "shapes"),
    [
        ("yuv420p", "yuv420", [(47, 63), (24, 32), (24, 32)]),
        ("yuvj420p", "yuv420", [(47, 63), (24, 32), (24, 32)]),
        ("gray", "gray", [(47, 63)]),
        ("rgb24", "rgb", [(47, 63, 3)]),
        ("bgr24", "bgr", [(47, 63, 3)]),
    ],
)
def test_common_formats_are_seen_where_they_lie(pix_fmt: str, layout: Layout, shapes: list[tuple[int, ...]]) -> None:
    frame = made(pix_fmt, 63, 47)
    picture = of(frame)
    assert picture.layout == layout and [plane.shape for plane in picture.planes] == shapes
    assert picture.full_range == (pix_fmt in ("yuvj420p", "gray"))
    for plane, own in zip(frame.planes, picture.planes, strict=True):
        assert np.shares_memory(np.frombuffer(plane, np.uint8), own)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("pix_fmt", "layout", "full"),
    [
        ("yuyv422", "yuv420", False),
        ("nv12", "yuv420", False),
        ("yuv444p", "yuv420", False),
        ("yuvj422p", "yuv420", True),
        ("yuv420p10le", "yuv420", False),
        ("rgba", "rgb", False),
        ("gbrp", "rgb", False),
    ],
)
def test_other_formats_are_converted_without_a_change_of_range(pix_fmt: str, layout: Layout, full: bool) -> None:
    picture = of(made(pix_fmt))
    assert (picture.layout, picture.full_range, picture.size) == (layout, full, (48, 64))
    reference = of(made("yuvj420p" if full else "yuv420p") if layout == "yuv420" else made("rgb24"))
    difference = np.abs(picture.planes[0].astype(int) - reference.planes[0])
    assert difference.max() <= 2, "luma is not interpolated, so no conversion may move it"


def test_range_and_matrix_are_the_streams_own(tmp_path: Path) -> None:
    def read(**options: str) -> Picture:
        path = encode(moving_pictures(2), tmp_path / "clip.mp4", options=options)
        return next(FileSource(path, Input(8, 8)).frames()).picture

    plain = read()
    assert (plain.full_range, plain.matrix) == (False, "bt601")
    marked = read(**{"x264-params": "fullrange=on:colormatrix=bt709"})
    assert (marked.full_range, marked.matrix) == (True, "bt709")


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_says_how_to_stand_it_upright(tmp_path: Path, degrees: int) -> None:
    """A phone's file: the pictures lie on their side and a matrix in the header says so."""
    path = encode_h264(moving_pictures(2, 160, 96), tmp_path / "clip.mp4")
    a, b = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one, upright = 1 << 16, struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    matrix = struct.pack(">9i", a * one, b * one, 0, -b * one, a * one, 0, 0, 0, 1 << 30)
    data = path.read_bytes()
    track = data.index(b"tkhd")
    at = data.index(upright, track)
    path.write_bytes(data[:at] + matrix + data[at + len(matrix) :])
    picture = next(FileSource(path, Input(8, 8)).frames()).picture
    assert picture.rotation == degrees
    assert picture.size == ((160, 96) if degrees in (90, 270) else (96, 160))


def test_pictures_stored_bottom_up_are_copied(tmp_path: Path) -> None:
    """Uncompressed AVI of a positive height keeps its last row first: the decoder's rows run backwards in memory."""
    pictures = moving_pictures(2, 64, 48)
    path = encode(pictures, tmp_path / "clip.avi", codec="rawvideo", pix_fmt="bgr24")
    data = path.read_bytes()
    assert data.count(struct.pack("<ii", 64, -48)) == 1
    path.write_bytes(data.replace(struct.pack("<ii", 64, -48), struct.pack("<ii", 64, 48)))
    frames = list(FileSource(path, Input(8, 8)).frames())
    assert [frame.picture.layout for frame in frames] == ["rgb", "rgb"]
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.array_equal(frame.picture.planes[0], picture[::-1])
