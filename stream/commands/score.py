"""What was said against what happened: a clip's truth (ActivityNet-style JSON) and a sink that keeps the score."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from stream.contracts import Event, Prediction, Status
from stream.errors import ConfigError

MARGIN = 0.6
"""Seconds after a start or an end in which a tick is not counted: a causal model cannot know before it has seen."""
LATE = 1.0
"""Seconds after an action's end by which it must have been told to count as found."""


@dataclass(frozen=True)
class Action:
    """Something that really happened, from `start` to `end` in media seconds."""

    label: str
    start: float
    end: float


def read_truth(path: Path) -> tuple[Action, ...]:
    """The actions of the one clip that `path` tells of, in order of time.

    Raises:
        ConfigError: it is not ActivityNet-style JSON of one clip.
    """
    try:
        (clip,) = json.loads(path.read_text(encoding="utf-8"))["database"].values()
        actions = [Action(told["label"], *map(float, told["segment"])) for told in clip["annotations"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f'{path}: expected {{"database": {{clip: {{"annotations": [{{"label", "segment": [start, end]}}]}}}}}}, '
            f"got {type(error).__name__}: {error}"
        ) from error
    return tuple(sorted(actions, key=lambda action: action.start))


class Score:
    """A sink that counts right ticks and found actions of one clip.

    Attributes:
        right, counted: ticks with the true label, of those outside `MARGIN` after each start and end.
        found: actions with a `started` event of their label between their start and `LATE` after their end.
        false: `started` events that belong to no action, or to one that was told before.
    """

    def __init__(self, truth: tuple[Action, ...], none: str) -> None:
        self._truth = truth
        self._none = none
        self._boundaries = [moment for action in truth for moment in (action.start, action.end)]
        self._found: set[Action] = set()
        self.right = self.counted = self.false = 0

    @property
    def found(self) -> int:
        """Actions that were told in time."""
        return len(self._found)

    @property
    def actions(self) -> int:
        """Actions that there are."""
        return len(self._truth)

    def prediction(self, prediction: Prediction) -> None:
        """Counts one tick."""
        time = prediction.time
        if any(boundary <= time < boundary + MARGIN for boundary in self._boundaries):
            return
        true = next((action.label for action in self._truth if action.start <= time < action.end), self._none)
        self.counted += 1
        self.right += prediction.label == true

    def event(self, event: Event) -> None:
        """Counts one event when it starts: it finds the first action of its label that was not found before."""
        if event.kind != "started":
            return
        told = event.start + event.delay
        untold = (action for action in self._truth if action not in self._found and action.label == event.label)
        match = next((action for action in untold if action.start <= told <= action.end + LATE), None)
        if match is None:
            self.false += 1
        else:
            self._found.add(match)

    def status(self, status: Status) -> None:
        """Counts nothing: a clip is always there."""

    def close(self) -> None:
        """Nothing to release."""
