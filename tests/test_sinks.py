"""Files of labels, events and annotated video: their exact form, what a kill leaves, and who waits for whom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contracts import Event, Frame, FrameSink, Picture, Prediction, Sink, Status
from stream.errors import SinkError
from stream.sinks.jsonl import EventsSink, LabelsSink, event_record
from stream.sinks.video import MAX_SIDE, VideoSink
from stream.views.drawing import Image
from stream.views.layout import layout
from stream.views.overlay import Overlay
from stream.views.timeline import Timeline
from tests.media import moving_pictures
from tests.process import ROOT

LABELS = ("none", "wave")
EVENT = Event("00ff00ff00ff00ff", "hall", "wave", "started", 1.23456789, None, 0.9, 0.1 + 0.2, "tiny@1a2b3c4d")


def prediction(index: int, time: float | None = None, *, camera: str = "hall", session: int = 0) -> Prediction:
    time = index / 25 if time is None else time
    scores = np.array([1 / 3, 2 / 3], np.float32)
    return Prediction(camera, session, index, time, "wave", float(scores[1]), scores, True, 0.04, 12.34567891)


def frame(index: int, picture: NDArray[np.uint8], *, time: float | None = None, session: int = 0) -> Frame:
    return Frame("hall", index, session, index / 25 if time is None else time, 0.0, Picture((picture,), "rgb"))


class RecordingOverlay(Overlay):
    """An overlay that also notes, for each picture drawn, its time and the tick of the prediction on it."""

    def __init__(self) -> None:
        super().__init__(LABELS, "none", "tiny@1a2b3c4d")
        self.drawn: list[tuple[float, int, int]] = []

    def draw(self, bgr: Image, timeline: Timeline, camera: str, time: float) -> Image:
        """Draws, and notes it."""
        self.drawn.append((time, timeline.latest.index if timeline.latest else -1, len(timeline.events)))
        return super().draw(bgr, timeline, camera, time)


@pytest.fixture
def video(tmp_path: Path) -> Iterator[VideoSink]:
    sink = VideoSink(tmp_path / "annotated.mp4", RecordingOverlay(), capacity=3)
    yield sink
    sink.close()


def drawn(sink: VideoSink) -> list[tuple[float, int, int]]:
    assert isinstance(sink._overlay, RecordingOverlay)
    return sink._overlay.drawn


def decoded(path: Path) -> list[tuple[float, tuple[int, int]]]:
    """Time and (height, width) of each frame."""
    with av.open(path) as container:
        return [(float(f.time or 0.0), (f.height, f.width)) for f in container.decode(video=0)]


def boxes(path: Path) -> list[str]:
    """The names of an mp4's outermost parts."""
    content, place, names = path.read_bytes(), 0, []
    while place < len(content):
        names.append(content[place + 4 : place + 8].decode())
        place += int.from_bytes(content[place : place + 4])
    return names


def test_labels_have_the_documented_keys_in_order(tmp_path: Path) -> None:
    sink = LabelsSink(tmp_path / "new" / "labels.jsonl", LABELS)
    sink.prediction(prediction(3))
    sink.event(EVENT)
    sink.close()
    sink.close()
    assert (tmp_path / "new" / "labels.jsonl").read_text() == (
        '{"camera": "hall", "session": 0, "index": 3, "time": 0.12, "label": "wave", "score": 0.666667, '
        '"scores": {"none": 0.333333, "wave": 0.666667}, "warm": true, "dt": 0.04, "latency_ms": 12.345679}\n'
    )


def test_events_have_the_documented_keys_in_order(tmp_path: Path) -> None:
    sink = EventsSink(tmp_path / "events.jsonl")
    sink.prediction(prediction(3))
    sink.event(EVENT)
    sink.close()
    assert (tmp_path / "events.jsonl").read_text() == (
        '{"id": "00ff00ff00ff00ff", "camera": "hall", "label": "wave", "kind": "started", "start": 1.234568, '
        '"end": null, "peak": 0.9, "delay": 0.3, "model": "tiny@1a2b3c4d"}\n'
    )


def test_how_a_camera_is_stands_among_its_events(tmp_path: Path) -> None:
    events, labels = EventsSink(tmp_path / "events.jsonl"), LabelsSink(tmp_path / "labels.jsonl", LABELS)
    for sink in (events, labels):
        sink.event(EVENT)
        sink.status(Status("hall", 2, "offline", "nothing listens there", 1 / 3))
        sink.close()
    assert (tmp_path / "events.jsonl").read_text().splitlines()[1:] == [
        '{"camera": "hall", "kind": "camera", "status": "offline", "reason": "nothing listens there", "session": 2, '
        '"away": 0.333333}'
    ]
    assert (tmp_path / "labels.jsonl").read_text() == ""


