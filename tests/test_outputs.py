"""What a run leaves of the files of earlier ones: all of it, whether it never starts, ends or is killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import sleep

import cv2
import pytest

from stream.cli import main
from stream.sinks.video import VideoSink
from tests.media import moving_pictures
from tests.process import ROOT
from tests.test_commands import pictures_of, say
from tests.test_sinks import RecordingOverlay, decoded, drawn, frame, prediction


@pytest.fixture
def video(tmp_path: Path) -> VideoSink:
    return VideoSink(tmp_path / "annotated.mp4", RecordingOverlay(), capacity=3)


def test_without_a_frame_there_is_no_file_and_an_old_one_stays(video: VideoSink) -> None:
    video.attach("hall", live=False)
    video.close()
    assert not video.written
    assert list(video.path.parent.iterdir()) == []
    video.path.write_text("old")
    again = VideoSink(video.path, RecordingOverlay())
    again.attach("hall", live=False)
    again.close()
    assert video.path.read_text() == "old"


def test_a_video_takes_its_name_once_it_is_whole(video: VideoSink) -> None:
    """What has it meanwhile stays, and so does what a killed run left."""
    folder, left = video.path.parent, video.path.with_name("annotated.part.mp4")
    for path in (video.path, left):
        path.write_text("old")
    video.attach("hall", live=False)
    video.prediction(prediction(0))
    video.frame(frame(0, moving_pictures(1)[0]), 0)
    while not drawn(video):
        sleep(0.01)
    assert video.path.read_text() == "old"
    video.close()
    assert video.written
    assert len(decoded(video.path)) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["annotated.mp4", "annotated.part.mp4"]
    assert left.read_text() == "old"


def test_a_video_plays_as_far_as_it_came_when_its_writer_is_killed(tmp_path: Path) -> None:
    code = (
        f"import sys; from pathlib import Path; sys.path.insert(0, {str(ROOT)!r})\n"
        "from stream.sinks.video import Mp4Writer; from tests.media import moving_pictures\n"
        f"writer = Mp4Writer(Path({str(tmp_path / 'killed.mp4')!r}), 120, 160)\n"
        "for index, picture in enumerate(moving_pictures(200, 160, 120)): writer.write(picture, index / 25)\n"
        "print('written', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        os.kill(child.pid, signal.SIGKILL)
    assert 100 < len(decoded(tmp_path / "killed.mp4")) <= 200
    capture, count = cv2.VideoCapture(str(tmp_path / "killed.mp4")), 0
    while capture.read()[0]:
        count += 1
    assert 100 < count <= 200


def test_a_watch_that_never_starts_leaves_what_is_there(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events, labels, video = (tmp_path / name for name in ("events.jsonl", "labels.jsonl", "video.mp4"))
    for path in (events, labels, video):
        path.write_text("old")
    files = ["--events", str(events), "--labels", str(labels), "--save", str(video)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/stream"
    assert main(["watch", url, "--model", str(tiny_bundle), *files]) == 1
    assert "nothing listens" in capsys.readouterr().err
    assert [path.read_text() for path in (events, labels, video)] == ["old"] * 3
    assert len(list(tmp_path.iterdir())) == 3


def test_a_second_watch_adds_its_lines_and_makes_the_video_anew(
    tiny_bundle: Path, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events, video = tmp_path / "events.jsonl", tmp_path / "video.mp4"
    command: list[str | Path] = ["watch", h264_clip, "--model", tiny_bundle, "--events", events, "--save", video]
    assert f"written  {events}" in say(command, capsys)
    once = events.read_text()
    shown = say(command, capsys)
    assert f"added to {events}" in shown and f"written  {video}" in shown
    assert events.read_text() == 2 * once
    assert len(pictures_of(video)) == 75


@pytest.mark.parametrize("option", ["--labels", "--events", "--save"])
def test_watch_refuses_an_output_that_cannot_be_written(
    option: str, tiny_bundle: Path, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "out.mp4"
    assert main(["watch", str(h264_clip), "--model", str(tiny_bundle), option, str(out)]) == 1
    assert str(out) in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--labels", "--events", "--save"])
def test_watch_does_not_overwrite_the_clip(
    option: str, tiny_bundle: Path, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = Path(shutil.copy(h264_clip, tmp_path / "clip.mp4"))
    assert main(["watch", str(clip), "--model", str(tiny_bundle), option, str(clip)]) == 1
    assert "clip.mp4" in capsys.readouterr().err
    assert clip.read_bytes() == h264_clip.read_bytes()
