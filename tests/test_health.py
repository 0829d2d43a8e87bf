"""How a camera is, by the rules alone: no camera, no thread, and a clock that stands where the test puts it."""

from __future__ import annotations

from typing import Any

import pytest

from stream.contracts import Status
from stream.errors import ConfigError, SourceLost, SourceOpenError, SourceRefused, SourceStalled
from stream.health import DAMAGED, DROPPED, WINDOW_S, CameraHealth, reason_of

URL = "rtsp://10.0.0.7/live"
LOST, STALLED = SourceLost("the camera ended the stream"), SourceStalled("nothing came for 3 s")
CLOSED, REFUSED = SourceOpenError(f"{URL}: nothing listens at that address"), SourceRefused("wrong user or password")


def watched(interval: float = 0.04, until: float = 12.0) -> CameraHealth:
    """A camera that was first heard of at 0 and gave frames from 10 until `until`."""
    health, at = CameraHealth("door", URL, 0.0), 10.0
    while at < until:
        health.frame(0, at)
        at += interval
    health.frame(0, until)
    return health


def told(status: Status | None) -> Any:
    return None if status is None else (status.health, status.away)


def test_online_is_told_at_the_first_frame_and_never_again() -> None:
    health = CameraHealth("door", URL, 0.0)
    assert health.look(9.0, 0, 0) is None, "not heard of yet: its opening may take its time"
    assert health.frame(0, 10.0) == Status("door", 0, "online", "", 0.0)
    assert [health.frame(0, 10.0 + k / 25) for k in range(50)] == [None] * 50


def test_a_camera_that_was_away_from_the_start_says_for_how_long() -> None:
    health = CameraHealth("door", URL, 0.0)
    assert health.lost(CLOSED, 0.5) == Status("door", 0, "offline", "nothing listens at that address", 0.5)
    assert health.lost(CLOSED, 5.0) is None
    assert told(health.frame(0, 7.0)) == ("online", 7.0)


@pytest.mark.parametrize(("interval", "limit"), [(0.04, 3.0), (0.5, 3.0), (1.0, 5.0), (2.0, 10.0)])
def test_a_stall_is_3_s_or_5_of_the_cameras_own_intervals(interval: float, limit: float) -> None:
    health = watched(interval, until=10 + 20 * interval)
    last = 10 + 20 * interval
    assert health.look(last + limit - 0.01, 0, 0) is None
    assert told(health.look(last + limit + 0.01, 0, 0)) == ("stalled", pytest.approx(limit + 0.01))
    assert health.look(last + limit + 1, 0, 0) is None
    assert health.is_away


def test_a_camera_whose_pictures_are_left_out_up_to_a_keyframe_is_not_said_to_be_silent_alone() -> None:
    health = watched()
    health.look(12.1, 0, 0)
    status = health.look(15.1, 0, 75)
    assert status is not None and status.reason == (
        "no frame for 3 s; 75 ticks or pictures left out in 10 s; this machine does not keep up with its cameras"
    )


def test_what_becomes_of_a_stalled_camera() -> None:
    assert told(watched().lost(STALLED, 15.0)) == ("stalled", 3.0)
    health = watched()
    assert told(health.look(15.5, 0, 0)) == ("stalled", 3.5)
    assert health.lost(STALLED, 16.0) is None, "known"
    assert told(health.lost(CLOSED, 17.0)) == ("offline", 5.0)
    assert health.frame(1, 18.0) == Status("door", 1, "online", "", 6.0)
    assert health.look(20.9, 0, 0) is None and told(health.look(21.1, 0, 0)) == ("stalled", pytest.approx(3.1))


def test_a_camera_slower_than_a_stall_is_long_is_learnt_once() -> None:
    """A picture every 5 s: the first pause looks like a stall, none after it, not even on another connection."""
    health, news = CameraHealth("door", URL, 0.0), []
    for at in range(10, 40):
        status = health.frame(0, at) if at % 5 == 0 else health.look(at, 0, 0)
        news += [status.health] if status else []
    assert news == ["online", "stalled", "online"]
    health.lost(LOST, 40.0)
    assert [told(health.frame(1, 42.0)), health.look(46.9, 0, 0), health.frame(1, 47.0)] == [
        ("online", 7.0),
        None,
        None,
    ]


def test_a_refused_login_is_told_once_and_also_to_whoever_waits() -> None:
    health = watched()
    assert told(health.lost(LOST, 12.1)) == ("offline", pytest.approx(0.1))
    assert [health.lost(CLOSED, 12.5), health.lost(CLOSED, 13.0)] == [None, None]
    status = health.lost(REFUSED, 14.0)
    assert status is not None and status.reason == "wrong user or password"
    assert [health.lost(REFUSED, 20.0), health.lost(REFUSED, 40.0)] == [None, None]


def test_a_schedule_is_told_once() -> None:
    health = watched()
    assert health.asleep(13.0) == Status("door", 0, "offline", "outside its schedule", 1.0)
    assert health.asleep(14.0) is None
    assert told(health.frame(1, 100.0)) == ("online", 88.0)


@pytest.mark.parametrize("what", ["damaged", "dropped", "by_arrival"])
def test_a_camera_that_is_not_well_and_is_well_again(what: str) -> None:
    health, at = watched(until=12.0), 12.0
    few, many = {"damaged": (DAMAGED - 1, DAMAGED), "dropped": (DROPPED - 1, DROPPED), "by_arrival": (0, 1)}[what]

    def look(count: int) -> Any:
        health.frame(0, at)
        counts: dict[str, Any] = {"damaged": 0, "dropped": 0, what: count}
        return told(health.look(at, **counts))

    assert look(few) is None
    assert look(many) == ("degraded", 0.0)
    assert look(many) is None and not health.is_away
    rest = 0 if what == "by_arrival" else many  # counts never fall: what is said of one window is not said of the next
    at += WINDOW_S
    assert look(rest) == (None if rest else ("online", 0.0))
    at += WINDOW_S
    assert look(rest) == (("online", 0.0) if rest else None)


def test_damage_of_the_time_away_is_not_held_against_a_camera_that_is_back() -> None:
    health = watched()
    health.lost(LOST, 12.1)
    assert health.look(13.0, 100, 100) is None
    health.frame(1, 14.0)
    assert health.look(14.1, 100, 100) is None


def test_failed_is_the_end() -> None:
    health = CameraHealth("door", URL, 0.0)
    health.session = 3
    assert health.failed(ConfigError("no such variable")) == Status("door", 3, "failed", "no such variable", 0.0)


def test_reasons_are_a_line_without_logins() -> None:
    error = ValueError("cannot open rtsp://admin:hunter2@10.0.0.7/live\nat all")
    assert reason_of(error) == "unexpected ValueError: cannot open rtsp://10.0.0.7/live at all"
    assert reason_of(LOST) == "the camera ended the stream"
