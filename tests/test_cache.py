"""The cache gives what a camera would give, computes it once, and forgets nothing that it depends on."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import train.cache
from stream.contracts import Input
from stream.errors import ConfigError
from stream.sources import open_source
from train.cache import ArrayCache, detailed_pictures, plain_pictures

INPUT = Input(height=36, width=48, rate=10.0)


@pytest.fixture
def clip(class_folders: Path) -> Path:
    return sorted((class_folders / "right").iterdir())[0]


def test_pictures_are_the_ticks_of_a_live_source(clip: Path, tmp_path: Path) -> None:
    with closing(open_source(clip, INPUT)) as source:
        ticks = list(source)
    pictures = plain_pictures(ArrayCache(tmp_path), clip, INPUT)
    assert pictures.times.tolist() == [tick.time - ticks[0].time for tick in ticks]
    assert np.array_equal(pictures.images, np.stack([tick.image for tick in ticks]))
    assert len(ticks) == 10


def test_detailed_pictures_are_finer_more_frequent_and_without_a_border(clip: Path, tmp_path: Path) -> None:
    wide = replace(INPUT, width=96)  # a clip of 64x48 has black bars in it
    pictures = detailed_pictures(ArrayCache(tmp_path), clip, wide, detail=1.5, oversample=2.0)
    assert pictures.images.shape[1:] == (54, 72, 3)
    assert len(pictures.times) == 20
    assert pictures.images.max(axis=3).min() > 20


def test_an_entry_is_made_once_and_read_through_the_disk(clip: Path, tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    calls = []

    def make() -> dict[str, NDArray[np.float32]]:
        calls.append(1)
        return {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}

    first, key = cache.get({"x": 1}, make)
    again, same = ArrayCache(tmp_path).get({"x": 1}, make)
    _, other = cache.get({"x": 2}, make)
    assert key == same != other
    assert len(calls) == 2
    assert np.array_equal(first["a"], again["a"])
    assert isinstance(again["a"], np.memmap)
    assert not again["a"].flags.writeable


def test_the_key_follows_everything_that_matters(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ArrayCache(tmp_path)
    keys = {plain_pictures(cache, clip, INPUT).key}
    for other in (
        replace(INPUT, rate=5.0),
        replace(INPUT, width=52),
        replace(INPUT, fit="squash"),
        replace(INPUT, fit="region", region=(0, 0, 0.5, 1)),
    ):
        keys.add(plain_pictures(cache, clip, other).key)
    keys.add(detailed_pictures(cache, clip, INPUT, detail=1.0, oversample=1.0).key)
    keys.add(detailed_pictures(cache, clip, INPUT, detail=1.5, oversample=1.0).key)
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clip.read_bytes())
    keys.add(plain_pictures(cache, copy, INPUT).key)
    os.utime(copy, (1, 1))
    keys.add(plain_pictures(cache, copy, INPUT).key)
    monkeypatch.setattr(train.cache, "seen_by", lambda: "another geometry")
    keys.add(plain_pictures(cache, clip, INPUT).key)
    assert len(keys) == 10


def test_two_processes_that_make_the_same_entry_at_once_both_get_it(tmp_path: Path) -> None:
    """The other one is done just before this one is: as with two trainings side by side."""
    cache, depends = ArrayCache(tmp_path), {"kind": "test"}

    def make() -> dict[str, NDArray[np.float32]]:
        cache.get(depends, lambda: {"a": np.ones(3, np.float32)})
        return {"a": np.ones(3, np.float32)}

    arrays, _ = cache.get(depends, make)
    assert arrays["a"].tolist() == [1, 1, 1]
    assert not list(tmp_path.rglob("partial-*"))


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def make() -> dict[str, NDArray[np.float32]]:
        raise ConfigError("no")

    with pytest.raises(ConfigError):
        ArrayCache(tmp_path).get({"x": 1}, make)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    with pytest.raises(ConfigError, match=r"notes\.mp4 is no video") as raised:
        plain_pictures(ArrayCache(tmp_path / "cache"), text, INPUT)
    assert "\n" not in str(raised.value)
