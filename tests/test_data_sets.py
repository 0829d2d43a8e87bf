"""`data subset` and `data extract`: what they write is a dataset again, of the clips and pictures that were meant."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from stream.errors import ConfigError
from tests.folders import labels, parts, read, tree
from tests.media import encode_h264
from tests.test_formats_features import perframe
from tests.test_formats_intervals import kinetics, thumos14
from tests.test_formats_lists import csv_set, hmdb51, ucf101
from train.data.commands import data


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(data, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def line(*arguments: object) -> str:
    """The one line of an error."""
    error = invoke(*arguments).exception
    assert isinstance(error, ConfigError) and "\n" not in str(error)
    return str(error)


def brightening(path: Path, seconds: float, fps: float = 20) -> Path:
    """A clip whose grey level is ten times its media time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = round(seconds * fps)
    return encode_h264([np.full((48, 64, 3), 40 + round(10 * t / fps), np.uint8) for t in range(count)], path, fps=fps)


def levels(folder: Path) -> list[int]:
    """Tenths of a second at which the pictures of a folder were taken, by their grey level."""
    pictures = [cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))]
    return [int(picture[24, 32, 0]) - 40 for picture in pictures if picture is not None]


def test_a_subset_is_linked_and_is_the_same_clips(class_folders: Path, tmp_path: Path) -> None:
    # Beside the clips, that a link is possible.
    out = class_folders.parent / f"{tmp_path.name}-two"
    result = invoke("subset", class_folders, "--classes", "right, down", "--out", out)
    assert result.exit_code == 0, result.exception
    assert "8 recordings: 8 files linked, which take no room" in result.stdout
    dataset = read(out)
    assert dataset.labels == ("none", "down", "right")
    for recording in dataset.recordings:
        assert recording.path.samefile(class_folders / recording.path.relative_to(out))


def test_where_links_are_not_to_be_had_files_are_copied(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_links)
    result = invoke("subset", class_folders, "--classes", "right,none", "--out", tmp_path / "two")
    assert "8 recordings: 8 files copied" in result.stdout
    for path in (tmp_path / "two").rglob("*.mp4"):
        assert path.read_bytes() == (class_folders / path.relative_to(tmp_path / "two")).read_bytes()


def test_the_lists_of_a_subset_are_those_of_its_classes(tmp_path: Path) -> None:
    tree(csv_set(tmp_path / "csv", header="video_name;tag\n"), ["train/c1.avi", "test/c2.avi"])
    for name, row in (("train.csv", "c1.avi;jump"), ("test.csv", "c2.avi;jump")):
        file = tmp_path / "csv" / name
        file.write_text(file.read_text().replace(",", ";") + row + "\n")
    assert invoke("subset", tmp_path / "csv", "--classes", "jump,clap", "--out", tmp_path / "csv2").exit_code == 0
    assert (tmp_path / "csv2/train.csv").read_text() == "video_name;tag\nb1.avi;clap\nc1.avi;jump\n"
    assert set(labels(read(tmp_path / "csv2")).values()) == {"jump", "clap"}

    root = ucf101(tmp_path / "ucf")
    for kind in ("train", "test"):
        with (root / f"ucfTrainTestlist/{kind}list01.txt").open("a") as official:
            official.write(f"Rowing/v_Rowing_g0{1 if kind == 'test' else 2}_c01.avi{' 3' if kind == 'train' else ''}\n")
    (root / "ucfTrainTestlist/classInd.txt").write_text("1 Archery\n2 Biking\n3 Rowing\n")
    tree(root, [f"UCF-101/Rowing/v_Rowing_g0{g}_c01.avi" for g in (1, 2)])
    assert invoke("subset", root, "--classes", "Biking,Rowing", "--out", tmp_path / "ucf2").exit_code == 0
    assert (tmp_path / "ucf2/ucfTrainTestlist/classInd.txt").read_text() == "2 Biking\n3 Rowing\n"
    whole, less = parts(read(root)), parts(read(tmp_path / "ucf2"))
    assert less == {name: part for name, part in whole.items() if "Archery" not in name} and len(less) == 6
    assert read(tmp_path / "ucf2").remarks == ()

    assert (
        invoke("subset", hmdb51(tmp_path / "hmdb"), "--classes", "wave,clap", "--out", tmp_path / "h2").exit_code == 0
    )
    assert parts(read(tmp_path / "h2")) == parts(read(tmp_path / "hmdb"))


