"""Whose turn it is: fairness, files beside live cameras, batch sizes, and ticks that are too old."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stream.bundle import Bundle
from stream.contracts import Event, Prediction, Tick
from stream.engine import Engine
from stream.inference import OnnxHead
from stream.recognizer import Recognizer, Result
from tests.cameras import PatternCamera
from tests.running import Notes, Running, wait_until
from tests.slow import SlowFeatures, slow

pytestmark = pytest.mark.usefixtures("no_thread_left_behind")
ENDLESS = ((10**6, None),)


def test_a_flooding_camera_and_a_fast_file_leave_slow_cameras_theirs(native_bundle: Path) -> None:
    """The file goes as fast as it can, one camera floods its ring, and the engine is busy all the time."""
    recognizer = slow(native_bundle, SlowFeatures(native_bundle, 0.004), (1, 2, 4))
    slow_ones = [PatternCamera(recognizer.input, name, fps=5, connections=ENDLESS) for name in ("a", "b", "c")]
    flood = PatternCamera(recognizer.input, "flood", fps=0, connections=ENDLESS)
    file = PatternCamera(recognizer.input, "file", live=False, connections=ENDLESS)
    notes = Notes()
    running = Running(Engine(recognizer, [flood, file, *slow_ones], [notes]))
    wait_until(lambda: sum(p.camera == "a" for p in list(notes.predictions)) >= 12)
    running.engine.stop()
    summary = running.result()
    for camera in slow_ones:
        counts = summary.cameras[camera.camera]
        assert counts.dropped <= 0.2 * counts.ticks, "a camera of 5 a second loses to one that floods"
    judged = Counter(p.camera for p in notes.predictions)
    assert judged["file"] > 20 and judged["flood"] > 20
    assert [p.index for p in notes.predictions if p.camera == "file"] == list(range(judged["file"]))


def test_a_file_comes_to_the_same_whatever_runs_beside_it(native_bundle: Path) -> None:
    """To the last bit, though cameras fill batches of four beside it."""

    def notes_of(live: int) -> Notes:
        features = SlowFeatures(native_bundle)
        recognizer, notes = slow(native_bundle, features, (1, 2, 3, 4)), Notes()
        file = PatternCamera(recognizer.input, "file", live=False, connections=((400, None),))
        engine = Engine(recognizer, [file], [notes], forever=True)
        running = Running(engine)
        for number in range(live):
            engine.add(PatternCamera(recognizer.input, f"live {number}", fps=200, connections=ENDLESS))
        wait_until(lambda: sum(p.camera == "file" for p in list(notes.predictions)) == 400)
        wait_until(lambda: not live or max(features.rows) == 4)
        engine.stop()
        running.result()
        return notes

    alone, beside = notes_of(0), notes_of(6)
    assert beside.of("file") == alone.of("file") and len(alone.of("file")) == 400
    of_file = [event for event in beside.events if event.camera == "file"]
    assert of_file == alone.events and of_file


def test_files_and_live_cameras_never_share_a_batch_where_sizes_differ(native_bundle: Path) -> None:
    """And a file's ticks run in the smallest size, though it is looked at for three things at once."""
    batches: list[tuple[bool, set[str], set[int]]] = []
    features = SlowFeatures(native_bundle)

    class Noting(Recognizer):
        def advance(self, ticks: Sequence[Tick], *, fixed: bool = False) -> list[Result]:
            before = len(features.rows)
            results = super().advance(ticks, fixed=fixed)
            batches.append((fixed, {tick.camera for tick in ticks}, set(features.rows[before:])))
            return results

    bundle = Bundle.load(native_bundle, check=False)
    recognizer = Noting(bundle, features, OnnxHead(bundle, "cpu"), batch_size=(1, 2, 4))
    file = PatternCamera(recognizer.input, "file", live=False, connections=ENDLESS)
    cameras = [PatternCamera(recognizer.input, f"live {k}", fps=100, connections=ENDLESS) for k in range(3)]
    tracks = {"file": {f"file {k}": recognizer.input for k in range(3)}}
    running = Running(Engine(recognizer, [file, *cameras], tracks=tracks))
    # Tracks that were handed over together, and a size that was made ready behind the first labels.
    wait_until(lambda: any(fixed and len(names) > 1 for fixed, names, _ in list(batches)))
    wait_until(lambda: any(rows != {1} for _, _, rows in list(batches)))
    running.engine.stop()
    running.result()
    assert {fixed for fixed, _, _ in batches} == {True, False}
    for fixed, names, rows in batches:
        assert {name.split()[0] for name in names} == {"file" if fixed else "live"}
        assert not fixed or rows == {1}


