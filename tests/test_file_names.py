"""Files whose names are no trouble to the system and were to us: with a colon, or with bytes that are not UTF-8."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import av
import pytest

from stream import open_source
from stream.bench.clips import write_counted
from stream.bench.rtp import Clip
from stream.cli import main
from stream.commands.live import media_length
from stream.contracts import Input
from tests.process import run


def pictures_in(path: Path) -> int:
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


def test_names_with_a_colon_are_files(
    tiny_bundle: Path,
    h264_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """FFmpeg takes what stands before a colon for a protocol."""

    def say(*arguments: str) -> str:
        assert main(arguments) == 0
        return capsys.readouterr().out

    shutil.copy(h264_clip, tmp_path / "12:30.mp4")
    monkeypatch.chdir(tmp_path)
    shown = say("watch", "12:30.mp4", "--model", str(tiny_bundle), "--save", "12:31.mp4")
    assert "12:30.mp4" in shown and "written  12:31.mp4" in shown
    assert pictures_in(tmp_path / "12:31.mp4") == 75
    shown = say("predict", "12:30.mp4", "--model", str(tiny_bundle), "--gif", "12:32.gif")
    assert "written  12:32.gif" in shown
    assert pictures_in(tmp_path / "12:32.gif") > 5


def test_the_length_of_a_file_with_a_colon_is_known(
    h264_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(h264_clip, tmp_path / "12:30.mp4")
    monkeypatch.chdir(tmp_path)
    assert media_length(open_source("12:30.mp4", Input(8, 8)), None) == pytest.approx(3.0)


def test_the_benches_read_and_write_files_with_a_colon(
    h264_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(h264_clip, tmp_path / "12:30.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(Clip.load(Path("12:30.mp4")).units) == 75
    assert pictures_in(write_counted(Path("12:31.mp4"), seconds=0.2, size=(320, 180), fps=25).absolute()) == 5


def test_watch_labels_a_file_whose_name_is_no_text(tiny_bundle: Path, h264_clip: Path, tmp_path: Path) -> None:
    clip, labels = tmp_path / os.fsdecode(b"caf\xe9.mp4"), tmp_path / "labels.jsonl"
    shutil.copy(h264_clip, clip)
    done = run("watch", clip, "--model", tiny_bundle, "--labels", labels)
    assert done.returncode == 0, done.stderr
    written = [json.loads(line) for line in labels.read_text().splitlines()]
    assert written and [line["camera"] for line in written] == ["caf\ufffd"] * len(written)
