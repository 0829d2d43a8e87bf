"""Staggered replicas: against the window of exactly the speaking one's age, at every tick, alone and among others."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from export.trace import read_ticks, trace
from stream.bundle import Bundle, Temporal
from stream.contracts import State, Tick
from stream.errors import BundleError, ConfigError
from stream.inference import OnnxFeatures, OnnxHead
from stream.recognizer import Recognizer
from stream.staggered import Staggered, ages, shortest_memory
from tests.conftest import ROOT
from tests.graphs import NAN_PIXEL, make_bundle

PERIOD, REPLICAS = 12, 4
CLIPS = ROOT / "samples" / "clips"
RATE = 10


@pytest.mark.parametrize(("period", "replicas"), [(12, 4), (10, 4), (7, 3), (4, 4), (100, 2)])
def test_one_replica_speaks_that_is_neither_young_nor_old(period: int, replicas: int) -> None:
    walked = [ages(tick, period, replicas) for tick in range(4 * period)]
    for tick, (before, after) in enumerate(pairwise(walked)):
        assert all(now in (1, old + 1) for old, now in zip(before, after, strict=True)), tick
        assert sum(now == 1 for now in after) <= 1 or period == replicas
    oldest = [max(old) for old in walked]
    assert oldest[:period] == list(range(1, period + 1))
    assert max(oldest) == period
    assert min(oldest[period:]) == shortest_memory(period, replicas) > period - -(-period // replicas)


def ticks_of(camera: str, count: int, seed: int, size: tuple[int, int] = (24, 32)) -> list[Tick]:
    pictures = np.random.default_rng(seed).integers(0, NAN_PIXEL - 1, (count, *size, 3), dtype=np.uint8)
    return [Tick(camera, k, 0, k / RATE, 0.0, picture, 1 / RATE) for k, picture in enumerate(pictures)]


def windowed(folder: Path, ticks: list[Tick], period: int, replicas: int) -> NDArray[np.float32]:
    """Scores (T, K): at each tick those of the window of exactly the age of the replica that speaks there."""
    scores = []
    for k in range(len(ticks)):
        age = max(ages(k, period, replicas))
        recognizer = Recognizer.load(folder, device="cpu", mode="window", window=age)
        scores.append(recognizer.step(ticks[k + 1 - age : k + 1])[-1].scores)
    return np.stack(scores)


def test_what_speaks_is_the_window_of_its_age(tiny_bundle: Path) -> None:
    ticks = ticks_of("hall", 3 * PERIOD, seed=1)
    recognizer = Recognizer.load(tiny_bundle, device="cpu", mode="staggered", window=PERIOD)
    got = np.stack([prediction.scores for prediction in recognizer.step(ticks)])
    expected = windowed(tiny_bundle, ticks, PERIOD, REPLICAS)
    assert np.abs(got - expected).max() <= 1e-5
    carried = Recognizer.load(tiny_bundle, device="cpu", mode="carry").step(ticks)
    assert np.abs(got[-1] - carried[-1].scores).max() > 1e-5, "the model forgets by itself, so this test shows nothing"


def test_cameras_that_join_late_do_not_change_each_other(tiny_bundle: Path) -> None:
    hall, yard = ticks_of("hall", 30, seed=1), ticks_of("yard", 30, seed=2)
    options = {"device": "cpu", "batch_size": 2, "mode": "staggered", "window": PERIOD}
    alone = [Recognizer.load(tiny_bundle, **options).step(each) for each in (hall, yard[:20])]  # type: ignore[arg-type]
    together = Recognizer.load(tiny_bundle, **options)  # type: ignore[arg-type]
    got = together.step(hall[:10])
    for a, b in zip(hall[10:], yard, strict=False):
        got += together.step([b, a])
    for camera, expected in zip(("hall", "yard"), alone, strict=True):
        scores = [prediction.scores.tobytes() for prediction in got if prediction.camera == camera]
        assert scores == [prediction.scores.tobytes() for prediction in expected]


def test_a_reset_and_a_fault_are_a_fresh_start(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "b", traps=True, golden=False).folder
    ticks = ticks_of("hall", 20, seed=3)
    recognizer = Recognizer.load(folder, device="cpu", mode="staggered", window=PERIOD)
    first = [prediction.scores.tobytes() for prediction in recognizer.step(ticks)]
    recognizer.reset("hall")
    assert [prediction.scores.tobytes() for prediction in recognizer.step(ticks)] == first
    poison = ticks_of("hall", 1, seed=4)
    poison[0].image[0, 0, 0] = NAN_PIXEL
    assert not recognizer.step(poison)[0].warm and recognizer.faults["hall"] == 1
    assert [prediction.scores.tobytes() for prediction in recognizer.step(ticks)] == first


def test_features_that_keep_state_keep_it(tmp_path: Path) -> None:
    """Only the head restarts: its features are those of the whole session, as in carry."""
    bundle = make_bundle(tmp_path / "b", feature_state=True, golden=False)
    ticks = ticks_of("hall", 2 * PERIOD, seed=5)
    temporal = Temporal(mode="staggered", window=PERIOD)
    features, head = OnnxFeatures(bundle, "cpu"), OnnxHead(bundle, "cpu")
    states = bundle.spec.features.state, bundle.spec.head.state
    expected = trace(features, head, states, temporal, ticks, bundle.labels).logits
    recognizer = Recognizer.load(bundle.folder, device="cpu", mode="staggered", window=PERIOD)
    got = np.stack([np.log(prediction.scores) for prediction in recognizer.step(ticks)])
    assert np.abs((got - got[:, :1]) - (expected - expected[:, :1])).max() <= 1e-4


@pytest.mark.parametrize(("window", "warmup"), [(None, 0), (3, 0), (12, 11)])
def test_windows_that_cannot_be(tmp_path: Path, window: int | None, warmup: int) -> None:
    bundle = make_bundle(tmp_path / "b", warmup=warmup, golden=False)
    with pytest.raises(ConfigError, match="window: expected"):
        Recognizer.load(bundle.folder, device="cpu", mode="staggered", window=window)


def test_a_bundle_may_say_staggered_and_must_say_how_long(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", mode="staggered", window=PERIOD, golden=False)
    recognizer = Recognizer.load(bundle.folder, device="cpu")
    assert (recognizer.mode, recognizer.window) == ("staggered", PERIOD)
    text = (bundle.folder / "bundle.json").read_text()
    for window in ("null", "3"):
        (bundle.folder / "bundle.json").write_text(text.replace(f'"window": {PERIOD}', f'"window": {window}'))
        with pytest.raises(BundleError, match="window"):
            Bundle.load(bundle.folder)


@pytest.mark.parametrize(
    ("name", "minutes"),
    [
        ("figures", 6),
        pytest.param("figures", 60, marks=pytest.mark.slow),
        pytest.param("interactions", 60, marks=pytest.mark.slow),
    ],
)
def test_a_long_eventful_stream_does_not_drift(name: str, minutes: int) -> None:
    """The samples' features, clip after clip in seeded order: what speaks stays the window of its age.

    The last sixth of the stream is as near to it as the first, and the state is as large.
    """
    bundle = Bundle.load(ROOT / "samples" / "models" / name)
    features, head = OnnxFeatures(bundle, "cpu"), OnnxHead(bundle, "cpu")
    clips = [clip_features(features, path, bundle) for path in sorted(CLIPS.glob("*.mp4")) if path.stem != "demo"]
    order = np.random.default_rng(0)
    rate = int(bundle.input.rate or RATE)
    total, period = minutes * 60 * rate, 4 * rate
    stream = [order.integers(len(clips))]
    while sum(len(clips[i]) for i in stream) < total:
        stream.append(order.integers(len(clips)))
    vectors = np.concatenate([clips[i] for i in stream])[:total]

    heard = Heard(head)
    replicas = Staggered(heard.step, bundle.spec.head.zeros, period, REPLICAS)
    logits = np.stack([replicas.judge(["hall"], vector[None], 1).output[0] for vector in vectors])
    spans = slice(0, total // 6), slice(total - total // 6, total)
    norms = [np.quantile(heard.norms[span], (0.5, 0.99, 1.0)) for span in spans]
    np.testing.assert_allclose(norms[1], norms[0], rtol=0.1)
    for span in spans:
        for k in range(span.start, span.stop, 97):
            expected = window_logits(head, vectors[k + 1 - max(ages(k, period, REPLICAS)) : k + 1])
            assert np.abs(logits[k] - expected).max() <= 1e-5 * max(1.0, float(np.abs(expected).max()))


class Heard:
    """A head whose speaking state, the first row, is measured at every step."""

    def __init__(self, head: OnnxHead) -> None:
        self._head = head
        self.norms: list[float] = []

    def step(self, features: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """As in `Head`."""
        logits, after = self._head.step(features, state)
        self.norms.append(float(np.sqrt(sum((value[0] ** 2).sum() for value in after.values()))))
        return logits, after


def clip_features(features: OnnxFeatures, path: Path, bundle: Bundle) -> NDArray[np.float32]:
    """(T, D) of a clip's ticks, from zero state."""
    state, rows = features.zeros(1), []
    for tick in read_ticks(path, bundle.input):
        vector, state = features.extract(tick.image[None], state)
        rows.append(vector[0])
    return np.stack(rows)


def window_logits(head: OnnxHead, window: NDArray[np.float32]) -> NDArray[np.float32]:
    """(K,) after `window` (T, D), from zero state."""
    state = head.zeros(1)
    for vector in window:
        logits, state = head.step(vector[None], state)
    last: NDArray[np.float32] = logits[0]
    return last
