"""Both graphs as one (export --fuse): the same numbers, taken where it can be, proven, and never of other graphs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from export import commands
from export.quantize import quantize
from export.verify import LIMIT, verify
from stream.bundle import Bundle, write_bundle
from stream.cli import main
from stream.contracts import Tick
from stream.errors import BundleError, ConfigError
from stream.pair import Pair
from stream.recognizer import Recognizer
from stream.resident import Resident
from stream.whole import Whole
from tests.graphs import NAN_PIXEL, make_bundle, with_geometry, with_one_graph
from tests.running import three_cameras
from train.runs import Run

MODELS = Path(__file__).resolve().parent.parent / "samples" / "models"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """With features that keep state, and with traps."""
    folder = tmp_path_factory.mktemp("bundles")
    return with_one_graph(make_bundle(folder / "two", feature_state=True, traps=True), folder / "one")


def edited(bundle: Bundle, folder: Path, name: str, model: onnx.ModelProto, *, fused: bool) -> Bundle:
    """`bundle` in `folder` with another graph `name`, and with both as one made anew if `fused`."""
    files = {each: bundle.read(each) for each in bundle.spec.hashes()} | {name: model.SerializeToString()}
    made = write_bundle(folder, bundle.spec.model_copy(update={"fused": None}), files)
    return with_one_graph(made, folder.with_name(f"{folder.name}-one")) if fused else made


@pytest.mark.parametrize("name", ["figures", "interactions", "figures-int8"])
def test_the_shipped_bundles_say_the_very_same_through_one_graph(name: str, tmp_path: Path) -> None:
    """Three cameras, of which one pauses and one begins a new session; pictures of the bundle's own golden clip."""
    made = with_one_graph(Bundle.load(MODELS / name), tmp_path / "one")
    one, two = (
        Recognizer.load(made.folder, device="cpu", threads=1, batch_size=4, fused=each) for each in (None, False)
    )
    assert isinstance(one._model, Whole) and isinstance(two._model, Pair)
    images = made.golden().images
    assert images is not None
    for ticks in three_cameras(images[:12], again_at=6):
        for ours, theirs in zip(one.advance(ticks), two.advance(ticks), strict=True):
            assert np.abs(ours[0].scores - theirs[0].scores).max() <= 1e-6
            assert (ours[0].label, ours[0].warm, len(ours[1])) == (theirs[0].label, theirs[0].warm, len(theirs[1]))


def test_it_is_taken_where_it_can_be_and_refused_elsewhere(bundle: Bundle, tmp_path: Path) -> None:
    def way(folder: Path, **options: object) -> type:
        return type(Recognizer.load(folder, device="cpu", **options)._model)  # type: ignore[arg-type]

    stateless = with_one_graph(make_bundle(tmp_path / "two"), tmp_path / "one").folder
    assert way(bundle.folder) is way(stateless) is Whole
    assert way(bundle.folder, fused=False) is way(tmp_path / "two") is Pair
    assert way(bundle.folder, mode="staggered", window=20) is way(stateless, gate=1.0) is Pair
    assert way(bundle.folder, resident=True) is Resident
    both = with_geometry(bundle, tmp_path / "both")
    embedded = Recognizer.load(both.folder, device="cpu", embedded=True)
    assert type(embedded._model) is Whole and embedded._geometry is not None

    with pytest.raises(ConfigError, match=r"fused: expected mode carry and no gate, got mode carry and a gate"):
        way(stateless, gate=1.0, fused=True)
    with pytest.raises(ConfigError, match=r"fused: expected mode carry and no gate, got mode window"):
        way(stateless, mode="window", window=3, fused=True)
    with pytest.raises(ConfigError, match=r"export it again with --fuse"):
        way(tmp_path / "two", fused=True)
    with pytest.raises(ConfigError, match="got resident as well"):
        way(stateless, resident=True, fused=True)
    with pytest.raises(ConfigError, match="expected its two graphs, or both as one, got neither"):
        Recognizer(bundle, None, None)