def test_a_subset_of_streams_knows_only_its_classes(tmp_path: Path) -> None:
    root = thumos14(tmp_path / "thumos")
    assert invoke("subset", root, "--classes", "Billiards", "--out", tmp_path / "one").exit_code == 0
    dataset = read(tmp_path / "one")
    assert dataset.labels == ("none", "Billiards")
    assert [each.ambiguous for each in dataset.recordings] == [((1.0, 2.0),), ((4.5, 6.0),)]

    (tmp_path / "net").mkdir()
    tree(tmp_path / "net", ["a.mp4", "b.mp4"])
    happening = [{"label": "wave", "segment": [0, 1]}, {"label": "fall", "segment": [2, 3]}]
    database: dict[str, dict[str, object]] = {
        "a": {"file": "a.mp4", "seed": 4, "annotations": happening},
        "b": {"file": "b.mp4", "annotations": happening[1:]},
    }
    (tmp_path / "net/annotations.json").write_text(json.dumps({"version": "x", "database": database}))
    assert invoke("subset", tmp_path / "net", "--classes", "wave", "--out", tmp_path / "net2").exit_code == 0
    written = json.loads((tmp_path / "net2/annotations.json").read_text())
    assert written == {"version": "x", "database": {"a": database["a"] | {"annotations": happening[:1]}}}
    assert not (tmp_path / "net2/b.mp4").exists()


def test_a_video_that_two_clips_share_is_brought_once(tmp_path: Path) -> None:
    root = kinetics(tmp_path / "kinetics")
    classes = 'playing guitar,"singing, alone"'
    assert invoke("subset", root, "--classes", classes, "--out", tmp_path / "two").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "two").rglob("*.mp4")) == [
        "0wR5jVB-WPk_000417_000427.mp4",
        "abc-_DEF123.mp4",
    ]
    assert len(read(tmp_path / "two").recordings) == 3


