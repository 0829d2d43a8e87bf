"""Folders of labelled video: class folders of clips, or untrimmed streams with their annotations.

What lives here reads names and annotations, and says what each moment of each recording is. No decoding: a file that is
no video is found, and named, when its pictures are read (train.cache). No splitting: that is train.splits.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import ConfigError
from train.cache import digest

ANNOTATIONS = "annotations.json"
VIDEOS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"})


@dataclass(frozen=True)
class Segment:
    """Something that happens from `start` to `end`, media seconds after the first frame."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class Recording:
    """One file.

    Attributes:
        path: the video.
        group: files of one group are never divided between training and validation.
        label: of a clip, its class; None for an untrimmed stream.
        segments: what happens when; everything else is nothing. A clip is its label for as long as it lasts.
    """

    path: Path
    group: str
    label: str | None
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A folder of recordings.

    Attributes:
        root: the folder.
        labels: K names, that of nothing first, then the others in order.
        none: the name of nothing.
        recordings: in the order of their paths.
        untrimmed: True for streams with annotations, False for clips in class folders.
    """

    root: Path
    labels: tuple[str, ...]
    none: str
    recordings: tuple[Recording, ...]
    untrimmed: bool

    def targets(self, recording: Recording, times: NDArray[np.float64]) -> NDArray[np.int32]:
        """Label numbers (T,) int32 of `recording` at media seconds `times` (T,) after its first frame."""
        if recording.label is not None:
            return np.full(len(times), self.labels.index(recording.label), np.int32)
        targets = np.full(len(times), self.labels.index(self.none), np.int32)
        for segment in recording.segments:
            inside = (times >= segment.start) & (times < segment.end)
            targets[inside] = self.labels.index(segment.label)
        return targets

    def counts(self, recording: Recording) -> NDArray[np.float64]:
        """How often each label happens in `recording`, (K,) float64; what splits are balanced by."""
        counts = np.zeros(len(self.labels))
        for label in [recording.label] if recording.label else [segment.label for segment in recording.segments]:
            counts[self.labels.index(label)] += 1
        return counts


def fingerprint(dataset: Dataset) -> str:
    """Hex digest of the recordings' names, sizes and segments: the same data, wherever the folder lies."""
    files = [[each.path.relative_to(dataset.root).as_posix(), each.path.stat().st_size] for each in dataset.recordings]
    return digest([files, [[vars(segment) for segment in each.segments] for each in dataset.recordings]])


def read_dataset(root: Path, *, none: str, group: str) -> Dataset:
    """The recordings in `root`: class folders of clips, or streams where there is an annotations.json.

    Args:
        root: the folder.
        none: the label of nothing in particular.
        group: regular expression whose match in a file's name is its group.

    Raises:
        ConfigError: no such folder, nothing in it, fewer than two classes, or annotations that cannot be.
    """
    if not root.is_dir():
        raise ConfigError(f"no folder {root}: expected class folders of clips, or streams with {ANNOTATIONS}")
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ConfigError(f"[data] group {group!r} is no regular expression: {error}; correct the recipe") from error
    untrimmed = (root / ANNOTATIONS).is_file()
    recordings = _streams(root, pattern) if untrimmed else _clips(root, pattern)
    happening = {segment.label for recording in recordings for segment in recording.segments}
    happening |= {recording.label for recording in recordings if recording.label is not None}
    labels = (none, *sorted(happening - {none}))
    if len(labels) < 2 or (not untrimmed and len(happening) < 2):
        raise ConfigError(
            f"{root} holds fewer than two classes (got {', '.join(sorted(happening)) or 'none'}): expected at least "
            f"two folders of clips, one a class; add what is to be told apart, such as {none!r} for nothing"
        )
    return Dataset(root, labels, none, recordings, untrimmed)


def _clips(root: Path, pattern: re.Pattern[str]) -> tuple[Recording, ...]:
    recordings = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        videos = _videos(folder)
        if not videos:
            raise ConfigError(f"class folder {folder} holds no video: expected {_suffixes()}; add clips or remove it")
        recordings += [Recording(path, _group(path, pattern), folder.name) for path in videos]
    if not recordings:
        raise ConfigError(
            f"{root} is empty: expected class folders of clips ({root.name}/wave/1.mp4), or streams with {ANNOTATIONS}"
        )
    return tuple(recordings)


def _streams(root: Path, pattern: re.Pattern[str]) -> tuple[Recording, ...]:
    try:
        database: dict[str, Any] = json.loads((root / ANNOTATIONS).read_text(encoding="utf-8"))["database"]
        recordings = [_stream(root, name, entry, pattern) for name, entry in sorted(database.items())]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"{root / ANNOTATIONS} cannot be read ({type(error).__name__}: {error}): expected "
            '{"database": {name: {"file", "annotations": [{"label", "segment": [start, end]}]}}}'
        ) from error
    if not recordings:
        raise ConfigError(f"{root / ANNOTATIONS} names no stream: expected at least one entry under 'database'")
    return tuple(recordings)


def _stream(root: Path, name: str, entry: dict[str, Any], pattern: re.Pattern[str]) -> Recording:
    path = root / entry["file"]
    if not path.is_file():
        raise ConfigError(f"{root / ANNOTATIONS}: stream {name} is not there: no such file {path}")
    segments = []
    for annotation in entry["annotations"]:
        start, end = (float(edge) for edge in annotation["segment"])
        if not 0 <= start < end:
            raise ConfigError(
                f"{root / ANNOTATIONS}: {name}: a segment must run forward from 0 s, got {start} to {end}"
            )
        segments.append(Segment(str(annotation["label"]), start, end))
    return Recording(path, _group(path, pattern), None, tuple(sorted(segments, key=lambda segment: segment.start)))


def _videos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEOS and not path.name.startswith("."))


def _group(path: Path, pattern: re.Pattern[str]) -> str:
    found = pattern.search(path.name)
    return found.group(0) if found else f"{path.parent.name}/{path.name}"


def _suffixes() -> str:
    return ", ".join(sorted(VIDEOS))
