"""Clips as a number of pictures: which ones, and that they are the pictures that a camera would show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream.contracts import Input
from stream.errors import ConfigError
from tests.media import encode_h264
from train.cache import ArrayCache, plain_pictures
from train.clips import ClipViews
from train.datasets import Dataset, Recording
from train.rows import Piece, RowDrawer
from train.settings import AugmentSettings, ClipSettings, StageSettings

NATIVE = Input(24, 32, "squash", None)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Clips of 30, 8 and 17 frames at 20 a second, each frame brighter than the last."""
    root = tmp_path_factory.mktemp("clips")
    recordings = []
    for label, count in (("long", 30), ("short", 8), ("middle", 17)):
        pictures = [np.full((48, 64, 3), 20 + 7 * i, np.uint8) for i in range(count)]
        path = encode_h264(pictures, root / f"{label}.mp4", fps=20)
        recordings.append(Recording(path, label, label))
    return Dataset(root, ("none", "long", "middle", "short"), "none", tuple(recordings), untrimmed=False)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ArrayCache:
    return ArrayCache(tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("recording", [0, 1, 2])
def test_uniform_takes_the_picture_at_every_nth_part(clips: Dataset, cache: ArrayCache, recording: int) -> None:
    every = plain_pictures(cache, clips.recordings[recording].path, NATIVE)
    taken = ClipViews(clips, cache, NATIVE, ClipSettings(frames=10, take="uniform")).whole(recording)
    n = len(every.images)
    expected = [int(i * n / 10) for i in range(10)]
    np.testing.assert_array_equal(taken.images, every.images[expected])
    np.testing.assert_allclose(taken.times, every.times[expected])


@pytest.mark.parametrize("rate", [None, 5.0])
def test_first_takes_the_first_ticks_at_the_rate(clips: Dataset, cache: ArrayCache, rate: float | None) -> None:
    input = Input(24, 32, "squash", rate)
    views = ClipViews(clips, cache, input, ClipSettings(frames=10))
    for recording, count in ((0, 30 if rate is None else 8), (1, 8 if rate is None else 2)):
        every = plain_pictures(cache, clips.recordings[recording].path, input)
        assert len(every.times) == count
        np.testing.assert_array_equal(views.whole(recording).images, every.images[:10])


def test_the_live_rate_is_that_of_the_median_clip(clips: Dataset, cache: ArrayCache) -> None:
    views = ClipViews(clips, cache, NATIVE, ClipSettings(frames=20, take="uniform"))
    assert views.median_rate() == pytest.approx(20 / (17 / 20))


def test_a_row_is_a_clip_and_its_last_picture_counts(clips: Dataset, cache: ArrayCache) -> None:
    views = ClipViews(clips, cache, NATIVE, ClipSettings(frames=10))
    stage = StageSettings(kind="head", epochs=1, window=10, streams=0.0, carried=0.0, loss="last")
    drawer = RowDrawer(clips, (0, 1, 2), views, stage, rate=25, keep=1.0)
    for recording, count in ((0, 10), (1, 8), (2, 10)):
        row = drawer.draw(recording, np.random.default_rng(recording))
        assert row.pieces[0].positions.tolist() == list(range(count))
        assert np.flatnonzero(row.weights).tolist() == [count - 1]


def test_a_look_is_that_of_the_whole_clip(clips: Dataset, cache: ArrayCache) -> None:
    augment = AugmentSettings(plain=1, flip=0, light=0, color=0, gray=0, noise=0, contrast=0.5)
    plain, changed = (ClipViews(clips, cache, NATIVE, ClipSettings(frames=10), each) for each in (None, augment))
    view = changed.choose(0, np.random.default_rng(0))
    piece = Piece(view, np.arange(10.0))
    assert changed.load(piece).shape == plain.load(piece).shape
    np.testing.assert_array_equal(changed.load(piece), changed.load(piece))
    assert changed.key(view) != plain.key(plain.choose(0, np.random.default_rng(0)))


def test_streams_are_no_clips(clips: Dataset, cache: ArrayCache) -> None:
    streams = Dataset(clips.root, clips.labels, "none", clips.recordings, untrimmed=True)
    with pytest.raises(ConfigError, match="needs clips"):
        ClipViews(streams, cache, NATIVE, ClipSettings(frames=10))


def test_a_file_that_is_no_video_is_named(cache: ArrayCache, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    data = Dataset(tmp_path, ("none", "a"), "none", (Recording(tmp_path / "bad.mp4", "g", "a"),), untrimmed=False)
    with pytest.raises(ConfigError, match=r"bad\.mp4 is no video"):
        ClipViews(data, cache, NATIVE, ClipSettings(frames=10)).whole(0)
