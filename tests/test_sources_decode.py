"""Packets to frames: which planes, with the frame's own range, matrix and rotation, and on which times."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from stream.contracts import Frame, Input, Layout, Picture
from stream.errors import SourceOpenError
from stream.geometry import to_bgr
from stream.sources import FileSource
from stream.sources.decode import Decoder, picture_of
from tests.media import encode, moving_pictures
from tests.odd_files import CLOCK, TURNS, raw, retimed, small, turned, with_palette

EVERY = (
    "yuv420p yuvj420p yuv422p yuvj422p yuv444p yuvj444p yuv410p yuv411p yuv440p yuyv422 uyvy422 nv12 nv21 nv16 nv24 "
    "yuv420p9le yuv420p10le yuv420p10be yuv422p10le yuv444p10le yuv420p12le yuv422p12le yuv444p12le yuv420p16le "
    "p010le p012le p016le p210le y210le xv30le v30xle yuva420p yuva422p yuva444p yuva420p10le ayuv64le vuyx "
    "gray gray9le gray10le gray12le gray16le gray16be grayf32le ya8 ya16le monob monow "
    "rgb24 bgr24 rgba bgra argb abgr rgb0 0bgr rgb8 rgb4_byte rgb565le rgb555le rgb48le rgba64le x2rgb10le "
    "gbrp gbrp10le gbrp12le gbrap gbrapf32le xyz12le"
)
UNEVEN = np.cumsum(np.random.default_rng(3).choice([0.01, 0.04, 0.1, 0.3], 20)).tolist()
ARRIVAL = 0.05  # seconds between the packets of a live stream


def smooth() -> NDArray[np.uint8]:
    """A colourful picture (242, 322, 3) without edges, so that only geometry and colours can differ."""
    large = cv2.resize(moving_pictures(1, 160, 120)[0], (322, 242), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.GaussianBlur(large, (0, 0), 4), np.uint8)


def arriving(path: Path, *, live: bool = True, rotation: int = 0) -> tuple[list[Frame], bool]:
    """The frames of a stream whose packets arrive every `ARRIVAL` seconds; is it timed by arrival in the end?"""
    with av.open(path) as container:
        stream = container.streams.video[0]
        decoder = Decoder("door", stream, session=0, index=0, live=live, rotation=rotation)
        packets = enumerate(container.demux(stream))
        frames = [frame for number, packet in packets for frame in decoder.frames(packet, 1000 + number * ARRIVAL)]
    return frames, decoder.timed_by_arrival


def times(frames: list[Frame]) -> list[float]:
    return [frame.time for frame in frames]


def sessions(frames: list[Frame]) -> list[int]:
    return [frame.session for frame in frames]


def first(path: Path) -> Picture:
    return next(FileSource(path, Input(8, 8)).frames()).picture


def made(pix_fmt: str, width: int = 64, height: int = 48) -> VideoFrame:
    """A picture with a bright square, in some pixel format."""
    return converted(moving_pictures(1, width, height)[0], pix_fmt)


def converted(picture: NDArray[np.uint8], pix_fmt: str, span: ColorRange | None = None) -> VideoFrame:
    """`picture` in a pixel format. By one thread: where two meet, swscale's now and then spoil 16 bytes of a row."""
    frame = VideoFrame.from_ndarray(picture, format="rgb24")
    return frame.reformat(format=pix_fmt, dst_color_range=span, threads=1)


def soiled(width: int, height: int) -> None:
    """Leaves behind freed memory full of white, where the next picture of that size will be put."""
    frames = [VideoFrame(width, height, "yuv420p") for _ in range(20)]
    for plane in (plane for frame in frames for plane in frame.planes):
        plane.update(b"\xff" * plane.buffer_size)


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


@pytest.mark.parametrize("pix_fmt", EVERY.split())
def test_every_format_is_what_swscale_makes_of_it(pix_fmt: str) -> None:
    """Within one grey level on average and 3 nearly everywhere: what differs is chroma between its samples."""
    frame = converted(smooth(), pix_fmt)
    got = to_bgr(of(frame))[..., ::-1].astype(int)
    flags = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    wanted = frame.reformat(format="rgb24", interpolation=flags, threads=1).to_ndarray()
    apart = np.abs(got - wanted)
    assert apart.mean() <= 1 and np.percentile(apart, 99) <= 3, (apart.mean(), apart.max())


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "p010le", "nv12", "yuyv422"])
@pytest.mark.parametrize("span", [ColorRange.MPEG, ColorRange.JPEG])
def test_the_range_that_a_frame_names_is_heeded(pix_fmt: str, span: ColorRange) -> None:
    grey = np.broadcast_to(smooth()[..., :1], (242, 322, 3)).copy()
    frame = converted(grey, pix_fmt, span)
    frame.color_range = span
    assert np.abs(to_bgr(of(frame)).astype(int) - grey).max() <= 3


@pytest.mark.parametrize("pix_fmt", ["yuyv422", "uyvy422", "nv24", "yuv444p", "nv12", "yuv420p10le", "gray16le"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (63, 47), (64, 47), (63, 48)])
def test_no_chroma_of_odd_sizes_is_left_unwritten(pix_fmt: str, size: tuple[int, int]) -> None:
    flat = np.full((*size[::-1], 3), 120, np.uint8)
    frame = converted(flat, pix_fmt)
    soiled(*size)
    assert np.abs(to_bgr(of(frame)).astype(int) - 120).max() <= 2


