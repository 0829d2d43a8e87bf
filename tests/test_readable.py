"""What recordings are, and which can be read: skipped by name and count; refused where a whole class is lost."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from stream.errors import ConfigError
from tests.folders import read
from tests.media import encode, encode_h264, moving_pictures
from tests.odd_files import retimed
from train.cache import ArrayCache
from train.readable import facts_of, readable
from train.recordings import Recording


@pytest.fixture
def clips(class_folders: Path, tmp_path: Path) -> Path:
    """A copy of the class folders, to be damaged."""
    return shutil.copytree(class_folders, tmp_path / "clips")


def told(clips: Path, tmp_path: Path) -> tuple[int, str]:
    """How many recordings can be read, and what is printed."""
    printed = io.StringIO()
    console = Console(file=printed, width=200, highlight=False)
    return len(readable(read(clips), ArrayCache(tmp_path / "cache"), console).recordings), printed.getvalue()


def test_what_cannot_be_read_is_skipped_named_and_counted(clips: Path, tmp_path: Path) -> None:
    assert told(clips, tmp_path) == (12, "")
    (clips / "down/seq00_down.mp4").write_text("no video")
    (clips / "right/seq09_right.avi").touch()
    count, printed = told(clips, tmp_path)
    assert count == 11
    assert "left out:" in printed and "seq00_down.mp4 is no video that can be read" in printed
    assert "seq09_right.avi" in printed
    # What is repaired is read again.
    shutil.copy(clips / "down/seq01_down.mp4", clips / "down/seq00_down.mp4")
    assert told(clips, tmp_path)[0] == 12


def test_many_remarks_are_counted(clips: Path, tmp_path: Path) -> None:
    for number in range(8):
        (clips / f"down/broken{number}.mp4").write_text("no video")
    count, printed = told(clips, tmp_path)
    assert count == 12
    assert printed.count("left out") == 5 and "and 3 more" in printed


def test_a_class_of_which_nothing_can_be_read_is_refused(clips: Path, tmp_path: Path) -> None:
    for path in (clips / "down").iterdir():
        path.write_text("no video")
    with pytest.raises(ConfigError, match="nothing of down can be read: 4 of 12 recordings are left out") as raised:
        told(clips, tmp_path)
    assert "seq00_down.mp4 is no video" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_facts_come_from_the_file_and_not_from_what_it_declares(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
    encode_h264(moving_pictures(30, 64, 48), root / "a/1.mp4", fps=25, b_frames=2)
    # Half of the pictures come at ten a second, half at forty.
    times = [*np.arange(10) / 10, *(1 + np.arange(10) / 40)]
    encode(moving_pictures(20, 96, 48), root / "b/1.mkv", times=times)
    dataset, cache = read(root), ArrayCache(tmp_path / "cache")
    steady, uneven = (facts_of(cache, each) for each in dataset.recordings)
    assert (steady.frames, steady.size) == (30, "64x48")
    assert steady.seconds == pytest.approx(1.2, abs=0.01) and steady.fps == pytest.approx(25, abs=0.2)
    assert (uneven.frames, uneven.size) == (20, "96x48")
    assert uneven.seconds == pytest.approx(1.225 + 0.1, abs=0.08)
    assert steady.thumbnail is not None and steady.thumbnail.shape == (32, 32)
    assert facts_of(cache, dataset.recordings[0]).frames == 30


def test_times_that_repeat_say_nothing(tmp_path: Path) -> None:
    """All pictures at one time: the reader gives them an even rate, and so long they last, also within a span."""
    path, cache = retimed(tmp_path / "repeated.ts", lambda n, time: 450_000, 60), ArrayCache(tmp_path / "cache")
    whole, part = (facts_of(cache, Recording(path, "g", "a", span=span)) for span in (None, (1.0, 2.0)))
    assert (whole.frames, part.frames) == (60, 25)
    assert whole.seconds == pytest.approx(60 / 25) and part.seconds == pytest.approx(1.0)


def test_a_span_that_only_the_reader_finds_pictures_in_counts_one(tmp_path: Path) -> None:
    """The last half repeats its time: packets say that nothing is behind it."""
    path = retimed(tmp_path / "stopped.ts", lambda n, time: time if n <= 40 else time - (n - 40) * 3600, 60)
    facts = facts_of(ArrayCache(tmp_path / "cache"), Recording(path, "g", "a", span=(1.9, 2.4)))
    assert facts.frames == 1 and facts.seconds > 0
