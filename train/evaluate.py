"""Evaluating a judge (train.judges) on clips and on streams: what it is shown, and that it is asked.

A clip is shown as a camera would show it, or placed anywhere in a larger frame. What the answers come to is
train.clip_measures and train.stream_measures: plain dictionaries, ready for JSON and for train.report.
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
from train.clip_measures import measure_clips
from train.datasets import Dataset
from train.judges import Advance, Judge
from train.stream_measures import measure_streams
from train.streams import Stream
from train.views import PlainViews

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
    """Each clip at a random size and place on black in one 4:3 frame: its shape no longer tells what it is.

    Clips of ready-made features have no pictures to place, and are left out.
    """
    clips = []
    for i in members:
        if views.dataset.recordings[i].features is not None:
            continue
        pictures = detailed_pictures(
            views.cache, views.dataset.recordings[i].footage, views.input, detail=1.25, oversample=1.0
        )
        look = draw_placement(PLACED_SCALE, np.random.default_rng([seed, i]))
        placed = _in_frame(look, pictures.images, views)
        key = digest([pictures.key, look.scale, look.place, asdict(views.input)])
        clips.append(_clip(views, i, Pictures(pictures.times, placed, key)))
    return clips


def evaluate_clips(judge: Judge, clips: Sequence[Stream], *, reset: bool, advance: Advance) -> Result:
    """What `judge` reaches on clips (train.clip_measures)."""
    return measure_clips(judge, clips, judge.judge(clips, reset=reset, advance=advance))


def evaluate_streams(judge: Judge, streams: Sequence[Stream], *, reset: bool, advance: Advance) -> Result:
    """What `judge` reaches on streams (train.stream_measures)."""
    return measure_streams(judge, streams, judge.judge(streams, reset=reset, advance=advance))


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
