"""Recurrent state: one row a track, kept in arrays that are allocated once and grow by doubling.

A bank does not know what its tensors mean. Rows go out and come back as values, read-only arrays: what a caller holds
never changes under it, nor what the bank holds. What came back last is only copied into its rows once other tracks are
asked for: where the same tracks step again and again, one camera or a full batch, no row is copied at all. Of a
backbone that remembers the last picture, a row is 200 kB.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.contracts import State


class StateBank:
    """The state of every track; a track that is not known yet has a fresh one."""

    def __init__(self, zeros: Callable[[int], State]) -> None:
        """Makes a bank without tracks.

        Args:
            zeros: n -> the state of n fresh rows, each array (n, ...).
        """
        self._zeros = zeros
        self._arrays: dict[str, NDArray[Any]] = dict(zeros(1))
        self._capacity = 1
        self._rows: dict[Hashable, int] = {}
        self._free = [0]
        self._newest: tuple[list[Hashable], State] | None = None  # of these tracks; not yet in their rows

    def gather(self, tracks: Sequence[Hashable]) -> State:
        """The rows of `tracks`, in their order: named arrays, each (len(tracks), ...), read-only."""
        if self._newest is not None and self._newest[0] == list(tracks):
            return self._newest[1]
        self._settle()
        rows = [self._row(track) for track in tracks]
        return {name: _read_only(array[rows]) for name, array in self._arrays.items()}

    def scatter(self, tracks: Sequence[Hashable], state: State) -> None:
        """Takes `state`, each array (len(tracks), ...), as the new rows of `tracks`; the inverse of `gather`.

        The arrays are the bank's from here on, and read-only.
        """
        if self._newest is None or self._newest[0] != list(tracks):
            self._settle()
            for track in tracks:
                self._row(track)
        self._newest = list(tracks), {name: _read_only(state[name]) for name in self._arrays}

    def reset(self, track: Hashable) -> None:
        """Gives `track` a fresh state."""
        self.scatter([track], self._zeros(1))

    def drop(self, track: Hashable) -> None:
        """Forgets `track`, known or not; its row serves the next new one."""
        self._settle()
        row = self._rows.pop(track, None)
        if row is not None:
            self._free.append(row)

    def __len__(self) -> int:
        return len(self._rows)

    def _settle(self) -> None:
        """Copies what came back last into its rows."""
        if self._newest is None:
            return
        tracks, state = self._newest
        self._newest = None
        rows = [self._row(track) for track in tracks]
        for name, array in self._arrays.items():
            array[rows] = state[name]

    def _row(self, track: Hashable) -> int:
        """The row of `track`: the one it has, or a fresh one."""
        if track in self._rows:
            return self._rows[track]
        if not self._free:
            self._grow()
        row = self._rows[track] = self._free.pop()
        for name, fresh in self._zeros(1).items():
            self._arrays[name][row] = fresh[0]
        return row

    def _grow(self) -> None:
        """Doubles the number of rows."""
        more = self._zeros(self._capacity)
        self._arrays = {name: np.concatenate((array, more[name])) for name, array in self._arrays.items()}
        self._free.extend(range(self._capacity, 2 * self._capacity))
        self._capacity *= 2


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """`array`, which nobody can change any more."""
    array.flags.writeable = False
    return array
