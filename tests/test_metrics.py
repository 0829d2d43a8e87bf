"""Labels and events on cases counted by hand, and thresholds that are fitted by the code that is run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contracts import Event
from stream.decision import Settings, scores_of
from train.datasets import Segment
from train.metrics.events import EventCounts, count_events, delays, match_events
from train.metrics.labels import accuracy, class_table, confusion, settled
from train.settings import DecisionSettings
from train.streams import Stream
from train.thresholds import Scored, fit_decision, fit_temperature, run_decision, trials

LABELS = ("none", "jump", "wave")


def started(label: str, start: float, delay: float = 0.2) -> Event:
    return Event("0" * 16, "yard", label, "started", start, None, 0.9, delay, "m@00000000")


def test_confusion_and_accuracy() -> None:
    matrix = confusion(np.array([0, 0, 1, 2], np.int32), np.array([0, 1, 1, 1], np.int32), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert accuracy(matrix) == 0.5


def test_precision_recall_and_f1_of_each_class() -> None:
    table = class_table(("none", "jump", "wave", "clap"), np.array([[6, 2, 0, 0], [1, 2, 0, 0], [0, 4, 0, 0], [0] * 4]))
    assert table["none"] == {"precision": 6 / 7, "recall": 6 / 8, "f1": pytest.approx(12 / 15), "count": 8}
    assert table["jump"] == {"precision": 2 / 8, "recall": 2 / 3, "f1": pytest.approx(4 / 11), "count": 3}
    assert table["wave"] == {"precision": None, "recall": 0, "f1": 0, "count": 4}
    assert table["clap"] == {"precision": None, "recall": None, "f1": None, "count": 0}


def test_ticks_just_after_a_boundary_are_not_asked() -> None:
    targets = np.array([0, 0, 1, 1, 1, 0], np.int32)
    assert settled(targets, np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5]), 0.6).tolist() == [
        True,
        True,
        False,
        False,
        True,
        False,
    ]


def test_an_event_counts_when_it_is_told_and_once() -> None:
    truth = [Segment("wave", 1.0, 2.0), Segment("wave", 6.0, 7.0), Segment("jump", 8.0, 9.0)]
    events = [
        started("wave", 0.9),  # told at 1.1: finds the first
        started("wave", 1.5),  # a second for the same action: false
        started("jump", 6.5),  # wrong label: false
        started("wave", 7.5),  # told at 7.7, within the second's grace: finds it
        started("jump", 9.9),  # told at 10.1, after the grace: false
    ]
    matches = match_events(events, truth)
    assert {i: event.start for i, event in matches.found.items()} == {0: 0.9, 1: 7.5}
    assert [event.start for event in matches.false] == [1.5, 6.5, 9.9]
    # 1.1 - 1.0 and 7.7 - 6.0: what was missed has no delay.
    assert sorted(delays(events, truth)) == pytest.approx([0.1, 1.7])
    counts = count_events(events, truth, 0.5)
    assert counts == EventCounts(found=2, actions=3, false=3, minutes=0.5)
    assert counts.recall == pytest.approx(2 / 3)
    assert counts.false_per_minute == 6
    assert counts + counts == EventCounts(4, 6, 6, 1.0)


def made_up(seed: int, sharpness: float, seconds: float = 30.0) -> Scored:
    """A stream at 10 a second with an action every 5 s, and logits that are right with some noise."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(seconds * 10)) / 10
    targets = np.zeros(len(times), np.int32)
    segments = []
    for number, begin in enumerate(np.arange(3.0, seconds - 2, 5.0).tolist()):
        label = 1 + number % 2
        targets[(times >= begin) & (times < begin + 1.5)] = label
        segments.append(Segment(LABELS[label], begin, begin + 1.5))
    logits: NDArray[np.float32] = rng.normal(0, sharpness, (len(times), 3)).astype(np.float32)
    logits[np.arange(len(times)), targets] += 2 * sharpness
    return Scored(
        Stream(f"s{seed}", times, np.zeros((len(times), 1, 1, 3), np.uint8), targets, tuple(segments), str(seed)),
        logits,
    )


def test_the_temperature_undoes_overconfidence() -> None:
    calm = fit_temperature([made_up(0, 1.0), made_up(1, 1.0)])
    loud = fit_temperature([Scored(one.stream, one.values * 3) for one in (made_up(0, 1.0), made_up(1, 1.0))])
    assert loud == pytest.approx(3 * calm, rel=0.1)


def test_what_is_ambiguous_fits_nothing() -> None:
    # Ten seconds of loud nonsense, at the end of a stream that is right, and which nobody asks about.
    clean = made_up(3, 1.0)
    loud = np.full((100, 3), 0.0, np.float32)
    loud[::20, 2] = loud[1::20, 2] = loud[2::20, 2] = 50
    times = np.arange(400) / 10
    stream = replace(
        clean.stream,
        times=times,
        targets=np.concatenate([clean.stream.targets, np.zeros(100, np.int32)]),
        counted=times < 30,
    )
    muddled = Scored(stream, np.concatenate([clean.values, loud]))
    assert fit_temperature([muddled]) == fit_temperature([clean])
    assert fit_temperature([replace(muddled, stream=replace(stream, counted=None))]) != fit_temperature([clean])
    settings = DecisionSettings(smoothing=0.0, false_per_minute=1.0)
    fitted = [fit_decision([one], LABELS, "none", settings, warmup=2) for one in (clean, muddled)]
    assert fitted[0] == fitted[1]


def test_fitted_thresholds_find_actions_on_other_streams_without_false_alarms() -> None:
    settings = DecisionSettings(smoothing=0.3, false_per_minute=1.0)
    tried: list[None] = []
    decision = fit_decision(
        [made_up(seed, 1.0) for seed in range(3)],
        LABELS,
        "none",
        settings,
        warmup=2,
        advance=lambda: tried.append(None),
    )
    assert len(tried) == trials(LABELS)
    rules = Settings(LABELS, "none", decision.labels, decision.smoothing)
    counts = EventCounts(0, 0, 0, 0.0)
    for seed in range(10, 14):
        one = made_up(seed, 1.0)
        scored = Scored(one.stream, scores_of(one.values, decision.temperature))
        decided, events = run_decision(rules, scored, 2)
        counts += count_events(events, one.stream.segments, one.stream.minutes)
        assert len(decided) == len(one.stream.times)
    assert counts.recall is not None and counts.recall >= 0.9
    assert counts.false_per_minute <= 2
