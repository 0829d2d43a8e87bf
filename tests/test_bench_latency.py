"""`bench latency`: every stage of the line is seen, and together they are the whole."""

from __future__ import annotations

import json
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stream.bench.conditions import OpenBundle
from stream.bench.latency import LINE, READING, STAGES, STEP, WHOLE, Stage, measure, measure_steps
from stream.bench.watched import WatchedFile
from stream.commands.bench import GROUP, HELP, OWN, bench
from stream.contracts import Input
from stream.errors import ConfigError, SourceOpenError
from stream.sources import FileSource
from tests.process import ROOT


@pytest.fixture
def opened(tiny_bundle: Path) -> OpenBundle:
    return OpenBundle.load(tiny_bundle, device="cpu", threads=1)


def require_whole(stages: list[Stage], *, decoded: bool) -> None:
    """Fails unless the parts make up the whole, demuxing apart."""
    assert all(0 < stage.p50 <= stage.p95 <= stage.p99 <= stage.max for stage in stages)
    parts = [stage for stage in stages if stage.name in (*LINE, *(("decode",) if decoded else ()))]
    whole = stages[-1]
    assert whole.name == WHOLE
    assert max(stage.max for stage in parts) <= whole.max <= sum(stage.max for stage in parts) + 1e-6
    step = next(stage for stage in stages if stage.name == STEP)
    parts = [stage for stage in parts if stage.name in ("geometry", "features", "head", "decision")]
    assert len(parts) == 4 and max(stage.max for stage in parts) <= step.max <= sum(stage.max for stage in parts) + 1e-6


def test_steps_alone(opened: OpenBundle) -> None:
    count, stages = measure_steps(opened, size=(160, 120), seconds=0.2)
    assert count > 10
    geometry, model, step = stages
    assert step.name == STEP and max(geometry.max, model.max) <= step.max <= geometry.max + model.max + 1e-6
    assert geometry.p50 + model.p50 == pytest.approx(step.p50, rel=0.5)


def test_stages_of_pictures_out_of_memory(opened: OpenBundle) -> None:
    count, stages = measure(opened, duration=1.0, size=(160, 120))
    assert 1 <= count <= 11
    assert [stage.name for stage in stages] == [name for name in STAGES if name not in READING]
    require_whole(stages, decoded=False)


def test_listening_changes_no_frame(h264_clip: Path) -> None:
    seen = Input(48, 64)
    watched = WatchedFile(h264_clip, seen)
    told = [(frame.index, frame.session, frame.time) for frame in watched.frames()]
    assert told == [(frame.index, frame.session, frame.time) for frame in FileSource(h264_clip, seen).frames()]
    assert list(watched.spent) == [index for index, _, _ in told]
    assert all(spent.demux > 0 and spent.decode > 0 for spent in watched.spent.values())


def test_stages_of_a_camera(opened: OpenBundle, h264_clip: Path) -> None:
    count, stages = measure(opened, h264_clip, served=True, duration=2.0, size=(160, 120))
    assert 10 <= count <= 21
    assert [stage.name for stage in stages] == list(STAGES[1:])
    require_whole(stages, decoded=True)


def test_a_clip_that_is_no_video(opened: OpenBundle, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("words")
    with pytest.raises(SourceOpenError):
        measure(opened, tmp_path / "text.mp4", duration=1.0)


def test_a_clip_of_no_ticks(opened: OpenBundle, h264_clip: Path) -> None:
    with pytest.raises(ConfigError, match="at least one tick"):
        measure(opened, h264_clip, duration=0.0)


def test_the_command(tiny_bundle: Path, h264_clip: Path) -> None:
    options = ["--model", str(tiny_bundle), "--seconds", "0.5", "--device", "cpu", "--threads", "1", "--json"]
    result = CliRunner().invoke(bench, ["latency", str(h264_clip), *options], catch_exceptions=False)
    told = json.loads(result.stdout)
    assert told["bench"] == "latency"
    assert told["ticks"] == 5
    assert [stage["name"] for stage in told["stages"]] == list(STAGES)
    assert told["machine"]["cores"] >= 1 and told["machine"]["cpu"]
    assert {"python", "numpy", "av"} <= told["versions"].keys()
    assert told["bundle"]["model"].startswith("tiny@") and len(told["bundle"]["digest"]) == 64
    assert told["runtime"]["threads"]["features"] == 1
    assert told["runtime"]["providers"]["features"] == ["CPUExecutionProvider"]


def test_a_clip_or_synthetic_pictures(tiny_bundle: Path) -> None:
    result = CliRunner().invoke(bench, ["latency", "clip.mp4", "--synthetic", "--model", str(tiny_bundle)])
    assert result.exit_code == 2
    assert "--synthetic or --alone, not two" in result.stderr


def test_every_bench_is_named_and_listed() -> None:
    shown = CliRunner().invoke(bench, ["--help"]).stdout
    for name in OWN:
        command = bench.get_command(click.Context(bench), name)
        assert isinstance(command, click.Command) and command.name == name
    assert all(name in shown and text.split()[0] in shown for name, text in HELP.items())


def test_other_packages_add_their_measurements() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["entry-points"][GROUP]["compare"].partition(":")
    assert isinstance(getattr(import_module(module), name), click.Command)
