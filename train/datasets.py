"""Reading a dataset, whatever format it is in: `read_dataset` says what a path is, and what lies there.

What a dataset is, is train.recordings, whose names are handed on; each format is a module of train.formats. Nothing is
decoded: a file that is no video is found by train.readable. Nothing is split: that is train.splits.
"""

from __future__ import annotations

import re
from pathlib import Path

from stream.errors import ConfigError
from train.cache import digest
from train.formats import recognise
from train.formats.activitynet import ANNOTATIONS
from train.formats.found import Wanted
from train.formats.split_file import apply_split
from train.recordings import Dataset, Features, Footage, Part, Recording, Segment

__all__ = [
    "ANNOTATIONS",
    "Dataset",
    "Features",
    "Footage",
    "Part",
    "Recording",
    "Segment",
    "fingerprint",
    "read_dataset",
]


def read_dataset(root: Path, *, none: str, group: str, split: str | None = None) -> Dataset:
    """The recordings in `root`, in whichever of the formats of train.formats they are.

    Args:
        root: a folder, or a file that names what is beside it.
        none: the label of nothing in particular.
        group: regular expression whose match in a recording's name is its group.
        split: number of an official split, or a list of one's own (train.formats.split_file); None for the first
            official one, where there are any.

    Raises:
        ConfigError: no such folder, nothing in it, fewer than two classes, lists and annotations that cannot be, or a
            list of one's own that divides a group.
    """
    format = recognise(root)
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ConfigError(f"[data] group {group!r} is no regular expression: {error}; correct the recipe") from error
    number = int(split) if split and split.isdecimal() else None
    if number is not None and not format.numbered:
        raise ConfigError(f"{root} ({format.name}) has no split {number}: expected a list, or no --split")
    found = format.read(root, Wanted(none, pattern, number or 1))
    if split and number is None:
        found = apply_split(found, split)
    remarks = found.remarks
    crossing = _crossing(found.recordings)
    if crossing:
        told = f"groups in several parts of the split: {len(crossing)}, the first: {crossing[0]}"
        if split and number is None:
            raise ConfigError(f"{split}: {told}; a group is never divided: correct the list, or --group")
        remarks = (*remarks, f"{root}: {told}; what is measured across them is too good")
    labels = _labels(found.root, found.recordings, none, found.untrimmed)
    return Dataset(found.root, labels, none, found.recordings, found.untrimmed, format.name, remarks)


def fingerprint(dataset: Dataset) -> str:
    """Hex digest of the recordings' names, sizes and segments: the same data, wherever the folder lies."""
    files = [[each.path.relative_to(dataset.root).as_posix(), _size(each)] for each in dataset.recordings]
    value = [files, [[vars(segment) for segment in each.segments] for each in dataset.recordings]]
    # What folders and annotations of our own do not say. Runs that were trained on those keep their digest.
    more = [_more(each) for each in dataset.recordings]
    return digest([*value, more] if any(more) else value)


def _labels(root: Path, recordings: tuple[Recording, ...], none: str, untrimmed: bool) -> tuple[str, ...]:
    """The names of everything that happens, that of nothing first.

    Raises:
        ConfigError: fewer than two classes, or names that differ in nothing but their letters' case.
    """
    where: dict[str, Path] = {}
    for recording in recordings:
        for label in recording.happening:
            where.setdefault(label, recording.path)
    happening = set(where)
    labels = (none, *sorted(happening - {none}))
    if len(labels) < 2 or (not untrimmed and len(happening) < 2):
        raise ConfigError(
            f"{root} holds fewer than two classes (got {', '.join(sorted(happening)) or 'none'}): expected at least "
            f"two folders of clips, one a class; add what is to be told apart, such as {none!r} for nothing"
        )
    spelt: dict[str, str] = {}
    for label in labels:
        other = spelt.setdefault(" ".join(label.casefold().split()), label)
        if other != label:
            what = "the label of nothing" if other == none and none not in where else f"that of {where[other]}"
            raise ConfigError(
                f"{where[label]}: label {label!r} differs from {other!r}, {what}, only in case or spaces: "
                "call both the same"
            )
    return labels


def _crossing(recordings: tuple[Recording, ...]) -> list[str]:
    """The groups that are in more than one part of a split, each with its parts."""
    parts: dict[str, set[str]] = {}
    for recording in recordings:
        if recording.part:
            parts.setdefault(recording.group, set()).add(recording.part)
    return [f"{group} in {' and '.join(sorted(parts[group]))}" for group in sorted(parts) if len(parts[group]) > 1]


def _size(recording: Recording) -> int:
    """Bytes of what a recording is read from."""
    paths = [path for each in recording.files for path in ([each] if each.is_file() else sorted(each.iterdir()))]
    return sum(path.stat().st_size for path in paths)


def _more(recording: Recording) -> list[object]:
    """What a recording's path, size and segments do not say; nothing for clips in class folders and for our streams."""
    label = None if recording.label == recording.path.parent.name else recording.label
    row = recording.features.row if recording.features else None
    more: list[object] = [label, recording.part, recording.ambiguous or None, recording.span, recording.fps, row]
    return more if any(each is not None for each in more) else []
