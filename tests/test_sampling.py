"""Which frames are ticks: the rule, gaps, sessions, native rate, late and early frames."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import av
import numpy as np
import pytest

from stream.contracts import Frame, Input, Picture, Tick
from stream.sampling import TOLERANCE, Sampler, ticks
from stream.sources import FileSource
from tests.media import encode, encode_h264
from tests.odd_files import CLOCK, retimed, small

PICTURE = Picture((np.full((6, 8), 90, np.uint8), *[np.full((3, 4), 128, np.uint8)] * 2), "yuv420")


def frame(time: float, session: int = 0, index: int = 0) -> Frame:
    return Frame("door", index, session, time, 100.0 + time, PICTURE)


def sampled(times: list[float], rate: float | None = 10.0, max_gap: float = 2.0) -> list[Tick]:
    frames = [frame(time, index=index) for index, time in enumerate(times)]
    return list(ticks(frames, Input(6, 8, rate=rate, max_gap=max_gap)))


def by_the_rule(times: list[float], rate: float) -> list[float]:
    """The rule read aloud: tick k fires on the first frame at or after t0 + k / rate - 2 ms, no frame twice."""
    fired, k = [], 0
    for time in times:
        due = 0
        while times[0] + k / rate - TOLERANCE <= time + 1e-9:
            k, due = k + 1, due + 1
        fired += [time] if due else []
    return fired


@pytest.mark.parametrize("rate", [1.0, 5.0, 8.0, 10.0, 12.5, 29.97, 100.0])
@pytest.mark.parametrize("fps", [7.0, 10.0, 25.0, 30000 / 1001, 60.0])
@pytest.mark.parametrize("start", [0.0, 12.34, 95443.717])
def test_ticks_are_those_of_the_rule(rate: float, fps: float, start: float) -> None:
    times = [start + index / fps for index in range(200)]
    assert [tick.time for tick in sampled(times, rate)] == by_the_rule(times, rate)


def test_random_times_follow_the_rule() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        times = np.cumsum(rng.choice([0.001, 0.033, 0.04, 0.1, 0.35], 100)).tolist()
        assert [tick.time for tick in sampled(times)] == by_the_rule(times, 10.0)


def test_a_frame_may_be_two_milliseconds_early_but_not_three() -> None:
    assert [tick.time for tick in sampled([0.0, 0.098])] == [0.0, 0.098]
    assert [tick.time for tick in sampled([0.0, 0.097])] == [0.0]


def test_early_frames_do_not_shift_the_ticks_after_them() -> None:
    times = [index * 0.1 - 0.001 * (index > 0) for index in range(300)]
    assert len(sampled(times)) == 300


def test_a_frame_that_passes_several_ticks_is_stepped_once() -> None:
    result = sampled([0.0, 0.1, 0.55, 0.6])
    assert [tick.time for tick in result] == [0.0, 0.1, 0.55, 0.6]
    assert [tick.dt for tick in result] == pytest.approx([0.0, 0.1, 0.45, 0.05])


def test_native_takes_every_frame() -> None:
    times = [0.0, 0.01, 0.5, 0.51]
    result = sampled(times, rate=None)
    assert [tick.time for tick in result] == times
    assert [tick.index for tick in result] == [0, 1, 2, 3]
    assert [tick.dt for tick in result] == pytest.approx([0.0, 0.01, 0.49, 0.01])


def test_a_gap_starts_a_session_of_its_own_time() -> None:
    result = sampled([0.0, 0.1, 2.1, 4.15, 4.2, 4.25])
    assert [(tick.session, tick.time) for tick in result] == [(0, 0.0), (0, 0.1), (0, 2.1), (1, 4.15), (1, 4.25)]
    assert [tick.dt for tick in result] == pytest.approx([0.0, 0.1, 2.0, 0.0, 0.1])


def test_the_gap_is_between_frames_and_not_between_ticks() -> None:
    assert {tick.session for tick in sampled([0.5 * index for index in range(20)], rate=0.2)} == {0}


def test_time_that_runs_backwards_starts_a_session() -> None:
    result = sampled([5.0, 5.1, 3.0, 3.1])
    assert [tick.session for tick in result] == [0, 0, 1, 1]
    assert [tick.dt for tick in result] == pytest.approx([0.0, 0.1, 0.0, 0.1])


def test_equal_times_fire_once() -> None:
    assert [tick.index for tick in sampled([0.0, 0.0, 0.1, 0.1])] == [0, 2]


def test_sessions_of_the_source_and_of_gaps_add_up() -> None:
    sampler = Sampler(Input(6, 8))
    offered = [
        frame(0.0),
        frame(3.0),
        frame(0.0, session=1),
        frame(0.1, session=1),
        frame(9.0, session=1),
        frame(9.0, 4),
    ]
    result = [sampler.offer(each) for each in offered]
    assert [tick.session for tick in result if tick] == [0, 1, 2, 2, 3, 6]


def test_a_tick_carries_its_frame_and_the_models_picture() -> None:
    tick = Sampler(Input(12, 16)).offer(frame(7.0, session=3, index=41))
    assert tick is not None
    assert (tick.camera, tick.index, tick.session, tick.time, tick.arrived, tick.dt) == ("door", 41, 3, 7.0, 107.0, 0.0)
    assert tick.image.shape == (12, 16, 3) and (tick.image > 0).all()


# real streams, whatever rate they declare


@pytest.mark.parametrize("fps", [7.0, 24000 / 1001, 60.0])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_streams_of_any_rate_are_sampled_by_the_rule(tmp_path: Path, fps: float, suffix: str) -> None:
    path = encode_h264(small(round(2 * fps)), tmp_path / f"clip.{suffix}", fps=fps)
    assert_ruled(path, sessions=1)


def test_a_stream_of_uneven_times_is_sampled_by_the_rule(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(4).choice([0.004, 0.03, 0.1, 0.45], 60)).tolist()
    assert_ruled(encode(small(60), tmp_path / "clip.mkv", times=times), sessions=1)


@pytest.mark.parametrize("declared", [5.0, 120.0])
def test_a_declared_rate_has_no_part_in_it(tmp_path: Path, declared: float) -> None:
    times = [number / 25 for number in range(50)]
    path = encode(small(50), tmp_path / "clip.mkv", fps=declared, times=times)
    with av.open(path) as container:
        assert container.streams.video[0].average_rate == declared
    assert [tick.time for tick in assert_ruled(path, sessions=1)] == pytest.approx(by_the_rule(times, 10.0), abs=0.001)


@pytest.mark.parametrize(
    ("change", "sessions"),
    [
        (lambda number, time: time + (number >= 25) * CLOCK, 1),
        (lambda number, time: time + (number >= 25) * 3 * CLOCK, 2),
        (lambda number, time: time + (number < 25) * 3 * CLOCK, 2),
        (lambda number, time: time + (10 <= number < 20) * 100 * CLOCK, 3),
        (lambda number, time: time // 18_000 * 18_000, 1),
        (lambda number, time: None if number % 5 else time, 1),
    ],
    ids=["jump", "gap", "back", "there-and-back", "repeated", "missing"],
)
def test_times_that_lie_cost_a_session_at_most(
    tmp_path: Path, change: Callable[[int, int], int | None], sessions: int
) -> None:
    result = assert_ruled(retimed(tmp_path / "clip.ts", change, 50), sessions)
    assert all(tick.dt >= 0 for tick in result)


def assert_ruled(path: Path, sessions: int) -> list[Tick]:
    """The ticks of a file at 10 a second; each session's are checked to be those of the rule, its first with `dt` 0."""
    input = Input(6, 8)
    frames = list(FileSource(path, input).frames())
    result = list(ticks(frames, input))
    groups = [list(group) for _, group in groupby(result, key=lambda tick: tick.session)]
    assert len(groups) == sessions
    begins = [group[0].index for group in groups] + [len(frames)]
    for group, first, end in zip(groups, begins, begins[1:], strict=False):
        assert [tick.time for tick in group] == by_the_rule([frame.time for frame in frames[first:end]], 10.0)
        assert [tick.dt for tick in group] == [0.0, *np.diff([tick.time for tick in group])]
    return result
