"""Rows hold what they say: clips and pseudo-streams, targets that belong to their ticks, weights that sum to one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contracts import Input
from stream.errors import ConfigError
from tests.media import encode_h264
from train.cache import ArrayCache
from train.datasets import Dataset, Recording, Segment
from train.rows import Piece, Row, RowDrawer, View, tick_weights
from train.settings import StageSettings
from train.views import PlainViews

RATE = 10.0
CLIPS = Dataset(
    Path("clips"),
    ("none", "jump", "wave"),
    "none",
    tuple(Recording(Path(f"{label}/{n}.mp4"), f"{n}", label) for label in ("none", "jump", "wave") for n in range(4)),
    untrimmed=False,
)
STREAM = Dataset(
    Path("streams"),
    ("none", "wave"),
    "none",
    (Recording(Path("s.mp4"), "s", None, (Segment("wave", 2.0, 3.0),)),),
    untrimmed=True,
)


class NumberedViews:
    """Recordings whose ticks show the recording's number and the tick's."""

    def __init__(self, count: int) -> None:
        self._count = count

    def choose(self, recording: int, rng: np.random.Generator) -> View:
        """The only view."""
        return View(recording, None, 1.0, self._count)

    def load(self, piece: Piece) -> NDArray[np.float64]:
        """Rows of recording and tick, (n, 2)."""
        return np.stack([np.full(len(piece.positions), piece.view.recording), piece.positions], axis=1)

    def times(self, piece: Piece) -> NDArray[np.float64]:
        """Of ticks that are all there."""
        return piece.positions / RATE


def stage(**changes: object) -> StageSettings:
    return StageSettings.model_validate({"kind": "head", "epochs": 1, "window": 16, "burn_in": 0.1} | changes)


def drawer(dataset: Dataset, settings: StageSettings, count: int = 12) -> RowDrawer:
    members = tuple(range(len(dataset.recordings)))
    return RowDrawer(dataset, members, NumberedViews(count), settings, rate=RATE, keep=0.8)


def shown(row: Row) -> NDArray[np.float64]:
    return np.concatenate([NumberedViews(0).load(piece) for piece in row.pieces])


@pytest.mark.parametrize("streams", [0.0, 1.0])
def test_targets_belong_to_the_ticks(streams: float) -> None:
    draw = drawer(CLIPS, stage(streams=streams)).draw
    for seed in range(50):
        row = draw(seed % 12, np.random.default_rng(seed))
        ticks = shown(row)
        assert row.targets.shape == row.weights.shape == (16,)
        assert (ticks[:, 0] // 4).tolist() == row.targets[: len(ticks)].tolist()
        assert row.weights[len(ticks) :].sum() == 0
        assert row.weights.sum() == pytest.approx(1)
        assert len(ticks) == 16 if streams else 10 <= len(ticks) <= 12


def test_streams_turn_between_actions_and_nothing() -> None:
    draw = drawer(CLIPS, stage(streams=1.0, window=40)).draw
    for seed in range(20):
        labels = [piece.view.recording // 4 for piece in draw(5, np.random.default_rng(seed)).pieces]
        assert all((a == 0) != (b == 0) for a, b in pairwise(labels))
        assert 1 in labels


def test_spread_rows_cross_the_whole_clip() -> None:
    (piece,) = drawer(CLIPS, stage(spread=True, window=8), count=30).draw(0, np.random.default_rng(0)).pieces
    assert len(piece.positions) == 8
    assert (np.diff(piece.positions) > 0).all()
    assert piece.positions[-1] - piece.positions[0] > 15
    with pytest.raises(ConfigError, match="needs clips"):
        drawer(STREAM, stage(spread=True))


def test_windows_of_streams_know_what_happens_in_them() -> None:
    draw = drawer(STREAM, stage(), count=60).draw
    happened = 0
    for seed in range(20):
        row = draw(0, np.random.default_rng(seed))
        times = row.pieces[0].positions / RATE
        assert row.targets.tolist() == ((times >= 2.0) & (times < 3.0)).astype(int).tolist()
        happened += int(row.targets.any())
    assert happened >= 10


@pytest.mark.parametrize("rate", [10.0, None])
def test_targets_are_those_of_the_times_that_ticks_have(tmp_path: Path, rate: float | None) -> None:
    """A stream of 5 frames a second has no 10 ticks a second, nor the 25 that native ones are counted as."""
    pictures = [np.full((48, 64, 3), 10 * i, np.uint8) for i in range(20)]
    encode_h264(pictures, tmp_path / "s.mp4", fps=5)
    path = tmp_path / "s.mp4"
    recording = Recording(path, "s", None, (Segment("wave", 2.0, 3.0),), ambiguous=((3.0, 3.4),))
    streams = replace(STREAM, root=tmp_path, recordings=(recording,))
    views = PlainViews(streams, ArrayCache(tmp_path / "cache"), Input(48, 64, rate=rate))
    stages = [stage(window=window, burn_in=0) for window in (20, 4)]
    long, short = (RowDrawer(streams, (0,), views, each, rate=rate or 25, keep=1.0) for each in stages)
    row = long.draw(0, np.random.default_rng(0))
    assert row.targets.tolist() == [0] * 10 + [1] * 5 + [0] * 5
    assert np.flatnonzero(row.weights == 0).tolist() == [15, 16]
    rows = [short.draw(0, np.random.default_rng(seed)) for seed in range(40)]
    assert sum(bool(row.targets.any()) for row in rows) > 20  # of a stream in which little happens


def test_a_stride_sees_more_of_a_stream_in_as_many_ticks() -> None:
    strided = drawer(STREAM, stage(stride=3, loss="after", burn_in=0.6), count=96)
    assert len(strided.order(np.random.default_rng(0))) == 2
    for seed in range(20):
        row = strided.draw(0, np.random.default_rng(seed))
        (piece,) = row.pieces
        assert np.diff(piece.positions).tolist() == [3] * 15
        assert row.targets.tolist() == ((piece.positions >= 20) & (piece.positions < 30)).astype(int).tolist()
        # 0.6 s are two of these ticks: the first two of a label do not count.
        began = np.flatnonzero(np.diff(row.targets, prepend=-1))
        assert (row.weights == 0).nonzero()[0].tolist() == sorted({*began, *(began + 1).clip(max=15)})
    with pytest.raises(ConfigError, match="needs untrimmed streams"):
        drawer(CLIPS, stage(stride=2))


def test_an_epoch_has_each_action_once_and_no_more_of_nothing() -> None:
    many = tuple(Recording(Path(f"none/{n}.mp4"), f"{n}", "none") for n in range(30))
    dataset = Dataset(Path("clips"), CLIPS.labels, "none", CLIPS.recordings[4:] + many, untrimmed=False)
    order = drawer(dataset, stage()).order(np.random.default_rng(0))
    assert len(order) == len(set(order)) == 16
    assert set(range(8)) <= set(order)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("all", [1 / 6] * 6),
        ("last", [0, 0, 0, 0, 0, 1]),
        ("after", [0, 1 / 3, 0, 1 / 3, 1 / 3, 0]),
        ("ramp", np.array([1 / 4, 1, 1 / 9, 4 / 9, 1, 1]) / (5 / 4 + 14 / 9 + 1)),
        ("evidence", np.array([1, 1, 0, 0, 0.5, 1]) / 3.5),
    ],
)
def test_tick_weights(loss: str, expected: list[float]) -> None:
    weights = tick_weights(
        np.array([0, 0, 1, 1, 1, 0], np.int32), np.array([0.9, 1, 0.2, 0.35, 0.475, 0.6]), stage(loss=loss), RATE
    )
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_an_epoch_has_so_many_of_a_class() -> None:
    drawn = drawer(CLIPS, stage(per_class=2))
    orders = [drawn.order(np.random.default_rng(seed)) for seed in range(8)]
    for order in orders:
        assert sorted(i // 4 for i in order) == [0, 0, 1, 1, 2, 2]
        assert len(set(order)) == 6
    assert set().union(*orders) == set(range(12))  # drawn anew each time


def test_what_nobody_can_name_counts_for_nothing() -> None:
    ambiguous = replace(STREAM.recordings[0], ambiguous=((4.0, 5.0),))
    row = drawer(replace(STREAM, recordings=(ambiguous,)), stage(loss="all", window=60), count=60).draw(
        0, np.random.default_rng(0)
    )
    assert np.flatnonzero(row.weights == 0).tolist() == list(range(40, 50))
    assert row.weights.sum() == pytest.approx(1)
