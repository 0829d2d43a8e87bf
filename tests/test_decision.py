"""Scores to labels and events: softmax, smoothing, hysteresis, take-over, and the laws that hold for any scores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contracts import Event
from stream.decision import Moment, Settings, decide, finish, initial, scores_of
from stream.schema import LabelRule

LABELS = ("none", "wave", "clap")


def settings(enter: float = 0.6, exit: float = 0.4, minimum: float = 0.0, smoothing: float = 0.0) -> Settings:
    rule = LabelRule(enter=enter, exit=exit, min=minimum)
    return Settings(LABELS, "none", {"wave": rule, "clap": rule}, smoothing, "tiny@12345678", "d" * 64)


def scores(wave: float, clap: float = 0.0) -> NDArray[np.float32]:
    return np.array([1 - wave - clap, wave, clap], np.float32)


def play(
    rules: Settings, levels: Sequence[tuple[float, float] | float], *, step: float = 0.1, warm_from: int = 0
) -> tuple[list[str], list[Event]]:
    """Labels, and events with those of the end, of scores for wave and clap, `step` seconds apart."""
    state = initial()
    labels: list[str] = []
    events: list[Event] = []
    for index, level in enumerate(levels):
        wave, clap = level if isinstance(level, tuple) else (level, 0.0)
        dt = step if index else 0.0
        moment = Moment("door", 0, 3 * index, 10 + step * index, dt, index >= warm_from)
        state, label, told = decide(rules, state, moment, scores(wave, clap))
        labels.append(label)
        events += told
    return labels, events + list(finish(state))


def told(events: Sequence[Event]) -> list[tuple[str, str, float]]:
    """Kind, label and the time it is about, from the first tick on."""
    return [
        (event.kind, event.label, round((event.start if event.end is None else event.end) - 10, 3)) for event in events
    ]


def test_scores_are_the_softmax_of_logits_over_temperature() -> None:
    logits = np.array([[1, 2, 3], [1000, -1000, 0], [-5e4, -5e4, -5e4]], np.float32)
    got = scores_of(logits, 2.0)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-6)
    powers = np.exp(np.array([0.5, 1.0, 1.5]))
    np.testing.assert_allclose(got[0], powers / powers.sum(), atol=1e-6)
    np.testing.assert_allclose(got[1:], np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]), atol=1e-6)


def test_a_label_starts_at_enter_and_ends_under_exit() -> None:
    labels, events = play(settings(), [0.5, 0.6, 0.5, 0.4, 0.39, 0.5])
    assert labels == ["none", "wave", "wave", "wave", "none", "none"]
    assert told(events) == [("started", "wave", 0.1), ("ended", "wave", 0.4)]
    start, end = events
    assert (start.delay, start.end, start.camera, start.model) == (0.0, None, "door", "tiny@12345678")
    assert (end.id, end.start, end.delay) == (start.id, start.start, start.delay)


def test_min_must_be_held_without_a_break() -> None:
    rules = settings(minimum=0.3)
    assert play(rules, [0.9, 0.9, 0.9])[1] == []
    assert play(rules, [0.9, 0.9, 0.9, 0.5, 0.9, 0.9, 0.9])[1] == []
    labels, events = play(rules, [0.1, 0.9, 0.7, 0.9, 0.8, 0.8])
    assert labels == ["none", "none", "none", "none", "wave", "wave"]
    assert told(events) == [("started", "wave", 0.1), ("ended", "wave", 0.5)]
    assert events[0].delay == pytest.approx(0.3) and events[0].peak == pytest.approx(0.9)


@pytest.mark.parametrize("first", range(40))
def test_min_is_not_missed_by_rounding(first: int) -> None:
    labels, _ = play(settings(minimum=0.3), [0.0] * first + [0.9] * 4)
    assert labels[-2:] == ["none", "wave"]


def test_peak_is_the_highest_smoothed_score_so_far() -> None:
    _, events = play(settings(minimum=0.2), [0.7, 0.95, 0.8, 0.99, 0.7, 0.1])
    assert [event.peak for event in events] == pytest.approx([0.95, 0.99])


def test_smoothing_follows_media_time() -> None:
    rules = settings(enter=0.5, exit=0.2, smoothing=1.0)
    coarse, _ = play(rules, [0.0] + [1.0] * 10, step=0.1)
    fine, _ = play(rules, [0.0] + [1.0] * 100, step=0.01)
    assert coarse.index("wave") == 7  # 1 - exp(-0.7) = 0.503
    assert fine.index("wave") == 70


def test_a_gap_in_ticks_is_smoothed_by_its_length() -> None:
    rules, state = settings(enter=0.5, smoothing=1.0), initial()
    state, _, _ = decide(rules, state, Moment("door", 0, 0, 0.0, 0.0), scores(0.0))
    state, _, _ = decide(rules, state, Moment("door", 0, 1, 0.2, 0.2), scores(1.0))
    assert state.smoothed is not None and state.smoothed[1] == pytest.approx(1 - np.exp(-0.2))


def test_nothing_starts_before_the_state_is_warm_and_cold_scores_leave_no_trace() -> None:
    rules = settings(minimum=0.2, smoothing=0.5)
    labels, events = play(rules, [1.0] * 8, warm_from=4)
    assert labels == ["none"] * 6 + ["wave"] * 2
    assert events[0].start == pytest.approx(10.4)


def test_another_label_takes_over_and_the_first_ends_where_it_starts() -> None:
    labels, events = play(settings(minimum=0.2), [0.9, 0.9, 0.9, (0.1, 0.9), (0.1, 0.9), (0.1, 0.9)])
    assert labels == ["none", "none", "wave", "none", "none", "clap"]
    assert told(events)[1:3] == [("ended", "wave", 0.3), ("started", "clap", 0.3)]
    held = settings(exit=0.05, minimum=0.2)
    labels, events = play(held, [0.9, 0.9, 0.9, (0.1, 0.9), (0.1, 0.9), (0.1, 0.9), (0.1, 0.9)])
    assert labels == ["none", "none", "wave", "wave", "wave", "clap", "clap"]
    assert told(events) == [
        ("started", "wave", 0.0),
        ("ended", "wave", 0.3),
        ("started", "clap", 0.3),
        ("ended", "clap", 0.6),
    ]


def test_two_labels_over_enter_do_not_alternate() -> None:
    rules = settings(enter=0.4, exit=0.3)
    labels, events = play(rules, [(0.5, 0.4)] * 4 + [(0.41, 0.5)] * 4)
    assert labels == ["wave"] * 4 + ["clap"] * 4
    assert [event.kind for event in events] == ["started", "ended", "started", "ended"]


def test_the_higher_of_two_that_start_together_wins() -> None:
    labels, _ = play(settings(enter=0.4, exit=0.3, minimum=0.1), [(0.42, 0.5)] * 3)
    assert labels == ["none", "clap", "clap"]


def test_the_end_of_a_session_ends_what_is_on_at_the_last_tick() -> None:
    _, events = play(settings(), [0.9, 0.9, 0.9])
    assert told(events) == [("started", "wave", 0.0), ("ended", "wave", 0.2)]
    assert finish(initial()) == ()


def test_ids_depend_on_everything_that_makes_an_event_and_on_nothing_else() -> None:
    def first_id(rules: Settings, camera: str = "door", session: int = 0, index: int = 5) -> str:
        _, _, events = decide(rules, initial(), Moment(camera, session, index, 1.0, 0.0), scores(0.9))
        return events[0].id

    base = settings()
    other = Settings(LABELS, "none", base.rules, 0.0, "tiny@12345678", "e" * 64)
    swapped = Settings(("none", "clap", "wave"), "none", base.rules, 0.0, base.model, base.digest)
    ids = [first_id(base), first_id(base, camera="gate"), first_id(base, session=1), first_id(base, index=6)]
    ids += [first_id(other), first_id(swapped)]
    assert len(set(ids)) == 6
    assert all(len(each) == 16 and int(each, 16) >= 0 for each in ids)
    assert first_id(settings(minimum=0.0, smoothing=2.0)) == ids[0]


def test_a_state_is_a_value() -> None:
    rules = settings(minimum=0.1, smoothing=0.3)
    before, _, _ = decide(rules, initial(), Moment("door", 0, 0, 0.0, 0.0), scores(0.7))
    first = decide(rules, before, Moment("door", 0, 1, 0.1, 0.1), scores(0.9))
    decide(rules, before, Moment("door", 0, 1, 0.1, 0.1), scores(0.0, 0.9))
    again = decide(rules, before, Moment("door", 0, 1, 0.1, 0.1), scores(0.9))
    assert first[1:] == again[1:]


@pytest.mark.parametrize("minimum", [0.0, 0.1, 0.2])
@pytest.mark.parametrize(("enter", "exit"), [(0.6, 0.4), (0.4, 0.3), (0.4, 0.4)])
def test_laws_hold_for_every_short_sequence(enter: float, exit: float, minimum: float) -> None:
    rules = settings(enter, exit, minimum)
    for levels in product([(0.0, 0.0), (0.45, 0.5), (0.5, 0.45), (0.9, 0.1), (0.1, 0.9)], repeat=4):
        state, on = initial(), None
        ids: list[str] = []
        for index, (wave, clap) in enumerate(levels):
            now = Moment("door", 0, index, 0.1 * index, 0.1)
            state, label, events = decide(rules, state, now, scores(wave, clap))
            for event in events:
                if event.kind == "ended":
                    assert on is not None and event.id == on.id and event.end is not None
                    assert event.start <= event.end <= now.time and event.peak >= on.peak
                    on = None
                else:
                    assert on is None and event.end is None
                    assert event.start + event.delay == pytest.approx(now.time) and event.delay >= minimum - 0.002
                    column = LABELS.index(event.label) - 1
                    run = [level[column] for level in levels[round(event.start / 0.1) : index + 1]]
                    assert min(run) >= enter and event.peak == pytest.approx(max(run))
                    ids.append(event.id)
                    on = event
            assert label == ("none" if on is None else on.label)
            if on is not None:
                assert (wave, clap)[LABELS.index(on.label) - 1] >= exit - 1e-6
        assert [event.id for event in finish(state)] == ([] if on is None else [on.id])
        assert len(set(ids)) == len(ids)
