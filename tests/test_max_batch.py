"""The largest batch that a bundle promises: no run is larger, in any mode, and verify proves as many rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export import commands
from export.verify import verify
from stream.bench.bare import bare_loop
from stream.bench.conditions import OpenBundle
from stream.bundle import Bundle, write_bundle
from stream.commands.cameras import batch_sizes
from stream.contracts import State, Tick
from stream.errors import ConfigError
from stream.inference import OnnxFeatures, OnnxHead
from stream.recognizer import Recognizer
from tests.graphs import make_bundle
from train.runs import Run


def promising(folder: Path, most: int, **options: Any) -> Bundle:
    """A bundle in `folder` that promises batches of `most`."""
    made = make_bundle(folder, **options)
    files = {name: made.read(name) for name in made.spec.hashes()}
    return write_bundle(folder, made.spec.model_copy(update={"max_batch": most}), files)


class Counting:
    """Both graphs, with the rows of each run noted."""

    def __init__(self, bundle: Bundle) -> None:
        self._features, self._head = OnnxFeatures(bundle, "cpu", 1), OnnxHead(bundle, "cpu")
        self.rows: list[int] = []

    def extract(self, images: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """As in `FeatureExtractor`."""
        self.rows.append(len(images))
        return self._features.extract(images, state)

    def step(self, features: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """As in `Head`."""
        self.rows.append(len(features))
        return self._head.step(features, state)


@pytest.mark.parametrize(("mode", "window", "sizes"), [("carry", None, (1, 4, 5)), ("staggered", 8, (1,))])
def test_no_run_is_larger_and_nothing_else_changes(
    mode: Any, window: int | None, sizes: tuple[int, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Twelve tracks; in mode staggered each of them is four rows of the head."""
    free, kept = make_bundle(tmp_path / "free"), promising(tmp_path / "kept", 5)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 200, (3, 12, 24, 32, 3), np.uint8)
    told = []
    for bundle in (free, kept):
        graphs = Counting(bundle)
        recognizer = Recognizer(bundle, graphs, graphs, batch_size=(1, 4, 12), mode=mode, window=window)
        while recognizer.warm_up():
            pass
        for number, pictures in enumerate(images):
            ticks = [Tick(f"{n}", number, 0, number / 10, 0.0, image, 0.1) for n, image in enumerate(pictures)]
            told.append(np.stack([each.scores for each in recognizer.step(ticks)]))
        assert max(graphs.rows) == (12 * (4 if mode == "staggered" else 1) if bundle is free else 5 - (mode != "carry"))
        assert recognizer.batch_sizes == ((1, 4, 12) if bundle is free else sizes)
    np.testing.assert_allclose(told[:3], told[3:], atol=1e-5)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{kept.model}: runs of {sizes[-1]} rows at most")


def test_what_cannot_be_kept_to_is_refused(tmp_path: Path) -> None:
    bundle = promising(tmp_path / "b", 3)
    with pytest.raises(ConfigError, match=r"promises batches of 3 at most, expected 4 or more for the replicas"):
        Recognizer.load(bundle.folder, device="cpu", mode="staggered", window=8)
    with pytest.raises(ConfigError, match=r"expected at most 3 tracks \(max_batch\), got 4"):
        bare_loop(OpenBundle.load(bundle.folder, device="cpu"), 4)
    assert batch_sizes(64, "cpu", 3) == (1, 2, 3) and batch_sizes(64, "cpu", 9) == batch_sizes(64, "cpu")


def test_verify_proves_as_many_rows(tmp_path: Path) -> None:
    """A head that is right up to four rows, which is what is tried where nothing is promised."""
    free = make_bundle(tmp_path / "free")
    model = onnx.load_from_string(free.read("head.onnx"))
    for node in model.graph.node:
        node.output[:] = ["own" if name == "logits" else name for name in node.output]
    model.graph.node.extend(
        [
            helper.make_node("Shape", ["own"], ["rows"], end=1),
            helper.make_node("Greater", ["rows", "four"], ["many"]),
            helper.make_node("Cast", ["many"], ["wrong"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Add", ["own", "wrong"], ["logits"]),
        ]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([4]), "four"))
    files = {name: free.read(name) for name in free.spec.hashes()} | {"head.onnx": model.SerializeToString()}
    verify(write_bundle(tmp_path / "a", free.spec, files)).require()
    verify(write_bundle(tmp_path / "b", free.spec.model_copy(update={"max_batch": 4}), files)).require()
    report = verify(write_bundle(tmp_path / "c", free.spec.model_copy(update={"max_batch": 5}), files))
    assert {(each.path, each.name) for each in report.checks if not each.passed} == {("batch", "logits")}


def test_export_writes_it(tiny_run: Run, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [tiny_run.folder, "--out", tmp_path / "out", "--clip", h264_clip, "--max-batch", 6, "--fuse"]
    commands.export.main([str(word) for word in words], standalone_mode=False)
    assert "batches of 6 at most, both graphs as one" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "out" / "bundle.json").read_text())["max_batch"] == 6
    commands.verify.main([str(tmp_path / "out"), "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["passed"]
