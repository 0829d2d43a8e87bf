"""What went wrong, to be looked at: clips that were taken for something else, actions that were missed, false alarms.

Each comes with three of its moments: the picture as the network saw it, and the highest scores there. Which mistakes
are shown, and how; the page itself is train.report_page.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from train.judges import Judge, Judgement
from train.metrics.events import match_events
from train.stream_measures import answers_of
from train.streams import Stream

MOST = 12
"""Mistakes of a kind that are shown."""
BARS = 3
"""Scores that are shown with a picture."""


@dataclass(frozen=True)
class Moment:
    """A tick: media seconds, its picture as a data: URI or None where there are only features, its highest scores."""

    time: float
    picture: str | None
    bars: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        true: label of what happened; that of nothing for a false alarm.
        told: label that was told; None for an action that was missed.
        where: name of the clip or stream.
        weight: how surely it was wrong; what the most telling are chosen by.
        moments: the first, the middle and the last.
    """

    true: str
    told: str | None
    where: str
    weight: float
    moments: tuple[Moment, ...]


def wrong_clips(judge: Judge, clips: Sequence[Stream], judgements: Sequence[Judgement]) -> list[Mistake]:
    """All clips whose highest score at the last tick is not that of their label, the surest first."""
    wrong = []
    for clip, judgement in zip(clips, judgements, strict=True):
        true, told = int(clip.targets[-1]), int(judgement.scores[-1].argmax())
        if told != true:
            weight = float(judgement.scores[-1, told])
            moments = _moments(judge, clip, judgement, 0, len(clip.times) - 1)
            wrong.append(Mistake(judge.labels[true], judge.labels[told], clip.name, weight, moments))
    return _surest(wrong)


def missed_actions(judge: Judge, streams: Sequence[Stream], judgements: Sequence[Judgement]) -> list[Mistake]:
    """All actions that no event was told for, those of the lowest scores first."""
    missed = []
    for stream, judgement in zip(streams, judgements, strict=True):
        found = match_events(answers_of(stream, judgement).events, stream.segments).found
        for i, segment in enumerate(stream.segments):
            first, last = np.searchsorted(stream.times, [segment.start, segment.end]).tolist()
            if i in found or first == len(stream.times):
                continue
            last = max(first, last - 1)
            highest = float(judgement.scores[first : last + 1, judge.labels.index(segment.label)].max())
            moments = _moments(judge, stream, judgement, first, last)
            missed.append(Mistake(segment.label, None, stream.name, 1 - highest, moments))
    return _surest(missed)


def false_alarms(judge: Judge, streams: Sequence[Stream], judgements: Sequence[Judgement]) -> list[Mistake]:
    """All events that found nothing new, those of the highest peaks first; the true label is that when they began."""
    alarms = []
    for stream, judgement in zip(streams, judgements, strict=True):
        ends = {event.id: event for event in judgement.events if event.kind == "ended"}
        for event in match_events(answers_of(stream, judgement).events, stream.segments).false:
            over = ends[event.id]
            span = [over.start, over.end if over.end is not None else stream.times[-1]]
            first, last = np.searchsorted(stream.times, span).clip(0, len(stream.times) - 1).tolist()
            true = judge.labels[int(stream.targets[first])]
            moments = _moments(judge, stream, judgement, first, last)
            alarms.append(Mistake(true, event.label, stream.name, over.peak, moments))
    return _surest(alarms)


def _surest(mistakes: list[Mistake]) -> list[Mistake]:
    return sorted(mistakes, key=lambda mistake: -mistake.weight)


def _moments(judge: Judge, stream: Stream, judgement: Judgement, first: int, last: int) -> tuple[Moment, ...]:
    """The first, the middle and the last of some ticks, each once."""
    return tuple(
        Moment(float(stream.times[i]), _picture(stream.images[i]), _bars(judge, judgement.scores[i]))
        for i in sorted({first, (first + last) // 2, last})
    )


def _bars(judge: Judge, scores: NDArray[np.float32]) -> tuple[tuple[str, float], ...]:
    highest = np.argsort(-scores)[:BARS]
    return tuple((judge.labels[k], float(scores[k])) for k in highest)


def _picture(image: NDArray[np.uint8]) -> str | None:
    """(H, W, 3) uint8 RGB as a data: URI; None for a row of features."""
    if image.ndim != 3:
        return None
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85]
    )
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")
