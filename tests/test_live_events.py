"""What the events of live cameras say beside those of files: when, in which session, and in which run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from stream.engine import Engine
from stream.recognizer import Recognizer
from stream.sinks.jsonl import event_record, status_record
from tests.cameras import PatternCamera
from tests.media import moving_pictures
from tests.running import Notes, open_clip


def watched(recognizer: Recognizer, *, live: bool) -> Notes:
    """What a run tells of a walking square, whose camera is lost once."""
    connections = ((75, ConnectionResetError("hung up")), (75, None)) if live else ((75, None),)
    notes = Notes()
    camera = PatternCamera(recognizer.input, live=live, fps=100, pictures=moving_pictures(75), connections=connections)
    Engine(recognizer, [camera], [notes]).run()
    return notes


def test_of_a_live_camera_they_say_when_and_in_which_session(recognizer: Recognizer) -> None:
    before = datetime.now(UTC)
    notes = watched(recognizer, live=True)
    told = [event_record(event) for event in notes.events] + [status_record(status) for status in notes.statuses]
    assert {event.session for event in notes.events} == {0, 1}
    assert {status.health for status in notes.statuses} == {"online", "offline"}
    for record in told:
        at = datetime.fromisoformat(str(record["at"]))
        assert before - timedelta(milliseconds=1) <= at <= datetime.now(UTC)


def test_no_two_runs_of_a_live_camera_give_one_id(recognizer: Recognizer) -> None:
    first, second = ({event.id for event in watched(recognizer, live=True).events} for _ in range(2))
    assert first and second and not first & second
    notes = watched(recognizer, live=True)
    for kind in ("started", "ended"):  # an end has the id of its start
        assert {event.id for event in notes.events if event.kind == kind} == {event.id for event in notes.events}


def test_a_file_says_the_same_each_time(recognizer: Recognizer, walk_clip: Path) -> None:
    told = []
    for _ in range(2):
        notes = Notes()
        Engine(recognizer, [open_clip(walk_clip, recognizer)], [notes]).run()
        told.append([event_record(event) for event in notes.events])
    assert told[0] == told[1] and told[0]
    assert not {"at", "session"} & told[0][0].keys()
