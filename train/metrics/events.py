"""Events against actions: which were found, after how long, and which events tell of nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream.contracts import Event
from train.datasets import Segment

GRACE = 1.0
"""Seconds after its end in which an action's `started` event still counts."""


@dataclass(frozen=True)
class EventCounts:
    """What was told against what happened.

    Attributes:
        found: actions that a `started` event of their label was told for, between start and end + grace.
        actions: that happened.
        false: `started` events that found nothing new.
        minutes: watched.
    """

    found: int
    actions: int
    false: int
    minutes: float

    def __add__(self, other: EventCounts) -> EventCounts:
        """Both together."""
        return EventCounts(
            self.found + other.found,
            self.actions + other.actions,
            self.false + other.false,
            self.minutes + other.minutes,
        )

    @property
    def recall(self) -> float | None:
        """Share of the actions that were found; None where nothing happened."""
        return self.found / self.actions if self.actions else None

    @property
    def false_per_minute(self) -> float:
        """False events a minute."""
        return self.false / self.minutes if self.minutes else 0.0


@dataclass(frozen=True)
class Matches:
    """Which event found which action of one stream.

    Attributes:
        found: the `started` event of each action that was found, by the action's place among the segments.
        false: the `started` events that found nothing new, in order.
    """

    found: Mapping[int, Event]
    false: tuple[Event, ...]


def match_events(events: Sequence[Event], segments: Sequence[Segment]) -> Matches:
    """Which of the `segments` each of the `started` events found.

    An event counts at the moment at which it is told, `start + delay`. It finds the first action of its label that was
    not found before and is going on, or ended at most GRACE seconds ago; one that finds none is false, and so is a
    second one for the same action.
    """
    found: dict[int, Event] = {}
    false = []
    for event in sorted((event for event in events if event.kind == "started"), key=lambda event: event.start):
        moment = told(event)
        matches = (
            i
            for i, segment in enumerate(segments)
            if i not in found and segment.label == event.label and segment.start <= moment <= segment.end + GRACE
        )
        match = next(matches, None)
        if match is None:
            false.append(event)
        else:
            found[match] = event
    return Matches(found, tuple(false))


def count_events(events: Sequence[Event], segments: Sequence[Segment], minutes: float) -> EventCounts:
    """How many of the `segments` the `started` events found, and how many of the events are false (`match_events`).

    Counts of streams are added: false alarms an hour are those of all hours watched, not a mean of rates.
    """
    matches = match_events(events, segments)
    return EventCounts(len(matches.found), len(segments), len(matches.false), minutes)


def delays(events: Sequence[Event], segments: Sequence[Segment]) -> list[float]:
    """Seconds from the start of each action that was found to the moment at which it was told.

    The time to detect is a quantile of these over all streams together. Actions that were missed have none, so it says
    little without their number beside it.
    """
    return [told(event) - segments[i].start for i, event in match_events(events, segments).found.items()]


def told(event: Event) -> float:
    """The media time at which a `started` event was told."""
    return event.start + event.delay
