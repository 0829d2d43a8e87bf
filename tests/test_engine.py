"""The running line: what it tells, what it drops, and that it ends. Laws 4 and 5; law 6 is in test_readers.py."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stream.contracts import Event, Prediction, Sink, Tick
from stream.engine import Engine
from stream.errors import ConfigError, DeviceError, SinkError
from stream.recognizer import Recognizer, Result
from stream.sinks.jsonl import EventsSink, LabelsSink
from stream.sinks.video import VideoSink
from stream.views.overlay import Overlay
from tests.cameras import PatternCamera, lost
from tests.graphs import NAN_PIXEL, make_bundle
from tests.media import encode_h264, moving_pictures
from tests.running import FRAMES, Notes, Running, open_clip, wait_until

pytestmark = pytest.mark.usefixtures("no_thread_left_behind")


def run_to_files(native_bundle: Path, walk_clip: Path, out: Path, **options: Any) -> tuple[bytes, list[dict[str, Any]]]:
    """The events file, and the labels without their latency, of one run over `walk_clip`."""
    recognizer = Recognizer.load(native_bundle, device="cpu", threads=1)
    sinks: list[Sink] = [EventsSink(out / "events.jsonl"), LabelsSink(out / "labels.jsonl", recognizer.labels)]
    Engine(recognizer, [open_clip(walk_clip, recognizer)], sinks, **options).run()
    labels = [json.loads(line) for line in (out / "labels.jsonl").read_text().splitlines()]
    for label in labels:
        assert label.pop("latency_ms") > 0
    return (out / "events.jsonl").read_bytes(), labels


def test_a_file_gives_the_same_every_time(native_bundle: Path, walk_clip: Path, tmp_path: Path) -> None:
    events, labels = run_to_files(native_bundle, walk_clip, tmp_path / "a")
    assert len(labels) == FRAMES and events.count(b"started") == events.count(b"ended") > 0
    for name, options in {"b": {}, "c": {"capacity": 1}, "d": {"capacity": 64, "max_wait_ms": 2}}.items():
        assert run_to_files(native_bundle, walk_clip, tmp_path / name, **options) == (events, labels)


def test_the_engine_tells_what_the_recognizer_says(
    recognizer: Recognizer, native_bundle: Path, walk_clip: Path
) -> None:
    expected = list(recognizer.advance(list(open_clip(walk_clip, recognizer))))
    expected_events = [event for _, events in expected for event in events] + recognizer.finish()
    notes = Notes()
    summary = Engine(recognizer, [open_clip(walk_clip, recognizer)], [notes]).run()
    assert [p.index for p in notes.predictions] == [p.index for p, _ in expected]
    assert [p.scores.tobytes() for p in notes.predictions] == [p.scores.tobytes() for p, _ in expected]
    assert notes.events == expected_events
    assert notes.closed == 1
    camera = summary.cameras["walk"]
    assert (camera.frames, camera.ticks, camera.dropped, camera.sessions) == (FRAMES, FRAMES, 0, 1)
    assert (camera.reopened, camera.error) == (0, None)
    assert camera.media_s == pytest.approx((FRAMES - 1) / 25)
    assert summary.predictions == FRAMES and summary.undelivered == 0
    assert summary.events == sum(event.kind == "started" for event in expected_events)
    p50, p95, longest = summary.latency_ms
    assert 0 < p50 <= p95 <= longest == max(p.latency_ms or 0 for p in notes.predictions)


def test_files_together_give_what_each_gives_alone(native_bundle: Path, walk_clip: Path, tmp_path: Path) -> None:
    other = encode_h264(moving_pictures(40, seed=5), tmp_path / "other.mp4")

    def notes_of(*cameras: tuple[str, Path]) -> Notes:
        recognizer = Recognizer.load(native_bundle, device="cpu", threads=1, batch_size=3)
        notes = Notes()
        Engine(recognizer, [open_clip(path, recognizer, name) for name, path in cameras], [notes]).run()
        return notes

    together = notes_of(("a", walk_clip), ("b", other), ("c", walk_clip), ("d", other))
    for name, path in (("a", walk_clip), ("b", other), ("c", walk_clip), ("d", other)):
        alone = notes_of((name, path))
        assert together.of(name) == alone.of(name)
        assert [event for event in together.events if event.camera == name] == alone.events


def test_a_slow_sink_of_a_file_misses_nothing(recognizer: Recognizer) -> None:
    """It stands still for a second: its queue is full long before, and everything waits for it."""
    camera = PatternCamera(recognizer.input, live=False, connections=((1000, None),))
    gate = threading.Event()
    slow, quick = Notes(gate=gate), Notes()
    opener = threading.Timer(1.0, gate.set)
    opener.start()
    summary = Engine(recognizer, [camera], [slow, quick]).run()
    assert slow.of("pattern") == quick.of("pattern") and len(quick.predictions) == 1000
    assert slow.events == quick.events and summary.undelivered == 0


def test_a_slow_sink_misses_nothing_of_a_file_beside_a_live_camera(recognizer: Recognizer) -> None:
    """What a camera drops is its own: the file is waited for all the same."""
    file = PatternCamera(recognizer.input, "file", live=False, connections=((1000, None),))
    door = PatternCamera(recognizer.input, "door", fps=100, connections=((100, None),))
    gate = threading.Event()
    slow, quick = Notes(gate=gate), Notes()
    opener = threading.Timer(1.0, gate.set)
    opener.start()
    summary = Engine(recognizer, [file, door], [slow, quick]).run()
    assert slow.of("file") == quick.of("file") and len(slow.of("file")) == 1000
    assert [event for event in slow.events if event.camera == "file"] == [
        event for event in quick.events if event.camera == "file"
    ]
    counts = summary.cameras["door"]
    assert 0 < len(quick.of("door")) == counts.ticks - counts.dropped


def test_events_are_told_before_the_prediction_of_their_tick(recognizer: Recognizer, walk_clip: Path) -> None:
    notes, seen = Notes(), []
    engine = Engine(
        recognizer,
        [open_clip(walk_clip, recognizer)],
        [notes],
        on_prediction=lambda p, events: seen.append(len(events)),
    )
    engine.run()
    expected = [kind for count in seen for kind in ["event"] * count + ["prediction"]]
    assert notes.order[: len(expected)] == expected
    assert set(notes.order[len(expected) :]) <= {"event"}


def test_a_live_camera_drops_the_oldest_and_counts(recognizer: Recognizer) -> None:
    camera = PatternCamera(recognizer.input, connections=((300, None),))
    notes = Notes()
    engine = Engine(recognizer, [camera], [notes], capacity=2, on_prediction=lambda p, events: time.sleep(0.005))
    summary = engine.run()
    counts = summary.cameras["pattern"]
    assert counts.ticks == 300 and counts.dropped > 0
    assert counts.ticks - counts.dropped == summary.predictions == len(notes.predictions)
    assert notes.predictions[-1].index == 299  # the newest is never the one to go


def test_a_sink_that_stands_still_does_not_stall_a_live_camera(recognizer: Recognizer) -> None:
    gate = threading.Event()
    blocked, free = Notes(gate=gate), Notes()
    camera = PatternCamera(recognizer.input, fps=1000, connections=((600, None),))
    running = Running(Engine(recognizer, [camera], [blocked, free], capacity=64))
    wait_until(lambda: any(p.index == 599 for p in free.predictions))
    assert blocked.predictions == []
    gate.set()
    summary = running.result()
    assert len(free.predictions) == summary.predictions
    assert summary.undelivered > 0
    assert len(blocked.predictions) + summary.undelivered >= summary.predictions


def test_stop_ends_everything_though_all_is_stuck(recognizer: Recognizer, caplog: pytest.LogCaptureFixture) -> None:
    """A camera inside a library call that does not return, a file, and a sink that stands still."""
    gate = threading.Event()
    stuck = PatternCamera(recognizer.input, "stuck", live=False, connections=((10, None),), stuck=10)
    endless = PatternCamera(recognizer.input, "endless", live=False, connections=((10**6, None),))
    running = Running(Engine(recognizer, [stuck, endless], [Notes(gate=gate)]))
    time.sleep(0.5)  # until every queue is full
    assert running.outcome is None
    began = time.monotonic()
    running.engine.stop()
    summary = running.result()
    assert time.monotonic() - began < 3  # 2 s, and a busy machine
    assert summary.undelivered >= summary.predictions > 0  # not one was taken: what waits in its queue counts too
    late = [record.message for record in caplog.records]
    assert late == [
        "sink Notes did not end in time and is left behind",
        "reader stuck did not end in time and is left behind",
    ]
    gate.set()
    stuck.release.set()


def test_a_sink_that_completes_its_file_is_waited_for(recognizer: Recognizer) -> None:
    class Slow(Notes):
        def close(self) -> None:
            """Takes longer than a sink that stands still is given."""
            time.sleep(2.5)
            super().close()

    sink = Slow()
    endless = PatternCamera(recognizer.input, live=False, connections=((10**6, None),))
    running = Running(Engine(recognizer, [endless], [sink]))
    wait_until(lambda: sink.predictions)
    running.engine.stop()
    running.result()
    assert sink.closed == 1


def test_stop_from_a_signal_handler_ends_open_events(recognizer: Recognizer, walk_clip: Path, tmp_path: Path) -> None:
    """In the main thread, as the command line does it; the video that is cut short is whole."""
    events = tmp_path / "events.jsonl"
    video = VideoSink(tmp_path / "cut.mp4", Overlay(recognizer.labels, recognizer.none, recognizer.model))
    told = 0

    def count(prediction: Prediction, events: tuple[Event, ...]) -> None:
        nonlocal told
        told += 1
        if told == 100:
            os.kill(os.getpid(), signal.SIGUSR1)

    engine = Engine(
        recognizer, [open_clip(walk_clip, recognizer, loop=True)], [EventsSink(events), video], on_prediction=count
    )
    before = signal.signal(signal.SIGUSR1, lambda *_: engine.stop())
    try:
        summary = engine.run()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert summary.predictions >= 100
    kinds = [json.loads(line) for line in events.read_text().splitlines()]
    assert {e["id"] for e in kinds if e["kind"] == "started"} == {e["id"] for e in kinds if e["kind"] == "ended"}
    with av.open(video.path) as container:
        times = [float(frame.time or 0) for frame in container.decode(video=0)]
    assert len(times) >= 90 and (np.diff(times) > 0).all()


def test_the_annotated_video_has_every_frame_of_the_file(
    recognizer: Recognizer, walk_clip: Path, tmp_path: Path
) -> None:
    video = VideoSink(tmp_path / "all.mp4", Overlay(recognizer.labels, recognizer.none, recognizer.model), capacity=2)
    Engine(recognizer, [open_clip(walk_clip, recognizer)], [video], capacity=1).run()
    with av.open(video.path) as container:
        times = [float(frame.time or 0) for frame in container.decode(video=0)]
    assert times == pytest.approx([k / 25 for k in range(FRAMES)], abs=1e-4)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("kind", ["events", "video"])
def test_a_sink_that_fails_ends_the_run(recognizer: Recognizer, walk_clip: Path, kind: str) -> None:
    overlay = Overlay(recognizer.labels, recognizer.none, recognizer.model)
    sink = EventsSink("/dev/full") if kind == "events" else VideoSink("/dev/full", overlay)
    other = Notes()
    with pytest.raises(SinkError, match="cannot write /dev/full"):
        Engine(recognizer, [open_clip(walk_clip, recognizer)], [sink, other]).run()
    assert other.closed == 1


def test_a_sink_that_ends_its_own_thread_ends_the_run(recognizer: Recognizer, walk_clip: Path) -> None:
    """SystemExit is no Exception: the run would wait for ever for a thread that is gone."""

    class Leaving(Notes):
        def prediction(self, prediction: Prediction) -> None:
            raise SystemExit(1)

    clip = open_clip(walk_clip, recognizer, loop=True)
    with pytest.raises(SystemExit):
        Engine(recognizer, [clip], [Leaving()]).run()


@pytest.mark.parametrize("culprit", ["sink", "recognizer", "caller"])
def test_whatever_fails_open_events_are_ended_for_the_sinks_that_work(
    native_bundle: Path, walk_clip: Path, tmp_path: Path, culprit: str
) -> None:
    """It fails as soon as something is on, which is in the middle of the clip."""
    fault = {"sink": SinkError("disk full"), "recognizer": DeviceError("gone"), "caller": ValueError("a bug")}[culprit]

    class FailingSink(Notes):
        def event(self, event: Event) -> None:
            raise fault

    class FailingRecognizer(Recognizer):
        on = False

        def advance(self, ticks: Sequence[Tick], *, fixed: bool = False) -> list[Result]:
            if self.on:
                raise fault
            results = super().advance(ticks, fixed=fixed)
            self.on = any(events for _, events in results)
            return results

    def fail(prediction: Prediction, events: tuple[Event, ...]) -> None:
        if events:
            raise fault

    kind = FailingRecognizer if culprit == "recognizer" else Recognizer
    recognizer = kind.load(native_bundle, device="cpu", threads=1)
    engine = Engine(
        recognizer,
        [open_clip(walk_clip, recognizer, loop=True)],
        [FailingSink() if culprit == "sink" else Notes(), EventsSink(tmp_path / "events.jsonl")],
        on_prediction=fail if culprit == "caller" else None,
    )
    with pytest.raises(type(fault)) as raised:
        engine.run()
    assert raised.value is fault
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    started, ended = ({e["id"] for e in events if e["kind"] == kind} for kind in ("started", "ended"))
    assert started == ended and started


def test_frames_that_a_slow_video_dropped_are_told(recognizer: Recognizer, tmp_path: Path) -> None:
    class SlowOverlay(Overlay):
        def draw(self, *args: Any) -> Any:
            time.sleep(0.01)
            return super().draw(*args)

    video = VideoSink(tmp_path / "v.mp4", SlowOverlay(recognizer.labels, recognizer.none, recognizer.model), capacity=1)
    camera = PatternCamera(recognizer.input, pictures=moving_pictures(50), connections=((200, None),))
    summary = Engine(recognizer, [camera], [video]).run()
    with av.open(video.path) as container:
        saved = sum(1 for _ in container.decode(video=0))
    assert saved + summary.unsaved == 200 and summary.unsaved > 0


def test_ticks_that_could_not_be_judged_are_told(tmp_path: Path) -> None:
    """Of this run alone, though the recogniser had met some before."""
    bundle = make_bundle(tmp_path, rate="native", golden=False, traps=True)
    recognizer = Recognizer.load(bundle.folder, device="cpu", threads=1)
    pictures = moving_pictures(10, 64, 48)
    pictures[4] = np.full_like(pictures[4], NAN_PIXEL)
    for _ in range(2):
        camera = PatternCamera(recognizer.input, live=False, pictures=pictures, connections=((10, None),))
        assert Engine(recognizer, [camera]).run().cameras["pattern"].faults == 1


def test_latency_says_whether_it_includes_the_queue(recognizer: Recognizer) -> None:
    for live, realtime, paced in ((False, False, False), (False, True, True), (True, False, True)):
        camera = PatternCamera(recognizer.input, live=live, connections=((3, None),))
        assert Engine(recognizer, [camera], realtime=realtime).run().paced is paced


def test_what_breaks_in_the_loop_is_raised_by_run(recognizer: Recognizer, walk_clip: Path) -> None:
    def broken(prediction: Prediction, events: tuple[Event, ...]) -> None:
        raise ZeroDivisionError("a bug")

    notes = Notes()
    with pytest.raises(ZeroDivisionError, match="a bug"):
        Engine(recognizer, [open_clip(walk_clip, recognizer, loop=True)], [notes], on_prediction=broken).run()
    assert notes.closed == 1


def test_sources_need_names_of_their_own(recognizer: Recognizer, walk_clip: Path) -> None:
    with pytest.raises(ConfigError, match="different names, got 'walk' twice"):
        Engine(recognizer, [open_clip(walk_clip, recognizer), open_clip(walk_clip, recognizer)])
    with pytest.raises(ConfigError, match="one or more sources"):
        Engine(recognizer, [])


def test_ticks_of_many_cameras_share_steps(native_bundle: Path) -> None:
    """With 4 cameras ready, a recogniser of batch size 4 is asked for 4 at a time, one of each camera."""
    batches: list[list[str]] = []

    class Noting(Recognizer):
        def advance(self, ticks: Sequence[Tick], *, fixed: bool = False) -> list[Result]:
            batches.append([tick.camera for tick in ticks])
            return super().advance(ticks, fixed=fixed)

    recognizer = Noting.load(native_bundle, device="cpu", threads=1, batch_size=4)
    cameras = [PatternCamera(recognizer.input, name, live=False, connections=((30, None),)) for name in "abcd"]
    Engine(recognizer, cameras, max_wait_ms=1000).run()
    assert [sorted(batch) for batch in batches] == [["a", "b", "c", "d"]] * 30


def test_a_slow_sink_of_a_live_camera_misses_labels_but_no_news(recognizer: Recognizer) -> None:
    camera = PatternCamera(recognizer.input, fps=1000, connections=((400, lost()), (400, None)))
    gate = threading.Event()
    blocked, free = Notes(gate=gate), Notes()
    running = Running(Engine(recognizer, [camera], [blocked, free], capacity=1000))
    wait_until(lambda: any(p.index == 799 for p in free.predictions))
    gate.set()
    summary = running.result()
    assert summary.undelivered > 0
    assert blocked.statuses == free.statuses and len(free.statuses) == 3
    assert blocked.events == free.events and free.events
