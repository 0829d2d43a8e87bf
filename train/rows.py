"""Rows: T ticks cut from one recording, or from a pseudo-stream of clips joined by nothing, with a target a tick.

A row only says which ticks of which recordings it holds, and which of them count; train.views loads them. Everything is
drawn from the random generator that is passed in, so an epoch's rows follow from its number. No pictures here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream.errors import ConfigError
from train.datasets import Dataset
from train.settings import StageSettings

EVIDENCE = (0.35, 0.6)
"""Shares of a clip before which nothing shows what it will be, and after which everything does: a trimmed clip begins
and ends with people who stand."""


@dataclass(frozen=True)
class View:
    """One way of looking at a recording.

    Attributes:
        recording: its number in the dataset.
        variant: seed of the look, or number of the cached copy; None is the plain picture at its own speed.
        speed: media seconds a second.
        count: ticks that it has at that speed.
    """

    recording: int
    variant: int | None
    speed: float
    count: int


@dataclass(frozen=True, eq=False)
class Piece:
    """Ticks of one view: positions (n,) float64 in ticks after its start, rising, at most `count` - 1."""

    view: View
    positions: NDArray[np.float64]

    @classmethod
    def whole(cls, view: View) -> Piece:
        """All ticks of `view`."""
        return cls(view, np.arange(view.count, dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Row:
    """T ticks to train on; what is missing at the end repeats the last and weighs nothing.

    Attributes:
        pieces: what it is joined from; together at most T ticks.
        targets: (T,) int32 label numbers.
        weights: (T,) float32, the share of each tick in the loss, summing to 1 where any tick counts.
    """

    pieces: tuple[Piece, ...]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]


class Views(Protocol):
    """Where rows get their recordings from."""

    def choose(self, recording: int, rng: np.random.Generator) -> View:
        """A view of the recording."""

    def load(self, piece: Piece) -> NDArray[np.generic]:
        """What the piece's ticks show, (n, ...)."""

    def times(self, piece: Piece) -> NDArray[np.float64]:
        """When that is in the recording: media seconds after its first frame, (n,), rising."""


