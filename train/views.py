"""How recordings are seen in training: as augmented frames, or as backbone features that were computed before.

Both give the ticks that a `Piece` asks for. Frames are augmented as they are loaded; features come in a fixed number of
augmented copies a recording, each computed once and cached under the digest of the weights that made it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream.contracts import Input
from stream.sampling import TOLERANCE
from train.augment import apply_look, apply_tone, draw_look
from train.cache import ArrayCache, Pictures, detailed_pictures, digest, plain_pictures
from train.datasets import Dataset
from train.forward import CachedFeatures
from train.passers import draw_passers, show_passers
from train.rows import Piece, View
from train.settings import NATIVE_RATE, Recipe


class PictureViews(Protocol):
    """Recordings as pictures: as they are, or augmented."""

    def choose(self, recording: int, rng: np.random.Generator) -> View:
        """A view of the recording."""

    def load(self, piece: Piece) -> NDArray[np.uint8]:
        """The pictures at the piece's positions, (n, H, W, 3)."""

    def times(self, piece: Piece) -> NDArray[np.float64]:
        """Their media seconds after the recording's first frame, (n,)."""

    def key(self, view: View) -> str:
        """Digest of all that the view shows depends on."""


class WholeViews(PictureViews, Protocol):
    """Recordings as they are, of which all can be had at once."""

    def whole(self, recording: int) -> Pictures:
        """All that the recording shows."""


class PlainViews:
    """Recordings as a live camera would show them: the network's pictures (n, H, W, 3) uint8."""

    def __init__(self, dataset: Dataset, cache: ArrayCache, input: Input) -> None:
        """Makes views that decode on first use.

        Args:
            dataset: the recordings.
            cache: where their pictures are kept.
            input: what the network sees.
        """
        self.dataset, self.cache, self.input = dataset, cache, input

    def choose(self, recording: int, rng: np.random.Generator) -> View:
        """The only view there is."""
        return View(recording, None, 1.0, len(self.plain(recording).times))

    def load(self, piece: Piece) -> NDArray[np.uint8]:
        """The pictures at the piece's positions, (n, H, W, 3)."""
        return self.plain(piece.view.recording).images[piece.positions.round().astype(np.int64)]

    def times(self, piece: Piece) -> NDArray[np.float64]:
        """Their own, whatever the rate that was asked for: a recording may have fewer frames, or a gap."""
        return self.plain(piece.view.recording).times[piece.positions.round().astype(np.int64)]

    def key(self, view: View) -> str:
        """Digest of all that the view shows depends on."""
        return self.plain(view.recording).key

    def whole(self, recording: int) -> Pictures:
        """All ticks of the recording, as they are."""
        return self.plain(recording)

    def plain(self, recording: int) -> Pictures:
        """All ticks of the recording; where its features are ready-made, these are what is shown, (T, D) float32."""
        found = self.dataset.recordings[recording]
        if found.features is None:
            return plain_pictures(self.cache, found.footage, self.input)
        features = self.dataset.features(found)[0]
        # Their own rate, for the truth is told in their seconds; a network may be asked that was trained on others.
        times = np.arange(len(features)) / (found.fps or self.input.rate or NATIVE_RATE)
        files = [[str(path.resolve()), path.stat().st_mtime_ns] for path in found.features.files]
        return Pictures(times, features, digest([files, found.features.row]))


