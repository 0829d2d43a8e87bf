"""A live stream that is decoded too slowly: what is left out, and when; on made-up times and on a real camera."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from stream.bench.rtsp_server import RtspServer
from stream.contracts import Input
from stream.sources import RtspSource, catchup
from stream.sources.catchup import JUMP_S, LASTING_S, LATE_S, NO_KEY_S, CatchUp, Waits
from stream.sources.lanes import PATIENCE_S, Lane, Lanes
from tests.media import encode_h264, moving_pictures

FPS, GOP = 25, 25


def fed(steps: Iterator[tuple[float, float]], *, keys: bool = True) -> list[bool]:
    """What is left out of packets that come at (their time, our clock), a keyframe every second."""
    catch_up = CatchUp()
    told = [catch_up.leaves_out(at, now, keys and n % GOP == 0) for n, (at, now) in enumerate(steps)]
    assert catch_up.skipped == sum(told)
    return told


def steady(seconds: float, pace: float = 1.0) -> Iterator[tuple[float, float]]:
    """Packets that take `pace` times as long to come as they last."""
    return ((n / FPS, 100 + pace * n / FPS) for n in range(round(seconds * FPS)))


def test_nothing_is_left_out_of_a_camera_that_is_kept_up_with() -> None:
    assert not any(fed(steady(60)))
    assert not any(fed(steady(3600, pace=1 + 0.0005))), "a clock that runs apart is no delay"


def test_what_piled_up_in_a_silence_is_decoded() -> None:
    def silence() -> Iterator[tuple[float, float]]:
        for n in range(500):  # nothing comes for 4 s; then it all comes, and takes a second to decode
            at = n / FPS
            yield at, max(at, 8 + (at - 4) / 4) if 4 < at < 9.4 else at

    assert not any(fed(silence()))


def test_a_clock_that_is_set_is_no_delay() -> None:
    assert not any(fed((n / FPS - (n > 100) * (JUMP_S + 1), n / FPS) for n in range(500)))


def test_what_piled_up_while_this_process_stood_still_is_left_out() -> None:
    """For 20 s it did not run; it could decode what waits within half a second."""
    out = fed((n / FPS, max(n / FPS, 24 + n / 1000) if n > 100 else n / FPS) for n in range(40 * FPS))
    first, live = out.index(True), 25 * FPS
    assert first == 101 and all(out[first : 24 * FPS]) and not any(out[live:])


def test_where_each_picture_stands_for_itself_only_the_late_ones_are_left_out() -> None:
    """A webcam's reader takes 20 of 30 a second; the driver keeps the oldest 32, and drops what comes then."""
    catch_up, now, taken, waiting, sent = CatchUp(0.2, 0.0, 0.2, pace=64), 0.0, [], deque[float](), 0
    while now < 30:
        while sent / 30 <= now:
            if len(waiting) < 32:
                waiting.append(sent / 30)
            sent += 1
        if not waiting:
            now = sent / 30
            continue
        at = waiting.popleft()
        if catch_up.leaves_out(at, now, True):
            now += 0.001
        else:
            taken.append((at, now))
            now += 0.05
    assert max(now - at for at, now in taken) < 0.3
    gaps = [after - before for (before, _), (after, _) in pairwise(taken)]
    assert max(gaps) < 0.15, "evenly"


def test_a_webcam_whose_clock_was_set_back_goes_on_after_a_while() -> None:
    steps = ((n / 30 - (n > 100) * 3, n / 30) for n in range(500))
    catch_up = CatchUp(0.2, 0.0, 0.2, pace=64)
    out = [catch_up.leaves_out(at, now, True) for at, now in steps]
    assert sum(out) == pytest.approx(64, abs=2) and not any(out[200:])


def test_a_lasting_delay_is_caught_up_with_at_a_keyframe() -> None:
    """Decoding takes twice the time; what is left out takes a hundredth, until nothing waits any more."""
    catch_up, now, out, lateness = CatchUp(), 0.0, [], []
    for n in range(60 * FPS):
        now = max(now, n / FPS)  # not before it is sent
        left = catch_up.leaves_out(n / FPS, now, n % GOP == 0)
        lateness.append(now - n / FPS)
        out.append(left)
        now += (0.01 if left else 2.0) / FPS
    first = out.index(True)
    assert lateness[first] == pytest.approx(LATE_S + LASTING_S / 2, abs=0.2)
    assert max(lateness) < LATE_S + LASTING_S
    starts = [n for n in range(1, len(out)) if out[n - 1] and not out[n]]
    assert len(starts) > 3 and all(n % GOP == 0 and lateness[n] < 0.01 for n in starts)
    assert 0.2 < sum(out) / len(out) < 0.7


def test_a_stream_without_keyframes_goes_on_after_a_while() -> None:
    out = fed(((n / FPS, n / FPS * (2 if n < 150 else 1) + (6 if n >= 150 else 0)) for n in range(2000)), keys=False)
    assert any(out) and not any(out[-100:])
    assert sum(out) <= (NO_KEY_S + 1) * FPS


def test_packets_without_times_are_decoded() -> None:
    catch_up = CatchUp()
    assert not any(catch_up.leaves_out(None, n / 10, False) for n in range(100))


def test_without_times_a_packet_that_was_not_waited_for_is_late() -> None:
    """Of 25 a second a reader takes 10; one in five comes 6 ms after it is asked for though it was there."""
    waits, now, taken = Waits(), 0.0, []
    for n in range(60 * FPS):
        asked, now = now, max(now + 0.006 * (n % 5 == 0), n / FPS)
        if waits.leaves_out(asked, now):
            now += 0.001
        else:
            taken.append(now - n / FPS)
            now += 0.1
    assert max(taken) < 1.0, "without leaving out it is 90 s"
    assert len(taken) > 200


def test_without_times_one_that_sends_faster_than_a_camera_is_let_go() -> None:
    waits = Waits()
    out = [waits.leaves_out(n / 100, n / 100) for n in range(2000)]
    assert not any(out[:30]) and all(out[31:500]) and not any(out[600:])


def test_a_real_camera_is_followed_by_a_slow_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 25 frames a second it takes 12; what it shows at the end was sent less than a second and a half before."""
    monkeypatch.setattr(catchup, "LATE_S", 0.3)
    monkeypatch.setattr(catchup, "LASTING_S", 0.3)
    clip = encode_h264(moving_pictures(200, 64, 48), tmp_path / "clip.mp4", fps=FPS, gop=10)
    with RtspServer({"/camera": clip}) as server:
        source = RtspSource(server.url("/camera"), Input(32, 32))
        began, late, indices = 0.0, 0.0, []
        for frame in source.frames():
            began = began or time.monotonic() - frame.time
            late = time.monotonic() - began - frame.time
            indices.append(frame.index)
            if frame.time > 5:
                source.close()
            time.sleep(0.08)
    assert late < 1.5, "without leaving out it is 2.5 s and more"
    assert source.skipped > 20 and source.corrupt == 0
    assert indices == list(range(len(indices)))
    assert sum("fell behind" in record.message for record in caplog.records) == 1


def test_a_lane_lets_one_in_but_nobody_waits_for_ever() -> None:
    lanes = Lanes(2)
    first, second, again = lanes.next(), lanes.next(), lanes.next()
    assert again is first is not second
    assert first.enter() and second.enter()
    began = time.monotonic()
    entered = again.enter()
    assert not entered and time.monotonic() - began == pytest.approx(PATIENCE_S, abs=0.2)
    again.leave(entered)
    first.leave(True)
    assert first.enter()
    assert isinstance(first, Lane)
