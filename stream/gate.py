"""The motion gate: is a tick's picture the one whose features are known? Pure; no graphs, no clock, no decoding.

Where nothing moves, the last features are as good as new ones, and the backbone, which is nearly all of a tick's cost,
need not run. A tick is compared with the last one of its camera whose features were computed, not with the last one:
what changes slowly is noticed once it has added up. The head still steps at every tick, so states, decisions and events
go on in time. Not for backbones that keep state: they must see every tick.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.batch import Outcome
from stream.contracts import Tick
from stream.errors import ConfigError

GATE = 0.5
"""Grey levels. With MobileNetV2 and a GRU head at 128x96, on 156 clips of people who act and 140 s of people who walk
by, no score changes by more than 0.015 (at 0.75 by 0.032, at 1 by 0.046); 6 % of those ticks are kept back."""

CELL = 4
"""Pixels of the model's picture, each way, that are averaged: a hand moves a cell, a sensor's noise hardly does. With
8 or 16, scores that change as little leave no more ticks kept back."""


@dataclass(frozen=True, eq=False)
class _Known:
    """A picture as it is compared, and the features (D,) that were computed of it."""

    seen: NDArray[np.float32]
    features: NDArray[np.float32]


class MotionGate:
    """Stands before a backbone and keeps from it the ticks in whose pictures nothing moved.

    Args:
        threshold: grey levels by which no cell of the thumbnail may differ. At 0 it is the pictures themselves that
            are compared: only the very same one is kept back, and no result changes by a bit.

    Attributes:
        gated: ticks that were kept back, by camera.

    Raises:
        ConfigError: the threshold is no number of grey levels.
    """

    def __init__(self, threshold: float) -> None:
        if not 0 <= threshold <= 255:
            raise ConfigError(f"gate: expected grey levels from 0 to 255, got {threshold}; {GATE} is a good one")
        self._threshold = threshold
        self._known: dict[str, _Known] = {}
        self.gated: Counter[str] = Counter()

    def features(self, ticks: Sequence[Tick], extract: Callable[[Sequence[Tick]], Outcome]) -> Outcome:
        """What `extract` gives of `ticks`, each of another camera; it is called, once, with those only that moved.

        Args:
            ticks: a batch.
            extract: features without state of a batch.
        """
        seen = {tick.camera: self._seen(tick.image) for tick in ticks}
        moved = [tick for tick in ticks if self._has_moved(tick.camera, seen[tick.camera])]
        healthy = dict.fromkeys(seen, True)
        if moved:
            fresh = extract(moved)
            for tick, features, is_healthy in zip(moved, fresh.output, fresh.healthy, strict=True):
                self._known[tick.camera] = _Known(seen[tick.camera], features)
                healthy[tick.camera] = bool(is_healthy)
        self.gated.update(seen.keys() - {tick.camera for tick in moved})
        rows = np.stack([self._known[camera].features for camera in seen])
        return Outcome(rows, {}, np.array(list(healthy.values())))

    def forget(self, camera: str) -> None:
        """Forgets `camera`, known or not: its next tick goes through."""
        self._known.pop(camera, None)

    def _seen(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What is compared of a picture."""
        return thumbnail(image) if self._threshold > 0 else image.astype(np.float32)

    def _has_moved(self, camera: str, seen: NDArray[np.float32]) -> bool:
        """True where `camera` is new, or what is `seen` of it differs from what its features were computed of."""
        known = self._known.get(camera)
        return known is None or bool(np.abs(seen - known.seen).max() > self._threshold)


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey levels of `image` (H, W, 3) uint8 RGB, averaged over cells: (ceil(H / CELL), ceil(W / CELL)) float32."""
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    cells = (-(-width // CELL), -(-height // CELL))
    return np.asarray(cv2.resize(grey, cells, interpolation=cv2.INTER_AREA), np.float32)
