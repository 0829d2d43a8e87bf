"""Clips as a fixed number of pictures each, whatever their length: how the tutorials' models see them.

The pictures come through stream's own sampling and geometry, and are kept in the cache. How rows are made of them is
train.rows; ticks in a row, and pseudo-streams, are train.views.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

import stream.sampling
from stream.contracts import Input
from stream.errors import ConfigError
from train.augment import apply_look, draw_look
from train.cache import ArrayCache, Arrays, Pictures, digest, seen_by
from train.datasets import Dataset, Footage
from train.footage import frames_of, identity
from train.rows import Piece, View
from train.settings import AugmentSettings, ClipSettings


class ClipViews:
    """The pictures of each clip (n, H, W, 3) uint8, n at most `frames`; with another look each time where it may."""

    def __init__(
        self,
        dataset: Dataset,
        cache: ArrayCache,
        input: Input,
        clips: ClipSettings,
        augment: AugmentSettings | None = None,
    ) -> None:
        """Makes views that decode on first use.

        Args:
            dataset: the clips.
            cache: where their pictures are kept.
            input: what the network sees.
            clips: how many pictures, and which.
            augment: how they are changed; None leaves them as they are.

        Raises:
            ConfigError: the dataset holds streams.
        """
        if dataset.untrimmed:
            raise ConfigError(f"a recipe with [clips] needs clips; {dataset.root} holds untrimmed streams")
        self._dataset, self._cache, self._input = dataset, cache, input
        self._clips, self._augment = clips, augment

    def choose(self, recording: int, rng: np.random.Generator) -> View:
        """All of the clip, with a random look where there are looks."""
        variant = None if self._augment is None else int(rng.integers(2**31))
        return View(recording, variant, 1.0, len(self.whole(recording).times))

    def load(self, piece: Piece) -> NDArray[np.uint8]:
        """The pictures at the piece's positions, all with one look; (n, H, W, 3)."""
        images = np.asarray(self.whole(piece.view.recording).images[piece.positions.astype(np.int64)])
        if piece.view.variant is None or self._augment is None:
            return images
        return apply_look(draw_look(self._augment, np.random.default_rng(piece.view.variant)), images, self._input)

    def times(self, piece: Piece) -> NDArray[np.float64]:
        """Their media seconds after the clip's first frame, (n,)."""
        return self.whole(piece.view.recording).times[piece.positions.astype(np.int64)]

    def key(self, view: View) -> str:
        """Digest of all that the view shows depends on."""
        made_from = self.whole(view.recording).key
        if self._augment is None:
            return made_from
        return digest([made_from, asdict(view), self._augment.model_dump()])

    def whole(self, recording: int) -> Pictures:
        """The clip's pictures as they are.

        Raises:
            ConfigError: the file is no video, or has no frame.
        """
        arrays, key = self._read(recording)
        return Pictures(np.asarray(arrays["times"]), arrays["images"], key)

    def median_rate(self) -> float:
        """Ticks a second at which the clip of median length has just so many pictures; of `uniform` clips."""
        lengths = [float(self._read(i)[0]["length"]) for i in range(len(self._dataset.recordings))]
        return self._clips.frames / float(np.median(lengths))

    def _read(self, recording: int) -> tuple[Arrays, str]:
        clips, footage = self._clips, self._dataset.recordings[recording].footage
        # Which pictures are uniform does not depend on the rate, but the rate on them.
        input = self._input if clips.take == "first" else replace(self._input, rate=None)
        depends = {"kind": "clip", **clips.model_dump(), **asdict(input), "file": identity(footage), "code": seen_by()}
        return self._cache.get(depends, lambda: _decode(footage, input, clips))


def taken(count: int, clips: ClipSettings) -> list[int]:
    """Which of a clip's `count` ticks are its pictures: the first, or some spread evenly, of which few come twice."""
    if clips.take == "uniform":
        return [i * count // clips.frames for i in range(clips.frames)]
    return list(range(min(count, clips.frames)))


def _decode(footage: Footage, input: Input, clips: ClipSettings) -> Arrays:
    """The clip's pictures, their times, and how many seconds the whole of it lasts, its last frame too."""
    sampled = stream.sampling.ticks(frames_of(footage, input), input)
    ticks = list(islice(sampled, clips.frames) if clips.take == "first" else sampled)
    times = np.array([tick.time for tick in ticks], np.float64)
    kept = taken(len(ticks), clips)
    return {
        "times": times[kept] - times[0],
        "images": np.stack([ticks[i].image for i in kept]),
        "length": np.array((times[-1] - times[0]) * len(times) / max(1, len(times) - 1)),
    }
