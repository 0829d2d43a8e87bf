"""All that can be known of a dataset before a network sees it: what it is, what is in it, what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console

from stream.commands.terminal import steps_left
from train.cache import ArrayCache
from train.data.giveaway import QUESTIONS, Answer, give_away
from train.data.leaks import Leak, find_leaks, name_of
from train.readable import Facts, facts_of, faults
from train.recordings import Dataset, Recording

LATE = 1.0
"""Seconds by which a segment may end after its recording: annotations are rounded."""


@dataclass(frozen=True)
class ClassCount:
    """One label: how many recordings it happens in, how often, in how many groups; recordings in each part."""

    label: str
    recordings: int
    times: int
    groups: int
    parts: dict[str, int]


@dataclass(frozen=True)
class Range:
    """The least, the median and the greatest of a number."""

    least: float
    median: float
    greatest: float


@dataclass(frozen=True, eq=False)
class Checked:
    """What was found.

    Attributes:
        dataset: the recordings that can be read.
        facts: of each of them.
        classes: in the order of the labels; those that happen.
        parts: recordings in each part of an official split; empty where there is none.
        lengths: of frames, seconds and fps.
        sizes: recordings of each size, the most frequent first.
        unreadable: a line for each recording that cannot be read.
        beyond: a line for each segment that begins or ends where its recording is over.
        leaks: what is on both sides of a split, or may be.
        answers: whether size, length or fps give the class away; empty for streams, and where there is too little.
    """

    dataset: Dataset
    facts: tuple[Facts, ...]
    classes: tuple[ClassCount, ...]
    parts: dict[str, int]
    lengths: dict[str, Range]
    sizes: dict[str, int]
    unreadable: tuple[str, ...]
    beyond: tuple[str, ...]
    leaks: tuple[Leak, ...]
    answers: tuple[Answer, ...]


def check(dataset: Dataset, cache: ArrayCache, console: Console, *, seed: int = 0) -> Checked:
    """What is known of `dataset`.

    Args:
        dataset: as it was read.
        cache: where it is kept what each recording is.
        console: for progress.
        seed: of the tree that is asked whether numbers give the class away.
    """
    with steps_left(console, "recordings", len(dataset.recordings)) as advance:
        unreadable = faults(dataset, cache, advance)
    kept = tuple(each for i, each in enumerate(dataset.recordings) if i not in unreadable)
    dataset = replace(dataset, recordings=kept)
    facts = tuple(facts_of(cache, each) for each in kept)
    with steps_left(console, "leaks", len(kept)) as advance:
        leaks = find_leaks(dataset, facts, advance)
    shown = [(known, each) for known, each in zip(facts, kept, strict=True) if each.features is None]
    clips = [(known, each.label, each.group) for known, each in shown if each.label is not None]
    answers: tuple[Answer, ...] = ()
    if clips:
        with steps_left(console, "what betrays a class", QUESTIONS) as advance:
            answers = give_away(*zip(*clips, strict=True), seed=seed, advance=advance)
    return Checked(
        dataset=dataset,
        facts=facts,
        classes=_classes(dataset),
        parts=_parts(kept),
        lengths=_lengths(facts),
        sizes=dict(Counter(each.size for each in facts).most_common()),
        unreadable=tuple(unreadable.values()),
        beyond=tuple(_beyond(dataset, facts)),
        leaks=tuple(leaks),
        answers=answers,
    )


def sampled(count: int, most: int) -> list[int]:
    """At most `most` of `count` numbers, evenly spread."""
    return sorted({i * count // most for i in range(most)}) if count else []


def _classes(dataset: Dataset) -> tuple[ClassCount, ...]:
    found = []
    for label in dataset.labels:
        members = [each for each in dataset.recordings if label in each.happening]
        if members:
            times = sum(each.happening.count(label) for each in members)
            groups = len({each.group for each in members})
            found.append(ClassCount(label, len(members), times, groups, _parts(members)))
    return tuple(found)


def _beyond(dataset: Dataset, facts: Sequence[Facts]) -> Iterator[str]:
    for recording, known in zip(dataset.recordings, facts, strict=True):
        for each in recording.segments:
            if each.end > known.seconds + LATE:
                name, span = name_of(dataset, recording), f"{each.start:g} to {each.end:g} s"
                yield f"{name} ends at {known.seconds:.1f} s, but {each.label} happens from {span}"


def _parts(recordings: Sequence[Recording]) -> dict[str, int]:
    """Recordings in each part of an official split."""
    return dict(Counter(str(each.part) for each in recordings if each.part))


def _lengths(facts: Sequence[Facts]) -> dict[str, Range]:
    if not facts:
        return {}
    numbers: dict[str, list[float]] = {
        "frames": [each.frames for each in facts],
        "seconds": [each.seconds for each in facts],
        "fps": [each.fps for each in facts],
    }
    return {name: Range(*np.quantile(values, (0, 0.5, 1)).round(3).tolist()) for name, values in numbers.items()}
