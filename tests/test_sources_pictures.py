"""Folders of numbered pictures: their order, their rate, their sizes, and one line for a folder that is none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.contracts import Frame, Input, Source
from stream.errors import SourceOpenError
from stream.sources import PictureSource, open_source

INPUT = Input(24, 32, rate=5.0)


def gray(path: Path, level: int, width: int = 64, height: int = 48) -> Path:
    """A picture of one level."""
    assert cv2.imwrite(str(path), np.full((height, width, 3), level, np.uint8))
    return path


def levels(frames: list[Frame]) -> list[int]:
    return [int(frame.picture.planes[0].flat[0]) for frame in frames]


def test_they_come_by_their_numbers_at_a_rate(tmp_path: Path) -> None:
    for number in (10, 9, 100, 1):
        gray(tmp_path / f"shot-{number}.png", number)
    (tmp_path / "notes.txt").write_text("taken on Monday")
    gray(tmp_path / ".thumbnail.png", 200)
    source = open_source(tmp_path, INPUT)
    frames = list(source.frames())
    assert isinstance(source, Source) and isinstance(source, PictureSource) and not source.live
    assert levels(frames) == [1, 9, 10, 100]
    assert [frame.time for frame in frames] == [0, 1 / 25, 2 / 25, 3 / 25]
    assert [frame.index for frame in frames] == [0, 1, 2, 3] and {frame.session for frame in frames} == {0}
    assert {frame.camera for frame in frames} == {tmp_path.name}
    assert [tick.index for tick in open_source(tmp_path, INPUT, fps=10)] == [0, 2]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".TIFF"])
def test_the_usual_formats(tmp_path: Path, suffix: str) -> None:
    gray(tmp_path / f"0001{suffix}", 128)
    (frame,) = open_source(tmp_path, INPUT).frames()
    (tick,) = open_source(tmp_path, Input(24, 32))
    assert frame.picture.size == (48, 64)
    assert np.abs(tick.image.astype(int) - 128).max() <= 3


def test_a_percent_sign_is_no_pattern(tmp_path: Path) -> None:
    gray(tmp_path / "50%d-1.png", 1)
    gray(tmp_path / "50%d-2.png", 2)
    assert levels(list(open_source(tmp_path, INPUT).frames())) == [1, 2]


def test_another_size_begins_a_session(tmp_path: Path) -> None:
    for number, width in enumerate((64, 64, 32, 64)):
        gray(tmp_path / f"{number}.png", number, width=width)
    assert [frame.session for frame in open_source(tmp_path, INPUT).frames(5)] == [5, 5, 6, 7]


def test_they_can_be_turned_and_looped(tmp_path: Path) -> None:
    gray(tmp_path / "1.png", 1)
    gray(tmp_path / "2.png", 2)
    source = open_source(tmp_path, INPUT, rotation=90, loop=True)
    frames = []
    for frame in source.frames():
        frames.append(frame)
        if len(frames) == 5:
            source.close()
    assert [(frame.session, frame.index) for frame in frames] == [(0, 0), (0, 1), (1, 2), (1, 3), (2, 4)]
    assert {frame.picture.size for frame in frames} == {(64, 48)}


def test_a_damaged_one_leaves_a_gap(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gray(tmp_path / "1.png", 1)
    (tmp_path / "2.png").write_bytes(b"no picture")
    gray(tmp_path / "3.png", 3)
    source = open_source(tmp_path, INPUT)
    assert [(frame.index, frame.time) for frame in source.frames()] == [(0, 0.0), (1, 2 / 25)]
    assert source.corrupt == 1
    assert [record.message.partition(" cannot be decoded")[0] for record in caplog.records] == [f"{tmp_path}/2.png"]


def test_a_folder_without_pictures_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(SourceOpenError, match=r"is a folder \(1 entries\) without pictures") as caught:
        open_source(tmp_path, INPUT)
    assert "\n" not in str(caught.value)
    (tmp_path / "1.png").touch()
    with pytest.raises(SourceOpenError, match="not one of its pictures can be decoded"):
        list(open_source(tmp_path, INPUT).frames())
