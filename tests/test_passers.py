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
from train.datasets import Dataset, Recording
from train.passers import draw_passers, show_passers
from train.rows import Piece
from train.settings import read_recipe
from train.views import FrameViews, PlainViews

INPUT = Input(height=48, width=64)
TIMES = np.arange(40) / 10


def people() -> NDArray[np.uint8]:
    """A grey lawn with a white and a red post on it, (40, 60, 50, 3)."""
    images = np.full((40, 60, 50, 3), 90, np.uint8)
    images[:, 10:55, 8:16] = 250
    images[:, 12:55, 34:42] = (220, 20, 20)
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
    assert len({shown(seed, look).tobytes() for seed in range(10)}) == 10


def test_scenes_differ_by_the_looks_seed() -> None:
    assert len({shown(1, Look(seed=seed))[0].tobytes() for seed in range(4)}) == 4


@pytest.mark.parametrize("label", ["none", "wave"])
def test_only_nothing_is_replaced_by_passers(tmp_path: Path, label: str) -> None:
    clip = tmp_path / label / "seq01.mp4"
    clip.parent.mkdir()
    encode(people(), clip, fps=10)
    recipe = read_recipe("interactions", {"input.height": 48, "input.width": 64, "input.rate": 10.0})
    dataset = Dataset(tmp_path, ("none", "wave"), "none", (Recording(clip, "seq01", label),), untrimmed=False)

    def views(passers: float) -> FrameViews:
        changed = recipe.model_copy(update={"augment": recipe.augment.model_copy(update={"passers": passers})})
        plain = PlainViews(dataset, ArrayCache(tmp_path / "cache"), replace(INPUT, rate=10.0))
        return FrameViews(plain, changed)

    without, always = views(0.0), views(1.0)
    view = without.choose(0, np.random.default_rng(0))
    piece = Piece(view, np.arange(view.count, dtype=np.float64))
    assert np.array_equal(without.load(piece), always.load(piece)) == (label == "wave")
