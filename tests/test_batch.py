"""Runs of a fixed size: no row changes another, whatever it holds or breaks; windows are the offline model."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.batch import over_windows, run
from stream.contracts import State
from stream.errors import DeviceError
from stream.inference import OnnxFeatures, OnnxHead
from tests.graphs import FAIL_PIXEL, FILTERS, NAN_PIXEL, Reference, make_bundle, weights_of

SIZE = 5


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> OnnxFeatures:
    folder = tmp_path_factory.mktemp("bundles") / "b"
    return OnnxFeatures(make_bundle(folder, traps=True, feature_state=True, golden=False), "cpu")


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> OnnxHead:
    return OnnxHead(make_bundle(tmp_path_factory.mktemp("bundles") / "b", golden=False), "cpu")


def images(count: int) -> NDArray[np.uint8]:
    """Pictures that hurt nobody."""
    pictures = np.random.default_rng(5).integers(0, 200, (count, 24, 32, 3), dtype=np.uint8)
    return pictures


def traces(count: int) -> State:
    return {"trace_in": np.random.default_rng(6).standard_normal((count, FILTERS)).astype(np.float32)}


def equal_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("count", range(1, SIZE + 1))
def test_rows_are_bit_identical_however_many_there_are(features: OnnxFeatures, count: int) -> None:
    full = run(features.extract, images(SIZE), traces(SIZE), SIZE)
    part = run(features.extract, images(SIZE)[:count], {"trace_in": traces(SIZE)["trace_in"][:count]}, SIZE)
    assert full.healthy.all() and part.healthy.all()
    assert equal_bits(part.output, full.output[:count])
    assert equal_bits(part.state["trace_in"], full.state["trace_in"][:count])


@pytest.mark.parametrize("hurt", list(product([None, NAN_PIXEL, FAIL_PIXEL], repeat=4)))
def test_only_the_culprits_are_unhealthy_and_the_others_keep_every_bit(
    features: OnnxFeatures, hurt: tuple[int | None, ...]
) -> None:
    pictures, state = images(4), traces(4)
    sound = run(features.extract, pictures, state, SIZE)
    for row, pixel in enumerate(hurt):
        if pixel is not None:
            pictures[row, 0, 0, 0] = pixel
    outcome = run(features.extract, pictures, state, SIZE)
    assert outcome.healthy.tolist() == [pixel is None for pixel in hurt]
    assert equal_bits(outcome.output[outcome.healthy], sound.output[outcome.healthy])
    assert equal_bits(outcome.state["trace_in"][outcome.healthy], sound.state["trace_in"][outcome.healthy])
    assert not outcome.output[~outcome.healthy].any()


def test_a_state_that_is_not_finite_is_unhealthy(features: OnnxFeatures) -> None:
    state = traces(3)
    state["trace_in"][1, 2] = np.inf
    assert run(features.extract, images(3), state, SIZE).healthy.tolist() == [True, False, True]


def test_an_empty_batch_has_the_outputs_shape(features: OnnxFeatures) -> None:
    outcome = run(features.extract, images(0), features.zeros(0), SIZE)
    assert outcome.output.shape == (0, FILTERS) and outcome.healthy.shape == (0,)


def test_a_device_that_fails_on_zeros_is_not_blamed_on_a_row() -> None:
    def broken(data: NDArray[Any], state: State) -> tuple[NDArray[np.float32], State]:
        raise DeviceError("the card fell off the bus")

    with pytest.raises(DeviceError, match="bus"):
        run(broken, images(4), {}, SIZE)


@pytest.mark.parametrize("lengths", [(1,), (7,), (3, 7, 1), (7, 7), (2, 4, 6, 1, 7)])
def test_windows_of_any_lengths_are_the_offline_model(head: OnnxHead, lengths: tuple[int, ...]) -> None:
    vectors = np.random.default_rng(7).standard_normal((len(lengths), max(lengths), FILTERS)).astype(np.float32)
    windows = np.zeros_like(vectors)
    for row, length in enumerate(lengths):
        windows[row, -length:] = vectors[row, -length:]
    outcome = run(over_windows(head, head.zeros), windows, {"lengths": np.array(lengths)}, SIZE)
    for row, length in enumerate(lengths):
        wanted = Reference(weights_of()).carried(windows[row, -length:])[0][-1]
        np.testing.assert_allclose(outcome.output[row], wanted, rtol=1e-4, atol=1e-4)
        alone = run(
            over_windows(head, head.zeros), windows[row : row + 1, -length:], {"lengths": np.array([length])}, SIZE
        )
        assert np.abs(alone.output[0] - outcome.output[row]).max() <= 1e-6


def test_what_lies_before_a_window_does_not_matter(head: OnnxHead, tmp_path: Path) -> None:
    windows = np.zeros((2, 6, FILTERS), np.float32)
    windows[:, -2:] = np.random.default_rng(8).standard_normal((2, 2, FILTERS))
    windows[1, :4] = 3.0
    output = run(over_windows(head, head.zeros), windows[:1], {"lengths": np.array([2])}, SIZE).output
    dirty = run(over_windows(head, head.zeros), windows[1:], {"lengths": np.array([2])}, SIZE).output
    windows[1, :4] = 0.0
    clean = run(over_windows(head, head.zeros), windows[1:], {"lengths": np.array([2])}, SIZE).output
    assert equal_bits(dirty, clean) and not equal_bits(output, clean)
