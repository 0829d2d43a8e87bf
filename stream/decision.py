"""From logits to scores, from scores to a decided label and to events that start and end. Pure functions, no clock.

A label's score is smoothed in media time. A label that stays at or over its `enter` for `min` seconds has started, as
of the first of those ticks; one that is on ends when its smoothed score falls under `exit`, or when another label
starts. At most one label is on, and nothing starts before the state is warm. The state of a decision is a value:
`decide` takes one and returns the next, so feeding ticks one by one, or all at once, is the same thing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from stream.contracts import Event, Kind
from stream.schema import LabelRule

TOLERANCE = 0.002
"""Media seconds by which `min` may be missed: what the sampler grants a tick, so that 0.7 - 0.4 counts as 0.3."""


@dataclass(frozen=True)
class Settings:
    """What a bundle says about deciding.

    Attributes:
        labels: in the order of the scores.
        none: the one of them that means that nothing is happening; it has no rule.
        rules: enter, exit and min of every other label.
        smoothing: time constant of the smoothing in media seconds; 0 is none.
        model: `name@8hex`, told with every event.
        digest: of the bundle; a part of an event's id.
    """

    labels: tuple[str, ...]
    none: str
    rules: Mapping[str, LabelRule]
    smoothing: float = 0.0
    model: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Moment:
    """The facts of one tick: whose it is, when it is, and whether the state is warm."""

    camera: str
    session: int
    index: int
    time: float
    dt: float
    warm: bool = True


@dataclass(frozen=True)
class Run:
    """A label that has been at or over its enter threshold since a tick: that tick's time and index, and the peak."""

    start: float
    index: int
    peak: float


@dataclass(frozen=True, eq=False)
class DecisionState:
    """What is remembered between two ticks of a session.

    Attributes:
        smoothed: (K,) float64 smoothed scores; None before the first warm tick.
        runs: the labels that are at or over enter, except the one that is on.
        on: the event that is on, as it was told when it started, with the peak so far.
        last: the last tick's media time.
    """

    smoothed: NDArray[np.float64] | None = None
    runs: Mapping[str, Run] = field(default_factory=dict)
    on: Event | None = None
    last: float = 0.0


def initial() -> DecisionState:
    """The state before a session's first tick."""
    return DecisionState()


def scores_of(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Calibrated scores (N, K) float32, rows summing to 1: the softmax of logits (N, K) / temperature."""
    powers = np.divide(logits, temperature, dtype=np.float64)
    powers -= np.maximum.reduce(powers, axis=1, keepdims=True)
    np.exp(powers, out=powers)
    powers /= np.add.reduce(powers, axis=1, keepdims=True)
    return powers.astype(np.float32)


def decide(
    settings: Settings, state: DecisionState, moment: Moment, scores: NDArray[np.float32]
) -> tuple[DecisionState, str, tuple[Event, ...]]:
    """The next state, the label that is on after this tick (else none), and what ended and started at it, in order.

    Args:
        settings: the bundle's.
        state: as the session's previous tick left it, or `initial()`.
        moment: the tick.
        scores: (K,) calibrated scores.
    """
    if not moment.warm:
        return replace(state, last=moment.time), settings.none, ()
    smoothed = _smooth(state.smoothed, scores, moment.dt, settings.smoothing)
    level = dict(zip(settings.labels, smoothed.tolist(), strict=True))
    on, runs = state.on, _runs(settings, state, moment, level)
    if on is not None:
        on = replace(on, peak=max(on.peak, level[on.label]))

    events: list[Event] = []
    winner = _winner(settings, runs, moment, level, on)
    if winner is not None:
        run = runs.pop(winner)
        if on is not None:
            events.append(_ended(on, max(on.start, run.start)))
        on = _started(settings, moment, winner, run)
        events.append(on)
    elif on is not None and level[on.label] < settings.rules[on.label].exit:
        events.append(_ended(on, moment.time))
        on = None
    label = settings.none if on is None else on.label
    return DecisionState(smoothed, runs, on, moment.time), label, tuple(events)


def finish(state: DecisionState) -> tuple[Event, ...]:
    """The end, at the last tick's time, of what is on; the session is over."""
    return () if state.on is None else (_ended(state.on, state.last),)


def _smooth(
    smoothed: NDArray[np.float64] | None, scores: NDArray[np.float32], dt: float, tau: float
) -> NDArray[np.float64]:
    """The exponential moving average of the scores, `tau` being the media seconds in which 63 % of a step arrive."""
    fresh = scores.astype(np.float64)
    if smoothed is None or tau == 0:
        return fresh
    return smoothed + (1 - math.exp(-dt / tau)) * (fresh - smoothed)


def _runs(settings: Settings, state: DecisionState, moment: Moment, level: Mapping[str, float]) -> dict[str, Run]:
    """The labels at or over enter, but for the one that is on; a label that was under starts a new run."""
    runs = {}
    for label, rule in settings.rules.items():
        if level[label] < rule.enter or (state.on is not None and label == state.on.label):
            continue
        run = state.runs.get(label, Run(moment.time, moment.index, 0.0))
        runs[label] = replace(run, peak=max(run.peak, level[label]))
    return runs


def _winner(
    settings: Settings, runs: Mapping[str, Run], moment: Moment, level: Mapping[str, float], on: Event | None
) -> str | None:
    """The label that starts at this tick: over enter for long enough, and higher than its rivals.

    It must also be higher than the label that is on, as long as that one holds out over its exit.
    """
    long_enough = [
        label for label, run in runs.items() if moment.time - run.start >= settings.rules[label].min - TOLERANCE
    ]
    best = max(long_enough, key=level.__getitem__, default=None)
    if best is None or on is None or level[on.label] < settings.rules[on.label].exit:
        return best
    return best if level[best] > level[on.label] else None


def _started(settings: Settings, moment: Moment, label: str, run: Run) -> Event:
    """The event that `run` became."""
    return Event(
        id=_event_id(moment.camera, moment.session, label, run.index, settings.digest),
        camera=moment.camera,
        label=label,
        kind="started",
        start=run.start,
        end=None,
        peak=run.peak,
        delay=moment.time - run.start,
        model=settings.model,
        session=moment.session,
    )


def _ended(event: Event, end: float) -> Event:
    """`event`, over at media time `end`."""
    kind: Kind = "ended"
    return replace(event, kind=kind, end=end)


def _event_id(camera: str, session: int, label: str, index: int, digest: str) -> str:
    """16 hex digits that are the same whenever the same file is read with the same bundle."""
    key = json.dumps([camera, session, label, index, digest])
    return hashlib.sha256(key.encode()).hexdigest()[:16]
