"""Folders of extracted pictures as recordings: in the order of their numbers, at their own rate."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.contracts import Input
from tests.folders import labels, parts, read, refused
from train.cache import ArrayCache, detailed_pictures, plain_pictures
from train.readable import facts_of

EVERY = Input(24, 32, rate=None)


def gray(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((48, 64, 3), level, np.uint8))


def levels(images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> list[int]:
    return [int(image[12, 16, 0]) for image in images]


def test_a_folder_is_a_clip(tmp_path: Path) -> None:
    for clip in ("g01_a", "g02_b"):
        for number in (1, 2, 10):
            gray(tmp_path / f"data/wave/{clip}/img{number}.png", 10 * number)
    gray(tmp_path / "data/clap/c/0001.jpg", 7)
    gray(tmp_path / "data/clap/d/0001.jpg", 7)
    dataset = read(tmp_path / "data")
    assert dataset.format == "folders of extracted pictures"
    assert labels(dataset) == {"clap/c": "clap", "clap/d": "clap", "wave/g01_a": "wave", "wave/g02_b": "wave"}
    assert [each.group for each in dataset.recordings] == ["clap/c", "clap/d", "g01", "g02"]
    pictures = plain_pictures(ArrayCache(tmp_path / "cache"), dataset.recordings[2].footage, EVERY)
    assert levels(pictures.images) == [10, 20, 100]
    assert pictures.times.tolist() == [0, 1 / 25, 2 / 25]


@pytest.mark.parametrize("name", ["{}_{:04d}.png", "{}_{}.png", "{}.avi_frame{}.png", "{}-img-{}.png"])
def test_pictures_that_share_a_folder_are_told_apart_by_name(tmp_path: Path, name: str) -> None:
    for clip, level in (("v_Wave_g01_c01", 0), ("v_Wave_g01_c02", 100)):
        for number in (1, 2, 10, 9):
            gray(tmp_path / "data/wave" / name.format(clip, number), level + number)
    for number in (3, 20):
        gray(tmp_path / f"data/clap/img{number}.png", number)
    dataset = read(tmp_path / "data")
    clap, first, second = dataset.recordings
    assert [clap.label, first.label, second.label] == ["clap", "wave", "wave"]
    assert first.group == second.group == "g01" and clap.group == "clap/clap"
    cache = ArrayCache(tmp_path / "cache")
    assert levels(plain_pictures(cache, second.footage, EVERY).images) == [101, 102, 109, 110]
    assert levels(plain_pictures(cache, clap.footage, EVERY).images) == [3, 20]
    detailed = detailed_pictures(cache, second.footage, Input(24, 32), detail=1.0, oversample=1.0)
    assert levels(detailed.images)[0] == 101


def test_their_rate_is_that_of_the_file_beside_them(tmp_path: Path) -> None:
    for clip in ("a", "b"):
        for number in range(1, 5):
            gray(tmp_path / f"data/wave/{clip}/{number}.png", number)
            gray(tmp_path / f"data/clap/{clip}/{number}.png", number)
    rates = tmp_path / "data/pictures.json"
    rates.write_text(json.dumps({"fps": {"wave/a": 0.5}}))
    dataset = read(tmp_path / "data")
    recording = next(each for each in dataset.recordings if each.path.match("wave/a"))
    cache = ArrayCache(tmp_path / "cache")
    pictures = plain_pictures(cache, recording.footage, EVERY)
    assert pictures.times.tolist() == [0, 2, 4, 6]
    assert facts_of(cache, recording).seconds == 8.0
    rates.write_text(json.dumps({"fps": {"wave/a": 1}}))
    again = read(tmp_path / "data").recordings[dataset.recordings.index(recording)]
    assert plain_pictures(cache, again.footage, EVERY).key != pictures.key
    gray(tmp_path / "data/wave/a/2.png", 99)
    changed = plain_pictures(cache, again.footage, EVERY)
    assert levels(changed.images) == [1, 99, 3, 4]
    rates.write_text(json.dumps({"fps": {"wave/a": 0}}))
    assert "pictures.json cannot be read (a rate that is not above 0)" in refused(tmp_path / "data")
    rates.write_text("{")
    assert "pictures.json cannot be read" in refused(tmp_path / "data")


def test_lists_may_name_folders_of_pictures(tmp_path: Path) -> None:
    for part, clips in (("train", ("a", "b")), ("test", ("c", "d"))):
        for clip in clips:
            gray(tmp_path / f"{part}/{clip}/0001.jpg", 50)
    (tmp_path / "train.csv").write_text("video_name,tag\na,wave\nb.avi,clap\n")
    (tmp_path / "test.csv").write_text("video_name,tag\nc,wave\nd,clap\n")
    dataset = read(tmp_path)
    assert parts(dataset) == {"test/c": "test", "test/d": "test", "train/a": "training", "train/b": "training"}


def test_a_class_without_pictures_is_named(tmp_path: Path) -> None:
    gray(tmp_path / "wave/a/1.png", 1)
    (tmp_path / "clap").mkdir()
    assert f"class folder {tmp_path / 'clap'} holds no picture" in refused(tmp_path)
