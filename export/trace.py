"""What a model computes on a clip, tick by tick, in whichever runtime it runs. No TensorFlow, no verdicts.

`trace` is the plainest reading of the temporal modes: one tick after the other, no batching, no threads. Keras traced
so is what everything else is held against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.bundle import Golden, StateTensor, Temporal
from stream.contracts import FeatureExtractor, Head, Input, State, Tick
from stream.sources import FileSource
from stream.staggered import ages

WholeStep: TypeAlias = Callable[[NDArray[np.uint8], State], tuple[NDArray[np.float32], State]]
_Row: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], dict[str, NDArray[Any]]]
"""Features (D,), logits (K,), and each state (1, ...) after a tick."""


@dataclass
class _Walk:
    """Where a trace is within its session: the states, ticks so far, and the last T features."""

    session: int
    features_state: State
    head_state: State
    seen: int = 0
    recent: list[NDArray[np.float32]] = field(default_factory=list)


def trace(
    features: FeatureExtractor,
    head: Head,
    states: tuple[Sequence[StateTensor], Sequence[StateTensor]],
    temporal: Temporal,
    ticks: Sequence[Tick],
    labels: tuple[str, ...],
) -> Golden:
    """What the model computes at each of one camera's `ticks`, in the temporal mode; every session from zero state.

    Args:
        features: pictures to features.
        head: features to logits.
        states: of `features` and of `head`.
        temporal: `carry`: the state walks along. Else, at every tick, the head anew on the last features: `window` on
            min(k, T) of them, `staggered` on as many as the replica that speaks has seen.
        ticks: one or more, in order.
        labels: of the logits.
    """
    rows: list[_Row] = []
    walk: _Walk | None = None
    for tick in ticks:
        if walk is None or walk.session != tick.session:
            walk = _Walk(tick.session, _zeros(states[0]), _zeros(states[1]))
        vector, walk.features_state = features.extract(tick.image[None], walk.features_state)
        if temporal.mode == "carry":
            logits, walk.head_state = head.step(vector, walk.head_state)
            rows.append((vector[0], logits[0], {**walk.features_state, **walk.head_state}))
            continue
        walk.recent = [*walk.recent, vector][-(temporal.window or 1) :]
        state = _zeros(states[1])
        for recent in walk.recent[-_memory(temporal, walk.seen) :]:
            logits, state = head.step(recent, state)
        rows.append((vector[0], logits[0], {}))
        walk.seen += 1

    return _golden(ticks, rows, labels)


def trace_whole(
    whole: WholeStep, features: str, states: Sequence[StateTensor], ticks: Sequence[Tick], labels: tuple[str, ...]
) -> Golden:
    """As `trace` in mode `carry`, of both graphs as one.

    Args:
        whole: pictures and states to logits and the next states, with the features beside them.
        features: under which name these come.
        states: of both graphs.
        ticks: one or more, in order.
        labels: of the logits.
    """
    rows: list[_Row] = []
    session: int | None = None
    state = _zeros(states)
    for tick in ticks:
        if tick.session != session:
            session, state = tick.session, _zeros(states)
        logits, after = whole(tick.image[None], state)
        state = {tensor.input: after[tensor.input] for tensor in states}
        rows.append((after[features][0], logits[0], dict(state)))
    return _golden(ticks, rows, labels)


def _golden(ticks: Sequence[Tick], rows: Sequence[_Row], labels: tuple[str, ...]) -> Golden:
    """What was computed at each of `ticks`, tick by tick in `rows`."""
    return Golden(
        times=np.array([tick.time for tick in ticks], np.float64),
        indices=np.array([tick.index for tick in ticks], np.int64),
        images=np.stack([tick.image for tick in ticks]),
        features=np.stack([vector for vector, _, _ in rows]),
        states={name: np.stack([kept[name][0] for _, _, kept in rows]) for name in rows[0][2]},
        logits=np.stack([logits for _, logits, _ in rows]),
        labels=labels,
    )


def read_ticks(clip: Path, input: Input) -> list[Tick]:
    """The ticks of `clip`, read by stream's own source, sampler and geometry.

    Raises:
        SourceError: it cannot be read.
    """
    return list(FileSource(clip, input))


def _memory(temporal: Temporal, tick: int) -> int:
    """How many of the last features the head judges by at a session's tick number `tick`, where it does not carry."""
    window = temporal.window or 1
    return max(ages(tick, window, temporal.replicas)) if temporal.mode == "staggered" else window


def _zeros(states: Sequence[StateTensor]) -> State:
    return {state.input: np.zeros((1, *state.shape), state.dtype) for state in states}
