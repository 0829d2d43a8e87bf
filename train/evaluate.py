"""Measuring a run or a bundle: on clips, at their last tick; on streams, tick by tick and event by event.

What is measured is a judge's answer (train.judges); how a number is made of it is train.metrics. Results are plain
dictionaries, ready for JSON and for train.report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import ConfigError
from train.augment import Look, apply_look, draw_placement
from train.cache import Pictures, detailed_pictures, digest
from train.datasets import Dataset
from train.judges import Advance, Judge, Judgement
from train.metrics import EventCounts, accuracy, confusion, count_events, settled
from train.streams import Stream
from train.views import PlainViews

MARGIN = 0.6
"""Seconds after each true boundary whose ticks are not asked."""
PLACED_SCALE = (0.5, 1.0)
"""Size of a placed clip, relative to what fits the frame."""
FRAME_RATIO = 4 / 3
"""Of the picture that clips are placed in; the network then sees that picture through its own fit."""

Result = dict[str, Any]


def with_labels(dataset: Dataset, judge: Judge) -> Dataset:
    """`dataset`, its label numbers being those of the judge.

    Raises:
        ConfigError: the dataset has labels that the judge does not know.
    """
    unknown = sorted(set(dataset.labels) - set(judge.labels))
    if unknown:
        raise ConfigError(
            f"{dataset.root} has labels that {judge.name} was not trained for ({', '.join(unknown)}): expected some of "
            f"{', '.join(judge.labels)}; rename the folders, or train on these data"
        )
    return replace(dataset, labels=judge.labels)


def plain_clips(views: PlainViews, members: Iterable[int]) -> list[Stream]:
    """Each clip as a camera would show it; short streams, each of one label."""
    return [_clip(views, i, views.plain(i)) for i in members]


def placed_clips(views: PlainViews, members: Iterable[int], seed: int) -> list[Stream]:
    """Each clip at a random size and place on black in one 4:3 frame: its shape no longer tells what it is."""
    clips = []
    for i in members:
        pictures = detailed_pictures(
            views.cache, views.dataset.recordings[i].path, views.input, detail=1.25, oversample=1.0
        )
        look = draw_placement(PLACED_SCALE, np.random.default_rng([seed, i]))
        placed = _in_frame(look, pictures.images, views)
        key = digest([pictures.key, look.scale, look.place, asdict(views.input)])
        clips.append(_clip(views, i, Pictures(pictures.times, placed, key)))
    return clips


def evaluate_clips(judge: Judge, clips: Sequence[Stream], *, reset: bool, advance: Advance) -> Result:
    """Argmax at each clip's last tick: over all labels for all clips, and over the actions for clips of an action."""
    none = judge.labels.index(judge.none)
    last = np.stack([each.scores[-1] for each in judge.judge(clips, reset=reset, advance=advance)])
    targets = np.array([clip.targets[-1] for clip in clips], np.int32)
    everything = confusion(targets, last.argmax(1).astype(np.int32), len(judge.labels))
    acting = targets != none
    forced = last[acting].copy()
    forced[:, none] = -1
    actions = confusion(targets[acting], forced.argmax(1).astype(np.int32), len(judge.labels))
    return {
        "clips": len(clips),
        "accuracy": accuracy(everything),
        "actions": int(acting.sum()),
        "actions_accuracy": accuracy(actions),
        "labels": list(judge.labels),
        "confusion": everything.tolist(),
        "actions_confusion": actions.tolist(),
    }


def evaluate_streams(judge: Judge, streams: Sequence[Stream], *, reset: bool, advance: Advance) -> Result:
    """Ticks that are right MARGIN after each boundary, decided and by highest score; actions found; false events."""
    judgements = judge.judge(streams, reset=reset, advance=advance)
    classes = len(judge.labels)
    decided = _over(streams, [each.decided for each in judgements], classes)
    highest = _over(streams, [each.scores.argmax(1).astype(np.int32) for each in judgements], classes)
    counts = EventCounts(0, 0, 0, 0.0)
    for stream, judgement in zip(streams, judgements, strict=True):
        counts += count_events(judgement.events, stream.segments, stream.minutes)
    return {
        "streams": len(streams),
        "minutes": counts.minutes,
        "ticks": int(decided.sum()),
        "decided_accuracy": accuracy(decided),
        "argmax_accuracy": accuracy(highest),
        "argmax_recall": _recall(judge.labels, highest),
        "actions": counts.actions,
        "found": counts.recall,
        "found_by_label": _found_by_label(judge, streams, judgements),
        "false_per_minute": counts.false_per_minute,
        "labels": list(judge.labels),
        "confusion": decided.tolist(),
        "argmax_confusion": highest.tolist(),
    }


def _clip(views: PlainViews, i: int, pictures: Pictures) -> Stream:
    recording, times = views.dataset.recordings[i], pictures.times
    targets = views.dataset.targets(recording, times)
    return Stream(f"{recording.label}/{recording.path.stem}", times, pictures.images, targets, (), pictures.key)


def _in_frame(look: Look, images: NDArray[np.uint8], views: PlainViews) -> NDArray[np.uint8]:
    """The clip placed in a 4:3 frame, which the network's fit then brings to its size."""
    height, width = views.input.height, views.input.width
    inner = replace(views.input, fit="letterbox", region=None)
    if width / height >= FRAME_RATIO:
        inner = replace(inner, width=max(8, round(height * FRAME_RATIO)))
    else:
        inner = replace(inner, height=max(8, round(width / FRAME_RATIO)))
    placed = apply_look(look, images, inner)
    whole = replace(views.input, region=None, fit="letterbox" if views.input.fit == "region" else views.input.fit)
    return apply_look(Look(), placed, whole)


def _over(streams: Sequence[Stream], guesses: Sequence[NDArray[np.int32]], classes: int) -> NDArray[np.int64]:
    """Confusion (K, K) over all settled ticks of all streams."""
    total = np.zeros((classes, classes), np.int64)
    for stream, guess in zip(streams, guesses, strict=True):
        sure = settled(stream.targets, stream.times, MARGIN)
        total += confusion(stream.targets[sure], guess[sure], classes)
    return total


def _recall(labels: Sequence[str], matrix: NDArray[np.int64]) -> dict[str, float]:
    """Of each label that happens, the share of its ticks that are right."""
    happens = matrix.sum(1)
    return {label: float(matrix[k, k] / happens[k]) for k, label in enumerate(labels) if happens[k]}


def _found_by_label(judge: Judge, streams: Sequence[Stream], judgements: Sequence[Judgement]) -> dict[str, Result]:
    """Actions, found and false events of each label that happened or was told."""
    table = {}
    for label in judge.labels:
        counts = EventCounts(0, 0, 0, 0.0)
        for stream, judgement in zip(streams, judgements, strict=True):
            events = [event for event in judgement.events if event.label == label]
            segments = [segment for segment in stream.segments if segment.label == label]
            counts += count_events(events, segments, stream.minutes)
        if counts.actions or counts.false:
            table[label] = {"actions": counts.actions, "found": counts.found, "false": counts.false}
    return table
