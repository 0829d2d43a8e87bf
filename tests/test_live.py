"""What a person is told of a run once it is over."""

from __future__ import annotations

from dataclasses import replace

from stream.commands.live import told
from stream.summary import CameraSummary, Summary

CAMERA = CameraSummary(
    frames=50,
    ticks=20,
    dropped=0,
    stale=0,
    thinned=0,
    faults=0,
    corrupt=0,
    skipped=0,
    sessions=1,
    reopened=0,
    media_s=2.0,
    error=None,
)
GOOD = Summary(
    {"door": CAMERA}, 20, 3, undelivered=0, unsaved=0, latency_ms=(4, 8, 9.04), overloaded_s=0, paced=True, wall_s=2.5
)


def test_a_run_that_went_well_is_told_in_four_rows() -> None:
    assert told(GOOD) == {
        "frames": "50 decoded, 20 of them ticks, 0 dropped",
        "events": "3",
        "latency": "p50 4.0 ms, p95 8.0 ms, at most 9.0 ms",
        "time": "2.5 s for 2.0 s of video",
    }


def test_whatever_was_lost_is_told_in_a_row_of_its_own() -> None:
    bad = replace(CAMERA, faults=2, corrupt=3, reopened=4, error="hung up")
    never = replace(CAMERA, frames=0, error="nothing listens")
    summary = replace(
        GOOD, cameras={"door": bad, "yard": bad, "hall": never}, undelivered=5, unsaved=6, overloaded_s=1.5
    )
    rows = {name: words for name, words in told(summary).items() if name not in told(GOOD)}
    assert rows == {
        "damaged": "6 packets, passed over",
        "faults": "4 ticks without usable numbers, taken for none",
        "overload": "for 1.5 s the cameras were more than this machine keeps up with",
        "undelivered": "5 results, an output fell behind",
        "unsaved": "6 frames, the video fell behind",
        "reopened": "8 times",
        "not reached": "nothing listens",
        "ended early": "hung up; hung up",
    }


def test_latency_of_a_file_that_is_not_paced_says_what_it_includes() -> None:
    latency = told(replace(GOOD, paced=False))["latency"]
    assert latency == "p50 4.0 ms, p95 8.0 ms, at most 9.0 ms (as fast as it goes: waiting in the queue included)"
