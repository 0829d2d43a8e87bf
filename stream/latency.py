"""Quantiles of latency in fixed memory: a histogram, however long the stream. No clock here."""

from __future__ import annotations

import math

import numpy as np

_FLOOR_MS = 0.01
_GROWTH = 1.02  # a bin is 2 % wide, so a quantile is at most 1 % off
_BINS = math.ceil(math.log(1e8 / _FLOOR_MS, _GROWTH))  # up to a day


class LatencyHistogram:
    """Counts latencies in bins of equal relative width."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)
        self.max_ms = 0.0

    def __len__(self) -> int:
        return int(self._counts.sum())

    def add(self, latency_ms: float) -> None:
        """Counts one latency."""
        place = int(math.log(max(latency_ms, _FLOOR_MS) / _FLOOR_MS, _GROWTH))
        self._counts[min(place, _BINS - 1)] += 1
        self.max_ms = max(self.max_ms, latency_ms)

    def clear(self) -> None:
        """Forgets all."""
        self._counts[:] = 0
        self.max_ms = 0.0

    def quantile(self, share: float) -> float:
        """The latency in ms that a `share` (0-1] of those counted do not exceed, within 1 %; 0 when there are none."""
        if not len(self):
            return 0.0
        place = int(np.searchsorted(self._counts.cumsum(), math.ceil(share * len(self))))
        return min(self.max_ms, float(_FLOOR_MS * _GROWTH ** (place + 0.5)))
