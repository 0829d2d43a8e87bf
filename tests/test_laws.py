"""The laws of docs/architecture.md, on the bundles that the project ships and, where it is there, on real footage.

Law 1, closeness to Keras; 2, independence of the batch; 3, reset is a fresh start; 4, a file gives the same events
every time; 5, bounded queues, and every drop counted; and that a camera gives what its file gives.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from export.trace import read_ticks
from export.verify import verify
from stream.bench.rtsp_server import RtspServer
from stream.bundle import Bundle
from stream.contracts import Prediction, Sink, Tick
from stream.engine import Engine
from stream.recognizer import Recognizer
from stream.sinks.jsonl import EventsSink
from stream.sources import open_source
from stream.summary import Summary
from tests.conftest import ROOT
from tests.media import encode_h264
from tests.running import Notes

BUNDLES = sorted(folder.parent for folder in (ROOT / "samples" / "models").glob("*/bundle.json"))
LIMIT = 1e-4
CLIPS = ("shake_hands/seq01_004.avi", "kick/seq12_011.avi", "none/seq03_083.avi")


@pytest.fixture(params=BUNDLES, ids=lambda folder: folder.name)
def embedded(request: pytest.FixtureRequest) -> Path:
    """Each embedded bundle in turn."""
    folder: Path = request.param
    return folder


@pytest.fixture(scope="module", params=CLIPS, ids=lambda name: Path(name).stem)
def real_clip(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real clip, encoded once to H.264 with a keyframe at its start."""
    source = shared / "ut-interaction" / request.param
    out = tmp_path_factory.mktemp("real") / f"{source.stem}.mp4"
    encode_h264(source, out)
    return out


def golden_ticks(folder: Path) -> list[Tick]:
    bundle = Bundle.load(folder)
    assert bundle.spec.golden is not None
    return read_ticks(folder / bundle.spec.golden.clip, bundle.input)


def play(folder: Path, url: Path | str, events: Path | None = None) -> tuple[Summary, list[Prediction]]:
    """A run of the engine over one source."""
    recognizer, notes = Recognizer.load(folder, device="cpu"), Notes()
    sinks: list[Sink] = [notes] if events is None else [notes, EventsSink(events)]
    summary = Engine(recognizer, [open_source(str(url), recognizer.input, camera="camera")], sinks).run()
    return summary, notes.predictions


def test_the_project_ships_bundles() -> None:
    assert "figures" in [folder.name for folder in BUNDLES]


def test_law_1_golden_files(embedded: Path) -> None:
    failed = [check for check in verify(Bundle.load(embedded)).checks if not check.passed]
    assert failed == []


def test_law_2_the_batch_changes_nothing(embedded: Path) -> None:
    ticks = golden_ticks(embedded)[:12]
    alone = Recognizer.load(embedded, device="cpu", batch_size=4)
    among = Recognizer.load(embedded, device="cpu", batch_size=4)
    single = Recognizer.load(embedded, device="cpu", batch_size=1)
    for i, tick in enumerate(ticks):
        others = [
            Tick(name, tick.index, 0, tick.time, 0.0, ticks[-1 - i].image[:, ::step], tick.dt)
            for name, step in (("left", 1), ("right", -1))
        ]
        expected = alone.step([tick])[0].scores
        assert among.step([others[0], tick, others[1]])[1].scores.tobytes() == expected.tobytes()
        assert np.abs(single.step([tick])[0].scores - expected).max() <= 1e-5


def test_law_3_reset_is_a_fresh_start(embedded: Path) -> None:
    ticks = golden_ticks(embedded)[:8]
    recognizer = Recognizer.load(embedded, device="cpu")
    first = [prediction.scores.tobytes() for prediction in recognizer.step(ticks)]
    carried = [prediction.scores.tobytes() for prediction in recognizer.step(ticks)]
    recognizer.reset(ticks[0].camera)
    again = [prediction.scores.tobytes() for prediction in recognizer.step(ticks)]
    assert again == first
    assert carried != first, "the model remembers nothing, so this test shows nothing"


def test_law_4_the_demo_gives_the_same_events_every_time(embedded: Path, tmp_path: Path) -> None:
    clip = ROOT / "samples" / "clips" / "demo.mp4"
    runs = [play(embedded, clip, tmp_path / f"{i}.jsonl") for i in range(2)]
    assert (tmp_path / "0.jsonl").read_bytes() == (tmp_path / "1.jsonl").read_bytes()
    first, second = ([p.scores.tobytes() for p in predictions] for _, predictions in runs)
    assert first == second
    assert runs[0][0].cameras["camera"].dropped == 0


def test_law_4_real_clips(embedded: Path, real_clip: Path, tmp_path: Path) -> None:
    summaries = [play(embedded, real_clip, tmp_path / f"{i}.jsonl")[0] for i in range(2)]
    assert (tmp_path / "0.jsonl").read_bytes() == (tmp_path / "1.jsonl").read_bytes()
    assert [summary.cameras["camera"].dropped for summary in summaries] == [0, 0]


def test_law_5_a_camera_that_is_too_fast_is_dropped_and_counted(embedded: Path) -> None:
    clip = ROOT / "samples" / "clips" / "demo.mp4"
    with RtspServer({"/camera": clip}, speed=40) as server:
        recognizer, notes = Recognizer.load(embedded, device="cpu", threads=1), Notes()
        source = open_source(server.url("/camera"), recognizer.input, camera="camera")
        # However fast the machine: 50 labels a second at most, of 200 and more that the camera sends.
        engine = Engine(
            recognizer, [source], [notes], capacity=2, duration=3, on_prediction=lambda *_: time.sleep(0.02)
        )
        summary = engine.run()
    camera = summary.cameras["camera"]
    assert camera.dropped > 0
    assert camera.ticks == len(notes.predictions) + camera.dropped


def test_a_camera_gives_what_its_file_gives(embedded: Path, real_clip: Path) -> None:
    _, expected = play(embedded, real_clip)
    with RtspServer({"/camera": real_clip}) as server:
        recognizer, notes = Recognizer.load(embedded, device="cpu"), Notes()
        source = open_source(server.url("/camera"), recognizer.input, camera="camera")
        seconds = expected[-1].time - expected[0].time
        summary = Engine(recognizer, [source], [notes], duration=seconds + 1.5).run()
    got = [prediction for prediction in notes.predictions if prediction.session == 0]
    assert summary.cameras["camera"].dropped == 0
    assert [p.index for p in got] == [p.index for p in expected]
    times = np.array([p.time for p in got]) - np.array([p.time for p in expected])
    assert np.abs(times - times[0]).max() <= 1e-3
    assert max(np.abs(a.scores - b.scores).max() for a, b in zip(expected, got, strict=True)) <= LIMIT
