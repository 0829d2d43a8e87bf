"""Untrimmed streams to measure and to fit thresholds on: annotated ones, or clips joined one after the other.

A joined stream shows actions by turns with nothing, each clip whole and as it is, cut where the next begins. It is what
can be had from clips; real streams have no cuts. Others show nothing but people who pass. No networks, no metrics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.contracts import Event, Tick
from stream.sampling import TOLERANCE
from train.cache import digest
from train.datasets import Segment
from train.rows import Piece
from train.settings import NATIVE_RATE, Recipe
from train.views import FrameViews, PlainViews


@dataclass(frozen=True, eq=False)
class Stream:
    """Ticks in a row, and what truly happens in them.

    Attributes:
        name: of the camera that it plays.
        times: (T,) float64 media seconds, from 0.
        images: (T, H, W, 3) uint8 RGB.
        targets: (T,) int32 label numbers.
        segments: everything that happens.
        key: digest of all that the images depend on.
        counted: (T,) which ticks count in a measure; None for all.
    """

    name: str
    times: NDArray[np.float64]
    images: NDArray[np.uint8]
    targets: NDArray[np.int32]
    segments: tuple[Segment, ...]
    key: str
    counted: NDArray[np.bool_] | None = None

    @property
    def minutes(self) -> float:
        """Length in minutes of what counts."""
        share = 1.0 if self.counted is None else float(self.counted.mean())
        return float(self.times[-1] - self.times[0]) / 60 * share

    @property
    def asked(self) -> NDArray[np.bool_]:
        """Which ticks count, (T,)."""
        return np.ones(len(self.times), np.bool_) if self.counted is None else self.counted

    def asks_about(self, event: Event) -> bool:
        """Whether the tick at which `event` was told counts."""
        tick = int(np.searchsorted(self.times, event.start + event.delay - TOLERANCE))
        return bool(self.asked[min(tick, len(self.times) - 1)])

    def ticks(self) -> list[Tick]:
        """The same as a source would give them."""
        steps = np.diff(self.times, prepend=self.times[:1])
        return [
            Tick(self.name, i, 0, float(time), 0.0, image, float(dt))
            for i, (time, image, dt) in enumerate(zip(self.times, self.images, steps, strict=True))
        ]


def annotated_streams(views: PlainViews, members: tuple[int, ...]) -> list[Stream]:
    """The recordings of an untrimmed dataset."""
    dataset = views.dataset
    streams = []
    for i in members:
        recording, pictures = dataset.recordings[i], views.plain(i)
        times = pictures.times
        streams.append(
            Stream(
                recording.path.stem,
                times,
                pictures.images,
                dataset.targets(recording, times),
                recording.segments,
                pictures.key,
                dataset.counted(recording, times),
            )
        )
    return streams


def joined_streams(
    views: PlainViews, members: tuple[int, ...], *, count: int, seconds: float, seed: int
) -> list[Stream]:
    """`count` streams of about `seconds`, joined from the clips of `members`; the seed decides their order."""
    return [_join(views, members, seconds, np.random.default_rng([seed, n]), n) for n in range(count)]


def passing_streams(views: PlainViews, members: tuple[int, ...], recipe: Recipe, *, seed: int) -> list[Stream]:
    """Streams in which people pass by and nothing happens, made of the clips of nothing among `members`.

    As many and as long as `recipe.decision` says; light, noise and speed are those of training. None where there is no
    clip of nothing.
    """
    dataset, settings = views.dataset, recipe.decision
    nothing = [i for i in members if dataset.recordings[i].label == dataset.none]
    augment = recipe.augment.model_copy(update={"passers": 1.0})
    shown = FrameViews(views, recipe.model_copy(update={"augment": augment}))
    count = settings.passing if nothing else 0
    return [_pass(shown, nothing, settings.seconds, np.random.default_rng([seed, n]), n) for n in range(count)]


def _pass(views: FrameViews, nothing: list[int], seconds: float, rng: np.random.Generator, number: int) -> Stream:
    rate = views.plain.input.rate or NATIVE_RATE
    images, keys, ticks = [], [], 0
    deck: list[int] = []
    while ticks < seconds * rate:
        deck = deck or rng.permutation(nothing).tolist()
        view = views.choose(deck.pop(), rng)
        images.append(views.load(Piece.whole(view)))
        keys.append(views.key(view))
        ticks += view.count
    dataset = views.plain.dataset
    return Stream(
        name=f"passing_{number:04d}",
        times=np.arange(ticks) / rate,
        images=np.concatenate(images),
        targets=np.full(ticks, dataset.labels.index(dataset.none), np.int32),
        segments=(),
        key=digest(keys),
    )


def _join(views: PlainViews, members: tuple[int, ...], seconds: float, rng: np.random.Generator, number: int) -> Stream:
    dataset = views.dataset
    nothing = [i for i in members if dataset.recordings[i].label == dataset.none]
    actions = sorted(set(members) - set(nothing))
    images, times, targets, segments, keys = [], [], [], [], []
    decks: dict[bool, list[int]] = {True: [], False: []}
    begin, turn = 0.0, 0
    while begin < seconds:
        action = bool(actions) and (turn % 2 == 1 or not nothing)
        if not decks[action]:
            decks[action] = rng.permutation(actions if action else nothing).tolist()
        i = decks[action].pop()
        pictures, label = views.plain(i), dataset.recordings[i].label
        after = begin + pictures.times[-1] + 1 / (views.input.rate or NATIVE_RATE)
        images.append(pictures.images)
        keys.append(pictures.key)
        times.append(begin + pictures.times)
        targets.append(dataset.targets(dataset.recordings[i], pictures.times))
        if label is not None and action:
            segments.append(Segment(label, begin, after))
        begin, turn = after, turn + 1
    return Stream(
        name=f"stream_{number:04d}",
        times=np.concatenate(times),
        images=np.concatenate(images),
        targets=np.concatenate(targets),
        segments=tuple(segments),
        key=digest(keys),
    )
