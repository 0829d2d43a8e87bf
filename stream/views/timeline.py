"""What a viewer remembers of one camera: the last seconds of predictions and events, as a value. No drawing.

A timeline never grows past `seconds` of media time. It is immutable: whoever holds one may draw it in any thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from stream.contracts import Event, Prediction, Status


@dataclass(frozen=True, eq=False)
class Timeline:
    """The recent past of one camera, within one session.

    Attributes:
        seconds: how much media time is kept.
        predictions: oldest first.
        events: the newest telling of each event, oldest start first.
        away: why nothing comes; None while frames do.
    """

    seconds: float = 20.0
    predictions: tuple[Prediction, ...] = ()
    events: tuple[Event, ...] = ()
    away: Status | None = None

    @property
    def latest(self) -> Prediction | None:
        """The newest prediction, or None before the first."""
        return self.predictions[-1] if self.predictions else None

    @property
    def current(self) -> Event | None:
        """The event that is on, or None."""
        return next((event for event in reversed(self.events) if event.end is None), None)

    def with_prediction(self, prediction: Prediction) -> Timeline:
        """The timeline after `prediction`; a new session has another clock, so of the old one nothing is kept."""
        if self.latest and self.latest.session != prediction.session:
            begun = tuple(e for e in self.events if e.end is None and e.start == prediction.time)
            return Timeline(self.seconds, (prediction,), begun, self.away)
        since = prediction.time - self.seconds - 1  # a second more than is shown: the strip's left end is filled
        return replace(
            self,
            predictions=(*(p for p in self.predictions if p.time >= since), prediction),
            events=tuple(e for e in self.events if e.end is None or e.end >= since),
        )

    def with_event(self, event: Event) -> Timeline:
        """The timeline after `event`, which replaces what was told of it before."""
        return replace(self, events=(*(e for e in self.events if e.id != event.id), event))

    def with_status(self, status: Status) -> Timeline:
        """The timeline after news of its camera; where nothing comes any more, what was on ends with the last tick."""
        if not status.is_away:
            return replace(self, away=None)
        last = self.latest.time if self.latest else 0.0
        ended = tuple(replace(e, end=max(e.start, last)) if e.end is None else e for e in self.events)
        return replace(self, events=ended, away=status)