def test_a_row_whose_features_are_infinite_starts_afresh_though_its_head_makes_numbers_of_them(
    bundle: Bundle, tmp_path: Path
) -> None:
    """The tanh of infinity is 1: only the features tell that something is wrong with them."""
    features, head = (onnx.load_from_string(bundle.read(f"{part}.onnx")) for part in ("features", "head"))
    for node in features.graph.node:
        if list(node.output) == ["unit"]:  # distance / distance, NaN for NAN_PIXEL; now 1 / distance
            node.input[0] = "one"
    for node in head.graph.node:
        node.input[:] = ["bounded" if name == "features" else name for name in node.input]
    head.graph.node.insert(0, helper.make_node("Tanh", ["features"], ["bounded"]))
    two = edited(bundle, tmp_path / "a", "features.onnx", features, fused=False)
    made = edited(two, tmp_path / "b", "head.onnx", head, fused=True)
    image = np.full((24, 32, 3), 90, np.uint8)
    broken = image.copy()
    broken[0, 0, 0] = NAN_PIXEL
    told = []
    for fused in (True, False):
        recognizer = Recognizer.load(made.folder, device="cpu", threads=1, batch_size=2, fused=fused)
        for index, first in enumerate((image, broken, image)):
            ticks = [Tick(name, index, 0, index / 10, 0.0, each, 0.1) for name, each in (("a", first), ("b", image))]
            told.append([each.scores.tobytes() for each in recognizer.step(ticks)])
        assert recognizer.faults == {"a": 1}
    assert told[:3] == told[3:] and told[2][0] == told[0][0] != told[2][1]


def test_verify_proves_it_and_finds_a_graph_that_is_not_these_two(bundle: Bundle, tmp_path: Path) -> None:
    whole = with_one_graph(make_bundle(tmp_path / "two", feature_state=True), tmp_path / "one")
    report = verify(whole)
    report.require()
    checks = {(each.path, each.name): each for each in report.checks}
    names = {"features", "trace_in", "h_in", "logits", "fused"}
    assert {name for path, name in checks if path == "fused batch"} == names
    assert {name for path, name in checks if path == "fused"} == {*names, "scores"}
    assert all(each.limit == LIMIT and each.closeness <= LIMIT for (path, _), each in checks.items() if "fused" in path)

    model = onnx.load_from_string(whole.read("model.onnx"))
    gates = next(tensor for tensor in model.graph.initializer if tensor.name == "head/gates")
    gates.CopyFrom(numpy_helper.from_array(1.01 * numpy_helper.to_array(gates), gates.name))
    files = {name: whole.read(name) for name in whole.spec.hashes()} | {"model.onnx": model.SerializeToString()}
    faulty = verify(write_bundle(tmp_path / "faulty", whole.spec, files))
    failed = {(each.path, each.name) for each in faulty.checks if not each.passed}
    assert failed >= {(path, name) for path in ("fused", "fused batch") for name in ("h_in", "logits", "fused")}
    assert {path for path, _ in failed} == {"fused", "fused batch"}


def test_a_graph_that_was_made_of_others_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """One that is left beside a new head would say what the old one said."""
    model = onnx.load_from_string(bundle.read("head.onnx"))
    model.producer_name = "another"
    files = {name: bundle.read(name) for name in bundle.spec.hashes()} | {"head.onnx": model.SerializeToString()}
    with pytest.raises(BundleError, match="must be made of the bundle's two graphs; it was made of others"):
        write_bundle(tmp_path / "stale", bundle.spec, files)
    document = json.loads((bundle.folder / "bundle.json").read_text())
    assert document["fused"]["head_sha256"] == document["head"]["sha256"]
    assert "fused" not in json.loads((MODELS / "figures" / "bundle.json").read_text())


def test_export_and_quantize_make_it_and_inspect_shows_it(
    tiny_run: Run, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [tiny_run.folder, "--out", tmp_path / "one", "--clip", h264_clip, "--fuse"]
    commands.export.main([str(word) for word in words], standalone_mode=False)
    assert "both graphs as one in model.onnx" in " ".join(capsys.readouterr().out.split())
    exported = Bundle.load(tmp_path / "one")
    verify(exported, run=tiny_run).require()

    lowered, _ = quantize(exported, tmp_path / "half", precision="fp16", max_loss=100)
    assert lowered.spec.fused is not None and lowered.read("model.onnx") != exported.read("model.onnx")
    assert "fused" in {each.name for each in verify(lowered).checks if each.passed}

    assert main(["inspect", str(exported.folder), "--device", "cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    parts = told["graphs"]
    assert parts["fused"]["operations"] == parts["features"]["operations"] + parts["head"]["operations"]
    assert told["runtime"]["fused"]["taken"] is True and told["files"]["model.onnx"]["bytes"] > 0
    assert main(["inspect", str(exported.folder), "--device", "cpu"]) == 0
    assert "both graphs in model.onnx, run in place of the two" in " ".join(capsys.readouterr().out.split())

    with pytest.raises(ConfigError, match="--fuse: expected mode carry, got window"):
        commands.export.main([*map(str, words), "--mode", "window", "--window", "4"], standalone_mode=False)
