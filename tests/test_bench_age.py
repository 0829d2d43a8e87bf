"""`bench age`: numbers survive the encoder, labels find their picture, and a line through ages is what numpy says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from stream.bench.age_meter import WAITING, AgeMeter, read_counter
from stream.bench.clips import write_counted
from stream.bench.trend import Trend
from stream.commands.bench import bench
from stream.contracts import Frame, Picture, Prediction


def _luma(frame: av.VideoFrame) -> NDArray[np.uint8]:
    return np.asarray(frame.to_ndarray(), np.uint8)[: frame.height]


def test_every_picture_tells_its_number(tmp_path: Path) -> None:
    clip = write_counted(tmp_path / "counted.mp4", seconds=2.0, size=(320, 180), fps=25)
    with av.open(clip) as container:
        numbers = [read_counter(_luma(frame)) for frame in container.decode(video=0)]
    assert numbers == list(range(50))


def test_a_picture_without_a_number_tells_none() -> None:
    assert read_counter(np.full((180, 320), 128, np.uint8)) is None


def test_the_slope_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 3, 200))
    y = 40 + 2.5 * x + rng.normal(0, 4, 200)
    line = Trend()
    for point in zip(x.tolist(), y.tolist(), strict=True):
        line.add(*point)
    (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
    assert line.slope() == pytest.approx((slope, math.sqrt(covariance[0, 0])), rel=1e-6)


def test_a_line_through_too_little_is_uncertain() -> None:
    line = Trend()
    line.add(0.0, 1.0)
    assert line.slope() == (0.0, None)


def test_a_label_is_matched_though_its_frame_is_seen_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_counted(tmp_path / "counted.mp4", seconds=2.0, size=(320, 180), fps=25)
    with av.open(clip) as container:
        pictures = [Picture((_luma(frame),), "gray") for frame in container.decode(video=0)]
    meter, now = AgeMeter(), 100.0
    monkeypatch.setattr("stream.bench.age_meter.time.monotonic", lambda: now)
    for index, picture in enumerate(pictures):
        meter.sent(index, now)
        now += 0.03
        meter.told(Prediction("camera", 0, index, 0.0, "none", 1.0, np.ones(1, np.float32), True, 0.04), ())
        meter.saw(Frame("camera", index, 0, 0.0, now, picture))
        now += 0.01
    ages = meter.ages(dropped=0)
    assert (ages.labels, ages.unmatched) == (25, 0) and ages.labels > WAITING
    assert ages.max_ms == pytest.approx(30) and ages.slope_ms[0] == pytest.approx(0, abs=1e-3)


def test_the_command_measures_every_label(tiny_bundle: Path) -> None:
    options = ["--model", str(tiny_bundle), "--seconds", "4", "--device", "cpu", "--threads", "1", "--json"]
    told = json.loads(CliRunner().invoke(bench, ["age", *options], catch_exceptions=False).stdout)
    assert told["labels"] >= 5
    assert told["unmatched"] == 0
    assert 0 < told["p50_ms"] <= told["p95_ms"] <= told["max_ms"]
