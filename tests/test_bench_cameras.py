"""`bench cameras`: the search finds the edge, a trial counts what is missing, real streams and pictures are held."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from stream.bench.camera_process import CameraProcess
from stream.bench.cameras import SETTLING_S, _Meter, floor, largest, trial
from stream.bench.clips import write_as_camera
from stream.bench.conditions import OpenBundle
from stream.bench.process import cpu_s
from stream.bench.rtsp_cameras import open_cameras
from stream.bench.synthetic import open_synthetic
from stream.commands.bench import bench
from stream.contracts import Prediction
from stream.errors import ConfigError, SourceError, SourceOpenError

CALM_MS = 60_000.0
"""A limit that no busy machine passes: what is tested is that nothing is lost."""


@pytest.fixture
def opened(tiny_bundle: Path) -> OpenBundle:
    return OpenBundle.load(tiny_bundle, device="cpu", threads=1)


@pytest.mark.parametrize("edge", [0, 1, 2, 7, 8, 15, 33, 64])
@pytest.mark.parametrize("start", [1, 8])
def test_the_search_finds_the_edge(edge: int, start: int) -> None:
    asked: list[int] = []

    def is_held(number: int) -> bool:
        asked.append(number)
        return number <= edge

    found = largest(is_held, start, most=64)
    assert found <= edge and edge - found <= edge // 16
    assert len(set(asked)) == len(asked) <= 12 and max(asked) <= 64


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """As in `time`."""
        return self.now

    def process_time(self) -> float:
        """As in `time`: a quarter of a core is used."""
        return self.now / 4


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("stream.bench.cameras.time", made)
    return made


def told(camera: str, time: float, session: int = 0) -> Prediction:
    return Prediction(camera, session, 0, time, "none", 1.0, np.ones(1, np.float32), True, 0.2, 20.0)


def measured(clock: Clock, labels: Callable[[int], list[Prediction]]) -> _Meter:
    """A meter of cameras a and b that heard the `labels` of ticks 0.2 s apart, until it had enough."""
    meter = _Meter(["a", "b"], rate=5.0, seconds=4.0, server=None)
    for number in range(100):
        clock.now = 100.0 + number / 5
        if not all([meter.told(each) for each in labels(number)]):
            return meter
    raise AssertionError("it never had enough")


def test_nothing_is_missed_where_every_label_comes(clock: Clock) -> None:
    found = measured(clock, lambda n: [told("a", n / 5), told("b", n / 5)]).trial(limit_ms=250)
    assert (found.held, found.missed, found.cameras) == (True, 0, 2)
    assert found.seconds == pytest.approx(4.0) and found.cores == pytest.approx(0.25)
    assert found.labels >= 2 * 4 * 5
    assert not measured(clock, lambda n: [told("a", n / 5), told("b", n / 5)]).trial(limit_ms=10).held


def test_a_label_left_out_is_missed(clock: Clock) -> None:
    gone = 5 * SETTLING_S + 4
    found = measured(clock, lambda n: [told("a", n / 5)] + [told("b", n / 5)] * (n != gone)).trial(limit_ms=250)
    assert (found.held, found.missed) == (False, 1)


def test_a_camera_that_falls_silent_is_missed(clock: Clock) -> None:
    gone = 5 * SETTLING_S + 8
    found = measured(clock, lambda n: [told("a", n / 5)] + [told("b", n / 5)] * (n < gone)).trial(limit_ms=250)
    assert not found.held and found.missed >= 5


def test_a_camera_whose_decoding_falls_behind_is_missed(clock: Clock) -> None:
    """It leaves nothing out, but of its ten seconds only eight have come by the end: lag grows."""
    found = measured(clock, lambda n: [told("a", n / 5)] + [told("b", n / 5 * 0.75)] * (n % 4 > 0)).trial(limit_ms=250)
    assert not found.held and found.missed >= 3


def test_a_camera_that_was_lost_is_missed(clock: Clock) -> None:
    cut = 5 * SETTLING_S + 4
    found = measured(clock, lambda n: [told("a", n / 5), told("b", n / 5, session=int(n > cut))]).trial(limit_ms=250)
    assert (found.held, found.missed) == (False, 1)


def test_a_camera_that_never_came_is_not_held() -> None:
    meter = _Meter(["a", "b"], rate=5.0, seconds=4.0, server=None)
    assert all(meter.told(told("a", n / 5)) for n in range(50))
    found = meter.trial(limit_ms=250)
    assert (found.held, found.seconds) == (False, 0.0)


def test_real_streams_are_held(
    opened: OpenBundle, h264_clip: Path, tmp_path: Path, no_thread_left_behind: None
) -> None:
    clip = write_as_camera(tmp_path / "camera.mp4", h264_clip, seconds=2.0, size=(160, 120), fps=25)
    seen = opened.bundle.input
    with CameraProcess(clip) as server:
        found = trial(
            opened.recognizer(2),
            open_cameras(server.url, seen, 3),
            rate=5.0,
            seconds=1.5,
            limit_ms=CALM_MS,
            server=server.pid,
        )
        least = floor(opened, open_cameras(server.url, seen, 3), rate=5.0, batch_size=2, seconds=0.5)
        pid = server.pid
    assert found.seconds >= 1.5 and found.labels >= 3 * 5
    assert 0 < found.p50_ms <= found.p95_ms <= found.max_ms and found.cores > 0
    assert found.server_cores is not None and found.server_cores >= 0
    assert least.decode_ms > 0 and least.model_ms > 0 and least.cameras > 0
    assert cpu_s(pid) is None, "the cameras' process has ended"


def test_a_process_that_plays_nothing(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="did not start"), CameraProcess(tmp_path / "none.mp4"):
        pass


def test_a_clip_that_no_camera_can_play(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("words")
    with pytest.raises(SourceOpenError, match="cannot be played"):
        write_as_camera(tmp_path / "out.mp4", tmp_path / "text.mp4", seconds=1.0, size=(160, 120), fps=25)


def test_synthetic_cameras_do_not_ask_together(opened: OpenBundle) -> None:
    cameras = open_synthetic(opened.bundle.input, 4, size=(64, 48), fps=50)
    firsts = [next(iter(camera.frames())).arrived for camera in cameras]
    assert all(later - earlier >= 0 for earlier, later in pairwise(firsts))
    with pytest.raises(ConfigError, match="even"):
        open_synthetic(opened.bundle.input, 1, size=(63, 48), fps=25)


def test_the_command(tiny_bundle: Path) -> None:
    options = ["--model", str(tiny_bundle), "--device", "cpu", "--threads", "1", "--json"]
    search = ["--synthetic", "--size", "64x48", "--fps", "10", "--at", "2", "--seconds", "1", "--limit-ms", "60000"]
    told = json.loads(CliRunner().invoke(bench, ["cameras", *search, *options], catch_exceptions=False).stdout)
    assert told["bench"] == "cameras" and told["synthetic"] is True
    assert [each["cameras"] for each in told["trials"]] == [2], "this number alone"
    assert told["floor"]["decode_ms"] == 0 and told["floor"]["cameras"] > 0
    assert told["cameras"] in (0, 2)
    assert told["asked"]["rate"] == 5.0