def test_alpha_is_ignored() -> None:
    pixels = np.full((4, 6, 4), (200, 100, 50, 0), np.uint8)
    assert np.array_equal(of(VideoFrame.from_ndarray(pixels, format="rgba")).planes[0], pixels[..., :3])


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    picture = first(with_palette(tmp_path / "palette.mov"))
    colours = np.random.default_rng(0).integers(0, 255, (256, 4)).astype(np.uint8)
    assert picture.layout == "rgb" and {tuple(c) for c in picture.planes[0][0]} <= {tuple(c[1:]) for c in colours}


def test_a_format_that_nobody_reads_is_damage(tmp_path: Path) -> None:
    source = FileSource(raw(tmp_path / "packed.nut", "rgb4"), Input(8, 8))
    with pytest.raises(SourceOpenError, match="not one frame"):
        list(source.frames())
    assert source.corrupt == 20


@pytest.mark.parametrize("degrees", TURNS)
def test_rotation_says_how_to_stand_it_upright(tmp_path: Path, degrees: int) -> None:
    picture = first(turned(tmp_path / "clip.mp4", degrees))
    assert picture.rotation == degrees % 360
    assert picture.size == ((160, 96) if degrees % 180 else (96, 160))


@pytest.mark.parametrize("own", [0, 90])
@pytest.mark.parametrize("added", [0, 90, 180, 270])
def test_a_rotation_that_is_asked_for_is_added(tmp_path: Path, own: int, added: int) -> None:
    frames, _ = arriving(turned(tmp_path / "clip.mp4", own), live=False, rotation=added)
    picture = frames[0].picture
    assert picture.rotation == (own + added) % 360
    lying = to_bgr(replace(picture, rotation=0))
    assert np.array_equal(to_bgr(picture), np.rot90(lying, -picture.rotation // 90))


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


# times; arrivals are given: a picture every 50 ms, of clips that were made with one every 40 ms


def test_times_that_rise_are_kept_however_pictures_arrive(tmp_path: Path) -> None:
    frames, by_arrival = arriving(encode(small(), tmp_path / "clip.mkv", times=UNEVEN))
    assert [frame.time for frame in frames] == pytest.approx(UNEVEN, abs=0.001)
    assert not by_arrival


def test_a_jump_ahead_is_kept(tmp_path: Path) -> None:
    frames, by_arrival = arriving(retimed(tmp_path / "jump.ts", lambda n, time: time + (n >= 10) * 100 * CLOCK))
    assert times(frames) == pytest.approx([n / 25 + 100 * (n >= 10) for n in range(20)])
    assert sessions(frames) == [0] * 20 and not by_arrival


def test_a_fall_back_begins_a_session(tmp_path: Path) -> None:
    frames, by_arrival = arriving(retimed(tmp_path / "back.ts", lambda n, time: time + (n < 10) * 5 * CLOCK))
    assert sessions(frames) == [0] * 10 + [1] * 10
    assert times(frames) == pytest.approx([n / 25 + 5 * (n < 10) for n in range(20)])
    assert not by_arrival


def test_a_small_slip_back_stands_still(tmp_path: Path) -> None:
    frames, by_arrival = arriving(retimed(tmp_path / "slip.ts", lambda n, time: time - (n >= 10) * CLOCK // 5))
    wanted = [n / 25 for n in range(10)] + [0.36] * 5 + [n / 25 - 0.2 for n in range(15, 20)]
    assert times(frames) == pytest.approx(wanted)
    assert sessions(frames) == [0] * 20 and not by_arrival


def test_a_picture_without_a_time_follows_by_arrival(tmp_path: Path) -> None:
    frames, by_arrival = arriving(retimed(tmp_path / "clip.ts", lambda n, time: None if n in (5, 6) else time))
    assert times(frames)[:9] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.21, 0.26, 0.28, 0.32])
    assert not by_arrival


@pytest.mark.parametrize(
    ("name", "change", "begins"),
    [
        ("missing", lambda n, time: None, 0),
        ("missing-later", lambda n, time: time if n < 4 else None, 3),
        ("repeated", lambda n, time: 5 * CLOCK, 7),
        ("backwards", lambda n, time: 100 * CLOCK - time, 7),
        ("backwards-by-seconds", lambda n, time: 100 * CLOCK - 50 * time, 7),
    ],
)
def test_useless_times_give_way_to_arrival_which_is_said_once(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    change: Callable[[int, int], int | None],
    begins: int,
) -> None:
    frames, by_arrival = arriving(retimed(tmp_path / f"{name}.ts", change))
    assert len(frames) == 20 and by_arrival
    assert np.diff(times(frames)[begins:]) == pytest.approx(ARRIVAL)
    assert len(set(sessions(frames)[begins:])) == 1
    assert caplog.messages == ["door: frames without presentation times are timed by their arrival"]


@pytest.mark.parametrize(("name", "codec"), [("raw.h264", "libx264"), ("raw.mjpeg", "mjpeg")])
def test_a_live_stream_that_stores_no_times_is_timed_by_arrival(tmp_path: Path, name: str, codec: str) -> None:
    """Libavformat makes up 25 a second for MJPEG, whatever the camera sends."""
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    frames, by_arrival = arriving(encode(small(), tmp_path / name, codec=codec, pix_fmt=pix_fmt))
    assert np.diff(times(frames)) == pytest.approx(ARRIVAL)
    assert by_arrival


def test_a_file_whose_times_repeat_runs_at_its_rate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = retimed(tmp_path / "repeated.ts", lambda n, time: 5 * CLOCK)
    frames = list(FileSource(path, Input(8, 8)).frames())
    assert times(frames) == pytest.approx([5] * 8 + [5 + n / 25 for n in range(1, 13)])
    assert caplog.messages == ["repeated: frames without presentation times are timed by the stream's average rate"]
