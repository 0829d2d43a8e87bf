"""Readers in a running engine: cameras that fail or come late, durations and clocks. Law 6 is tested here."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import av
import pytest

from stream import health, readers
from stream.bundle import Bundle
from stream.contracts import Event, Frame, Prediction
from stream.engine import Engine
from stream.errors import ConfigError, SinkError, SourceError, SourceLost, SourceOpenError, SourceRefused
from stream.readers import BACKOFF_S, REFUSED_S, Backoff, News, Reader
from stream.recognizer import Recognizer
from stream.ring import FrameRing
from stream.sampling import Sampler
from stream.sources import open_source
from tests.cameras import PatternCamera, lost
from tests.running import FRAMES, Notes, Running, open_clip, wait_until

pytestmark = pytest.mark.usefixtures("no_thread_left_behind")


def test_a_reader_that_breaks_costs_the_others_nothing(
    recognizer: Recognizer, native_bundle: Path, walk_clip: Path
) -> None:
    alone, together = Notes(), Notes()
    Engine(recognizer, [open_clip(walk_clip, recognizer)], [alone]).run()
    again = Recognizer.load(native_bundle, device="cpu", threads=1)
    broken = PatternCamera(again.input, "broken", live=False, connections=((20, ZeroDivisionError("a bug")),))
    summary = Engine(again, [broken, open_clip(walk_clip, again)], [together]).run()
    assert together.of("walk") == alone.of("walk")
    assert len(together.of("broken")) == 20
    assert summary.cameras["broken"].error == "unexpected ZeroDivisionError: a bug"
    assert summary.cameras["walk"].error is None
    told = [(status.camera, status.health, status.reason) for status in together.statuses]
    assert told == [("broken", "failed", "unexpected ZeroDivisionError: a bug")]


@pytest.mark.parametrize("fault", [lost(), ValueError("Invalid data found")])
def test_a_live_camera_that_is_lost_is_opened_again(recognizer: Recognizer, fault: Exception) -> None:
    connections = ((20, fault), (0, None), (20, fault), (20, None))
    camera = PatternCamera(recognizer.input, fps=200, connections=connections)
    notes = Notes()
    summary = Engine(recognizer, [camera], [notes], capacity=100).run()
    counts = summary.cameras["pattern"]
    assert (counts.frames, counts.sessions, counts.reopened, counts.error) == (60, 3, 2, None)
    assert counts.media_s == pytest.approx(3 * 19 / 25)
    assert [p.session for p in notes.predictions] == [0] * 20 + [1] * 20 + [2] * 20
    assert [p.dt for p in notes.predictions if p.index % 20 == 0] == [0, 0, 0]  # each a fresh start
    told = [(status.health, status.session, bool(status.away)) for status in notes.statuses]
    assert told == [
        ("online", 0, False),
        ("offline", 0, True),
        ("online", 1, True),
        ("offline", 1, True),
        ("online", 2, True),
    ]
    assert all(str(fault) in status.reason for status in notes.statuses if status.health == "offline")


def test_sessions_are_told_as_labels_count_them(recognizer: Recognizer) -> None:
    """A gap in the times begins one that the source knows nothing of."""

    class Jumping(PatternCamera):
        def frames(self, session: int = 0) -> Iterator[Frame]:
            for frame in super().frames(session):
                yield replace(frame, time=frame.time + 100 * (frame.index >= 19))

    camera = Jumping(recognizer.input, fps=200, connections=((20, lost()), (20, None)))
    notes = Notes()
    Engine(recognizer, [camera], [notes], capacity=100).run()
    assert [p.session for p in notes.predictions] == [0] * 19 + [1] + [2] * 20
    assert [(s.health, s.session) for s in notes.statuses] == [("online", 0), ("offline", 1), ("online", 2)]


def test_an_error_that_nobody_foresaw_is_logged_without_logins(
    recognizer: Recognizer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "stream")
    error = KeyError("rtsp://admin:hunter2@10.0.0.7/live")
    camera = PatternCamera(recognizer.input, fps=200, connections=((5, error), (5, None)))
    Engine(recognizer, [camera], capacity=100).run()
    assert "Traceback" in caplog.text and "KeyError: 'rtsp://10.0.0.7/live'" in caplog.text
    assert "hunter2" not in caplog.text


def test_waits_double_and_stay_within_their_bounds() -> None:
    for error, (shortest, longest) in ((lost(), BACKOFF_S), (SourceRefused("who?"), REFUSED_S)):
        backoff = Backoff()
        waits = [backoff.after(error) for _ in range(40)]
        assert all(shortest <= wait <= longest for wait in waits)
        assert all(shortest * 2**n <= wait <= shortest * 2 ** (n + 1) for n, wait in enumerate(waits[:3]))
        assert len(set(waits[10:])) == 30, "never in step with others"
        assert min(waits[10:]) >= longest / 2
        backoff.reset()
        assert backoff.after(error) <= 2 * shortest


def test_a_refused_login_is_waited_for_from_5_s_on_whatever_was_before() -> None:
    backoff = Backoff()
    for _ in range(20):
        backoff.after(lost())
    assert 5 <= backoff.after(SourceRefused("who?")) <= 10
    assert backoff.after(lost()) <= 0.4


def test_a_patient_engine_waits_for_cameras_that_are_away_at_the_start(recognizer: Recognizer) -> None:
    camera = PatternCamera(recognizer.input, connections=((0, None), (0, None), (20, None)))
    notes = Notes()
    summary = Engine(recognizer, [camera], [notes], capacity=100, patient=True).run()
    assert len(notes.predictions) == 20 and summary.cameras["pattern"].error is None
    assert [status.health for status in notes.statuses] == ["offline", "online"]
    assert notes.order[:2] == ["offline", "online"]


def test_a_patient_engine_that_is_stopped_before_any_came_ends_well(recognizer: Recognizer) -> None:
    camera = PatternCamera(recognizer.input, connections=())
    running = Running(Engine(recognizer, [camera], patient=True))
    wait_until(lambda: camera.opened >= 2)
    running.engine.stop()
    assert running.result().cameras["pattern"].error == "pattern:pattern: nobody there"


def test_even_a_patient_engine_gives_up_what_cannot_be(recognizer: Recognizer) -> None:
    camera = PatternCamera(recognizer.input, connections=((5, ConfigError("$CAMERA_PASSWORD is not set")),))
    with pytest.raises(ConfigError, match="CAMERA_PASSWORD"):
        Engine(recognizer, [camera], patient=True).run()
    assert camera.opened == 1


def test_events_are_ended_before_a_camera_is_told_to_be_away(recognizer: Recognizer) -> None:
    """And at the last tick's time: what is on when a camera goes is not carried over to when it is back."""
    camera = PatternCamera(recognizer.input, fps=100, connections=((40, lost()), (40, lost()), (40, None)))
    notes = Notes()
    Engine(recognizer, [camera], [notes], capacity=100).run()
    open_now, last = 0, 0.0
    for told in notes.told:
        if isinstance(told, Event):
            open_now += 1 if told.kind == "started" else -1
            assert told.end is None or told.end <= last + 1 / 25
        elif isinstance(told, Prediction):
            last = told.time
        elif told.health == "offline":
            assert open_now == 0
    assert sum(event.kind == "started" for event in notes.events) >= 3


