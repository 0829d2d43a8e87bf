"""Files: every frame, in order, on the stream's own times; and one line for what is no video."""

from __future__ import annotations

import os
import time
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from stream.contracts import Frame, Input, Source
from stream.errors import SourceOpenError
from stream.sources import FileSource, open_source
from tests.media import encode, encode_h264, moving_pictures

INPUT = Input(32, 32)


def read(path: Path) -> list[Frame]:
    return list(FileSource(path, INPUT).frames())


def luma(frame: Frame) -> bytes:
    return frame.picture.planes[0].tobytes()


@pytest.mark.parametrize("b_frames", [0, 2])
def test_every_frame_in_order_on_its_own_time(tmp_path: Path, b_frames: int) -> None:
    path = encode_h264(moving_pictures(40), tmp_path / "clip.mp4", fps=12.5, b_frames=b_frames)
    with av.open(path) as container:
        expected = [(frame.time, frame.to_ndarray()[:120, :160].tobytes()) for frame in container.decode(video=0)]

    began = time.monotonic()
    source = open_source(path, INPUT)
    frames = list(source.frames())

    assert isinstance(source, Source) and not source.live
    assert [(frame.time, luma(frame)) for frame in frames] == expected
    assert [frame.index for frame in frames] == list(range(40))
    assert {(frame.camera, frame.session) for frame in frames} == {("clip", 0)}
    assert all(began <= frame.arrived <= time.monotonic() for frame in frames)


def test_a_name_with_a_colon_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode_h264(moving_pictures(5), tmp_path / "12:30.mp4")
    monkeypatch.chdir(tmp_path)
    source = open_source("12:30.mp4", INPUT)
    assert len(list(source.frames())) == 5
    assert source.url == "12:30.mp4"


def test_a_name_that_is_no_text_becomes_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    source = FileSource(encode_h264(moving_pictures(5), tmp_path / "clip.mp4").rename(path), INPUT)
    assert len(list(source.frames())) == 5
    assert (source.camera, source.url) == ("caf\ufffd", f"{tmp_path}/caf\ufffd.mp4")


def test_pictures_outlive_the_file(tmp_path: Path) -> None:
    path = encode_h264(moving_pictures(30), tmp_path / "clip.mp4")
    kept = read(path)
    assert [luma(frame) for frame in kept] == [luma(frame) for frame in FileSource(path, INPUT).frames()]
    with pytest.raises(ValueError, match="read-only"):
        kept[0].picture.planes[0][0, 0] = 0


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.55, 1.75, 1.8]
    path = encode(moving_pictures(6), tmp_path / "clip.mkv", times=times)
    assert [frame.time for frame in read(path)] == pytest.approx(times, abs=0.001)


def test_ticks_are_sampled_by_time(tmp_path: Path) -> None:
    path = encode_h264(moving_pictures(50), tmp_path / "clip.mp4", fps=25)
    ticks = list(open_source(path, Input(24, 40, rate=5.0)))
    assert [tick.time for tick in ticks] == pytest.approx([index / 5 for index in range(10)], abs=1e-6)
    assert {tick.image.shape for tick in ticks} == {(24, 40, 3)}


def test_avi_with_b_frames_has_even_times(tmp_path: Path) -> None:
    path = encode(moving_pictures(30), tmp_path / "clip.avi", codec="mpeg4", fps=20, b_frames=2)
    frames = read(path)
    with av.open(path) as container:
        kinds = [frame.pict_type for frame in container.decode(video=0)]
    assert av.video.frame.PictureType.B in kinds
    assert np.diff([frame.time for frame in frames]) == pytest.approx(np.full(len(frames) - 1, 0.05))


def test_real_clips_have_even_times(shared: Path) -> None:
    """MPEG-4 Part 2 in AVI, whose guessed pts come out of order; a picture that the encoder skipped leaves a gap."""
    for path in sorted((shared / "ut-interaction").glob("*/*.avi"))[::12]:
        rate = 20 if path.parent.name == "none" else 30
        steps = np.diff([frame.time for frame in read(path)]) * rate
        assert steps == pytest.approx(np.round(steps), abs=1e-6), path.name
        assert steps.min() >= 0.999 and np.median(steps) == pytest.approx(1), path.name


