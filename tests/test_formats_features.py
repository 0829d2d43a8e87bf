"""Ready-made features: a file a video in the manner of TeSTrA and MiniROAD, and one .npz of clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contracts import Input
from stream.errors import ConfigError
from tests.folders import read, refused
from train.cache import ArrayCache
from train.datasets import Segment, fingerprint
from train.readable import facts_of
from train.splits import split
from train.streams import annotated_streams
from train.views import PlainViews

CLASSES = ["Background", "Wave", "Fall", "Ambiguous"]
SHOWN = {"v1": [0, 0, 1, 1, 3, 0], "v2": [2, 2, 0, 0], "v3": [1, 0, 0, 2, 2]}


def one_hot(shown: list[int]) -> NDArray[np.float32]:
    return np.eye(4, dtype=np.float32)[shown]


def perframe(root: Path, info: dict[str, Any] | None = None) -> Path:
    rng = np.random.default_rng(0)
    for folder in ("rgb_kinetics_resnet50", "flow_kinetics_bninception", "target_perframe"):
        (root / folder).mkdir(parents=True)
    for name, shown in SHOWN.items():
        np.save(root / f"rgb_kinetics_resnet50/{name}.npy", rng.normal(size=(len(shown), 6)).astype(np.float32))
        # Flow is often one row shorter: it lies between pictures.
        np.save(root / f"flow_kinetics_bninception/{name}.npy", rng.normal(size=(len(shown) - 1, 4)).astype(np.float16))
        np.save(root / f"target_perframe/{name}.npy", one_hot(shown))
    (root / "data_info.json").write_text(json.dumps(info or {root.name.upper(): INFO}))
    return root


INFO = {
    "class_index": CLASSES,
    "ignore_index": 3,
    "train_session_set": ["v1", "v2"],
    "test_session_set": ["v3", "v9"],
    "fps": 2,
}


def test_features_of_pictures_and_flow_stand_side_by_side(tmp_path: Path) -> None:
    root = perframe(tmp_path / "thumos")
    dataset = read(root)
    assert dataset.format == "features a frame (rgb_*, flow_*, target_perframe)"
    assert dataset.untrimmed and dataset.labels == ("none", "Fall", "Wave")
    first = dataset.recordings[0]
    assert [each.part for each in dataset.recordings] == ["training", "training", "test"]
    features, targets, counted = dataset.features(first)
    assert features.shape == (5, 10) and features.dtype == np.float32
    assert np.array_equal(features[:, :6], np.load(root / "rgb_kinetics_resnet50/v1.npy")[:5])
    assert np.array_equal(features[:, 6:], np.load(root / "flow_kinetics_bninception/v1.npy").astype(np.float32))
    assert targets.tolist() == [0, 0, 2, 2, 0] and targets.dtype == np.int32
    assert counted.tolist() == [True, True, True, True, False]
    # The same in media seconds, for whatever measures events.
    assert first.fps == 2.0
    assert first.segments == (Segment("Wave", 1.0, 2.0),)
    assert first.ambiguous == ((2.0, 2.5),)
    assert dataset.remarks == (f"{root}: left out: v9 is in a list, but not in target_perframe",)


@pytest.mark.parametrize("rate", [2.0, 5.0])
def test_rows_are_timed_by_their_own_rate_whatever_the_networks(tmp_path: Path, rate: float) -> None:
    views = PlainViews(read(perframe(tmp_path / "thumos")), ArrayCache(tmp_path / "cache"), Input(8, 8, rate=rate))
    (stream,) = annotated_streams(views, (0,))
    assert stream.times.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert stream.targets.tolist() == [0, 0, 2, 2, 0] and stream.asked.tolist() == [True, True, True, True, False]


def test_several_things_at_once_are_the_strongest_and_nothing_is_the_weakest(tmp_path: Path) -> None:
    root = perframe(tmp_path / "thumos")
    several = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0], [0, 0.2, 0.9, 0]], np.float32)
    np.save(root / "target_perframe/v1.npy", several)
    _, targets, counted = read(root).features(read(root).recordings[0])
    assert targets.tolist() == [2, 2, 0, 0, 1]
    assert counted.tolist() == [True, True, False, True, True]


def test_without_a_file_that_names_them_classes_are_numbered(tmp_path: Path) -> None:
    root = perframe(tmp_path / "set")
    (root / "data_info.json").unlink()
    dataset = read(root)
    assert dataset.labels == ("none", "class_01", "class_02", "class_03")
    assert {each.part for each in dataset.recordings} == {None}
    assert dataset.recordings[0].fps == 4.0


def test_the_file_that_names_the_classes_may_lie_above_and_hold_other_sets(tmp_path: Path) -> None:
    root = perframe(tmp_path / "thumos", {"unrelated": 1})
    (tmp_path / "video_list.json").write_text(json.dumps({"TVSERIES": {"class_index": ["a"]}, "THUMOS": INFO}))
    assert read(root).labels == ("none", "Fall", "Wave")


def test_a_class_that_never_happens_is_no_label(tmp_path: Path) -> None:
    root = perframe(tmp_path / "thumos")
    for name in SHOWN:
        np.save(root / f"target_perframe/{name}.npy", one_hot([0, 1, 3]))
    dataset = read(root)
    assert dataset.labels == ("none", "Wave")
    _, targets, counted = dataset.features(dataset.recordings[0])
    assert targets.tolist() == [0, 1, 0] and counted.tolist() == [True, True, False]


def test_features_that_do_not_fit_get_one_line(tmp_path: Path) -> None:
    root = perframe(tmp_path / "thumos")
    np.save(root / "target_perframe/v2.npy", one_hot([0, 1])[:, :3])
    assert "v2.npy: expected an array (T, 4), got (2, 3)" in refused(root)
    np.save(root / "target_perframe/v2.npy", one_hot(SHOWN["v2"]))
    np.save(root / "rgb_kinetics_resnet50/v2.npy", np.zeros((4, 5), np.float32))
    assert "v2.npy: expected features of (6, 4) columns as in the others, got (5, 4)" in refused(root)
    (root / "rgb_kinetics_resnet50/v2.npy").write_bytes(b"\x93NUMPY")
    assert "v2.npy is no array that can be read" in refused(root)
    (root / "rgb_kinetics_resnet50/v2.npy").unlink()
    assert "left out: no such features:" in read(root).remarks[0]
    (root / "rgb_anet_resnet50").mkdir()
    assert "several kinds of rgb features (rgb_anet_resnet50, rgb_kinetics_resnet50): keep one" in refused(root)
    (root / "rgb_anet_resnet50").rmdir()
    (root / "data_info.json").write_text("{")
    assert "data_info.json, line 1: no JSON" in refused(root)
    (root / "data_info.json").write_text(json.dumps({"class_index": 3}))
    assert "data_info.json cannot be read (TypeError" in refused(root)


def npz(file: Path, **changes: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {
        "features": np.arange(5 * 3 * 4, dtype=np.float64).reshape(5, 3, 4),
        "label": np.array(["wave", "clap", "wave", "clap", "wave"]),
        "subset": np.array(["train", "train", "val", "test", "test"]),
    }
    np.savez(file, **{name: array for name, array in (arrays | changes).items() if array is not None})
    return file


def test_an_npz_holds_clips_and_their_parts(tmp_path: Path) -> None:
    file = npz(tmp_path / "set/features.npz")
    dataset = read(tmp_path / "set")
    assert not dataset.untrimmed and dataset.labels == ("none", "clap", "wave")
    assert [each.part for each in dataset.recordings] == ["training", "training", "validation", "test", "test"]
    features, targets, counted = dataset.features(dataset.recordings[1])
    assert features.dtype == np.float32 and features.tolist() == np.arange(12, 24).reshape(3, 4).tolist()
    assert targets.tolist() == [1, 1, 1] and counted.all()
    assert read(file).recordings == dataset.recordings
    divided = split(dataset, validation=0.2, seed=0)
    assert (divided.training, divided.validation, divided.held_out) == ((0, 1), (2,), (3, 4))
    facts = facts_of(ArrayCache(tmp_path / "cache"), dataset.recordings[0])
    assert (facts.frames, facts.size) == (3, "4 features")


def test_the_digest_of_features_knows_rows_and_parts(tmp_path: Path) -> None:
    one = fingerprint(read(npz(tmp_path / "a/features.npz")))
    same = fingerprint(read(npz(tmp_path / "b/features.npz")))
    other = fingerprint(
        read(npz(tmp_path / "c/features.npz", subset=np.array(["val", "train", "train", "test", "test"])))
    )
    assert one == same != other


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subset": None}, "has no array 'subset'"),
        ({"label": np.array([1, 2])}, "expected a label and a subset for each of 5 rows, got (2,) and (5,)"),
        ({"features": np.zeros((5, 4))}, "expected features (V, T, D), got (5, 4)"),
        ({"subset": np.array(["train"] * 4 + ["dev"])}, "row 4: expected a subset such as train, got 'dev'"),
        ({"label": np.array([None] * 5)}, "is no .npz that can be read"),
    ],
)
def test_an_npz_that_does_not_fit_gets_one_line(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    assert f"{tmp_path / 'f.npz'}" in refused(npz(tmp_path / "f.npz", **changes))
    assert reason in refused(tmp_path / "f.npz")


def test_numbers_and_bytes_are_labels_too(tmp_path: Path) -> None:
    read_back = read(
        npz(tmp_path / "f.npz", label=np.array([0, 1, 0, 1, 0]), subset=np.array([b"TRAIN"] * 4 + [b"Test"]))
    )
    assert read_back.labels == ("none", "0", "1")
    (tmp_path / "g.npz").write_text("no archive")
    assert "g.npz is no .npz that can be read" in refused(tmp_path / "g.npz")


def test_a_file_that_is_gone_is_told_when_it_is_read(tmp_path: Path) -> None:
    root = perframe(tmp_path / "thumos")
    dataset = read(root)
    (root / "rgb_kinetics_resnet50/v1.npy").unlink()
    with pytest.raises(ConfigError, match=r"v1\.npy cannot be read"):
        facts_of(ArrayCache(tmp_path / "cache"), dataset.recordings[0])