def test_larger_batches_are_made_ready_behind_the_first_label(native_bundle: Path) -> None:
    """None is used before it ran on zeros, and the first label waits for the smallest alone."""
    features = SlowFeatures(native_bundle)
    recognizer = slow(native_bundle, features, (1, 2, 4, 8))
    cameras = [PatternCamera(recognizer.input, f"live {k}", fps=50, connections=ENDLESS) for k in range(8)]
    first: list[list[int]] = []
    engine = Engine(recognizer, cameras, on_prediction=lambda *_: first.append(features.rows.copy()), max_wait_ms=5)
    running = Running(engine)
    wait_until(lambda: features.rows.count(8) > 1)  # one on zeros
    engine.stop()
    running.result()
    assert first[0] == [1, 1], "warm-up, then the tick"
    assert recognizer.sizes == (1, 2, 4, 8)
    assert set(features.rows) == {1, 2, 4, 8}


def test_until_they_are_ready_only_the_smallest_is_used(native_bundle: Path) -> None:
    features = SlowFeatures(native_bundle)
    recognizer = slow(native_bundle, features, (1, 3))
    ticks = [tick for name in "abc" for tick in PatternCamera(recognizer.input, name, connections=((1, None),))]
    recognizer.step(ticks)
    assert features.rows == [1, 1, 1]
    assert recognizer.warm_up() and not recognizer.warm_up() and not recognizer.warm_up()
    recognizer.step(ticks)
    recognizer.step(ticks[:2])
    assert features.rows == [1, 1, 1, 1, 3, 3, 3]
    assert len(recognizer.advance(ticks, fixed=True)) == 3 and features.rows[7:] == [1, 1, 1]


def test_a_tick_that_waited_too_long_is_dropped_and_counted(native_bundle: Path) -> None:
    """The engine stands still for two seconds; of what waited it judges what is still fresh. A file loses nothing."""
    recognizer = Recognizer.load(native_bundle, device="cpu", threads=1)
    live = PatternCamera(recognizer.input, "live", fps=50, connections=((150, None),))
    file = PatternCamera(recognizer.input, "file", live=False, connections=((50, None),))
    told: list[Prediction] = []

    def stand_still(prediction: Prediction, events: tuple[Event, ...]) -> None:
        told.append(prediction)
        if len(told) == 20:
            time.sleep(2.0)

    summary = Engine(recognizer, [live, file], capacity=200, stale_s=0.5, on_prediction=stand_still).run()
    counts = summary.cameras["live"]
    assert counts.ticks == 150 and counts.stale >= 10 and counts.dropped == counts.stale
    assert summary.cameras["file"].dropped == summary.cameras["file"].stale == 0
    assert summary.predictions == 150 - counts.dropped + 50
    ages_ms = [prediction.latency_ms or 0 for prediction in told if prediction.camera == "live"]
    assert max(ages_ms) < 1800, "what waited for two seconds is not told"


def test_what_was_dropped_is_in_the_next_ticks_dt(native_bundle: Path) -> None:
    recognizer = slow(native_bundle, SlowFeatures(native_bundle, 0.02))
    camera = PatternCamera(recognizer.input, fps=200, connections=((200, None),))
    notes = Notes()
    summary = Engine(recognizer, [camera], [notes], capacity=1).run()
    assert summary.cameras["pattern"].dropped > 50
    times = np.array([p.time for p in notes.predictions])
    assert [p.dt for p in notes.predictions[1:]] == pytest.approx(np.diff(times), abs=1e-9)
    assert notes.predictions[0].dt == 0
