"""`actionstream diff`: two bundles on one video, what they say of themselves and of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stream.bundle import Bundle, write_bundle
from stream.commands.diff import diff
from tests.graphs import make_bundle


def told(first: Path, second: Path, clip: Path) -> dict[str, Any]:
    result = CliRunner().invoke(diff, [str(first), str(second), "--video", str(clip), "--json"], catch_exceptions=False)
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_a_bundle_does_not_differ_from_itself(tiny_bundle: Path, h264_clip: Path) -> None:
    found = told(tiny_bundle, tiny_bundle, h264_clip)
    assert found["settings"] == {} and found["files"] == []
    assert found["ticks"] == 30 and found["same_highest"] == found["same_label"] == 1.0
    assert found["first_differs_s"] is None and found["only"] == [[], []]
    assert all(numbers == {"mean": 0.0, "most": 0.0} for numbers in found["labels"].values())
    assert found["events"]["same"] == found["events"]["first"] == found["events"]["second"]


def test_other_thresholds_change_what_is_said_and_no_score(
    tiny_bundle: Path, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stricter = make_bundle(tmp_path / "stricter", enter=0.999, exit=0.99).folder
    found = told(tiny_bundle, stricter, h264_clip)
    assert found["settings"]["decision.labels.wave.enter"] == [0.5, 0.999]
    assert not any(name.startswith("input") for name in found["settings"])
    assert found["files"] == [] and found["same_highest"] == 1.0 and found["same_label"] < 1.0
    assert found["first_differs_s"] is not None and found["labels"]["wave"]["most"] == 0.0
    shown = CliRunner().invoke(diff, [str(tiny_bundle), str(stricter), "--video", str(h264_clip)]).stdout
    for word in ("decision.labels.wave.enter", "0.999", "30; same highest score at 100.0%", "first at"):
        assert word in shown


def test_what_only_one_of_them_says_is_a_row_each(tiny_bundle: Path, h264_clip: Path, tmp_path: Path) -> None:
    """Nested settings, lists of them, and long texts: a line of 100 letters each, or what fits into two cells."""
    plain = Bundle.load(tiny_bundle)
    files = {name: plain.read(name) for name in plain.spec.hashes()}
    told_of = {"from": "a@1", "clips": ["one.mp4", "two.mp4"], "labels": {"none": [9, 8]}, "stages": [{"epochs": 2}]}
    spec = plain.spec.model_copy(update={"provenance": {"recipe": "y" * 999, "int8": told_of}})
    other = write_bundle(tmp_path / "other", spec, files).folder
    settings = told(tiny_bundle, other, h264_clip)["settings"]
    assert {name: pair[1] for name, pair in settings.items() if "int8" in name} == {
        "provenance.int8.from": "a@1",
        "provenance.int8.clips": ["one.mp4", "two.mp4"],
        "provenance.int8.labels.none": [9, 8],
        "provenance.int8.stages.0.epochs": 2,
    }
    assert settings["provenance.recipe"][1] == "y" * 999 and settings["provenance.seed"][1] is None
    shown = CliRunner(env={"COLUMNS": "100"}).invoke(
        diff, [str(tiny_bundle), str(other), "--video", str(h264_clip)], catch_exceptions=False
    )
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["provenance.int8.labels.none", "-", "9,", "8"] in lines
    assert ["provenance.int8.clips", "-", "one.mp4,", "two.mp4"] in lines
    assert max(map(len, shown.stdout.splitlines())) <= 100 and "y" * 100 not in shown.stdout.replace("\n", "")
    assert shown.stdout.count("y" * 20) < 12


def test_other_weights_labels_and_rate(tiny_bundle: Path, h264_clip: Path, tmp_path: Path) -> None:
    """Ticks are matched by time, labels by name."""
    other = make_bundle(tmp_path / "other", labels=("none", "jump", "wave"), rate=5.0, seed=3).folder
    found = told(tiny_bundle, other, h264_clip)
    assert found["ticks"] == 30 and found["only"] == [["clap"], ["jump"]]
    assert set(found["labels"]) == {"none", "wave"} and found["labels"]["wave"]["most"] > 0
    assert {"features.onnx", "head.onnx"} <= set(found["files"])
    swapped = Bundle.load(tiny_bundle)
    files = {name: swapped.read(name) for name in swapped.spec.hashes()}
    spec = swapped.spec.model_copy(update={"labels": ("none", "clap", "wave"), "golden": None})
    reordered = write_bundle(tmp_path / "reordered", spec, files)
    assert told(tiny_bundle, reordered.folder, h264_clip)["labels"]["wave"]["most"] > 0.1
