"""`bench soak`: looks are written as they are taken, a killed run can be judged, growth is told from noise."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from stream.bench.soak import HOUR_S, QUANTITIES, Look, growth, read
from stream.commands.bench import bench
from stream.errors import ConfigError
from tests.process import ROOT

SMALL = ["--size", "320x180", "--fps", "25", "--device", "cpu", "--threads", "1"]


def look(t: float, **known: Any) -> Look:
    """A look at `t` s at which nothing is known but what is given."""
    return Look(**({name: None for name in QUANTITIES} | {"labels": 10, "t": t} | known))


def test_growth_is_told_from_noise() -> None:
    rng = np.random.default_rng(0)
    looks = [
        look(t, rss_bytes=int(1e8 + 3e6 * t / HOUR_S + rng.normal(0, 1e4)), state_norm=float(rng.normal(9, 0.1)))
        for t in range(0, 3600, 60)
    ]
    memory, norm = growth(looks)
    assert (memory.name, norm.name) == ("rss_bytes", "state_norm")
    assert memory.per_hour == pytest.approx(3e6, rel=0.05)
    assert memory.error is not None and memory.error < 0.1 * memory.per_hour
    assert norm.error is not None and abs(norm.per_hour) < 4 * norm.error
    assert memory.offset == pytest.approx(1e8, rel=1e-3)


def test_what_fills_at_the_start_is_no_growth() -> None:
    looks = [look(60.0 * n, threads=1 if n < 6 else 8) for n in range(60)]
    (found,) = growth(looks)
    assert (found.first, found.per_hour, found.error) == (8, 0.0, 0.0)


def test_of_nothing_nothing_is_said() -> None:
    assert growth([]) == []
    (found,) = growth([look(1.0, threads=3)])
    assert (found.first, found.last, found.error) == (3, 3, None)


def test_a_line_that_was_being_written_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "soak.jsonl"
    whole = json.dumps({name: None for name in QUANTITIES} | {"t": 1.0, "labels": 3})
    path.write_text(f"{whole}\n{whole[:20]}")
    assert [each.labels for each in read(path)] == [3]
    path.write_text("{}\n")
    with pytest.raises(ConfigError, match="lines of a soak"):
        read(path)


def test_a_run_over_rtsp_knows_ages(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "soak.jsonl"
    options = ["--seconds", "6", "--every", "1", "--cameras", "2", "--out", str(out), "--model", str(tiny_bundle)]
    result = CliRunner().invoke(bench, ["soak", *options, *SMALL, "--json"], catch_exceptions=False)
    told = json.loads(result.stdout)
    looks = read(out)
    assert len(looks) == told["looks"] >= 2
    assert told["labels"] == sum(each.labels for each in looks) > 10
    assert {"state_norm", "latency_p50_ms", "age_p95_ms"} <= {each["name"] for each in told["growth"]}
    assert all(each.state_norm is not None and 0 < each.state_norm < 100 for each in looks)


@pytest.mark.skipif(sys.platform == "win32", reason="a kill is sent by number")
def test_a_killed_run_leaves_what_it_saw(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "soak.jsonl"
    options = ["--synthetic", "--seconds", "600", "--every", "0.2", "--out", str(out), "--model", str(tiny_bundle)]
    command = [sys.executable, "-m", "stream.cli", "bench", "soak", *options, *SMALL]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as soak:
        deadline = time.monotonic() + 60
        while not out.exists() or out.read_text().count("\n") < 3:
            assert soak.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        soak.send_signal(signal.SIGKILL)
    assert len(read(out)) >= 3
    told = json.loads(CliRunner().invoke(bench, ["soak", "--of", str(out), "--json"], catch_exceptions=False).stdout)
    assert told["looks"] == len(read(out))
    assert {"rss_bytes", "open_files", "threads"} <= {
        each["name"] for each in told["growth"]
    } or sys.platform != "linux"
