"""The motion gate: what is kept from the backbone, and that it changes nothing, or little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.batch import Outcome
from stream.bundle import Bundle
from stream.contracts import FeatureExtractor, State, Tick
from stream.errors import ConfigError
from stream.gate import CELL, GATE, MotionGate, thumbnail
from stream.inference import OnnxFeatures, OnnxHead
from stream.recognizer import Recognizer
from stream.sources import FileSource, open_source
from tests.graphs import FAIL_PIXEL, NAN_PIXEL, make_bundle
from tests.media import encode, moving_pictures

GREY = np.full((24, 32, 3), 100, np.uint8)


def tick(image: NDArray[np.uint8] = GREY, camera: str = "door", session: int = 0, index: int = 0) -> Tick:
    return Tick(camera, index, session, index / 10, 0.0, image, 0.1)


def patched(by: int, height: int = CELL, width: int = CELL) -> NDArray[np.uint8]:
    """The grey picture with its first pixels brighter by so much."""
    image = GREY.copy()
    image[:height, :width] += np.uint8(by)
    return image


class Backbone:
    """Numbers each picture that it sees, as its features."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, ticks: Sequence[Tick]) -> Outcome:
        """Features (n, 1)."""
        first, self.seen = self.seen, self.seen + len(ticks)
        return Outcome(np.arange(first, self.seen, dtype=np.float32)[:, None], {}, np.ones(len(ticks), np.bool_))


def of(gate: MotionGate, backbone: Backbone, *ticks: Tick) -> list[float]:
    return [float(row[0]) for row in gate.features(ticks, backbone).output]


def test_a_tick_goes_through_where_a_cell_moved() -> None:
    gate, backbone = MotionGate(2.0), Backbone()
    pictures = [GREY, GREY, patched(2), patched(3), patched(3), GREY]
    assert [of(gate, backbone, tick(picture)) for picture in pictures] == [[0], [0], [0], [1], [1], [2]]
    assert gate.gated == {"door": 3}


def test_slow_change_adds_up() -> None:
    gate, backbone = MotionGate(2.0), Backbone()
    assert [of(gate, backbone, tick(GREY + np.uint8(level)))[0] for level in range(7)] == [0, 0, 0, 1, 1, 1, 2]


def test_each_camera_has_its_own_past() -> None:
    gate, backbone = MotionGate(2.0), Backbone()
    assert of(gate, backbone, tick(camera="a"), tick(camera="b")) == [0, 1]
    assert of(gate, backbone, tick(camera="a"), tick(patched(9), "b"), tick(camera="c")) == [0, 2, 3]
    gate.forget("a")
    assert of(gate, backbone, tick(camera="a"), tick(patched(9), "b")) == [4, 2]
    assert gate.gated == {"a": 1, "b": 1}


def test_at_threshold_0_one_pixel_of_any_colour_counts() -> None:
    gate, backbone = MotionGate(0), Backbone()
    image = GREY.copy()
    image[23, 31, 2] += 1
    assert [of(gate, backbone, tick(each))[0] for each in (GREY, GREY, image, image.copy())] == [0, 0, 1, 1]


def test_the_thumbnail_is_the_mean_grey_of_each_cell() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4 * CELL, 6 * CELL, 3)).astype(np.uint8)
    grey = noise @ [0.299, 0.587, 0.114]
    cells = grey.reshape(4, CELL, 6, CELL).mean(axis=(1, 3))
    assert np.abs(thumbnail(noise) - cells).max() < 0.5
    assert thumbnail(np.zeros((1, 4 * CELL + 1, 3), np.uint8)).shape == (1, 5)