def test_a_camera_that_falls_silent_is_noticed_while_its_reader_still_waits(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes on afresh, in a new session, though its connection survived and its times run on."""
    monkeypatch.setattr(health, "STALL_S", 1.0)
    camera = PatternCamera(recognizer.input, fps=50, connections=((40, None),), stuck=20)
    notes = Notes()
    running = Running(Engine(recognizer, [camera], [notes], capacity=100))
    wait_until(lambda: [status.health for status in notes.statuses] == ["online", "stalled"])
    camera.release.set()
    summary = running.result()
    assert [(s.health, s.session) for s in notes.statuses] == [("online", 0), ("stalled", 0), ("online", 1)]
    assert [p.session for p in notes.predictions] == [0] * 20 + [1] * 20
    assert notes.predictions[20].dt == 0.0 and summary.cameras["pattern"].reopened == 0
    fresh = Recognizer.load(recognizer.bundle.folder, device="cpu", threads=1)
    again = PatternCamera(recognizer.input, live=False, connections=((40, None),))
    expected = fresh.step([tick for tick in again][20:])
    assert [p.scores.tobytes() for p in notes.predictions[20:]] == [p.scores.tobytes() for p in expected]


def test_a_camera_whose_ticks_have_to_go_is_told_to_be_degraded(recognizer: Recognizer) -> None:
    camera = PatternCamera(recognizer.input, fps=200, connections=((10**6, None),))
    notes = Notes()
    running = Running(Engine(recognizer, [camera], [notes], capacity=1, on_prediction=lambda *_: time.sleep(0.05)))
    wait_until(lambda: len(notes.statuses) == 2)
    running.engine.stop()
    counts = running.result().cameras["pattern"]
    assert notes.statuses[1].health == "degraded" and "left out in 10 s" in notes.statuses[1].reason
    assert counts.sessions == 1 and counts.dropped >= health.DROPPED


def test_a_schedule_closes_a_camera_and_opens_it_again(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "ASLEEP_S", 0.02)
    awake = False
    camera = PatternCamera(recognizer.input, fps=100, connections=((10**6, None),) * 2)
    notes = Notes()
    running = Running(Engine(recognizer, [camera], [notes], capacity=100, awake={"pattern": lambda: awake}))
    wait_until(lambda: notes.statuses)
    assert camera.opened == 0
    for _ in range(2):
        before, awake = len(notes.predictions), True
        wait_until(partial(lambda enough: len(notes.predictions) >= enough, before + 10))
        awake = False
        wait_until(lambda: notes.statuses[-1].health == "offline")
    running.engine.stop()
    running.result()
    assert camera.opened == 2 and camera.let_go == 2, "the connection is let go of"
    assert [(s.health, s.session, s.reason) for s in notes.statuses] == [
        ("offline", 0, "outside its schedule"),
        ("online", 0, ""),
        ("offline", 0, "outside its schedule"),
        ("online", 1, ""),
        ("offline", 1, "outside its schedule"),
    ]


def test_an_only_source_that_never_opens_is_raised(recognizer: Recognizer) -> None:
    notes = Notes()
    with pytest.raises(SourceOpenError, match="nobody there"):
        Engine(recognizer, [PatternCamera(recognizer.input, connections=())], [notes]).run()
    assert notes.closed == 1
    assert not notes.statuses, "what is raised says it"


def test_every_camera_that_cannot_be_is_told(recognizer: Recognizer) -> None:
    """One of them is raised; the other's reason must not be lost."""
    cameras = [
        PatternCamera(recognizer.input, name, fps=100, connections=((count, ConfigError(f"{name} cannot be")),))
        for name, count in (("a", 1), ("b", 20))
    ]
    notes = Notes()
    with pytest.raises(ConfigError, match="a cannot be"):
        Engine(recognizer, cameras, [notes], capacity=100, patient=True).run()
    told = [(status.camera, status.reason) for status in notes.statuses if status.health == "failed"]
    assert told == [("a", "a cannot be"), ("b", "b cannot be")]


def test_every_source_failing_is_raised(recognizer: Recognizer) -> None:
    cameras = [PatternCamera(recognizer.input, name, connections=()) for name in ("a", "b")]
    with pytest.raises(SourceError, match="pattern:a: nobody there"):
        Engine(recognizer, cameras).run()


def test_a_file_that_cannot_be_read_on_is_raised_after_what_it_gave(recognizer: Recognizer) -> None:
    notes = Notes()
    camera = PatternCamera(recognizer.input, live=False, connections=((30, SourceLost("cut off")),))
    with pytest.raises(SourceLost, match="cut off"):
        Engine(recognizer, [camera], [notes]).run()
    assert len(notes.predictions) == 30
    assert [(status.health, status.reason) for status in notes.statuses] == [("failed", "cut off")]
    assert {event.id for event in notes.events if event.kind == "started"} == {
        event.id for event in notes.events if event.kind == "ended"
    }


def test_a_camera_that_is_away_waits_beside_one_that_is_there(recognizer: Recognizer, walk_clip: Path) -> None:
    away = PatternCamera(recognizer.input, "away", connections=())
    notes = Notes()
    summary = Engine(recognizer, [away, open_clip(walk_clip, recognizer)], [notes], duration=1.0).run()
    assert summary.cameras["walk"].frames > 0 and away.opened > 1
    assert summary.cameras["away"].error == "pattern:away: nobody there"


def test_duration_is_media_time_for_files(recognizer: Recognizer, walk_clip: Path) -> None:
    notes = Notes()
    Engine(recognizer, [open_clip(walk_clip, recognizer)], [notes], duration=1.0).run()
    assert [p.index for p in notes.predictions] == list(range(25))


def test_duration_is_wall_time_for_live_cameras(recognizer: Recognizer) -> None:
    camera = PatternCamera(recognizer.input, fps=50, connections=((10**6, None),))
    summary = Engine(recognizer, [camera], duration=0.5).run()
    assert summary.wall_s >= 0.5 and 0 < summary.predictions < 10**5


def test_realtime_follows_the_files_clock(recognizer: Recognizer, walk_clip: Path) -> None:
    notes = Notes()
    summary = Engine(recognizer, [open_clip(walk_clip, recognizer)], [notes], realtime=True).run()
    assert summary.wall_s >= (FRAMES - 1) / 25
    assert len(notes.predictions) == FRAMES
    assert summary.latency_ms[0] < 1000  # counted from when its time had come, not from when it was read


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("taker", ["on_frame", "sink"])
def test_what_takers_of_frames_raise_ends_the_run(recognizer: Recognizer, live: bool, taker: str) -> None:
    """It is no failure of the camera: that is not opened again, and the other one does not hide it."""

    class FailingSink(Notes):
        dropped = 0

        def attach(self, camera: str, live: bool) -> None:
            """Takes every camera."""

        def frame(self, frame: Frame, tick: int) -> None:
            fail(frame)

    def fail(frame: Frame) -> None:
        if frame.camera == "pattern" and frame.index == 5:
            raise SinkError("disk full")

    camera = PatternCamera(recognizer.input, live=live, fps=100, connections=((50, None),) * 3)
    other = PatternCamera(recognizer.input, "other", live=live, fps=100, connections=((10**6, None),))
    options = {"on_frame": fail} if taker == "on_frame" else {"sinks": [FailingSink()]}
    with pytest.raises(SinkError, match="disk full"):
        Engine(recognizer, [camera, other], **options).run()
    assert camera.opened == 1


def test_a_tick_that_came_too_late_is_not_counted(recognizer: Recognizer) -> None:
    ring: FrameRing[News] = FrameRing(2, wait=True)
    reader = Reader(PatternCamera(recognizer.input, live=False), {"pattern": recognizer.input}, ring)
    reader.start()
    wait_until(lambda: reader.summary(0).frames == 3)  # its tick finds no room
    reader.close()
    reader.join()
    assert (reader.summary(0).frames, reader.summary(0).ticks, len(ring)) == (3, 2, 2)


def test_damaged_packets_are_told(recognizer: Recognizer, walk_clip: Path, tmp_path: Path) -> None:
    clip = tmp_path / "damaged.mp4"
    data = bytearray(walk_clip.read_bytes())
    with av.open(walk_clip) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][20]
    assert packet.pos is not None
    data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    clip.write_bytes(data)
    assert Engine(recognizer, [open_clip(clip, recognizer)]).run().cameras["walk"].corrupt == 1


