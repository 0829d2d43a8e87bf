"""Bounded memory between the parts of the line: frames handed from thread to thread, features kept for a window.

`FrameRing` is the one hand-over between a reader and the engine; `FeatureRing` keeps each track's last T feature
vectors. Both hold a fixed amount however long the stream runs. Nothing here decodes, runs a graph or reads a clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from threading import Condition
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

KEPT = 256
"""Items that a ring keeps beside its capacity: far more than a camera has news while anybody stands still."""


class FrameRing(Generic[T]):
    """A bounded hand-over from one thread to another: it waits when full (files) or drops the oldest (live).

    Many rings may share one `signal`, so that one thread waits until any of them has something; that thread then
    takes with `timeout=0` and waits on the signal itself.
    """

    def __init__(self, capacity: int, *, wait: bool, signal: Condition | None = None) -> None:
        """Makes an empty ring.

        Args:
            capacity: items held at most, 1 or more, beside those that are put to be kept.
            wait: True where `put` blocks while the ring is full; False where it drops the oldest item.
            signal: notified at every put, take and close; its own when None.
        """
        self._items: deque[tuple[T, bool]] = deque()
        self._held = {False: 0, True: 0}  # items that may be dropped, and that are to be kept
        self._limits = {False: capacity, True: KEPT}
        self._wait = wait
        self._signal = signal if signal is not None else Condition()
        self._closed = False
        self._dropped = 0

    def put(self, item: T, *, keep: bool = False) -> bool:
        """True once `item` is in the ring; False where the ring is, or was meanwhile, closed.

        Args:
            item: goes in behind all others.
            keep: True for what must not be lost: it takes none of the capacity, waits for nothing, and newer items do
                not push it out. Of these, too, there is an end: the oldest goes where `KEPT` wait.
        """
        with self._signal:
            if self._wait and not keep:
                self._signal.wait_for(lambda: self._closed or self._held[False] < self._limits[False])
            if self._closed:
                return False
            if self._held[keep] == self._limits[keep]:
                self._drop_oldest(keep)
            self._items.append((item, keep))
            self._held[keep] += 1
            self._signal.notify_all()
            return True

    def take(self, timeout: float | None = None) -> T | None:
        """The oldest item; None after `timeout` seconds without one, or at once when closed and empty.

        Args:
            timeout: seconds to wait; 0 looks without waiting, None waits until there is an item or the ring closes.
        """
        with self._signal:
            self._signal.wait_for(lambda: self._closed or self._items, timeout)
            if not self._items:
                return None
            item, kept = self._items.popleft()
            self._held[kept] -= 1
            self._signal.notify_all()
            return item

    def shed(self, most: int) -> int:
        """Drops the oldest until `most` are left beside those to be kept; how many, which `dropped` leaves out."""
        with self._signal:
            before = self._dropped
            for _ in range(self._held[False] - most):
                self._drop_oldest(False)
            shed, self._dropped = self._dropped - before, before
            self._signal.notify_all()
            return shed

    def close(self) -> None:
        """Wakes both ends: nothing more goes in, what is left can still be taken. Idempotent."""
        with self._signal:
            self._closed = True
            self._signal.notify_all()

    @property
    def closed(self) -> bool:
        """True after `close`, whether or not items are left."""
        return self._closed

    @property
    def dropped(self) -> int:
        """Items that were pushed out by newer ones."""
        return self._dropped

    def __len__(self) -> int:
        return len(self._items)

    def _drop_oldest(self, keep: bool) -> None:
        """Makes room for one item, to be kept or not."""
        del self._items[next(index for index, (_, kept) in enumerate(self._items) if kept is keep)]
        self._held[keep] -= 1
        self._dropped += 1


class FeatureRing:
    """The last `length` feature vectors of each track, in memory that is allocated once a track."""

    def __init__(self, length: int) -> None:
        """Makes a ring without tracks.

        Args:
            length: vectors kept a track, T.
        """
        self._length = length
        self._vectors: dict[Hashable, NDArray[np.float32]] = {}
        self._counts: dict[Hashable, int] = {}

    def push(self, track: Hashable, vector: NDArray[np.float32]) -> None:
        """Adds `vector` (D,) float32 to `track`, in place of its oldest when it has `length` already."""
        if track not in self._vectors:
            self._vectors[track] = np.zeros((self._length, *vector.shape), np.float32)
            self._counts[track] = 0
        self._vectors[track][self._counts[track] % self._length] = vector
        self._counts[track] += 1

    def window(self, track: Hashable) -> NDArray[np.float32]:
        """A copy of the last min(k, T) vectors of `track`, oldest first: (min(k, T), D) float32, contiguous.

        Raises:
            KeyError: nothing was pushed to `track` since it was made or reset.
        """
        vectors, count = self._vectors[track], self._counts[track]
        if count <= self._length:
            return vectors[:count].copy()
        oldest = count % self._length
        return np.concatenate((vectors[oldest:], vectors[:oldest]))

    def reset(self, track: Hashable) -> None:
        """Forgets `track`, known or not."""
        self._vectors.pop(track, None)
        self._counts.pop(track, None)
