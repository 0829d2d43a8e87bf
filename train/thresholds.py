"""When to say so: the temperature and each label's enter, exit and min, fitted on streams whose truth is known.

What is fitted is run by stream.decision itself, on scores that the network gave. The streams must not be those that
measure the result. No network here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream.contracts import Event
from stream.decision import Moment, Settings, decide, finish, initial, scores_of
from stream.schema import Decision, LabelRule
from train.metrics.calibration import log_loss
from train.metrics.events import EventCounts, count_events
from train.metrics.labels import settled
from train.settings import DecisionSettings
from train.streams import Stream

ENTERS = tuple(np.linspace(0.2, 0.95, 11).round(3).tolist())
MINIMA = (0.0, 0.2, 0.4)
EXIT_SHARE = 0.6
"""exit over enter: far enough below that a score near the threshold does not flicker."""
MARGIN = 0.5
"""Seconds after a boundary whose ticks say nothing about calibration: nobody can know yet."""

Advance = Callable[[], None]


@dataclass(frozen=True, eq=False)
class Scored:
    """A stream and its calibrated scores (T, K) float32, or its logits before calibration."""

    stream: Stream
    values: NDArray[np.float32]


def fit_temperature(streams: Sequence[Scored]) -> float:
    """The softmax temperature, 0.25 to 8, of least cross-entropy on logits (Guo et al., 2017)."""
    sure = [settled(one.stream.targets, one.stream.times, MARGIN) & one.stream.asked for one in streams]
    logits = np.concatenate([scored.values[kept] for scored, kept in zip(streams, sure, strict=True)])
    targets = np.concatenate([scored.stream.targets[kept] for scored, kept in zip(streams, sure, strict=True)])
    candidates: list[float] = np.geomspace(0.25, 8, 61).tolist()
    losses = [log_loss(logits, targets, temperature) for temperature in candidates]
    return round(candidates[int(np.argmin(losses))], 4)


def fit_decision(
    logits: Sequence[Scored],
    labels: tuple[str, ...],
    none: str,
    settings: DecisionSettings,
    *,
    warmup: int,
    advance: Advance = lambda: None,
) -> Decision:
    """The decision that finds most actions at no more than the false events a minute that are allowed.

    First all labels share a rule, then each is refined while the others stay. Where several rules do equally well, the
    middle one is taken, which is farthest from doing worse.

    Args:
        logits: streams with their logits (T, K).
        labels: K names.
        none: the one that means nothing.
        settings: smoothing, and the false events that are allowed.
        warmup: ticks before which nothing starts.
        advance: called after each of `trials(labels)` trials.
    """
    temperature = fit_temperature(logits)
    scored = [replace(one, values=scores_of(one.values, temperature)) for one in logits]
    events = tuple(label for label in labels if label != none)

    def worth(rules: dict[str, LabelRule]) -> float:
        decided = Settings(labels, none, rules, settings.smoothing)
        counts = EventCounts(0, 0, 0, 0.0)
        for one in scored:
            _, told = run_decision(decided, one, warmup)
            asked = [event for event in told if one.stream.asks_about(event)]
            counts += count_events(asked, one.stream.segments, one.stream.minutes)
        advance()
        excess = counts.false_per_minute - settings.false_per_minute
        if excess > 0:  # worse than any rules that keep the limit
            return -1 - excess
        return (counts.recall or 0.0) - 0.02 * counts.false_per_minute

    rules = _best([dict.fromkeys(events, rule) for rule in _candidates()], worth)
    for label in events:
        rules = _best([rules | {label: rule} for rule in _candidates()], worth)
    return Decision(temperature=temperature, smoothing=settings.smoothing, labels=rules)


def trials(labels: tuple[str, ...]) -> int:
    """How many rules `fit_decision` tries for K labels, one of which is nothing."""
    return len(labels) * len(_candidates())


def run_decision(settings: Settings, scored: Scored, warmup: int) -> tuple[NDArray[np.int32], tuple[Event, ...]]:
    """The decided label numbers (T,) and all events of one stream's calibrated scores."""
    state, stream = initial(), scored.stream
    decided: list[int] = []
    told: list[Event] = []
    steps = np.diff(stream.times, prepend=stream.times[:1])
    for i, (time, dt, scores) in enumerate(zip(stream.times.tolist(), steps.tolist(), scored.values, strict=True)):
        moment = Moment(stream.name, 0, i, time, dt, warm=i + 1 >= warmup)
        state, label, events = decide(settings, state, moment, scores)
        decided.append(settings.labels.index(label))
        told += events
    return np.array(decided, np.int32), (*told, *finish(state))


def _candidates() -> list[LabelRule]:
    return [
        LabelRule(enter=enter, exit=round(enter * EXIT_SHARE, 4), min=minimum) for minimum in MINIMA for enter in ENTERS
    ]


def _best(
    candidates: list[dict[str, LabelRule]], worth: Callable[[dict[str, LabelRule]], float]
) -> dict[str, LabelRule]:
    """The middle one of the best candidates."""
    values = np.array([worth(candidate) for candidate in candidates])
    best = np.flatnonzero(values >= values.max() - 1e-9)
    return candidates[int(best[len(best) // 2])]
