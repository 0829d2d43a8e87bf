"""`bench latency`: every stage of the line is seen, and together they are the whole."""

from __future__ import annotations

import json
import tomllib
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import av
import click
import pytest
from click.testing import CliRunner

from stream.bench.latency import STAGES, measure, write_synthetic
from stream.bundle import Bundle
from stream.commands.bench import GROUP, bench
from stream.errors import ConfigError, SourceOpenError
from tests.process import ROOT


def test_stages_add_up(tiny_bundle: Path, h264_clip: Path) -> None:
    count, stages = measure(Bundle.load(tiny_bundle), h264_clip, device="cpu", threads=1, duration=1.0)
    assert count == 10
    assert tuple(stage.name for stage in stages) == STAGES
    assert all(0 < stage.p50 <= stage.p95 <= stage.p99 for stage in stages)
    *parts, whole = stages
    assert max(stage.p99 for stage in parts) <= whole.p99 <= sum(stage.p99 for stage in parts)


def test_a_clip_that_is_no_video(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("words")
    with pytest.raises(SourceOpenError):
        measure(Bundle.load(tiny_bundle), tmp_path / "text.mp4", device="cpu")


def test_a_clip_of_no_ticks(tiny_bundle: Path, h264_clip: Path) -> None:
    with pytest.raises(ConfigError, match="at least one tick"):
        measure(Bundle.load(tiny_bundle), h264_clip, device="cpu", duration=0.0)


def test_synthetic_pictures_move(tmp_path: Path) -> None:
    clip = write_synthetic(tmp_path / "clip.mp4", seconds=0.4, size=(320, 240))
    with av.open(clip) as container:
        pictures = [frame.to_ndarray(format="gray").astype(int) for frame in container.decode(video=0)]
    assert len(pictures) == 10
    assert all(abs(a - b).mean() > 5 for a, b in pairwise(pictures))


def test_the_command(tiny_bundle: Path, h264_clip: Path) -> None:
    options = ["--model", str(tiny_bundle), "--seconds", "0.5", "--device", "cpu", "--json"]
    result = CliRunner().invoke(bench, ["latency", str(h264_clip), *options], catch_exceptions=False)
    told = json.loads(result.stdout)
    assert told["ticks"] == 5
    assert [stage["name"] for stage in told["stages"]] == list(STAGES)


@pytest.mark.parametrize("arguments", [["latency"], ["latency", "clip.mp4", "--synthetic"]])
def test_a_clip_or_synthetic_pictures(arguments: list[str], tiny_bundle: Path) -> None:
    result = CliRunner().invoke(bench, [*arguments, "--model", str(tiny_bundle)])
    assert result.exit_code == 2
    assert "CLIP or --synthetic" in result.stderr


def test_other_packages_add_their_measurements() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["entry-points"][GROUP]["compare"].partition(":")
    assert isinstance(getattr(import_module(module), name), click.Command)