def test_frames_and_progress_are_told(recognizer: Recognizer, walk_clip: Path) -> None:
    frames, progress = [], []
    engine = Engine(
        recognizer,
        [open_clip(walk_clip, recognizer)],
        on_frame=lambda frame: frames.append(frame.index),
        progress=lambda camera, media_s: progress.append((camera, media_s)),
    )
    engine.run()
    assert frames == list(range(FRAMES))
    assert {camera for camera, _ in progress} == {"walk"}
    assert progress == sorted(progress) and progress[-1][1] == pytest.approx((FRAMES - 1) / 25)


def test_a_frame_costs_no_memory_of_its_size(h264_clip: Path, tiny_bundle: Path) -> None:
    """After the start a frame is seen where the decoder left it, and a tick takes less than one of its planes."""
    seen = Bundle.load(tiny_bundle, check=False).input
    source, sampler = open_source(str(h264_clip), seen), Sampler(seen)
    frames = source.frames()
    plane = 320 * 240
    kinds = {True: 0, False: 0}
    tracemalloc.start()
    try:
        for frame in islice(frames, 10):
            sampler.offer(frame)
        for _ in range(60):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            frame = next(frames)
            tick = sampler.offer(frame)
            spent = tracemalloc.get_traced_memory()[1] - before
            kinds[tick is not None] += 1
            assert spent < (plane / 2 if tick else plane / 16)
    finally:
        tracemalloc.stop()
        source.close()
        assert len(list(frames)) <= 5, "it lets go of the file"
    assert min(kinds.values()) >= 10
