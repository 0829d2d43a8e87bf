"""States that stay where the graph runs: the same numbers as with states that come and go, and room for any number."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from stream.bundle import Bundle
from stream.errors import BundleError, ConfigError, DeviceError
from stream.fused import fused
from stream.recognizer import Recognizer
from stream.resident import Resident
from stream.session import open_session
from tests.graphs import make_bundle
from tests.running import three_cameras

MODELS = Path(__file__).resolve().parent.parent / "samples" / "models"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "b", feature_state=True, golden=False)


@pytest.mark.parametrize("name", ["figures", "interactions"])
def test_the_shipped_bundles_say_the_same_either_way(name: str) -> None:
    """Three cameras, of which one pauses and one begins a new session; pictures of the bundle's own golden clip."""
    plain = Recognizer.load(MODELS / name, device="cpu", batch_size=4)
    stays = Recognizer.load(MODELS / name, device="cpu", batch_size=4, resident=True)
    images = plain.bundle.golden().images
    assert images is not None
    for ticks in three_cameras(images[:25], again_at=10):
        for ours, theirs in zip(stays.step(ticks), plain.step(ticks), strict=True):
            assert np.abs(ours.scores - theirs.scores).max() <= 1e-5
            assert (ours.label, ours.warm, ours.session) == (theirs.label, theirs.warm, theirs.session)


def test_the_room_grows_and_rows_are_used_again(bundle: Bundle) -> None:
    small, large = (Resident(bundle, "cpu", 1, capacity=capacity) for capacity in (1, 64))
    images = np.random.default_rng(0).integers(0, 200, (12, 24, 32, 3), np.uint8)
    names = [f"camera {n}" for n in range(12)]
    for count in (1, 2, 5, 12):
        for _ in range(2):
            ours, theirs = (each.judge(names[:count], images[:count], 12) for each in (small, large))
            assert ours.output.tobytes() == theirs.output.tobytes() and ours.healthy.all()
    for each in (small, large):
        each.drop("camera 3")
        each.drop("nobody")
        assert len(each) == 11
    again = [each.judge(["new"], images[3:4], 12).output for each in (small, large)]
    fresh = Resident(bundle, "cpu", 1).judge(["new"], images[3:4], 12).output
    assert again[0].tobytes() == again[1].tobytes() == fresh.tobytes(), "a row that was used before is not fresh"


def test_no_row_hands_its_state_to_the_outside(bundle: Bundle) -> None:
    outcome = Resident(bundle, "cpu", 1).judge(["a"], np.zeros((1, 24, 32, 3), np.uint8), 1)
    assert outcome.state == {}


def test_it_is_for_carry_without_a_gate(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="resident: expected mode carry"):
        Recognizer.load(bundle.folder, device="cpu", mode="staggered", window=20, resident=True)
    stateless = make_bundle(tmp_path / "b", golden=False)
    with pytest.raises(ConfigError, match="no gate"):
        Recognizer.load(stateless.folder, device="cpu", gate=2.0, resident=True)
    assert Recognizer.load(stateless.folder, device="cpu", resident=True).step([]) == []


def test_a_run_that_is_made_again_comes_to_the_same(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime makes a run two or three times over to capture it as a CUDA graph (onnxruntime#32243)."""
    once, thrice = Resident(bundle, "cpu", 1, capacity=4), Resident(bundle, "cpu", 1, capacity=4)
    run = thrice.session.run_with_iobinding

    def made_again(*arguments: Any) -> None:
        for _ in range(3):
            run(*arguments)

    monkeypatch.setattr(thrice.session, "run_with_iobinding", made_again)
    images = np.random.default_rng(0).integers(0, 200, (9, 24, 32, 3), np.uint8)
    names = [f"camera {n}" for n in range(9)]
    for count in (3, 3, 1, 9, 9, 2):  # the room grows on the way
        ours, theirs = (each.judge(names[:count], images[:count], count) for each in (thrice, once))
        assert ours.output.tobytes() == theirs.output.tobytes() and ours.healthy.all()


@pytest.mark.parametrize("when", ["opened", "run"])
def test_a_capture_that_is_refused_is_told_and_done_without(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    """No GPU here, so the refusal is played; the numbers afterwards are a plain resident's, from where it was."""
    images = np.random.default_rng(0).integers(0, 200, (2, 24, 32, 3), np.uint8)
    plain = Resident(bundle, "cpu", 1, graphs=False)
    if when == "opened":

        def refusing(*arguments: Any, capture: bool) -> ort.InferenceSession:
            if capture:
                raise BundleError("expected an ONNX graph") from RuntimeError("a node is on the CPU")
            return open_session(*arguments)

        monkeypatch.setattr("stream.resident.open_session", refusing)
    asked = Resident(bundle, "cpu", 1)
    for _ in range(2):
        ours, theirs = (each.judge(["a", "b"], images, 2) for each in (asked, plain))
        assert ours.output.tobytes() == theirs.output.tobytes()
    if when == "run":
        assert not caplog.records

        def failing(*_: Any) -> None:
            raise RuntimeError("a node is on the CPU")

        asked.graphs = True  # as on CUDA
        monkeypatch.setattr(asked.session, "run_with_iobinding", failing)
        ours, theirs = (each.judge(["a", "b"], images, 2) for each in (asked, plain))
        assert ours.output.tobytes() == theirs.output.tobytes()
    assert not asked.graphs and asked.refusal == "a node is on the CPU"
    assert [record.getMessage() for record in caplog.records] == [
        f"{bundle.folder}: runs are not captured as CUDA graphs: a node is on the CPU"
    ]


def test_each_size_and_turn_has_a_graph_of_its_own(bundle: Bundle) -> None:
    """The CPU ignores the ids; what is seen is that none serves two runs, nor again once the banks have moved."""
    stays = Resident(bundle, "cpu", 1, capacity=2)
    stays.graphs = True  # as on CUDA
    ids: list[int] = []
    for names in (["a"], ["a", "b"], ["a", "b", "c"]):  # the third has the banks moved
        stays.judge(names, np.zeros((len(names), 24, 32, 3), np.uint8), len(names))
        ids += [graph for run in stays._runs.values() for graph in run.graphs if graph not in ids]
        assert all(len(run.graphs) == 2 for run in stays._runs.values())
    assert ids == [1, 2, 3, 4, 5, 6] and list(stays._runs) == [3]


def test_what_is_not_cuda_is_told_where_graphs_were_asked_for(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    assert Resident(bundle, "cpu", 1, graphs=True).refusal == (
        "expected CUDAExecutionProvider, got CPUExecutionProvider"
    )
    assert len(caplog.records) == 1


def test_what_is_missing_or_damaged_is_named(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "read", lambda self, name: b"no graph")
        with pytest.raises(BundleError, match="expected an ONNX graph"):
            fused(bundle)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DeviceError, match=r"pip install -e '\.\[gpu\]'"):
        fused(bundle)
