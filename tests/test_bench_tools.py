"""What benches share: pictures of results, conditions, the start of the program, and that memory needs no PyAV."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from stream.bench import process
from stream.bench.conditions import OpenBundle, conditions, in_words
from stream.bench.plots import Panel, draw_bars, draw_panels
from stream.bench.synthetic import decoded_pictures, moving_pictures
from stream.commands.bench import bench
from stream.contracts import Input
from stream.geometry import fit
from tests.process import ROOT

WITHOUT_AV = "import sys; sys.modules['av'] = None; from stream.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize(
    "arguments",
    [
        ["latency", "--synthetic", "--seconds", "0.5", "--size", "64x48"],
        ["throughput", "--tracks", "2", "--seconds", "0.1"],
        ["cameras", "--synthetic", "--seconds", "1", "--at", "1", "--size", "64x48", "--fps", "10"],
        ["soak", "--synthetic", "--seconds", "1", "--every", "0.2", "--size", "64x48"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_pictures_out_of_memory_need_no_pyav(arguments: list[str], tiny_bundle: Path, tmp_path: Path) -> None:
    options = ["--model", str(tiny_bundle), "--device", "cpu", "--threads", "1", "--json"]
    command = [sys.executable, "-c", WITHOUT_AV, "bench", *arguments, *options]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bench"] == arguments[0]


def test_files_do_need_it(tiny_bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_AV, "bench", "latency", "--seconds", "0.5", "--model", str(tiny_bundle)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1


def test_synthetic_pictures_move_and_look_as_decoded() -> None:
    pictures = decoded_pictures((64, 48), count=4)
    shown = [fit(picture, Input(48, 64, "squash")).astype(int) for picture in pictures]
    made = [picture.astype(int) for picture in moving_pictures(64, 48, 4)]
    assert all(abs(a - b).mean() > 5 for a, b in pairwise(shown))
    assert all(abs(a - b).mean() < 12 for a, b in zip(shown, made, strict=True))  # chroma has a quarter of the samples


def test_conditions_are_whole_and_plain(tiny_bundle: Path) -> None:
    told = conditions(OpenBundle.load(tiny_bundle, device="cpu", threads=2), [1, 4])
    assert json.loads(json.dumps(told)) == told
    assert told["runtime"]["batch_sizes"] == [1, 4] and told["runtime"]["threads"]["features"] == 2
    assert told["machine"]["os"] and isinstance(told["machine"]["gpus"], list)
    assert "\n" not in in_words(told) and told["bundle"]["model"] in in_words(told)
    assert os.uname().nodename not in json.dumps(told)


@pytest.mark.skipif(not process.PROC.is_dir(), reason="only Linux tells")
def test_the_system_is_read_right() -> None:
    assert 10e6 < (process.rss_bytes() or 0) < 64e9
    with Path(__file__).open() as one, Path(__file__).open() as other:
        more = process.open_files()
        assert one.name == other.name
    assert more is not None and more == (process.open_files() or 0) + 2
    assert (process.threads() or 0) >= 1
    before = process.cpu_s(os.getpid())
    sum(range(3_000_000))
    assert before is not None and (process.cpu_s(os.getpid()) or 0) > before
    assert process.cpu_s(2**22 + 1) is None


def test_bars_and_panels_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw_bars(tmp_path / "bars.png", "times", ["one", "two"], {"p50": [1.0, 20.0], "p95": [2.0, 40.0]}, "ms", log=True)
    limited = Panel("p95", [1, 2, 4], [10.0, 20.0, 300.0], good=[True, True, False], limit=250)
    draw_panels(tmp_path / "panels.png", "found", [limited, Panel("memory", [0, 1], [3.0, 4.0], trend=(3, 1))], "hours")
    for name in ("bars.png", "panels.png"):
        picture = cv2.imread(str(tmp_path / name))
        assert picture is not None and picture.std() > 10


def test_startup_counts_new_processes(tiny_bundle: Path, h264_clip: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    options = ["--repeats", "1", "--model", str(tiny_bundle), "--device", "cpu", "--threads", "1", "--json"]
    plot = tmp_path / "startup.png"
    result = CliRunner().invoke(
        bench, ["startup", str(h264_clip), *options, "--plot", str(plot)], catch_exceptions=False
    )
    told = json.loads(result.stdout)
    assert 0.1 < told["median_s"] == told["seconds"][0] < 60
    assert plot.stat().st_size > 1000


def test_startup_of_what_cannot_be_watched(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("words")
    arguments = ["startup", str(tmp_path / "text.mp4"), "--model", str(tiny_bundle), "--device", "cpu"]
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code != 0 and "expected `actionstream watch` to print labels" in str(result.exception)
