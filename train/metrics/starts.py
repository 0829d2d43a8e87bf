"""Whether the starts of actions are noticed at the right moment: point-level average precision.

A start is a moment, a detection of one a moment with a label and a score. Detections are matched with the starts of
their own stream, then those of all streams stand in one ranking a class, as in the literature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from stream.contracts import Event

OFFSETS = tuple(range(1, 11))
"""Seconds by which a detection may be off; the literature's."""


@dataclass(frozen=True)
class Detection:
    """What claims that an action started: in which stream, when (media seconds) and how surely."""

    stream: int
    time: float
    score: float


def starts_by_score(
    stream: int, times: NDArray[np.float64], scores: NDArray[np.float32], label: int
) -> list[Detection]:
    """The ticks at which `label` becomes the highest of the scores (T, K), with its score there.

    Raw starts as Shou et al. (ECCV 2018) and Gao et al. (StartNet, ICCV 2019) take them from per-frame scores. Nothing
    comes before the first tick, so a label that is highest there starts there.
    """
    highest = scores.argmax(axis=1) == label
    first = np.flatnonzero(highest & ~np.concatenate([[False], highest[:-1]]))
    return [Detection(stream, float(times[i]), float(scores[i, label])) for i in first]


def starts_by_event(stream: int, events: Sequence[Event], label: str) -> list[Detection]:
    """The moments at which `started` events of `label` were told, with the score that they were told with."""
    return [
        Detection(stream, event.start + event.delay, event.peak)
        for event in events
        if event.kind == "started" and event.label == label
    ]


def point_average_precision(
    detections: Sequence[Detection], starts: Sequence[Sequence[float]], offset: float
) -> float | None:
    """Average precision of one class's detections, right if within `offset` seconds of a start that is still free.

    The point-level AP of Shou et al. (Online Detection of Action Start in Untrimmed, Streaming Videos, ECCV 2018),
    whose mean over the classes is the p-mAP: no start may be claimed twice. Here the surest detection chooses first
    and takes the nearest start that is free; AP is not interpolated, and starts that nobody claims are recall that is
    never reached. None where nothing starts.

    Args:
        detections: in all streams.
        starts: of each stream, the moments in media seconds.
        offset: seconds.
    """
    total = sum(map(len, starts))
    if not total:
        return None
    free = [list(moments) for moments in starts]
    ranked = sorted(detections, key=lambda detection: -detection.score)
    right = np.array([_claims(free[each.stream], each.time, offset) for each in ranked], bool)
    if not right.any():
        return 0.0
    scores = np.array([each.score for each in ranked])
    return float(average_precision_score(right, scores) * right.sum() / total)


def _claims(free: list[float], time: float, offset: float) -> bool:
    """Whether a start in `free` lies within `offset` of `time`; the nearest is taken out."""
    nearest = min(free, key=lambda start: abs(start - time), default=None)
    if nearest is None or abs(nearest - time) > offset:
        return False
    free.remove(nearest)
    return True
