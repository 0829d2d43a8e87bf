"""Runs of a step at a given number of rows, in which no row can hurt another.

A run is padded with zeros to its batch size, so that a row's numbers never depend on how many others there are. A run
that fails is split, its rows staying where they were with zeros in place of the others, until only the culprit fails.
Nothing here knows cameras, sessions or labels.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from stream.contracts import Head, State
from stream.errors import DeviceError

Step: TypeAlias = Callable[[NDArray[Any], State], tuple[NDArray[np.float32], State]]
"""Data (N, ...) and state to output (N, ...) and the next state: `FeatureExtractor.extract`, `Head.step`."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gave, row by row.

    Attributes:
        output: (n, ...) float32; zeros where a row is not healthy.
        state: the next states, each (n, ...); of no use where a row is not healthy.
        healthy: (n,) bool; False where a row made the run fail, or gave or kept a number that is not finite.
    """

    output: NDArray[np.float32]
    state: State
    healthy: NDArray[np.bool_]


def smallest(sizes: Sequence[int], rows: int) -> int:
    """The smallest of `sizes`, ascending, that holds `rows`; the last one holds them all."""
    return sizes[bisect_left(sizes, rows)]


def run(step: Step, data: NDArray[Any], state: State, size: int) -> Outcome:
    """The outcome of `step` on `data` (n, ...) and `state`, each (n, ...), with n at most `size`.

    Raises:
        DeviceError: the step fails on zeros as well, so it is not a row's fault.
    """
    n = len(data)
    if n == size:
        output, after = _guarded(step, data, state, range(n))
    else:
        output, after = _guarded(step, _padded(data, size), {k: _padded(v, size) for k, v in state.items()}, range(n))
        output, after = output[:n], {name: value[:n] for name, value in after.items()}
    if _adds_up(output, *after.values()):
        return Outcome(output, after, np.ones(n, np.bool_))
    healthy = np.logical_and.reduce([_finite(value) for value in (output, *after.values())])
    return Outcome(np.where(_column(healthy, output), output, np.float32(0)), after, healthy)


def over_windows(head: Head, zeros: Callable[[int], State]) -> Step:
    """The step that runs `head` from zero state over whole windows: the model as it is offline.

    It takes windows (N, T, D), oldest first, each ending at the last place, and as state `lengths` (N,) int64, how
    many places of each are filled; it gives the logits (N, K) after the last place and keeps no state. Until a row's
    window begins, that row's state is held at zero.
    """

    def step(windows: NDArray[Any], state: State) -> tuple[NDArray[np.float32], State]:
        rows, places = windows.shape[:2]
        hidden = zeros(rows)
        for place in range(places):
            logits, hidden = head.step(np.ascontiguousarray(windows[:, place]), hidden)
            begun = place >= places - state["lengths"]
            if not begun.all():
                hidden = {name: np.where(_column(begun, v), v, np.zeros_like(v)) for name, v in hidden.items()}
        return logits, {}

    return step


def _guarded(step: Step, data: NDArray[Any], state: State, rows: range) -> tuple[NDArray[np.float32], State]:
    """`step` on a padded batch of which `rows` are in use; the output is NaN in rows that made it fail."""
    try:
        return step(data, state)
    except DeviceError:
        if len(rows) == 0:
            raise
    if len(rows) == 1:
        nothing = rows[:0]
        output, after = _guarded(step, *_only(nothing, data, state), nothing)
        return np.full_like(output, np.nan), after
    half = len(rows) // 2
    output, after = _guarded(step, *_only(rows[:half], data, state), rows[:half])
    other, other_after = _guarded(step, *_only(rows[half:], data, state), rows[half:])
    first = np.arange(len(data)) < rows[half]
    merged = {name: np.where(_column(first, v), v, other_after[name]) for name, v in after.items()}
    return np.where(_column(first, output), output, other), merged


def _only(rows: range, data: NDArray[Any], state: State) -> tuple[NDArray[Any], State]:
    """The batch with zeros everywhere but in `rows`."""
    kept = np.zeros(len(data), np.bool_)
    kept[list(rows)] = True
    return (
        np.where(_column(kept, data), data, np.zeros_like(data)),
        {name: np.where(_column(kept, value), value, np.zeros_like(value)) for name, value in state.items()},
    )


def _padded(rows: NDArray[Any], size: int) -> NDArray[Any]:
    """`rows` (n, ...) followed by zeros: (size, ...)."""
    batch = np.zeros((size, *rows.shape[1:]), rows.dtype)
    batch[: len(rows)] = rows
    return batch


def _adds_up(*arrays: NDArray[Any]) -> bool:
    """True only where all numbers are finite, as nearly always: one that is not spoils the sum, and a sum is cheap."""
    with np.errstate(over="ignore", invalid="ignore"):
        return all(isfinite(np.add.reduce(array, axis=None)) for array in arrays)


def _finite(values: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) bool: which rows of `values` (n, ...) hold only finite numbers."""
    return cast("NDArray[np.bool_]", np.isfinite(values).all(axis=tuple(range(1, values.ndim))))


def _column(mask: NDArray[np.bool_], like: NDArray[Any]) -> NDArray[np.bool_]:
    """`mask` (N,) shaped to pick whole rows of `like` (N, ...)."""
    return mask.reshape(-1, *(1,) * (like.ndim - 1))