@pytest.fixture(scope="module")
def still_and_moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip in which a square walks, stands for a second, and walks on; without loss, so that standing is standing."""
    walk = moving_pictures(40, 64, 48)
    pictures = [*walk[:20], *[walk[19]] * 25, *walk[20:]]
    return encode(pictures, tmp_path_factory.mktemp("gate") / "walk.mkv", codec="ffv1")


@pytest.mark.parametrize("mode", ["carry", "window"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_at_threshold_0_nothing_changes_by_a_bit(
    mode: str, batch_size: int, still_and_moving: Path, tmp_path: Path
) -> None:
    folder = make_bundle(tmp_path / "bundle", mode=mode, window=8 if mode == "window" else None, golden=False).folder
    bare, gated = (
        Recognizer.load(folder, device="cpu", threads=1, batch_size=batch_size, gate=gate) for gate in (None, 0.0)
    )
    walk = list(open_source(still_and_moving, bare.input))
    ticks = [replace(each, camera=camera) for each in walk for camera in ("a", "b", "c")]
    for one, other in zip(bare.advance(ticks), gated.advance(ticks), strict=True):
        assert one[0].scores.tobytes() == other[0].scores.tobytes()
        assert (one[0].label, one[1]) == (other[0].label, other[1])
    assert bare.gated == {}
    assert set(gated.gated) == {"a", "b", "c"} and 8 <= gated.gated["a"] < len(walk) - 8


class Counting:
    """Features of a bundle, and how often they were computed."""

    def __init__(self, features: FeatureExtractor) -> None:
        self.features, self.runs = features, 0

    def extract(self, images: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """Features (N, D) and the next state."""
        self.runs += 1
        return self.features.extract(images, state)


def test_the_backbone_does_not_run_where_nothing_moves(tiny_bundle: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    features = Counting(OnnxFeatures(bundle, "cpu", 1))
    recognizer = Recognizer(bundle, features, OnnxHead(bundle, "cpu"), gate=GATE)
    recognizer.step([tick(index=index) for index in range(10)])
    assert (features.runs, recognizer.gated) == (1, {"door": 9})


def test_a_new_session_looks_afresh(tiny_bundle: Path) -> None:
    recognizer = Recognizer.load(tiny_bundle, device="cpu", threads=1, gate=GATE)
    recognizer.step([tick(index=index, session=index // 2) for index in range(6)])
    assert recognizer.gated == {"door": 3}


@pytest.mark.parametrize("pixel", [NAN_PIXEL, FAIL_PIXEL])
def test_features_of_no_use_are_not_kept(pixel: int, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", traps=True, golden=False).folder
    recognizer = Recognizer.load(folder, device="cpu", threads=1, batch_size=2, gate=GATE)
    trap = GREY.copy()
    trap[0, 0, 0] = pixel
    for index in range(3):
        recognizer.step([tick(trap, "bad", index=index), tick(camera="good", index=index)])
    assert recognizer.faults == {"bad": 3}
    assert recognizer.gated == {"good": 2}


def test_bundles_whose_features_keep_state_are_refused(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", feature_state=True, golden=False).folder
    with pytest.raises(ConfigError, match="must see every tick"):
        Recognizer.load(folder, device="cpu", gate=GATE)


@pytest.mark.parametrize("threshold", [-1.0, 256.0, float("nan")])
def test_thresholds_are_grey_levels(threshold: float, tiny_bundle: Path) -> None:
    with pytest.raises(ConfigError, match="gate: expected grey levels"):
        Recognizer.load(tiny_bundle, device="cpu", gate=threshold)


def test_no_score_of_real_footage_changes_much(shared: Path, tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", size=(96, 128), golden=False).folder
    bare, gated = (Recognizer.load(folder, device="cpu", threads=1, gate=gate) for gate in (None, GATE))
    files = [*sorted((shared / "ut-interaction").glob("*/*.avi"))[::40], *(shared / "cameras").glob("*.mp4")]
    for path in files:
        ticks = list(FileSource(path, bare.input, camera=path.name))
        for one, other in zip(bare.step(ticks), gated.step(ticks), strict=True):
            assert np.abs(one.scores - other.scores).max() <= 0.02, path.name
    assert sum(gated.gated.values()) > 0
