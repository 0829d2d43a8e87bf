"""People who pass: somebody crosses a still scene, the same way for the same seed, and only where nothing happens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contracts import Input
from tests.media import encode
from train.augment import Look
from train.cache import ArrayCache
from train.calibrate import fitting_streams
from train.clutter import cluttered
from train.datasets import Dataset, Recording
from train.passers import corner, draw_passers, show_passers
from train.rows import Piece
from train.settings import Recipe, read_recipe
from train.views import FrameViews, PlainViews

INPUT = Input(height=48, width=64)
TIMES = np.arange(40) / 10


def people() -> NDArray[np.uint8]:
    """A grey lawn with a white and a red post on it, and a bird that flies over, (40, 60, 50, 3)."""
    images = np.full((40, 60, 50, 3), 90, np.uint8)
    images[:, 10:55, 8:16] = 250
    images[:, 12:55, 34:42] = (220, 20, 20)
    for time, image in enumerate(images):
        image[1:5, time : time + 4] = 30
    return images


def shown(seed: int, look: Look) -> NDArray[np.uint8]:
    return show_passers(draw_passers(np.random.default_rng(seed), 4.0), people(), TIMES, look, INPUT)


def test_somebody_crosses_a_scene_that_stands_still() -> None:
    crossed = 0
    for seed in range(20):
        frames = shown(seed, Look(seed=seed)).astype(int)
        assert frames.shape == (40, 48, 64, 3)
        scene = np.median(frames, axis=0)
        there = np.abs(frames - scene).max(axis=-1) > 40
        assert there.mean() < 0.5  # what nobody covers stays as it is
        columns = [np.flatnonzero(one.any(axis=0)).mean() for one in there if one.any()]
        crossed += len(columns) > 3 and float(np.ptp(columns)) > 8
    assert crossed >= 12


def test_people_repeat_by_seed_and_differ_by_it() -> None:
    look = Look(seed=3)
    assert np.array_equal(shown(1, look), shown(1, look))
    some = [seed for seed in range(20) if draw_passers(np.random.default_rng(seed), 4.0)]
    assert 10 < len(some) < 20  # of the others the scene stays empty
    assert len({shown(seed, look).tobytes() for seed in some}) >= len(some) - 2  # who never comes in shows nothing


def test_who_comes_nearer_grows_away_from_the_horizon() -> None:
    strip = (40, 20)
    people = [one for seed in range(60) for one in draw_passers(np.random.default_rng(seed), 4.0)]
    nearing = [replace(one, pace=(0.0, 0.0), bob=(0.0, 1.0), pause=(0.0, 0.0)) for one in people if one.nearing > 0]
    assert 5 < len(nearing) < len(people) / 2
    for person in nearing:
        _, top, scale = corner(person, person.met - 0.5, strip, INPUT)
        _, later_top, later_scale = corner(person, person.met + 0.5, strip, INPUT)
        assert later_scale > scale
        horizon = person.horizon * INPUT.height
        assert (later_top - horizon) / (top - horizon) == pytest.approx(later_scale / scale)


def test_clutter_is_of_its_seed_and_has_edges() -> None:
    scenes = [cluttered(seed, 48, 64) for seed in range(6)]
    assert all(scene.shape == (48, 64, 3) and scene.dtype == np.uint8 for scene in scenes)
    assert np.array_equal(scenes[2], cluttered(2, 48, 64))
    assert len({scene.tobytes() for scene in scenes}) == 6
    assert all(np.abs(np.diff(scene.astype(int), axis=1)).max() > 30 for scene in scenes)


def test_scenes_differ_by_the_looks_seed() -> None:
    assert len({shown(1, Look(seed=seed))[0].tobytes() for seed in range(4)}) == 4


def plain_views(folder: Path, *labels: str) -> PlainViews:
    """A clip of two posts for each of `labels`, at 10 ticks a second."""
    recordings = []
    for number, label in enumerate(labels):
        clip = folder / label / f"seq{number:02d}.mp4"
        clip.parent.mkdir(exist_ok=True)
        encode(people(), clip, fps=10)
        recordings.append(Recording(clip, f"seq{number:02d}", label))
    dataset = Dataset(folder, ("none", "wave"), "none", tuple(recordings), untrimmed=False)
    return PlainViews(dataset, ArrayCache(folder / "cache"), replace(INPUT, rate=10.0))


def small_recipe(**changed: float) -> Recipe:
    size = {"input.height": 48, "input.width": 64, "input.rate": 10.0}
    return read_recipe("interactions", size | {name.replace("__", "."): value for name, value in changed.items()})


@pytest.mark.parametrize("label", ["none", "wave"])
def test_only_nothing_is_replaced_by_passers(tmp_path: Path, label: str) -> None:
    plain = plain_views(tmp_path, label)

    def views(passers: float) -> FrameViews:
        return FrameViews(plain, small_recipe(augment__passers=passers))

    without, always = views(0.0), views(1.0)
    view = without.choose(0, np.random.default_rng(0))
    piece = Piece.whole(view)
    assert np.array_equal(without.load(piece), always.load(piece)) == (label == "wave")


def test_a_decision_is_fitted_on_passers_too_where_the_recipe_says_so(tmp_path: Path) -> None:
    plain = plain_views(tmp_path, "none", "wave", "none")
    recipe = small_recipe(decision__streams=2, decision__passing=3, decision__seconds=10.0)
    joined, passing = fitting_streams(plain, (0, 1, 2), recipe)[:2], fitting_streams(plain, (0, 1, 2), recipe)[2:]
    assert len(joined) == 2
    assert all(stream.segments for stream in joined)
    assert [stream.name for stream in passing] == ["passing_0000", "passing_0001", "passing_0002"]
    for stream in passing:
        assert stream.times[-1] == pytest.approx(10.0, abs=6.0)
        assert np.allclose(np.diff(stream.times), 0.1)
        assert not stream.segments
        assert not stream.targets.any()
        assert len(stream.images) == len(stream.times)
        moved = np.abs(np.diff(stream.images.astype(int), axis=0)).mean(axis=(1, 2, 3))
        assert (moved > 1).sum() > 10
    assert len({stream.key for stream in passing}) == 3
    assert passing[0].key == fitting_streams(plain, (0, 1, 2), recipe)[2].key


def test_without_a_clip_of_nothing_nobody_passes(tmp_path: Path) -> None:
    plain = plain_views(tmp_path, "wave")
    assert len(fitting_streams(plain, (0,), small_recipe(decision__streams=2, decision__passing=3))) == 2


def test_some_clips_of_nothing_stand_still(tmp_path: Path) -> None:
    plain = plain_views(tmp_path, "none", "wave")
    views = FrameViews(plain, small_recipe(augment__passers=0.0, augment__still=1.0, augment__noise=0.0))
    for recording, still in ((0, True), (1, False)):
        view = views.choose(recording, np.random.default_rng(1))
        images = views.load(Piece.whole(view))
        assert bool((images == images[:1]).all()) == still
