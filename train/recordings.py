"""What a dataset is, whatever format it came in: recordings, what happens in each, and which part of it they belong to.

Only types live here, and what they answer about themselves. Which files are a dataset is train.formats; reading one is
train.datasets; the pictures of a recording are train.cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Part: TypeAlias = Literal["training", "validation", "test"]
"""Of an official split."""


@dataclass(frozen=True)
class Segment:
    """Something that happens from `start` to `end`, media seconds after the first frame."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class Footage:
    """What a recording's pictures are read from.

    Attributes:
        path: a video, or a folder of numbered pictures.
        pictures: those of the folder that belong to it, in order; empty for all.
        fps: pictures of a folder, or rows of features, a second; None for 25.
        span: the media seconds of a video that belong to it; None for all.
    """

    path: Path
    pictures: tuple[Path, ...] = ()
    fps: float | None = None
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class Features:
    """Ready-made features of a recording, one row a tick.

    Attributes:
        files: .npy files (T, D), whose columns stand side by side: those of the pictures, then those of the flow; or
            one .npz with an array `features` (V, T, D).
        row: of an .npz, which of the V it is; None for .npy files.
        targets: .npy file (T, C) that says what each row shows, more than one thing perhaps; None where the
            recording's label says it for all.
        columns: the label of each of the C; None for what is ambiguous.
    """

    files: tuple[Path, ...]
    row: int | None = None
    targets: Path | None = None
    columns: tuple[str | None, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows T and columns D; of .npy files only their heads are read.

        Raises:
            OSError, ValueError: a file that is gone, or was changed since the dataset was read.
        """
        if self.row is not None:
            _, rows, columns = _stacked(self.files[0]).shape
            return rows, columns
        shapes = [np.load(path, mmap_mode="r").shape for path in self.files]
        return min(rows for rows, _ in shapes), sum(columns for _, columns in shapes)

    def load(self) -> NDArray[np.float32]:
        """The features, (T, D) float32.

        Raises:
            OSError, ValueError: a file that is gone, or was changed since the dataset was read.
        """
        if self.row is not None:
            return np.array(_stacked(self.files[0])[self.row], np.float32)
        parts = [np.load(path) for path in self.files]
        rows = min(len(part) for part in parts)  # flow lies between pictures, and is often a row shorter
        return np.hstack([part[:rows] for part in parts]).astype(np.float32)

    def shown(self, none: str) -> NDArray[np.int64]:
        """Which column each row of `targets` shows, (T,) int64: the highest, the first of equals.

        Something beside nothing is something, and a row of zeros is nothing.

        Args:
            none: the label of nothing.
        """
        assert self.targets is not None, "a recording of one label has no targets"
        values = np.load(self.targets)[:, : len(self.columns)].astype(np.float64)
        nothing = self.columns.index(none)
        values[:, nothing] = np.where((np.delete(values, nothing, 1) > 0).any(1), 0, 1)
        return np.asarray(values.argmax(1))


@cache
def _stacked(path: Path) -> NDArray[np.float32]:
    """The features of an .npz, read once: its rows come one by one."""
    with np.load(path) as arrays:
        return np.asarray(arrays["features"], np.float32)


@dataclass(frozen=True)
class Recording:
    """One clip, or one stream.

    Attributes:
        path: the video, the folder of pictures, or the file of features; of pictures that share a folder with others,
            the folder and the name that they share.
        group: recordings of one group are never divided between training and validation.
        label: of a clip, its class; None for an untrimmed stream.
        segments: what happens when; everything else is nothing. A clip is its label for as long as it lasts.
        part: of an official split; None where there is none.
        ambiguous: spans (start, end) that nobody can name: they count neither in a loss nor in a measure.
        pictures, fps, span: see `Footage`.
        features: ready-made ones, instead of pictures; None where there are pictures.
    """

    path: Path
    group: str
    label: str | None
    segments: tuple[Segment, ...] = ()
    part: Part | None = None
    ambiguous: tuple[tuple[float, float], ...] = ()
    pictures: tuple[Path, ...] = ()
    fps: float | None = None
    span: tuple[float, float] | None = None
    features: Features | None = None

    @property
    def footage(self) -> Footage:
        """What its pictures are read from."""
        return Footage(self.path.parent if self.pictures else self.path, self.pictures, self.fps, self.span)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from, or the folder of pictures that it is."""
        return self.features.files if self.features else self.pictures or (self.path,)

    @property
    def happening(self) -> tuple[str, ...]:
        """The labels of it, one for each time that something happens."""
        return (self.label,) if self.label is not None else tuple(segment.label for segment in self.segments)


@dataclass(frozen=True)
class Dataset:
    """Recordings and their labels.

    Attributes:
        root: the folder.
        labels: K names, that of nothing first, then the others in order.
        none: the name of nothing.
        recordings: in the order of their paths.
        untrimmed: True for streams in which things happen, False for clips of one label each.
        format: what was recognised, in words.
        remarks: a line for every recording that was named and left out, and for whatever else a person should know.
    """

    root: Path
    labels: tuple[str, ...]
    none: str
    recordings: tuple[Recording, ...]
    untrimmed: bool
    format: str = "class folders"
    remarks: tuple[str, ...] = ()

    def targets(self, recording: Recording, times: NDArray[np.float64]) -> NDArray[np.int32]:
        """Label numbers (T,) int32 of `recording` at media seconds `times` (T,) after its first frame."""
        if recording.label is not None:
            return np.full(len(times), self.labels.index(recording.label), np.int32)
        targets = np.full(len(times), self.labels.index(self.none), np.int32)
        for segment in recording.segments:
            inside = (times >= segment.start) & (times < segment.end)
            targets[inside] = self.labels.index(segment.label)
        return targets

    def counted(self, recording: Recording, times: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of the ticks at `times` (T,) count in a loss and in a measure, (T,): all that are not ambiguous."""
        counted = np.ones(len(times), np.bool_)
        for start, end in recording.ambiguous:
            counted &= (times < start) | (times >= end)
        return counted

    def features(self, recording: Recording) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.bool_]]:
        """Ready-made features (T, D) float32, label numbers (T,) int32, and which rows count (T,).

        Raises:
            OSError, ValueError: a file that is gone, or was changed since the dataset was read.
        """
        given = recording.features
        assert given is not None, f"{recording.path} has pictures, not features"
        features = given.load()
        if given.targets is None:
            return features, self.targets(recording, np.zeros(len(features))), np.ones(len(features), np.bool_)
        shown = given.shown(self.none)[: len(features)]
        # What is ambiguous has no number; nor has a class that is known of, but happens nowhere.
        known = {label: number for number, label in enumerate(self.labels)}
        numbers = np.array([known.get(label or "", -1) for label in given.columns], np.int32)
        counted = numbers[shown] >= 0
        return features[: len(shown)], np.where(counted, numbers[shown], self.labels.index(self.none)), counted

    def counts(self, recording: Recording) -> NDArray[np.float64]:
        """How often each label happens in `recording`, (K,) float64; what splits are balanced by."""
        counts = np.zeros(len(self.labels))
        for label in recording.happening:
            counts[self.labels.index(label)] += 1
        return counts