def test_a_stream_without_times_runs_at_its_rate_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = read(encode_h264(moving_pictures(10), tmp_path / "raw.h264", fps=25))
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(10)])
    assert [record.message for record in caplog.records] == [
        "raw: frames without presentation times are timed by the stream's average rate"
    ]


def test_another_size_begins_a_session(tmp_path: Path) -> None:
    small = encode_h264(moving_pictures(5, 160, 120), tmp_path / "small.h264")
    large = encode_h264(moving_pictures(5, 320, 240), tmp_path / "large.h264")
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes() + small.read_bytes())
    frames = read(both)
    assert [frame.session for frame in frames] == [0] * 5 + [1] * 5 + [2] * 5
    assert [frame.picture.size for frame in frames] == [(120, 160)] * 5 + [(240, 320)] * 5 + [(120, 160)] * 5


def test_time_that_falls_back_begins_a_session(tmp_path: Path) -> None:
    parts = [encode_h264(moving_pictures(50), tmp_path / f"{name}.ts", fps=25) for name in "ab"]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = read(both)
    assert len(frames) == 100
    assert {frame.session for frame in frames[:50]} == {0} and {frame.session for frame in frames[50:]} == {1}


def test_loop_begins_a_session_each_time(tmp_path: Path) -> None:
    source = FileSource(encode_h264(moving_pictures(4), tmp_path / "clip.mp4"), INPUT, loop=True)
    frames = []
    for frame in source.frames(session=7):
        frames.append(frame)
        if len(frames) == 10:
            source.close()
    assert [frame.session for frame in frames] == [7] * 4 + [8] * 4 + [9] * 2
    assert [frame.index for frame in frames] == list(range(10))
    assert list(source.frames()) == []


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    source = FileSource(encode_h264(moving_pictures(12), tmp_path / "clip.mp4", b_frames=2), INPUT)
    first, second = (
        [(frame.index, frame.session, frame.time, luma(frame)) for frame in source.frames()] for _ in range(2)
    )
    assert first == second


def test_damage_is_passed_over_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pictures = moving_pictures(30)
    path = encode(pictures, tmp_path / "clip.avi", codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(path.read_bytes())
    with av.open(path) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][10]
        assert packet.pos is not None
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(data)
    source = FileSource(path, INPUT)
    assert len(list(source.frames())) == 29
    assert source.corrupt == 1
    assert "1 damaged packets" in caplog.text


def test_a_file_that_was_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    path = encode_h264(moving_pictures(50), tmp_path / "clip.ts")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 5 < len(read(path)) < 50


def audio(path: Path) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(8000))


def headless(path: Path) -> None:
    """An mp4 whose recording was killed: no index."""
    encode_h264(moving_pictures(10), path)
    path.write_bytes(path.read_bytes()[:-400])


def undecodable(path: Path) -> None:
    encode(moving_pictures(5), path, codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(path.read_bytes())
    with av.open(path) as container:
        for packet in container.demux(video=0):
            if packet.pos is not None and packet.size:
                data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("missing.mp4", lambda path: None, "no such file"),
        ("folder.mp4", lambda path: path.mkdir(), r"is a folder \(0 entries\)"),
        ("empty.mp4", lambda path: path.touch(), "is empty"),
        ("letter.mp4", lambda path: path.write_text("Dear all,\nno video here.\n"), "is not a video"),
        ("letter.txt", lambda path: path.write_text("Dear all,\nno video here.\n" * 50), "only text"),
        ("song.wav", audio, "only audio"),
        ("killed.mp4", headless, "is not a video"),
        ("noise.avi", undecodable, "not one frame"),
    ],
)
def test_what_is_no_video_gets_one_line(tmp_path: Path, name: str, make: object, says: str) -> None:
    path = tmp_path / name
    assert callable(make)
    make(path)
    with pytest.raises(SourceOpenError, match=says) as caught:
        list(open_source(path, INPUT).frames())
    assert name in str(caught.value) and "\n" not in str(caught.value)
