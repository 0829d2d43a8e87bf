"""Cameras that come and go while an engine runs."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stream.contracts import Event, Prediction
from stream.engine import Engine
from stream.errors import ConfigError, SinkError
from stream.recognizer import Recognizer
from stream.sinks.video import VideoSink
from stream.views.overlay import Overlay
from tests.cameras import PatternCamera
from tests.running import FRAMES, Notes, Running, open_clip, wait_until

pytestmark = pytest.mark.usefixtures("no_thread_left_behind")
ENDLESS = ((10**6, None),)


def endless(recognizer: Recognizer, name: str) -> PatternCamera:
    return PatternCamera(recognizer.input, name, fps=50, connections=ENDLESS)


def labels_of(notes: Notes, name: str) -> int:
    return sum(p.camera == name for p in list(notes.predictions))


def test_a_camera_that_is_added_is_judged_and_one_that_is_removed_is_ended(recognizer: Recognizer) -> None:
    notes = Notes()
    engine = Engine(recognizer, [endless(recognizer, "a")], [notes], capacity=100)
    running = Running(engine)
    wait_until(lambda: labels_of(notes, "a") > 5)
    added = endless(recognizer, "b")
    engine.add(added)
    wait_until(lambda: labels_of(notes, "b") > 40)
    engine.remove("b")
    wait_until(lambda: added.let_go == 1)
    wait_until(lambda: not any(thread.name == "reader b" for thread in threading.enumerate()))
    before = labels_of(notes, "a")
    wait_until(lambda: labels_of(notes, "a") > before + 5)
    assert "b" not in recognizer._cameras, "its state is freed"
    engine.stop()
    summary = running.result()
    kinds = [event.kind for event in notes.events if event.camera == "b"]
    assert kinds.count("started") == kinds.count("ended") > 0
    assert summary.cameras["b"].ticks >= labels_of(notes, "b") and summary.cameras["b"].error is None


def test_a_name_can_be_removed_and_added_again_at_once(recognizer: Recognizer) -> None:
    """It starts afresh, and what became of both is told as one."""
    notes = Notes()
    engine = Engine(recognizer, [endless(recognizer, "a")], [notes], capacity=100)
    running = Running(engine)
    for _ in range(3):
        before = labels_of(notes, "a")
        wait_until(lambda: labels_of(notes, "a") > before + 5)  # noqa: B023  waited for before it changes
        engine.remove("a")
        engine.add(endless(recognizer, "a"))
    wait_until(lambda: sum(p.index == 0 for p in list(notes.predictions)) == 4)
    engine.stop()
    summary = running.result()
    starts = [place for place, p in enumerate(notes.predictions) if p.index == 0]
    single = Recognizer.load(recognizer.bundle.folder, device="cpu", threads=1)
    expected = [p.scores.tobytes() for p in single.step(list(PatternCamera(recognizer.input, "a")))]
    for begin, end in zip(starts, [*starts[1:], len(notes.predictions)], strict=True):
        part = [p.scores.tobytes() for p in notes.predictions[begin:end]][:50]
        assert part == expected[: len(part)]
    assert list(summary.cameras) == ["a"] and summary.cameras["a"].sessions == 4
    assert summary.cameras["a"].ticks >= len(notes.predictions)


def test_the_run_ends_when_the_last_source_is_removed(recognizer: Recognizer) -> None:
    engine = Engine(recognizer, [endless(recognizer, "a")])
    running = Running(engine)
    engine.remove("a")
    assert list(running.result().cameras) == ["a"]
    with pytest.raises(ConfigError, match="b: expected a run that goes on"):
        engine.add(endless(recognizer, "b"))


def test_an_engine_may_run_forever_without_a_source(recognizer: Recognizer, walk_clip: Path) -> None:
    """It waits for one; a file that ends, or cannot be read, does not end it."""
    notes = Notes()
    engine = Engine(recognizer, sinks=[notes], forever=True)
    running = Running(engine)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("reader")] == []
    engine.add(PatternCamera(recognizer.input, "broken", live=False, connections=()))
    wait_until(lambda: [(s.camera, s.health) for s in notes.statuses] == [("broken", "failed")])
    engine.add(open_clip(walk_clip, recognizer))
    wait_until(lambda: labels_of(notes, "walk") == FRAMES)
    engine.remove("walk")
    engine.add(open_clip(walk_clip, recognizer))
    wait_until(lambda: labels_of(notes, "walk") == 2 * FRAMES)
    engine.stop()
    summary = running.result()
    assert summary.cameras["walk"].ticks == 2 * FRAMES
    assert summary.cameras["broken"].error == "pattern:broken: nobody there"


def test_forever_ends_with_the_duration(recognizer: Recognizer) -> None:
    assert Engine(recognizer, forever=True, duration=0.3).run().predictions == 0


def test_a_callback_may_remove_the_very_camera_it_is_told_of(recognizer: Recognizer) -> None:
    def once(prediction: Prediction, events: tuple[Event, ...]) -> None:
        if prediction.index == 10:
            engine.remove("a")

    notes = Notes()
    engine = Engine(recognizer, [endless(recognizer, "a")], [notes], capacity=100, on_prediction=once)
    engine.run()
    assert notes.predictions[-1].index == 10


def test_names_are_checked_where_a_camera_is_added_or_removed(recognizer: Recognizer) -> None:
    engine = Engine(recognizer, [endless(recognizer, "a")], forever=True)
    running = Running(engine)
    with pytest.raises(ConfigError, match="different names, got 'a' twice"):
        engine.add(endless(recognizer, "a"))
    with pytest.raises(ConfigError, match="tracks of different names, got 'a' twice"):
        engine.add(endless(recognizer, "b"), tracks={"a": recognizer.input})
    with pytest.raises(ConfigError, match="b: expected one of a; name one of them"):
        engine.remove("b")
    engine.stop()
    assert list(running.result().cameras) == ["a"]


def test_a_camera_that_a_sink_cannot_take_is_refused_and_the_run_goes_on(
    recognizer: Recognizer, tmp_path: Path
) -> None:
    notes = Notes()
    video = VideoSink(tmp_path / "a.mp4", Overlay(recognizer.labels, recognizer.none, recognizer.model))
    engine = Engine(recognizer, [endless(recognizer, "a")], [notes, video])
    running = Running(engine)
    wait_until(lambda: notes.predictions)
    with pytest.raises(SinkError, match="holds one camera, got a and b"):
        engine.add(endless(recognizer, "b"))
    before = len(notes.predictions)
    wait_until(lambda: len(notes.predictions) > before + 5)
    engine.stop()
    assert list(running.result().cameras) == ["a"]


def test_a_camera_that_hangs_is_removed_without_holding_up_the_others(recognizer: Recognizer) -> None:
    notes = Notes()
    stuck = PatternCamera(recognizer.input, "stuck", connections=ENDLESS, fps=50, stuck=5)
    engine = Engine(recognizer, [stuck, endless(recognizer, "a")], [notes])
    running = Running(engine)
    wait_until(lambda: labels_of(notes, "stuck") == 5)
    engine.remove("stuck")
    before = labels_of(notes, "a")
    wait_until(lambda: labels_of(notes, "a") > before + 10)
    stuck.release.set()
    engine.stop()
    assert set(running.result().cameras) == {"stuck", "a"}
