"""What tests run the line with: ticks, a sink that notes everything, an engine's thread. Nothing here is a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.contracts import Event, Prediction, Source, Status, Tick
from stream.engine import Engine
from stream.recognizer import Recognizer
from stream.sources import open_source
from stream.summary import Summary

FRAMES = 75
"""Of the walking clip: 3 s at 25 a second."""


class Notes:
    """A sink that keeps what it is told, and can stand still."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.predictions: list[Prediction] = []
        self.events: list[Event] = []
        self.statuses: list[Status] = []
        self.told: list[Event | Status | Prediction] = []
        self.order: list[str] = []
        self.closed = 0
        self._gate = gate

    def prediction(self, prediction: Prediction) -> None:
        """Keeps it, once the gate, if there is one, is open."""
        if self._gate is not None:
            self._gate.wait()
        self.predictions.append(prediction)
        self.told.append(prediction)
        self.order.append("prediction")

    def event(self, event: Event) -> None:
        """Keeps it."""
        self.events.append(event)
        self.told.append(event)
        self.order.append("event")

    def status(self, status: Status) -> None:
        """Keeps it."""
        self.statuses.append(status)
        self.told.append(status)
        self.order.append(status.health)

    def close(self) -> None:
        """Counts its calls."""
        self.closed += 1

    def of(self, camera: str) -> list[tuple[int, int, float, str, bytes]]:
        """All that must not depend on other cameras or on threads."""
        return [
            (p.session, p.index, p.time, p.label, p.scores.tobytes()) for p in self.predictions if p.camera == camera
        ]


class Running:
    """An engine in a thread of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.outcome: Summary | BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self.engine.run()
        except BaseException as error:  # noqa: BLE001
            self.outcome = error

    def result(self) -> Summary:
        """What `run` returned."""
        self._thread.join(20)
        assert isinstance(self.outcome, Summary), self.outcome
        return self.outcome


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited 20 s in vain"
        time.sleep(0.005)


def open_clip(clip: Path, recognizer: Recognizer, camera: str = "walk", *, loop: bool = False) -> Source:
    return open_source(str(clip), recognizer.input, camera=camera, loop=loop)


def three_cameras(images: NDArray[np.uint8], *, again_at: int) -> Iterator[list[Tick]]:
    """What three cameras show at a time: `images` (T, H, W, 3), moved aside.

    One pauses at every fifth; another begins a new session at `again_at`.
    """
    for index, image in enumerate(images):
        yield [
            Tick(
                f"camera {n}", index, int(n == 2 and index >= again_at), index / 10, 0.0, np.roll(image, 5 * n, 1), 0.1
            )
            for n in range(3)
            if n != 1 or index % 5
        ]
