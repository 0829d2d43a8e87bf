"""Readers in a running engine: cameras that fail or come late, durations and clocks. Law 6 is tested here."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from stream.contracts import Frame, Tick
from stream.engine import Engine
from stream.errors import SinkError, SourceError, SourceLost, SourceOpenError
from stream.readers import Reader
from stream.recognizer import Recognizer
from stream.ring import FrameRing
from tests.cameras import PatternCamera, lost
from tests.running import FRAMES, Notes, open_clip, wait_until

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
    assert summary.cameras["broken"].error == "a bug" and summary.cameras["walk"].error is None


@pytest.mark.parametrize("fault", [lost(), ValueError("Invalid data found")])
def test_a_live_camera_that_is_lost_is_opened_again(
    recognizer: Recognizer, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    connections = ((20, fault), (0, None), (20, fault), (20, None))
    camera = PatternCamera(recognizer.input, fps=200, connections=connections)
    notes = Notes()
    summary = Engine(recognizer, [camera], [notes], capacity=100).run()
    counts = summary.cameras["pattern"]
    assert (counts.frames, counts.sessions, counts.reopened, counts.error) == (60, 3, 2, None)
    assert counts.media_s == pytest.approx(3 * 19 / 25)
    assert [p.session for p in notes.predictions] == [0] * 20 + [1] * 20 + [2] * 20
    assert [p.dt for p in notes.predictions if p.index % 20 == 0] == [0, 0, 0]  # each a fresh start
    messages = [record.message for record in caplog.records if record.name == "stream"]
    assert messages == [f"pattern is away, will be opened again: {fault}", "pattern is back"] * 2


def test_an_only_source_that_never_opens_is_raised(recognizer: Recognizer) -> None:
    notes = Notes()
    with pytest.raises(SourceOpenError, match="nobody there"):
        Engine(recognizer, [PatternCamera(recognizer.input, connections=())], [notes]).run()
    assert notes.closed == 1


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
    ring: FrameRing[Tick] = FrameRing(2, wait=True)
    reader = Reader(PatternCamera(recognizer.input, live=False), recognizer.input, ring)
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
