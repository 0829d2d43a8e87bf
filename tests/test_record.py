"""What `actionstream record` leaves is what `actionstream train` takes: a run of it is one group, never divided."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.cli import main
from train.datasets import read_dataset
from train.settings import DataSettings
from train.splits import split


def test_a_run_of_record_is_one_group_over_all_labels(h264_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "walk-seq07.mp4").write_bytes(h264_clip.read_bytes())
    for label in ("wave", "none", "wave"):
        options = ["--source", str(h264_clip), "--out", str(tmp_path), "--seconds", "0.8", "--clips", "2"]
        assert main(["record", label, *options]) == 0
    settings = DataSettings()
    dataset = read_dataset(tmp_path, none=settings.none, group=settings.group)
    groups: dict[str, list[str]] = {}
    for recording in dataset.recordings:
        groups.setdefault(recording.group, []).append(recording.path.name)
    assert groups == {
        "seq07": ["walk-seq07.mp4"],
        "seq08": ["wave_seq08_001.mp4", "wave_seq08_002.mp4"],
        "seq09": ["none_seq09_001.mp4", "none_seq09_002.mp4"],
        "seq10": ["wave_seq10_001.mp4", "wave_seq10_002.mp4"],
    }
    divided = split(dataset, validation=0.5, seed=0)
    for name, members in groups.items():
        inside = [dataset.recordings[i].path.name in members for i in divided.training]
        assert sum(inside) in (0, len(members)), name


@pytest.mark.parametrize("name", ["wave_001.mp4", "subseq5.mp4", "notes.txt"])
def test_a_file_of_no_sequence_does_not_count(name: str, h264_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / name).touch()
    options = ["--source", str(h264_clip), "--out", str(tmp_path), "--seconds", "0.8", "--clips", "1"]
    assert main(["record", "wave", *options]) == 0
    assert sorted(path.name for path in (tmp_path / "wave").iterdir()) == sorted([name, "wave_seq01_001.mp4"])
