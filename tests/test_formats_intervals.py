"""Formats that say what happens from when to when: ActivityNet's, THUMOS14's, Kinetics'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.folders import parts, read, refused, tree
from tests.media import encode_h264
from train.cache import ArrayCache, plain_pictures
from train.datasets import Dataset, Recording, Segment
from train.readable import THUMBNAIL, facts_of


def activitynet(root: Path, database: dict[str, Any]) -> Path:
    root.mkdir(exist_ok=True)
    (root / "activity_net.v1-3.min.json").write_text(json.dumps({"version": "1.3", "database": database}))
    return root


def happening(label: str, *segment: float) -> dict[str, Any]:
    return {"label": label, "segment": segment}


def test_activitynet_finds_videos_by_name_and_honours_subsets(tmp_path: Path) -> None:
    tree(tmp_path, ["videos/v_abc.mp4", "videos/d-e.mkv", "videos/-f.mp4"])
    activitynet(
        tmp_path,
        {
            "abc": {"subset": "training", "annotations": [happening("Archery", 5, 9), happening("Surfing", 1, 3)]},
            "d-e": {"subset": "validation", "annotations": [happening("Archery", 0, 2.5)]},
            "-f": {"subset": "training", "annotations": []},
            "gone": {"subset": "training", "annotations": [happening("Archery", 0, 2.5)]},
            "secret": {"subset": "testing", "annotations": []},
        },
    )
    dataset = read(tmp_path)
    assert dataset.untrimmed and dataset.labels == ("none", "Archery", "Surfing")
    assert parts(dataset) == {
        "videos/v_abc.mp4": "training",
        "videos/d-e.mkv": "validation",
        "videos/-f.mp4": "training",
    }
    first = next(each for each in dataset.recordings if each.path.stem == "v_abc")
    assert first.segments == (Segment("Surfing", 1, 3), Segment("Archery", 5, 9))
    assert dataset.remarks[0].endswith("left out: stream gone is not there")
    assert "1 streams to test on" in dataset.remarks[1]
    by_file = read(tmp_path / "activity_net.v1-3.min.json")
    assert by_file.recordings == dataset.recordings


@pytest.mark.parametrize("listed", [1, -1])
def test_of_actions_that_begin_together_the_shorter_counts_wherever_it_is_listed(tmp_path: Path, listed: int) -> None:
    tree(tmp_path, ["v_abc.mp4"])
    both = [happening("Diving", 1, 4), happening("Cliff diving", 1, 2)][::listed]
    activitynet(tmp_path, {"abc": {"annotations": both}})
    dataset = read(tmp_path)
    targets = dataset.targets(dataset.recordings[0], np.arange(5.0))
    assert [dataset.labels[i] for i in targets] == ["none", "Cliff diving", "Diving", "Diving", "none"]


def test_a_list_of_clips_alone_makes_no_streams_of_a_folder(tmp_path: Path) -> None:
    tree(tmp_path, ["wave/a.mp4", "clap/b.mp4"])
    waving = {"subset": "clips", "file": "wave/a.mp4", "annotations": [happening("wave", 0.2, 0.8)]}
    activitynet(tmp_path, {"a": waving})
    assert [each.label for each in read(tmp_path).recordings] == ["clap", "wave"]
    assert read(tmp_path / "activity_net.v1-3.min.json").recordings[0].segments == (Segment("wave", 0.2, 0.8),)
    activitynet(tmp_path, {"a": waving, "b": waving | {"subset": "training", "file": "clap/b.mp4"}})
    assert read(tmp_path).untrimmed


def test_activitynet_that_cannot_be_gets_one_line(tmp_path: Path) -> None:
    tree(tmp_path, ["a.mp4"])
    activitynet(tmp_path, {"a": {"annotations": [happening("Archery", 3, 2)]}})
    assert "activity_net.v1-3.min.json: a: a segment must run forward from 0 s, got 3.0 to 2.0" in refused(tmp_path)
    activitynet(tmp_path, {"a": {"annotations": [{"label": "Archery"}]}})
    assert "cannot be read (KeyError: 'segment')" in refused(tmp_path)
    activitynet(tmp_path, {"a": {"file": "/elsewhere/a.mp4", "annotations": []}})
    assert "a: expected a file named from this folder on, got /elsewhere/a.mp4" in refused(tmp_path)
    activitynet(tmp_path, {"b": {"annotations": [happening("Archery", 1, 2)]}})
    assert "names no stream that can be used (1 left out, the first:" in refused(tmp_path)
    activitynet(tmp_path, {})
    assert "names no stream that can be used (it is empty)" in refused(tmp_path)
    (tmp_path / "activity_net.v1-3.min.json").write_text('{"database": {')
    assert "cannot be read (JSONDecodeError" in refused(tmp_path)


def thumos14(root: Path) -> Path:
    tree(root, [f"validation/video_validation_000000{n}.mp4" for n in (1, 2, 9)])
    tree(root, ["test/video_test_0000004.mp4"])
    lists = {
        "Diving_val.txt": "video_validation_0000001  10.0 12.5\r\nvideo_validation_0000001  20.0 22.0\r\n",
        "CliffDiving_val.txt": "video_validation_0000001 20.0 22.0\n",
        "Billiards_val.txt": "video_validation_0000002 0.5 4.0\nvideo_validation_0000003 1 2\n",
        "Billiards_test.txt": "\n video_test_0000004 3.5 4.0 \n",
        "Ambiguous_val.txt": "video_validation_0000002 4.5 6.0\n",
        "Ambiguous_test.txt": "video_test_0000004 1.0 2.0\n",
    }
    (root / "annotation").mkdir()
    for name, text in lists.items():
        (root / "annotation" / name).write_text(text, newline="")
    return root


def test_thumos14_trains_on_its_validation_set_and_excludes_what_is_ambiguous(tmp_path: Path) -> None:
    dataset = read(thumos14(tmp_path))
    assert dataset.format == "THUMOS14's temporal annotations"
    assert dataset.labels == ("none", "Billiards", "CliffDiving", "Diving")
    assert parts(dataset) == {
        "test/video_test_0000004.mp4": "test",
        "validation/video_validation_0000001.mp4": "training",
        "validation/video_validation_0000002.mp4": "training",
    }
    tested, first, second = dataset.recordings
    assert tested.ambiguous == ((1.0, 2.0),)
    # A cliff dive that is also listed as a dive is a cliff dive.
    assert dataset.targets(first, np.array([9.9, 10.0, 21.0])).tolist() == [0, 3, 2]
    times = np.array([1.0, 4.2, 4.5, 5.9, 6.0])
    assert dataset.targets(second, times).tolist() == [1, 0, 0, 0, 0]
    assert dataset.counted(second, times).tolist() == [True, True, False, False, True]
    (remark,) = dataset.remarks
    assert remark.endswith("Billiards_val.txt, line 2: left out: no such video: video_validation_0000003")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("video_validation_0000002 4.0 x", "expected an end in seconds, got 'x'"),
        ("video_validation_0000002 4.0 3.0", "an interval must run forward from 0 s, got 4.0 to 3.0"),
        ("video_validation_0000002 4.0", "expected a video, a start and an end"),
    ],
)
def test_thumos14_names_the_line(tmp_path: Path, line: str, reason: str) -> None:
    file = thumos14(tmp_path) / "annotation/Billiards_val.txt"
    file.write_text(f"video_validation_0000002 0.5 4.0\n{line}\n")
    assert f"{file}, line 2: {reason}" in refused(tmp_path)


def kinetics(root: Path) -> Path:
    """One clip that was cut, one video that was not, of which two clips are taken."""
    root.mkdir(exist_ok=True)
    pictures = [np.full((48, 64, 3), 2 * t, np.uint8) for t in range(100)]
    encode_h264(pictures, root / "abc-_DEF123.mp4", fps=20)
    tree(root, ["playing guitar/0wR5jVB-WPk_000417_000427.mp4"])
    rows = (
        "playing guitar,0wR5jVB-WPk,417,427,train\n"
        '"singing, alone",abc-_DEF123,1,3,train\n'
        "playing guitar,abc-_DEF123,3,4,validate\n"
        "playing guitar,not_there_1,0,10,test\n"
        ",hidden,0,10,test\n"
    )
    (root / "kinetics.csv").write_text("label,youtube_id,time_start,time_end,split\n" + rows)
    return root


def test_kinetics_takes_cut_clips_and_spans_of_whole_videos(tmp_path: Path) -> None:
    dataset = read(kinetics(tmp_path))
    assert not dataset.untrimmed and dataset.labels == ("none", "playing guitar", "singing, alone")
    cut = next(each for each in dataset.recordings if each.span is None)
    assert (cut.group, cut.part, cut.label) == ("0wR5jVB-WPk", "training", "playing guitar")
    first, second = (each for each in dataset.recordings if each.span)
    assert (first.span, first.part, second.span, second.part) == ((1, 3), "training", (3, 4), "validation")
    assert first.group == second.group == "abc-_DEF123"
    assert "line 5: left out: no such recording: not_there_1" in dataset.remarks[0]
    assert "left out: 1 clips without a label" in dataset.remarks[1]
    assert any("groups in several parts of the split: 1" in remark for remark in dataset.remarks)


def test_a_span_is_read_as_a_clip_of_its_own(tmp_path: Path) -> None:
    dataset = read(kinetics(tmp_path))
    cache = ArrayCache(tmp_path / "cache")
    first, second = (each for each in dataset.recordings if each.span)
    one, other = (plain_pictures(cache, each.footage, THUMBNAIL) for each in (first, second))
    assert one.key != other.key
    assert one.times[0] == 0 and len(one.times) == 20 and len(other.times) == 10
    # The ground brightens by 40 levels a second: the first tick of the second is 80 levels above that of the first.
    assert abs(float(other.images[0].mean()) - float(one.images[0].mean()) - 80) < 4
    facts = facts_of(cache, first)
    assert facts.frames == 40 and facts.seconds == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("singing,abc-_DEF123,3,1,train", "an interval must run forward"),
        ("singing,abc-_DEF123,a,1,train", "expected a start in seconds, got 'a'"),
        ("singing,abc-_DEF123,1,2,holdout", "expected a split such as train, got 'holdout'"),
        ("singing,abc-_DEF123,1", "expected 5 cells, got 3"),
    ],
)
def test_kinetics_names_the_line(tmp_path: Path, row: str, reason: str) -> None:
    with (kinetics(tmp_path) / "kinetics.csv").open("a") as file:
        file.write(row + "\n")
    assert f"kinetics.csv, line 7: {reason}" in refused(tmp_path)


def test_what_is_ambiguous_is_nothing_that_counts() -> None:
    recording = Recording(Path("s.mp4"), "s", None, (Segment("wave", 0.0, 1.0),), ambiguous=((1.0, 2.0), (3.0, 4.0)))
    dataset = Dataset(Path(), ("none", "wave"), "none", (recording,), untrimmed=True)
    times = np.arange(10) / 2
    assert dataset.counted(recording, times).tolist() == [
        True,
        True,
        False,
        False,
        True,
        True,
        False,
        False,
        True,
        True,
    ]
    assert dataset.targets(recording, times).tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
