"""Numbers that say how good a recogniser is: pure functions on labels, scores, events and truth.

No network, no file and no drawing. Streams are never joined before they are measured: each is judged by itself, and
counts are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    def recall(self) -> float:
        """Share of the actions that were found; 1 where nothing happened."""
        return self.found / self.actions if self.actions else 1.0

    @property
    def false_per_minute(self) -> float:
        """False events a minute."""
        return self.false / self.minutes if self.minutes else 0.0


def confusion(targets: NDArray[np.int32], guesses: NDArray[np.int32], classes: int) -> NDArray[np.int64]:
    """Counts (K, K): how often what is `targets` was taken for `guesses`; true labels down, guesses across."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (targets, guesses), 1)
    return matrix


def accuracy(matrix: NDArray[np.int64]) -> float:
    """Share of a confusion matrix that lies on its diagonal; 0 where it is empty."""
    return float(np.trace(matrix) / max(1, matrix.sum()))


def settled(targets: NDArray[np.int32], times: NDArray[np.float64], margin: float) -> NDArray[np.bool_]:
    """Which ticks (T,) lie at least `margin` seconds after the last change of the true label."""
    changes = np.flatnonzero(np.diff(targets)) + 1
    since = np.full(len(times), np.inf)
    for change in changes:
        since[change:] = times[change:] - times[change]
    return since >= margin


def count_events(events: Sequence[Event], segments: Sequence[Segment], minutes: float) -> EventCounts:
    """How many of the `segments` the `started` events found, and how many of the events are false.

    An event counts at the moment at which it is told, `start + delay`. It finds the first action of its label that was
    not found before and is going on, or ended at most GRACE seconds ago; one that finds none is false, and so is a
    second one for the same action.
    """
    found: set[int] = set()
    false = 0
    for event in sorted((event for event in events if event.kind == "started"), key=lambda event: event.start):
        told = event.start + event.delay
        matches = (
            i
            for i, segment in enumerate(segments)
            if i not in found and segment.label == event.label and segment.start <= told <= segment.end + GRACE
        )
        match = next(matches, None)
        if match is None:
            false += 1
        else:
            found.add(match)
    return EventCounts(len(found), len(segments), false, minutes)


def log_loss(logits: NDArray[np.float32], targets: NDArray[np.int32], temperature: float) -> float:
    """Mean cross-entropy in nats of logits (T, K) at a temperature."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    chosen = scaled[np.arange(len(targets)), targets]
    return float((np.log(np.exp(scaled).sum(axis=1)) - chosen).mean())
