"""Newest-only: what a viewer gets to see of a running engine. A slow viewer misses pictures and holds up nobody."""

from __future__ import annotations

from threading import Condition

from stream.contracts import Event, Frame, Prediction
from stream.views.timeline import Timeline


class LiveSlot:
    """Each camera's newest frame and its timeline; `frame` is an engine's `on_frame`, `told` its `on_prediction`."""

    def __init__(self) -> None:
        self._frames: dict[str, Frame] = {}
        self._timelines: dict[str, Timeline] = {}
        self._signal = Condition()

    def frame(self, frame: Frame) -> None:
        """Replaces its camera's frame."""
        with self._signal:
            self._frames[frame.camera] = frame
            self._signal.notify_all()

    def told(self, prediction: Prediction, events: tuple[Event, ...]) -> None:
        """Adds a prediction and its events to their camera's timeline."""
        timeline = self._timelines.get(prediction.camera, Timeline())
        for event in events:
            timeline = timeline.with_event(event)
        self._timelines[prediction.camera] = timeline.with_prediction(prediction)

    def take(self, timeout: float) -> list[tuple[Frame, Timeline]]:
        """The frames that came since the last call, with what is known now; waits `timeout` seconds for the first."""
        with self._signal:
            self._signal.wait_for(lambda: self._frames, timeout)
            frames, self._frames = self._frames, {}
        return [(frame, self._timelines.get(frame.camera, Timeline())) for frame in frames.values()]