class RowDrawer:
    """Draws rows from the members of a dataset."""

    def __init__(
        self,
        dataset: Dataset,
        members: tuple[int, ...],
        views: Views,
        stage: StageSettings,
        *,
        rate: float,
        keep: float,
    ) -> None:
        """Makes a drawer.

        Args:
            dataset: what is recorded, and its labels.
            members: numbers of the recordings to draw from.
            views: chooses how a recording is seen.
            stage: length and kind of the rows, and which ticks count.
            rate: ticks a second.
            keep: least share of a clip that a temporal crop keeps.

        Raises:
            ConfigError: rows spread over clips, of a dataset that has none, or a stride through clips.
        """
        if stage.spread and dataset.untrimmed:
            raise ConfigError(f"a stage with spread = true needs clips; {dataset.root} holds untrimmed streams")
        if stage.stride > 1 and not dataset.untrimmed:
            raise ConfigError(f"a stage with stride > 1 needs untrimmed streams; {dataset.root} holds clips")
        self._dataset, self._views, self._stage = dataset, views, stage
        self._rate, self._keep = rate, keep
        self._members = members
        nothing = [i for i in members if dataset.recordings[i].label == dataset.none]
        self._nothing = nothing
        self._actions = sorted(set(members) - set(nothing))
        # Counted once: an epoch's length must not depend on the speeds that it draws.
        counted = [(i, views.choose(i, np.random.default_rng(i)).count) for i in members] if dataset.untrimmed else []
        self._windows = [i for i, count in counted for _ in range(max(1, count // (stage.window * stage.stride)))]

    def order(self, rng: np.random.Generator) -> list[int]:
        """The recordings of an epoch, shuffled: each clip once, those of nothing at most as often as all others.

        A stream comes once for every window that fits into it. Of a class of clips at most the stage's `per_class`.
        """
        if self._dataset.untrimmed:
            return [int(i) for i in rng.permutation(self._windows)]
        actions, nothing = self._actions, self._nothing
        if self._stage.per_class:
            actions = [i for members in self._classes() for i in _some(members, self._stage.per_class, rng)]
            nothing = _some(nothing, self._stage.per_class, rng)
        if actions:
            nothing = _some(nothing, len(actions), rng)
        return [int(i) for i in rng.permutation(actions + nothing)]

    def _classes(self) -> list[list[int]]:
        """The clips of each action."""
        by_label: dict[str | None, list[int]] = {}
        for i in self._actions:
            by_label.setdefault(self._dataset.recordings[i].label, []).append(i)
        return list(by_label.values())

    def draw(self, recording: int, rng: np.random.Generator) -> Row:
        """A row with (some of) `recording` in it."""
        if self._dataset.untrimmed:
            return self._row([self._window(recording, rng)])
        if self._stage.spread:
            return self._row([self._spread(recording, rng)])
        if rng.random() < self._stage.streams:
            return self._row(self._stream(recording, rng))
        piece = self._crop(recording, rng)
        excess = max(0, len(piece.positions) - self._stage.window)
        return self._row(_cut([piece], int(rng.integers(excess + 1)), self._stage.window))

    def _crop(self, recording: int, rng: np.random.Generator) -> Piece:
        """A clip, less a random part of its start and end."""
        view = self._views.choose(recording, rng)
        length = max(1, round(view.count * rng.uniform(self._keep, 1)))
        first = rng.integers(view.count - length + 1)
        return Piece(view, np.arange(first, first + length, dtype=np.float64))

    def _spread(self, recording: int, rng: np.random.Generator) -> Piece:
        """One tick from each of T equal parts of a crop."""
        crop = self._crop(recording, rng)
        edges = np.linspace(crop.positions[0], crop.positions[-1], self._stage.window + 1)
        return Piece(crop.view, rng.uniform(edges[:-1], edges[1:]))

    def _stream(self, recording: int, rng: np.random.Generator) -> list[Piece]:
        """T ticks of clips in a row, actions and nothing by turns, the first of them cut at random."""
        joined = [recording]
        if rng.random() < 0.5:
            joined.insert(0, self._neighbour(recording, rng))
        pieces = [self._crop(i, rng) for i in joined]
        skip = int(rng.integers(len(pieces[0].positions)))
        while sum(len(piece.positions) for piece in pieces) < skip + self._stage.window:
            joined.append(self._neighbour(joined[-1], rng))
            pieces.append(self._crop(joined[-1], rng))
        return _cut(pieces, skip, self._stage.window)

    def _neighbour(self, recording: int, rng: np.random.Generator) -> int:
        """Nothing, beside an action, and an action beside nothing; anything where one of the two is missing."""
        wanted = self._actions if recording in self._nothing else self._nothing
        return int(rng.choice(wanted or self._members))

    def _window(self, recording: int, rng: np.random.Generator) -> Piece:
        """T ticks of a stream, as often as not around something that happens."""
        view = self._views.choose(recording, rng)
        segments = self._dataset.recordings[recording].segments
        middle = rng.uniform(0, view.count)
        if segments and rng.random() < 0.5:
            segment = segments[rng.integers(len(segments))]
            whole = Piece.whole(view)
            times = self._views.times(whole)
            middle = float(np.interp(rng.uniform(segment.start, segment.end), times, whole.positions))
        length, stride = self._stage.window * self._stage.stride, self._stage.stride
        first = int(np.clip(middle - rng.uniform(0, length), 0, max(0, view.count - length)))
        return Piece(view, np.arange(first, min(view.count, first + length), stride, dtype=np.float64))

    def _row(self, pieces: list[Piece]) -> Row:
        truths = [self._truth(piece) for piece in pieces]
        targets, counted = (np.concatenate(each) for each in zip(*truths, strict=True))
        progress = np.concatenate([(piece.positions + 1) / piece.view.count for piece in pieces])
        weights = tick_weights(targets, progress, self._stage, self._rate / self._stage.stride, counted)
        missing = self._stage.window - len(targets)
        return Row(tuple(pieces), np.pad(targets, (0, missing), mode="edge"), np.pad(weights, (0, missing)))

    def _truth(self, piece: Piece) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Label numbers (n,) of the piece's ticks, and which of them count."""
        recording = self._dataset.recordings[piece.view.recording]
        times = self._views.times(piece)
        return self._dataset.targets(recording, times), self._dataset.counted(recording, times)


def tick_weights(
    targets: NDArray[np.int32],
    progress: NDArray[np.float64],
    stage: StageSettings,
    rate: float,
    counted: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """The share (T,) float32 of each tick in the loss, summing to 1; a row without any tick that counts gets zeros.

    Args:
        targets: (T,) label numbers; what counts depends on how long a label has been on.
        progress: (T,) the share (0-1) of its recording that has been seen at each tick.
        stage: its loss and its burn-in.
        rate: ticks of the row a second.
        counted: (T,) which ticks may count; None for all.
    """
    changed = np.flatnonzero(np.diff(targets, prepend=-1))
    lengths = np.diff(np.append(changed, len(targets)))
    age = np.arange(len(targets)) - np.repeat(changed, lengths)
    if stage.loss == "last":
        weights = np.zeros(len(targets))
        weights[-1] = 1
    elif stage.loss == "ramp":
        weights = ((age + 1) / np.repeat(lengths, lengths)) ** 2
    elif stage.loss == "evidence":
        weights = np.clip((progress - EVIDENCE[0]) / (EVIDENCE[1] - EVIDENCE[0]), 0, 1)
    elif stage.loss == "after":
        weights = (age >= round(stage.burn_in * rate)).astype(np.float64)
    else:
        weights = np.ones(len(targets))
    if counted is not None:
        weights = weights * counted
    return np.asarray(weights / max(weights.sum(), 1e-9), np.float32)


def _some(members: list[int], most: int, rng: np.random.Generator) -> list[int]:
    """All of `members`, or `most` of them at random where they are more."""
    return members if len(members) <= most else [int(i) for i in rng.choice(members, most, replace=False)]


def _cut(pieces: list[Piece], skip: int, length: int) -> list[Piece]:
    """Ticks `skip` to `skip + length` of the pieces in a row."""
    kept = []
    for piece in pieces:
        positions = piece.positions[skip : skip + length]
        skip = max(0, skip - len(piece.positions))
        length -= len(positions)
        if len(positions):
            kept.append(replace(piece, positions=positions))
    return kept