def test_of_live_cameras_it_is_told_when_and_in_which_session(tmp_path: Path) -> None:
    at = datetime(2026, 3, 9, 15, 2, 11, 482600, timezone(timedelta(hours=1)))
    with closing(EventsSink(tmp_path / "events.jsonl")) as sink:
        sink.event(replace(EVENT, session=3, at=at))
        sink.status(Status("hall", 3, "online", "", 0.0, at))
    event, status = (json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines())
    assert list(event.items())[-2:] == [("session", 3), ("at", "2026-03-09T14:02:11.482Z")]
    assert list(status.items())[-1] == ("at", "2026-03-09T14:02:11.482Z")


def test_sinks_fit_the_protocols(video: VideoSink, tmp_path: Path) -> None:
    with closing(LabelsSink(tmp_path / "l", LABELS)) as labels, closing(EventsSink(tmp_path / "e")) as events:
        assert isinstance(labels, Sink)
        assert isinstance(events, Sink) and not isinstance(events, FrameSink)
        assert isinstance(video, FrameSink)


@pytest.mark.parametrize(
    ("held", "kept"),
    [
        ('{"old": 1}\n', '{"old": 1}\n'),
        ('{"old": 1}', '{"old": 1}\n'),
        ('{"old": 1}\n{"id": "00ff', '{"old": 1}\n'),
        ('{"id": "00ff', ""),
        ('{"old": 1}\n{"long": "' + "x" * 200_000, '{"old": 1}\n'),
        ("a note of mine", "a note of mine\n"),
    ],
    ids=["whole", "no line's end", "half a line", "only half a line", "half of a long line", "not ours"],
)
def test_lines_are_added_to_what_a_file_holds_and_half_a_line_is_cut(held: str, kept: str, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(held)
    sink = EventsSink(path)
    assert path.read_text() == held  # nothing was told yet
    for _ in range(2):
        sink.event(EVENT)
    sink.close()
    line = json.dumps(event_record(EVENT)) + "\n"
    assert path.read_text() == kept + 2 * line


def test_a_fresh_file_is_begun_where_that_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("old\n")
    EventsSink(path, fresh=True).close()
    assert path.read_text() == ""


def test_two_processes_on_one_file_tear_no_line(tmp_path: Path) -> None:
    """Both begin on the half of a line that a third one left."""
    path = tmp_path / "events.jsonl"
    path.write_text('{"id": "00ff')
    code = (
        "import sys; from stream.sinks.jsonl import EventsSink; from tests.test_sinks import EVENT\n"
        f"sink = EventsSink({str(path)!r})\n"
        "print('ready', flush=True); sys.stdin.read()\n"
        "for _ in range(2000): sink.event(EVENT)"
    )
    command = [sys.executable, "-c", code]
    children = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    for child in children:
        assert child.stdout is not None
        child.stdout.close()
        assert child.wait(30) == 0
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == [EVENT.id] * 4000


@pytest.mark.parametrize("kind", ["labels", "events", "video"])
def test_an_unwritable_path_is_one_line(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(SinkError, match=r"cannot write .*; name a file in a writable folder") as caught:
            if kind == "video":
                VideoSink(path, RecordingOverlay())
            else:
                LabelsSink(path, LABELS) if kind == "labels" else EventsSink(path)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line() -> None:
    sink = EventsSink("/dev/full")
    with pytest.raises(SinkError, match="cannot write /dev/full: No space left on device"):
        sink.event(EVENT)
    sink.close()


def test_what_was_told_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    code = (
        "import sys; from stream.sinks.jsonl import EventsSink; from tests.test_sinks import EVENT\n"
        f"sink = EventsSink({str(path)!r})\n"
        "for _ in range(500): sink.event(EVENT)\n"
        "print('told', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "told\n"
        os.kill(child.pid, signal.SIGKILL)
    lines = path.read_text().splitlines()
    assert len(lines) == 500
    assert {json.loads(line)["id"] for line in lines} == {EVENT.id}


def test_every_frame_waits_for_the_prediction_of_its_tick(video: VideoSink) -> None:
    """A tick every 5th frame; the reader runs ahead as far as the queue lets it, predictions come when they come."""
    video.attach("hall", live=False)
    pictures = moving_pictures(23)

    def read() -> None:
        for index, picture in enumerate(pictures):
            video.frame(frame(index, picture), index // 5 * 5)

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(0.3)
    assert reader.is_alive() and drawn(video) == []  # nothing was predicted: nothing is drawn, the reader waits
    for tick in range(0, 23, 5):
        if tick == 10:
            video.event(EVENT)
        video.prediction(prediction(tick))
    reader.join()
    video.close()
    assert [(round(time * 25), tick) for time, tick, _ in drawn(video)] == [(i, i // 5 * 5) for i in range(23)]
    assert [events for _, _, events in drawn(video)] == [0] * 10 + [1] * 13
    frames = decoded(video.path)
    assert [time for time, _ in frames] == pytest.approx([i / 25 for i in range(23)], abs=1e-4)
    assert video.dropped == 0


def test_predictions_may_be_far_ahead(video: VideoSink) -> None:
    video.attach("hall", live=False)
    for index, picture in enumerate(moving_pictures(12)):
        video.prediction(prediction(index))
        video.frame(frame(index, picture), index)
    video.close()
    assert [tick for _, tick, _ in drawn(video)] == list(range(12))


def test_close_lets_a_waiting_reader_go_and_the_file_is_whole(video: VideoSink) -> None:
    video.attach("hall", live=False)
    taken = []
    first = threading.Event()

    def read() -> None:
        for index, picture in enumerate(moving_pictures(50)):
            video.frame(frame(index, picture), index)
            taken.append(index)
            first.set()

    reader = threading.Thread(target=read)
    reader.start()
    video.prediction(prediction(0))
    first.wait()
    video.close()
    reader.join()
    assert len(taken) == 50
    assert len(decoded(video.path)) == len(drawn(video)) < 50
    assert boxes(video.path) == ["ftyp", "free", "mdat", "moov"]  # an ordinary file: not one of fragments


def test_a_live_camera_is_never_held_up(video: VideoSink) -> None:
    video.attach("hall", live=True)
    with video._told:  # the encoder stands still for as long as this is held
        for index, picture in enumerate(moving_pictures(40)):
            video.frame(frame(index, picture), index)
        assert video.dropped >= 36
    for index in range(200):
        video.prediction(prediction(index))
    video.close()
    assert len(drawn(video)) + video.dropped == 40


def test_times_and_sizes_that_change(video: VideoSink) -> None:
    """Irregular times are kept; a new session goes on where the last one ended; odd and new sizes are made to fit."""
    video.attach("hall", live=False)
    large, small = moving_pictures(1, 161, 121)[0], moving_pictures(1, 96, 64)[0]
    shots = [(0, 5.0, large), (0, 5.04, large), (0, 5.5, large), (1, 0.0, large), (1, 0.1, small), (1, 0.05, small)]
    for index, (session, time, picture) in enumerate(shots):
        video.prediction(prediction(index, time, session=session))
        video.frame(frame(index, picture, time=time, session=session), index)
    video.close()
    frames = decoded(video.path)
    place = layout(121, 161)
    assert {size for _, size in frames} == {(place.height, place.width)}
    assert [time for time, _ in frames] == pytest.approx([0, 0.04, 0.5, 0.96, 1.06, 1.16], abs=1e-4)


def test_the_video_shows_the_picture_whole(video: VideoSink) -> None:
    video.attach("hall", live=False)
    picture = moving_pictures(1, 428, 312)[0]
    video.prediction(prediction(0, 0.0))
    video.frame(frame(0, picture), 0)
    video.close()
    with av.open(video.path) as container:
        (shown,) = (f.to_ndarray(format="rgb24") for f in container.decode(video=0))
    x0, y0, x1, y1 = layout(312, 428).picture
    assert np.abs(shown[y0:y1, x0:x1].astype(int) - picture).mean() < 4


def test_a_huge_picture_is_made_small_enough_for_hardware_that_decodes_it(video: VideoSink) -> None:
    video.attach("hall", live=False)
    video.prediction(prediction(0, 0.0))
    video.frame(frame(0, np.full((2160, 3840, 3), 90, np.uint8)), 0)
    video.close()
    ((_, (height, width)),) = decoded(video.path)
    assert 0.98 * MAX_SIDE < width <= MAX_SIDE and height < width


def test_one_video_holds_one_camera(video: VideoSink, tmp_path: Path) -> None:
    video.attach("hall", live=False)
    with pytest.raises(SinkError, match=r"holds one camera, got hall and yard; name one to save"):
        video.attach("yard", live=False)
    named = VideoSink(tmp_path / "yard.mp4", RecordingOverlay(), camera="yard")
    named.attach("hall", live=False)
    named.attach("yard", live=False)
    named.frame(frame(0, moving_pictures(1)[0]), 0)
    named.prediction(prediction(0))
    named.close()
    assert drawn(named) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_an_encoder_that_fails_is_told_and_holds_nobody_up() -> None:
    video = VideoSink("/dev/full", RecordingOverlay(), capacity=2)
    video.attach("hall", live=False)
    for index, picture in enumerate(moving_pictures(30)):
        video.frame(frame(index, picture), -1)
    with pytest.raises(SinkError, match="cannot write /dev/full"):
        video.close()
    video.close()
