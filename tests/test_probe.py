"""A camera's clock out of noisy arrivals, and real streams over loopback looked at side by side."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.bench.probe import drift_of, probe
from stream.bench.rtsp_server import RtspServer
from stream.contracts import Input
from stream.sources import open_source

INPUT = Input(48, 64)


def arrivals(times: NDArray[np.float64], gain_ms: float, *, jitter_s: float, seed: int = 0) -> NDArray[np.float64]:
    """When pictures of a clock that gains `gain_ms` a minute come over a network that delays each by its own time."""
    delays = np.random.default_rng(seed).exponential(jitter_s, len(times))
    return 1000 + times / (1 + gain_ms / 60_000) + delays


@pytest.mark.parametrize("gain_ms", [-300.0, -40.0, 0.0, 12.0, 900.0])
def test_the_gain_of_a_clock_is_found_within_its_error(gain_ms: float) -> None:
    """Twice the standard error holds 95 times of 100; 18 of 20 seeds leave room for luck."""
    times = np.arange(0, 30, 0.04)
    found = [drift_of(times, arrivals(times, gain_ms, jitter_s=0.01, seed=seed)) for seed in range(20)]
    hits = [drift is not None and abs(drift.gain_ms - gain_ms) <= drift.error_ms + 0.1 for drift in found]
    assert sum(hits) >= 16, found
    assert all(drift is not None and drift.error_ms < 20 for drift in found)


def test_a_longer_look_knows_better() -> None:
    errors = []
    for seconds in (10, 40, 160):
        times = np.arange(0, seconds, 0.04)
        drift = drift_of(times, arrivals(times, 5, jitter_s=0.01))
        assert drift is not None
        errors.append(drift.error_ms)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1


@pytest.mark.parametrize("speed", [20.0, math.inf])
def test_what_is_read_as_fast_as_it_goes_has_no_clock(speed: float) -> None:
    times = np.arange(0, 30, 0.04)
    assert drift_of(times, 1000 + times / speed) is None


def test_delayed_pictures_are_no_drift() -> None:
    """Large pictures, keyframes above all, take longer on the way; every tenth is half a second late."""
    times = np.arange(0, 30, 0.04)
    late = arrivals(times, 0, jitter_s=0.002)
    late[::10] += 0.5
    drift = drift_of(times, late)
    assert drift is not None
    assert abs(drift.gain_ms) <= max(2 * drift.error_ms, 1)


@pytest.mark.parametrize(("seconds", "jitter_s"), [(0.0, 0.001), (5.0, 0.001), (7.0, 2.0)])
def test_too_short_a_look_tells_nothing(seconds: float, jitter_s: float) -> None:
    times = np.arange(0, seconds + 0.04, 0.04)
    assert drift_of(times, arrivals(times, 5, jitter_s=jitter_s)) is None


def test_a_live_stream_is_measured_by_its_own_times(h264_clip: Path, no_thread_left_behind: None) -> None:
    with RtspServer({"/door": h264_clip}, loop=True) as server:
        (door,) = probe([open_source(server.url("/door"), INPUT, camera="door")], 2.0)
    assert (door.error, door.camera, door.live, door.codec, door.size) == (None, "door", True, "h264", (240, 320))
    assert door.fps == pytest.approx(25, abs=0.1)
    assert door.keyframe_s == pytest.approx(12 / 25, abs=0.01)
    assert 2.0 <= door.seconds < 2.5
    assert door.drift is None
    assert door.corrupt == 0


def test_a_file_has_no_clock_and_ends_when_there_is_enough(h264_clip: Path, no_thread_left_behind: None) -> None:
    (whole, part) = probe([open_source(h264_clip, INPUT, camera=name) for name in ("whole", "part")], 60.0)
    assert whole == replace(part, camera="whole")
    assert (whole.live, whole.frames, whole.drift) == (False, 75, None)
    assert whole.fps == pytest.approx(25)


def test_what_fails_is_told_and_costs_the_others_nothing(h264_clip: Path, no_thread_left_behind: None) -> None:
    with RtspServer({"/door": h264_clip}, loop=True, user="me", password="s3cret") as server:
        sources = [
            open_source(server.url("/door", user="me", password="wr0ng"), INPUT, camera="refused"),
            open_source(server.url("/nope", user="me", password="s3cret"), INPUT, camera="no path"),
            open_source(server.url("/door", user="me", password="s3cret"), INPUT, camera="door"),
        ]
        refused, nowhere, door = probe(sources, 1.0)
    assert door.error is None and door.frames >= 25
    assert refused.error is not None and "password" in refused.error
    assert nowhere.error is not None and "path" in nowhere.error
    assert not {"s3cret", "wr0ng"} & set((refused.error + nowhere.error).replace("@", " ").replace(":", " ").split())


def test_progress_is_told(h264_clip: Path) -> None:
    told: list[float] = []
    with RtspServer({"/door": h264_clip}, loop=True) as server:
        probe([open_source(server.url("/door"), INPUT)], 1.0, told.append)
    assert told[0] < 1 and told == sorted(told) and len(told) > 3
