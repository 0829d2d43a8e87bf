"""Newest-only: what a viewer gets to see of a running engine. A slow viewer misses pictures and holds up nobody."""

from __future__ import annotations

from threading import Condition

from stream.contracts import Event, Frame, Prediction, Status
from stream.views.timeline import Timeline


class LiveSlot:
    """Each track's newest frame and its timeline.

    `frame` is an engine's `on_frame`, `told` its `on_prediction`, `status` its `on_status`.
    """

    def __init__(self) -> None:
        self._frames: dict[str, Frame] = {}  # not taken yet
        self._newest: dict[str, Frame] = {}
        self._timelines: dict[str, Timeline] = {}
        self._signal = Condition()

    def frame(self, frame: Frame) -> None:
        """Replaces its track's frame."""
        with self._signal:
            self._frames[frame.camera] = self._newest[frame.camera] = frame
            self._signal.notify_all()

    def told(self, prediction: Prediction, events: tuple[Event, ...]) -> None:
        """Adds a prediction and its events to their camera's timeline."""
        timeline = self._timelines.get(prediction.camera, Timeline())
        for event in events:
            timeline = timeline.with_event(event)
        self._timelines[prediction.camera] = timeline.with_prediction(prediction)

    def status(self, status: Status) -> None:
        """Adds news of a camera to the timelines of its tracks, whose newest frames are to be seen once more."""
        with self._signal:
            for track, frame in self._newest.items():
                if track == status.camera or track.startswith(f"{status.camera}/"):
                    self._timelines[track] = self._timelines.get(track, Timeline()).with_status(status)
                    self._frames.setdefault(track, frame)
            self._signal.notify_all()

    def take(self, timeout: float) -> list[tuple[Frame, Timeline]]:
        """The frames that came since the last call, with what is known now; waits `timeout` seconds for the first."""
        with self._signal:
            self._signal.wait_for(lambda: self._frames, timeout)
            frames, self._frames = self._frames, {}
        return [(frame, self._timelines.get(frame.camera, Timeline())) for frame in frames.values()]