def test_what_cannot_be_a_subset_gets_one_line(class_folders: Path, tmp_path: Path) -> None:
    assert "has no class 'up': expected some of down, none, right" in line(
        "subset", class_folders, "--classes", "up,down", "--out", tmp_path / "x"
    )
    assert "expected at least two" in line("subset", class_folders, "--classes", "down", "--out", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    assert "not empty" in line("subset", class_folders, "--classes", "down,none", "--out", class_folders)
    root = perframe(tmp_path / "thumos")
    assert "cannot be cut by class" in line("subset", root, "--classes", "Wave,Fall", "--out", tmp_path / "x")


def test_pictures_every_so_many_seconds(tmp_path: Path) -> None:
    brightening(tmp_path / "clips/wave/g01.mp4", 3.2)
    brightening(tmp_path / "clips/clap/g02.mp4", 1.0)
    cache = ["--cache", tmp_path / "cache"]
    result = invoke("extract", tmp_path / "clips", "--every", 0.5, "--out", tmp_path / "out", *cache)
    assert result.exit_code == 0, result.exception
    assert "9 pictures of 2 recordings, 0 left out" in result.stdout
    assert np.allclose(levels(tmp_path / "out/wave/g01"), [0, 5, 10, 15, 20, 25, 30], atol=2)
    dataset = read(tmp_path / "out")
    assert labels(dataset) == {"clap/g02": "clap", "wave/g01": "wave"}
    assert [(each.fps, each.group) for each in dataset.recordings] == [(2.0, "g02"), (2.0, "g01")]


def test_a_number_of_pictures_evenly_spaced(tmp_path: Path) -> None:
    brightening(tmp_path / "clips/wave/g01.mp4", 4.0)
    brightening(tmp_path / "clips/clap/g02.mp4", 0.2)
    (tmp_path / "clips/clap/g03.mp4").write_text("no video")
    cache = ["--cache", tmp_path / "cache"]
    result = invoke("extract", tmp_path / "clips", "--count", 8, "--out", tmp_path / "out", *cache)
    assert result.exit_code == 0, result.exception
    assert "12 pictures of 2 recordings, 1 left out" in result.stdout
    assert "left out: " in result.stdout and "g03.mp4 is no video" in result.stdout
    assert np.allclose(levels(tmp_path / "out/wave/g01"), [0, 5, 10, 15, 20, 25, 30, 35], atol=2)
    assert len(levels(tmp_path / "out/clap/g02")) == 4
    rates = {each.label: each.fps for each in read(tmp_path / "out").recordings}
    assert rates == {"wave": pytest.approx(2.0), "clap": pytest.approx(20.0)}


def test_an_official_split_goes_with_the_pictures(tmp_path: Path) -> None:
    for name in ("a1", "a2", "b1", "a3", "b2"):
        brightening(tmp_path / f"clips/{name}.avi", 0.4)
    for name, rows in {"train.csv": "a1,wave\na2,wave\nb1,clap\n", "test.csv": "a3,wave\nb2,clap\n"}.items():
        (tmp_path / "clips" / name).write_text("video_name,tag\n" + rows)
    cache = ["--cache", tmp_path / "cache"]
    result = invoke("extract", tmp_path / "clips", "--count", 2, "--out", tmp_path / "out", *cache)
    assert f"--split {tmp_path / 'out' / 'split.txt'}" in result.stdout.replace("\n", "")
    found = parts(read(tmp_path / "out", split=str(tmp_path / "out/split.txt")))
    expected = {
        "wave/a1": "training",
        "wave/a2": "training",
        "clap/b1": "training",
        "wave/a3": "test",
        "clap/b2": "test",
    }
    assert found == expected


def test_streams_become_folders_of_pictures_with_annotations(tmp_path: Path) -> None:
    brightening(tmp_path / "streams/s.mp4", 3.0)
    happening = [{"label": "wave", "segment": [1.0, 2.0]}]
    database = {"s": {"file": "s.mp4", "subset": "testing", "annotations": happening}}
    (tmp_path / "streams/annotations.json").write_text(json.dumps({"database": database}))
    cache = ["--cache", tmp_path / "cache"]
    assert invoke("extract", tmp_path / "streams", "--every", 0.25, "--out", tmp_path / "out", *cache).exit_code == 0
    (recording,) = read(tmp_path / "out").recordings
    assert (recording.fps, recording.part, recording.path) == (4.0, "test", tmp_path / "out/s")
    assert recording.segments[0].start == 1.0 and len(levels(tmp_path / "out/s")) == 12


def test_what_cannot_be_extracted_gets_one_line(class_folders: Path, tmp_path: Path) -> None:
    both = invoke("extract", class_folders, "--every", 1, "--count", 2, "--out", tmp_path / "x")
    assert both.exit_code == 2 and "expected one of --every S and --count N" in both.output
    assert invoke("extract", class_folders, "--out", tmp_path / "x").exit_code == 2
    root = perframe(tmp_path / "thumos")
    assert "has no pictures to extract" in line("extract", root, "--every", 1, "--out", tmp_path / "x")
    tree(tmp_path / "two", ["wave/1.mp4", "wave/1.avi", "clap/2.mp4"])
    assert "would both become wave/1: rename one" in line(
        "extract", tmp_path / "two", "--count", 2, "--out", tmp_path / "x"
    )


def test_the_commands_of_the_page_are_accepted() -> None:
    text = (Path(__file__).resolve().parent.parent / "docs/data.md").read_text(encoding="utf-8")
    commands = [shlex.split(each)[3:] for each in text.splitlines() if each.startswith("$ actionstream data ")]
    assert {words[0] for words in commands} == set(data.commands)
    for name, *arguments in commands:
        data.commands[name].make_context(name, arguments)
