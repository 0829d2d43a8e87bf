"""Folders of recordings, and their division: whole groups only, every label on both sides, bad data in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from stream.errors import ConfigError
from train.datasets import Dataset, Recording, Segment, read_dataset
from train.settings import DataSettings
from train.splits import divide, split

GROUP = DataSettings().group


def read(root: Path) -> Dataset:
    return read_dataset(root, none="none", group=GROUP)


def folders(root: Path, names: dict[str, list[str]]) -> Path:
    """Class folders of empty files: nothing here decodes."""
    for label, files in names.items():
        (root / label).mkdir(parents=True)
        for name in files:
            (root / label / name).touch()
    return root


def interactions() -> Dataset:
    """The shape of a real set: six actions in 14 sequences, nothing in seven of them, unevenly."""
    nothing = {"seq01": 13, "seq02": 9, "seq03": 18, "seq04": 4, "seq05": 13, "seq06": 3, "seq07": 13}
    sequences = [f"seq{n:02d}" for n in (*range(1, 8), *range(11, 18))]
    actions = ("hug", "kick", "point", "punch", "push", "shake")
    recordings = [Recording(Path(f"{a}/{s}"), s, a) for a in actions for s in sequences]
    recordings += [Recording(Path(f"none/{s}_{i}"), s, "none") for s, count in nothing.items() for i in range(count)]
    return Dataset(Path("interactions"), ("none", *actions), "none", tuple(recordings), untrimmed=False)


def test_class_folders_are_read(class_folders: Path) -> None:
    dataset = read(class_folders)
    assert dataset.labels == ("none", "down", "right")
    assert not dataset.untrimmed
    assert len(dataset.recordings) == 12
    assert {recording.group for recording in dataset.recordings} == {"seq00", "seq01", "seq02", "seq03"}
    right = next(recording for recording in dataset.recordings if recording.label == "right")
    assert dataset.targets(right, np.array([0.0, 9.0])).tolist() == [2, 2]


def test_a_file_without_a_group_in_its_name_is_its_own_group(tmp_path: Path) -> None:
    dataset = read(folders(tmp_path, {"a": ["x.mp4", "y.mp4"], "b": ["x.mp4", "g12_x.mp4"]}))
    assert [recording.group for recording in dataset.recordings] == ["a/x.mp4", "a/y.mp4", "g12", "b/x.mp4"]


@pytest.mark.parametrize("name", ["ab0g5KdXyz1_000010.mp4", "swing12.mp4"])
def test_a_group_is_not_found_within_a_word(name: str, tmp_path: Path) -> None:
    dataset = read(folders(tmp_path, {"a": [name], "b": ["v_Clap_g05_c01.mp4"]}))
    assert [recording.group for recording in dataset.recordings] == [f"a/{name}", "g05"]


def test_streams_say_what_is_when(tmp_path: Path) -> None:
    (tmp_path / "stream_0001.mp4").touch()
    happening = [{"label": "wave", "segment": [1.0, 2.0]}, {"label": "fall", "segment": [3.0, 3.5]}]
    database = {"stream_0001": {"file": "stream_0001.mp4", "duration": 5.0, "annotations": happening}}
    (tmp_path / "annotations.json").write_text(json.dumps({"database": database}))
    dataset = read(tmp_path)
    assert dataset.untrimmed
    assert dataset.labels == ("none", "fall", "wave")
    assert dataset.recordings[0].segments == (Segment("wave", 1.0, 2.0), Segment("fall", 3.0, 3.5))
    assert dataset.targets(dataset.recordings[0], np.array([0.0, 1.0, 1.9, 2.0, 3.2])).tolist() == [0, 2, 2, 0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_groups_never_cross(seed: int) -> None:
    dataset = interactions()
    for fold in range(5):
        divided = split(dataset, validation=0.2, seed=seed, fold=fold)
        parts = [divided.training, divided.validation, divided.held_out]
        assert sorted(i for part in parts for i in part) == list(range(len(dataset.recordings)))
        groups = [{dataset.recordings[i].group for i in part} for part in parts]
        assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
        assert all(groups)


@pytest.mark.parametrize("seed", range(5))
def test_every_fold_holds_groups_with_and_without_the_rare_label(seed: int) -> None:
    dataset = interactions()
    folds = divide(dataset, tuple(range(len(dataset.recordings))), 5, seed)
    with_nothing = {recording.group for recording in dataset.recordings if recording.label == "none"}
    for fold in folds:
        groups = {dataset.recordings[i].group for i in fold}
        assert groups & with_nothing
        assert groups - with_nothing
    assert folds == divide(dataset, tuple(range(len(dataset.recordings))), 5, seed)


def test_without_validation_everything_trains() -> None:
    divided = split(interactions(), validation=0, seed=0)
    assert len(divided.training) == len(interactions().recordings)
    assert divided.validation == divided.held_out == ()


def test_bad_data_gets_one_line(tmp_path: Path, class_folders: Path) -> None:
    def line(root: Path) -> str:
        with pytest.raises(ConfigError) as raised:
            split(read(root), validation=0.2, seed=0)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert "no folder" in line(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    assert "empty" in line(tmp_path / "empty")
    assert "holds no video" in line(folders(tmp_path / "hollow", {"a": ["seq1.mp4"], "b": []}))
    assert "fewer than two classes" in line(folders(tmp_path / "single", {"a": ["seq1.mp4", "seq2.mp4"]}))
    assert "'b' has one clip (seq1.mp4)" in line(
        folders(tmp_path / "lonely", {"a": ["seq1.mp4", "seq2.mp4"], "b": ["seq1.mp4"]})
    )
    assert "clips of one group (seq1)" in line(
        folders(tmp_path / "crowd", {"a": ["seq1.mp4", "seq2.mp4"], "b": ["seq1_a.mp4", "seq1_b.mp4"]})
    )
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/annotations.json").write_text('{"database": {"s": {}}}')
    assert "annotations.json cannot be read (KeyError" in line(tmp_path / "broken")
    backwards = {"s": {"file": "s.mp4", "annotations": [{"label": "wave", "segment": [2, 1]}]}}
    (tmp_path / "broken/s.mp4").touch()
    (tmp_path / "broken/annotations.json").write_text(json.dumps({"database": backwards}))
    assert "must run forward" in line(tmp_path / "broken")
    shutil.rmtree(tmp_path / "broken")


def test_too_few_groups_for_the_folds(class_folders: Path) -> None:
    with pytest.raises(ConfigError, match=r"4 groups, too few for 5 folds: .* lower --folds"):
        split(read(class_folders), validation=0, seed=0, fold=0, folds=5)
    with pytest.raises(ConfigError, match=r"4 groups, too few to validate on a share of 0.2: .*data\.validation=0\.25"):
        split(read(class_folders), validation=0.2, seed=0)
    with pytest.raises(ConfigError, match=r"2 groups outside fold 0 of 2, .*: expected 5 .*data\.validation=0\.5"):
        split(read(class_folders), validation=0.2, seed=0, fold=0, folds=2)
    with pytest.raises(ConfigError, match="no fold 4 of 4"):
        split(read(class_folders), validation=0, seed=0, fold=4, folds=4)