class FrameViews:
    """Recordings as the network's pictures (n, H, W, 3) uint8, each time at another speed and with another look."""

    def __init__(self, plain: PlainViews, recipe: Recipe) -> None:
        """Makes views that decode on first use.

        Args:
            plain: the same recordings as they are.
            recipe: how fine and how often pictures are kept, and how they are changed.
        """
        self.plain = plain
        self._recipe = recipe
        self._rate = recipe.input.ticks_a_second

    def choose(self, recording: int, rng: np.random.Generator) -> View:
        """A random look and speed."""
        variant, speed = int(rng.integers(2**31)), float(rng.uniform(*self._recipe.augment.speed))
        duration = self.detailed(recording).times[-1]
        return View(recording, variant, speed, int((duration + TOLERANCE) * self._rate / speed) + 1)

    def load(self, piece: Piece) -> NDArray[np.uint8]:
        """The pictures at the piece's positions, all with one look; (n, H, W, 3)."""
        pictures = self.detailed(piece.view.recording)
        # The sampler's rule: the first frame that is not before the tick.
        indices = np.searchsorted(pictures.times, self.times(piece) - TOLERANCE).clip(0, len(pictures.times) - 1)
        distinct, place = np.unique(indices, return_inverse=True)
        augment, rng = self._recipe.augment, np.random.default_rng(piece.view.variant)
        look, images = draw_look(augment, rng), np.asarray(pictures.images[distinct])
        dataset = self.plain.dataset
        nothing = dataset.recordings[piece.view.recording].label == dataset.none
        luck = rng.uniform() if nothing else np.inf
        if luck < augment.passers:
            people = draw_passers(rng, float(pictures.times[-1]))
            shown = show_passers(people, images, pictures.times[distinct], look, self.plain.input)
            return apply_tone(look, shown)[place]
        if luck < augment.passers + augment.still:  # the same one for all pieces of this view
            images = np.repeat(pictures.images[rng.integers(len(pictures.images))][None], len(images), axis=0)
        return apply_look(look, images, self.plain.input)[place]

    def times(self, piece: Piece) -> NDArray[np.float64]:
        """Those of the ticks, which pass as they would in life, at the view's speed."""
        return piece.positions * piece.view.speed / self._rate

    def key(self, view: View) -> str:
        """Digest of all that the view shows depends on."""
        return digest([self.detailed(view.recording).key, asdict(view), self._recipe.augment.model_dump()])

    def detailed(self, recording: int) -> Pictures:
        """All pictures of the recording, finer and more often than the network's."""
        data, footage = self._recipe.data, self.plain.dataset.recordings[recording].footage
        return detailed_pictures(
            self.plain.cache, footage, self.plain.input, detail=data.detail, oversample=data.oversample
        )


class FeatureViews:
    """Recordings as features (n, D) float32, in some augmented copies and the plain one."""

    def __init__(
        self, plain: PictureViews, changed: PictureViews, *, seed: int, variants: int, features: CachedFeatures
    ) -> None:
        """Makes views that compute, or find in the cache, on first use.

        Args:
            plain: the pictures as they are.
            changed: the same, augmented.
            seed: decides the copies.
            variants: number of augmented copies.
            features: gives features of pictures.
        """
        self._plain, self._changed, self._seed = plain, changed, seed
        self._variants, self._cached = variants, features
        self._views: dict[tuple[int, int | None], View] = {}
        self._features: dict[View, NDArray[np.float32]] = {}
        self._times: dict[View, NDArray[np.float64]] = {}

    def choose(self, recording: int, rng: np.random.Generator) -> View:
        """One of the copies."""
        copy = int(rng.integers(self._variants + 1))
        return self._copy(recording, copy - 1 if copy else None)

    def load(self, piece: Piece) -> NDArray[np.float32]:
        """The features at the piece's positions, (n, D); the piece's view is one that `choose` gave."""
        return self._features[piece.view][piece.positions.round().astype(np.int64)]

    def times(self, piece: Piece) -> NDArray[np.float64]:
        """Those of the pictures that they are features of."""
        return self._times[piece.view][piece.positions.round().astype(np.int64)]

    def prepare(self, recording: int) -> None:
        """Computes every copy of the recording that is not in the cache yet."""
        for copy in (None, *range(self._variants)):
            self._copy(recording, copy)

    def _copy(self, recording: int, copy: int | None) -> View:
        if (recording, copy) not in self._views:
            views = self._plain if copy is None else self._changed
            view = views.choose(recording, np.random.default_rng([self._seed, recording, copy or 0]))
            whole = Piece.whole(view)
            self._views[recording, copy] = view
            self._features[view] = self._cached.get(views.key(view), lambda: views.load(whole))
            self._times[view] = views.times(whole)
        return self._views[recording, copy]
