"""A real recognizer on a machine that is slower than this one, on command. Nothing here is a test."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream.bundle import Bundle
from stream.contracts import State
from stream.inference import OnnxFeatures, OnnxHead
from stream.recognizer import Recognizer


class SlowFeatures(OnnxFeatures):
    """The real graph on a machine that takes `a_row_s` more for each row, and notes how many it was given."""

    def __init__(self, folder: Path, a_row_s: float = 0.0) -> None:
        super().__init__(Bundle.load(folder, check=False), "cpu", 1)
        self.a_row_s = a_row_s
        self.rows: list[int] = []

    def extract(self, images: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """As in `OnnxFeatures`, later."""
        self.rows.append(len(images))
        time.sleep(self.a_row_s * len(images))
        return super().extract(images, state)


def slow(folder: Path, features: SlowFeatures, batch_size: int | Sequence[int] = 1) -> Recognizer:
    bundle = Bundle.load(folder, check=False)
    return Recognizer(bundle, features, OnnxHead(bundle, "cpu"), batch_size=batch_size)
