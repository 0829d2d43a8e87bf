"""The rule by which live cameras are slowed down: on counts, on simulated loads, and in a running engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stream import overload as rule
from stream.contracts import Prediction
from stream.engine import Engine
from stream.overload import BEHIND, HEADROOM, HOLD_S, WINDOW_S, Overload, Thinner, even
from stream.ring import FrameRing
from tests.cameras import PatternCamera
from tests.running import Notes, Running, wait_until
from tests.slow import SlowFeatures, slow


@pytest.mark.parametrize(
    ("rates", "capacity", "ceiling"),
    [
        ([5, 5, 5, 5], 10, 2.5),
        ([5, 5, 5, 5], 20, math.inf),
        ([1, 5, 5, 5], 10, 3),
        ([10, 10, 10, 1000], 200, 170),
        ([0, 0, 8], 4, 4),
        ([], 10, math.inf),
    ],
)
def test_an_even_share_leaves_what_is_small_as_it_is(rates: list[float], capacity: float, ceiling: float) -> None:
    assert even(rates, capacity) == pytest.approx(ceiling)
    if math.isfinite(ceiling):
        assert sum(min(rate, ceiling) for rate in rates) == pytest.approx(capacity)


@pytest.mark.parametrize(("rate", "ceiling"), [(5, 5), (5, 3), (5, 2.5), (5, 0.4), (25, 8), (1000, 170)])
def test_a_thinner_lets_through_as_much_as_the_ceiling_and_evenly(rate: float, ceiling: float) -> None:
    thinner = Thinner()
    kept = [k / rate for k in range(int(100 * rate)) if thinner.keeps(k / rate, ceiling)]
    assert len(kept) / 100 == pytest.approx(ceiling, rel=0.03)
    pauses = [after - before for before, after in pairwise(kept[2:])]
    assert max(pauses) <= 1 / ceiling + 1 / rate + 1e-9
    assert min(pauses) >= 1 / ceiling - 1 / rate - 1e-9


def test_a_thinner_without_a_ceiling_keeps_all_and_remembers_nothing() -> None:
    thinner = Thinner()
    assert all(thinner.keeps(k / 5, None) for k in range(50))
    assert [thinner.keeps(10 + k / 5, 1.0) for k in range(6)] == [True, False, False, False, False, True]


@dataclass
class Load:
    """Live cameras before an engine, in simulated time: real rings, thinners and rule.

    Attributes:
        judged: at which times each camera was.
        lags: how old each tick was when its step began, with when that was.
        ceilings: the ceiling after each look, with when that was.
    """

    rates: Sequence[float]
    cost: Callable[[float], float]
    capacity: int = 4
    batch: int = 1
    pause: Callable[[float], float] = lambda now: 0.0
    judged: list[list[float]] = field(default_factory=list)
    lags: list[tuple[float, float]] = field(default_factory=list)
    ceilings: list[tuple[float, float | None]] = field(default_factory=list)
    thinned: int = 0
    entered: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)

    def run(self, seconds: float) -> Overload:
        """The rule after `seconds`."""
        overload, now, steps = Overload(0.0), 0.0, 0
        rings: list[FrameRing[float]] = [FrameRing(self.capacity, wait=False) for _ in self.rates]
        thinners = [Thinner() for _ in self.rates]
        offered = [0] * len(self.rates)
        self.judged = [[] for _ in self.rates]
        while now < seconds:
            for k, rate in enumerate(self.rates):
                while (at := offered[k] / rate + 0.01 * k) <= now:
                    offered[k] += 1
                    if thinners[k].keeps(at, overload.ceiling):
                        rings[k].put(at)
                    else:
                        self.thinned += 1
            waiting = sum(map(len, rings))
            taken = 0
            for _ in rings:
                k = steps % len(rings)
                steps += 1
                if taken < self.batch and (tick := rings[k].take(timeout=0)) is not None:
                    self.judged[k].append(now)
                    self.lags.append((now, now - tick))
                    taken += 1
                if taken == self.batch:
                    break
            overload.saw(waiting, sum(map(len, rings)))
            if overload.is_due(now):
                was = overload.lasting
                counts = {str(k): count for k, count in enumerate(offered)}
                lost = sum(ring.dropped for ring in rings)
                if overload.decide(now, counts, sum(map(len, self.judged)), lost):
                    for ring in rings:
                        self.thinned += ring.shed(1)
                if overload.lasting != was:
                    (self.entered if overload.lasting else self.left).append(now)
            self.ceilings.append((now, overload.ceiling))
            now += taken * self.cost(now) + self.pause(now) if taken else 0.01
        return overload

    def per_second(self, begin: float, end: float) -> list[float]:
        """Ticks a second that each camera was judged, in that time."""
        return [sum(begin <= at < end for at in times) / (end - begin) for times in self.judged]

    def worst(self, begin: float, end: float) -> float:
        """The oldest tick that was judged in that time, in seconds."""
        return max(lag for at, lag in self.lags if begin <= at < end)


@pytest.mark.parametrize("capacity", [1, 2, 4, 16])
@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("share", [0.85, 0.5, 0.1])
def test_too_many_cameras_each_get_the_same_and_what_is_possible(share: float, batch: int, capacity: int) -> None:
    load = Load([5] * 8, lambda now: 1 / (share * 40), capacity, batch)
    overload = load.run(120)
    assert overload.lasting and len(load.entered) == 1 and not load.left
    rates = load.per_second(30, 120)
    assert sum(rates) >= 0.75 * share * 40
    assert max(rates) <= 1.2 * min(rates)
    step = batch / (share * 40)
    assert load.worst(30, 120) <= 4 * step + 8 / (share * 40) + 0.4, "a queue stands"


@pytest.mark.parametrize("use", [0.5, 0.8, 0.93])
def test_whoever_keeps_up_is_left_alone(use: float) -> None:
    load = Load([5] * 8, lambda now: use / 40)
    overload = load.run(60)
    assert not load.entered and overload.ceiling is None and load.thinned == 0 and overload.seconds == 0


def test_the_full_rate_is_back_when_the_load_is_gone() -> None:
    load = Load([5] * 8, lambda now: 0.1 if now < 60 else 0.01)
    overload = load.run(150)
    assert not overload.lasting and overload.ceiling is None
    assert len(load.entered) == len(load.left) == 1
    assert overload.seconds == pytest.approx(load.left[0] - load.entered[0], abs=2 * WINDOW_S)
    full = next(at for at, ceiling in load.ceilings if at > 60 and ceiling is None)
    assert full <= 60 + HOLD_S[1] + 12
    assert load.per_second(full + 1, 150) == pytest.approx([5] * 8, rel=0.02)
    assert load.worst(full + 1, 150) < 0.2


def test_the_full_rate_is_back_soon_where_the_load_was_short() -> None:
    load = Load([5] * 8, lambda now: 0.1 if now < 6 else 0.01)
    load.run(60)
    assert len(load.entered) == len(load.left) == 1
    assert next(at for at, ceiling in load.ceilings if at > 6 and ceiling is None) <= 6 + 8


def test_a_burst_or_a_single_long_pause_is_no_overload() -> None:
    pauses = iter([1.5])
    load = Load([5] * 4, lambda now: 0.01, pause=lambda now: next(pauses, 0.0) if now > 5 else 0.0)
    overload = load.run(30)
    assert not load.entered and load.thinned == 0 and overload.ceiling is None


def test_a_camera_that_floods_is_cut_and_the_others_are_not() -> None:
    load = Load([10, 10, 10, 1000], lambda now: 1 / 100)
    load.run(60)
    rates = load.per_second(10, 60)
    assert rates[:3] == pytest.approx([10] * 3, rel=0.05)
    assert 30 <= rates[3] <= 72, "what the others leave"


def test_a_raise_that_goes_wrong_is_put_off_longer_each_time() -> None:
    load = Load([5] * 8, lambda now: 0.1)
    load.run(200)
    lowered = [at for (_, before), (at, after) in pairwise(load.ceilings) if before and after and after < before]
    gaps = [after - before for before, after in pairwise(lowered)]
    assert gaps[-1] >= HOLD_S[1] and all(after >= before - 2 * WINDOW_S for before, after in pairwise(gaps))


def test_it_takes_some_windows_to_be_behind_and_one_to_stay_so() -> None:
    overload, lost = Overload(0.0), 0
    for window in range(1, BEHIND + 1):
        for _ in range(5):
            overload.saw(4, 0)
        lost += 5
        assert overload.is_due(window * WINDOW_S)
        was_told = overload.decide(window * WINDOW_S, {"a": 10 * window}, 5 * window, lost)
        assert was_told is (window == BEHIND) is overload.lasting
    assert overload.ceiling == pytest.approx(HEADROOM * 5)


@pytest.mark.usefixtures("no_thread_left_behind")
def test_a_running_engine_slows_eight_cameras_down_alike_and_lets_them_go_again(
    native_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Eight cameras of 5 a second before a machine that judges 20 ticks a second, and then one that is quick again."""
    monkeypatch.setattr(rule, "WINDOW_S", 0.5)
    monkeypatch.setattr(rule, "HOLD_S", (0.5, 1.0))
    features = SlowFeatures(native_bundle, 0.05)
    recognizer = slow(native_bundle, features, (1, 2, 4))
    names = [f"camera {k}" for k in range(8)]
    cameras = [PatternCamera(recognizer.input, name, fps=5, connections=((10**6, None),)) for name in names]
    notes = Notes()
    engine = Engine(recognizer, cameras, [notes])
    running = Running(engine)
    wait_until(lambda: caplog.records)
    begin = len(notes.predictions)
    wait_until(lambda: len(notes.predictions) >= begin + 120)
    settled = notes.predictions[begin : begin + 120]
    features.a_row_s = 0.0

    def are_well(newest: Sequence[Prediction]) -> bool:
        """Nothing is left out, and no queue stands: one of four ticks would be 800 ms old."""
        return all(p.dt == pytest.approx(1 / 25) for p in newest) and all((p.latency_ms or 0) < 400 for p in newest)

    wait_until(lambda: len(caplog.records) >= 2 and are_well(notes.predictions[-24:]))
    engine.stop()
    summary = running.result()

    judged = [sum(p.camera == name for p in settled) for name in names]
    assert max(judged) <= 1.2 * 15 and min(judged) >= 0.8 * 15
    assert np.median([p.dt for p in settled]) > 1.5 / 25, "it is told how much was left out"
    assert np.quantile([p.latency_ms or 0 for p in settled], 0.9) < 1500, "what is a second old is not judged any more"
    assert [record.levelname for record in caplog.records[:2]] == ["WARNING"] * 2
    assert "more than this machine keeps up with" in caplog.messages[0]
    assert caplog.messages[1] == "this machine keeps up with its cameras again; every tick is judged"
    assert {status.camera for status in notes.statuses if status.health == "degraded"} == set(names)
    assert summary.overloaded_s > 0 and all(reader.shed for reader in engine._roster.readers)
    for name in names:
        counts = summary.cameras[name]
        assert counts.dropped >= counts.thinned > 0
        assert counts.ticks - counts.dropped >= sum(p.camera == name for p in notes.predictions)
