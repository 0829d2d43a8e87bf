"""An int8 or fp16 bundle: what of it is lowered and what stays exact, how near it is, and what it says of itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest

from export import commands
from export.compare import random_run
from export.lower import IN_FLOAT, to_int8
from export.pack import pack
from export.quantize import Measured, clips_in, quantize
from export.trace import read_ticks
from export.verify import LIMIT, verify
from stream.bundle import Bundle, write_bundle
from stream.contracts import Input
from stream.errors import BundleError, ConfigError
from stream.inference import OnnxFeatures
from stream.recognizer import Recognizer
from tests.graphs import make_bundle
from tests.process import ROOT
from train.models import ModelSettings
from train.runs import Run


@pytest.fixture(scope="module")
def moving_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose features remember pictures."""
    settings = ModelSettings(backbone="compact", motion="difference", head="gru", units=8)
    return random_run(tmp_path_factory.mktemp("runs"), settings, Input(48, 64), ["none", "wave", "clap"])


@pytest.fixture(scope="module")
def original(moving_run: Run, h264_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return pack(moving_run, tmp_path_factory.mktemp("bundles") / "fp32", clip=h264_clip)


@pytest.fixture(scope="module")
def made(original: Bundle, walk_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Measured]:
    return quantize(original, tmp_path_factory.mktemp("bundles") / "int8", [walk_clip])


@pytest.fixture(scope="module")
def int8(made: tuple[Bundle, Measured]) -> Bundle:
    return made[0]


def features_graph(bundle: Bundle) -> onnx.GraphProto:
    return onnx.load_from_string(bundle.read("features.onnx")).graph


def test_convolutions_are_int8_and_the_head_is_not(original: Bundle, int8: Bundle) -> None:
    graph = features_graph(int8)
    made_by = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    quantized = [
        all(made_by[name].op_type == "DequantizeLinear" for name in node.input[:2] if name in made_by)
        and node.input[1] in made_by
        for node in convolutions
    ]
    assert quantized == [False] * IN_FLOAT + [True] * (len(convolutions) - IN_FLOAT)
    assert any(quantized)
    weights = [
        tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert len(weights) == sum(quantized)
    assert max(np.abs(onnx.numpy_helper.to_array(tensor).astype(int)).max() for tensor in weights) <= 64
    assert int8.read("head.onnx") == original.read("head.onnx")
    assert len(int8.read("features.onnx")) < len(original.read("features.onnx"))


def test_what_is_remembered_is_exact(original: Bundle, int8: Bundle, walk_clip: Path) -> None:
    exact, coarse = OnnxFeatures(original, "cpu"), OnnxFeatures(int8, "cpu")
    kept = [exact.zeros(1), coarse.zeros(1)]
    apart = 0.0
    for tick in read_ticks(walk_clip, original.input):
        wanted, kept[0] = exact.extract(tick.image[None], kept[0])
        got, kept[1] = coarse.extract(tick.image[None], kept[1])
        apart = max(apart, float(np.abs(wanted - got).max()))
        for name, value in kept[0].items():
            np.testing.assert_allclose(kept[1][name], value, atol=1e-6)
    assert apart > LIMIT, "the graph computes as it did, so this test shows nothing"


def test_it_is_near_and_says_how_near(original: Bundle, int8: Bundle, made: tuple[Bundle, Measured]) -> None:
    _, measured = made
    assert measured.agreement >= 0.9 and measured.features_error <= 0.1
    assert int8.spec.precision == "int8" and original.spec.closeness == {}
    assert set(int8.spec.closeness) == {"features", "logits", "scores", "h_in"}
    assert int8.spec.provenance["int8"]["from"] == original.model
    assert int8.spec.provenance["int8"]["clips"] == ["clip.mp4", "walk.mp4"]
    card = (int8.folder / "CARD.md").read_text(encoding="utf-8")
    assert "int8" in card and f"{measured.agreement:.1%}" in card and "wave, clap" in card


def test_what_is_lost_is_counted_label_by_label(int8: Bundle, made: tuple[Bundle, Measured]) -> None:
    _, measured = made
    assert set(measured.kept) == {"none", "wave", "clap"}
    assert sum(before for before, _ in measured.kept.values()) == measured.ticks
    same = sum(same for _, same in measured.kept.values())
    assert same / measured.ticks == pytest.approx(measured.agreement)
    assert 0 <= measured.loss <= 100
    assert int8.spec.provenance["int8"]["loss"] == round(measured.loss, 2)
    card = (int8.folder / "CARD.md").read_text(encoding="utf-8")
    for label, (before, same) in measured.kept.items():
        assert f"| {label} | {before} | {same} |" in card


@pytest.mark.parametrize(
    ("kept", "loss"),
    [
        ({"none": (98, 98), "wave": (2, 1)}, 25.0),  # rare labels count as much as none
        ({"none": (10, 9), "wave": (0, 0)}, 10.0),
        ({"none": (0, 0)}, 0.0),
    ],
)
def test_loss_is_an_average_over_the_labels(kept: dict[str, tuple[int, int]], loss: float) -> None:
    assert Measured(0, {}, 0.0, 0.0, 0.0, kept).loss == pytest.approx(loss)


def negative_of(bundle: Bundle) -> bytes:
    """Its features graph, but that what it makes of pictures is turned round."""
    model = onnx.load_from_string(bundle.read("features.onnx"))
    for node in model.graph.node:
        node.output[:] = ["whole" if name == "features" else name for name in node.output]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(-3), "negative"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["whole", "negative"], ["features"]))
    return bytes(model.SerializeToString())


def test_nothing_is_written_where_too_much_is_lost(
    original: Bundle, walk_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backbone whose features are those of a negative stands in for one that does not bear it."""
    monkeypatch.setattr("export.quantize.to_int8", lambda *_, **__: negative_of(original))
    with pytest.raises(
        BundleError,
        match=r"^[^/]+: int8 loses \d+\.\d points of accuracy against fp32 on 2 clips, none of them labelled, expected",
    ) as caught:
        quantize(original, tmp_path / "out", [walk_clip])
    assert not (tmp_path / "out").exists()
    assert re.search(r"label changes: (none|wave|clap) \d+ of \d+", str(caught.value))
    _, measured = quantize(original, tmp_path / "out", [walk_clip], max_loss=100)
    assert measured.loss > 1 and (tmp_path / "out" / "bundle.json").is_file()


@pytest.mark.parametrize(
    ("right", "loss"),
    [
        ({"none": (4, 4, 4), "wave": (2, 2, 1)}, 25.0),
        ({"none": (10, 8, 9), "wave": (5, 4, 3)}, 5.0),  # one gains a tick, the other loses one of fewer
        ({"wave": (3, 0, 0)}, 0.0),
    ],
)
def test_by_the_truth_loss_is_what_fewer_ticks_are_right(right: dict[str, tuple[int, int, int]], loss: float) -> None:
    kept = {"none": (10, 0)}  # by agreement all would be lost
    assert Measured(0, {}, 0.0, 0.0, 0.0, kept, right).loss == pytest.approx(loss)


def test_labelled_clips_are_the_truth(
    original: Bundle, h264_clip: Path, walk_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fp32 says of each is known; one folder has no label's name."""
    data = tmp_path / "data"
    counts = {label: [0, 0] for label in original.labels}
    folders = [(h264_clip, "wave"), (h264_clip, "none"), (walk_clip, "none"), (walk_clip, "nobody")]
    for number, (clip, label) in enumerate(folders):
        (data / label).mkdir(parents=True, exist_ok=True)
        (data / label / f"{number}.mp4").write_bytes(clip.read_bytes())
        said = Recognizer.load(original.folder, device="cpu").step(read_ticks(clip, original.input))
        if label in counts:
            right = sum(original.labels[int(each.scores.argmax())] == label for each in said)
            counts[label] = [counts[label][0] + len(said), counts[label][1] + right]
    counts.pop("clap")
    clips = clips_in([data])
    made, measured = quantize(original, tmp_path / "out", clips, precision="fp16")
    assert measured.by_truth and {label: list(each[:2]) for label, each in measured.right.items()} == counts
    assert sum(right for _, right, _ in measured.right.values()) > 0 and abs(measured.loss) < 1
    assert made.spec.provenance["fp16"]["loss_by"] == "truth"
    card = (made.folder / "CARD.md").read_text(encoding="utf-8")
    ticks = sum(count for count, _ in counts.values())
    assert f"by the truth of the {ticks} ticks of 5 clips that are labelled" in card
    assert "| label | ticks | right by fp32 | right now | lost points |" in card

    monkeypatch.setattr("export.quantize.to_fp16", lambda *_: negative_of(original))
    with pytest.raises(BundleError, match=r"by the truth of the \d+ ticks .*; ticks that are right no more: "):
        quantize(original, tmp_path / "no", clips, precision="fp16")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("count", [16, 40])
def test_ranges_are_those_of_all_ticks(original: Bundle, count: int) -> None:
    """The first of many is the one that is bright: what ONNX Runtime kept of 16 at a time were the last few."""
    dark = np.random.default_rng(0).integers(0, 20, (count, 1, 48, 64, 3), np.uint8)
    bright = dark.copy()
    bright[0, :, :, :32] = 255
    state = {name: np.full_like(value, name == "seen_in") for name, value in original.spec.features.zeros(1).items()}

    def scales(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        graph = onnx.load_from_string(to_int8(original, ({"frames": each, **state} for each in images))).graph
        values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        return np.array([values[node.input[1]] for node in graph.node if node.op_type == "QuantizeLinear"])

    wider = scales(bright) / scales(dark)
    assert wider.min() > 0.999 and wider.max() > 1.2


def test_of_8_bits_where_that_is_said(original: Bundle, int8: Bundle, walk_clip: Path, tmp_path: Path) -> None:
    """More of the numbers that a weight may have; only CPUs with VNNI add their products without overflow."""
    whole, _ = quantize(original, tmp_path / "out", [walk_clip], reduce_range=False, max_loss=100)
    most = [
        max(
            int(np.abs(onnx.numpy_helper.to_array(tensor).astype(int)).max())
            for tensor in features_graph(bundle).initializer
            if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
        )
        for bundle in (int8, whole)
    ]
    assert most[0] <= 64 and 120 <= most[1] <= 127
    assert [bundle.spec.provenance["int8"]["weight_bits"] for bundle in (int8, whole)] == [7, 8]
    assert "CPUs with VNNI" in (whole.folder / "CARD.md").read_text(encoding="utf-8")
    verify(whole).require()


def test_verify_allows_what_the_bundle_says_and_no_more(original: Bundle, int8: Bundle, tmp_path: Path) -> None:
    report = verify(int8)
    report.require()
    limits = {check.name: check.limit for check in report.checks}
    assert limits["previous_in"] == limits["seen_in"] == LIMIT
    assert {name: limits[name] for name in int8.spec.closeness} == int8.spec.closeness
    assert {check.limit for check in verify(original).checks} == {0.0, LIMIT}
    files = {name: int8.read(name) for name in int8.spec.hashes()}
    tighter = write_bundle(tmp_path / "b", int8.spec.model_copy(update={"closeness": {}}), files)
    failed = {check.name for check in verify(tighter).checks if not check.passed}
    assert "features" in failed and not failed & {"previous_in", "seen_in", "images"}


def test_fp32_has_no_closeness_of_its_own(original: Bundle) -> None:
    path = original.folder / "bundle.json"
    text = path.read_text()
    try:
        for precision, name in (("fp32", "features"), ("int8", "previous_in")):
            changed = text.replace('"precision": "fp32"', f'"precision": "{precision}"')
            path.write_text(changed.replace('"closeness": {}', f'"closeness": {{"{name}": 0.1}}'))
            with pytest.raises(BundleError, match="closeness"):
                Bundle.load(original.folder)
    finally:
        path.write_text(text)


def test_the_rows_of_a_batch_do_not_depend_on_each_other(int8: Bundle, walk_clip: Path) -> None:
    ticks = read_ticks(walk_clip, int8.input)[:6]
    alone = [p.scores.tobytes() for p in Recognizer.load(int8.folder, device="cpu", batch_size=4).step(ticks)]
    among = Recognizer.load(int8.folder, device="cpu", batch_size=4)

    got = [
        among.step([replace(tick, camera="other", image=tick.image[:, ::-1]), tick])[1].scores.tobytes()
        for tick in ticks
    ]
    assert got == alone


def test_what_cannot_be_quantized(original: Bundle, int8: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="expected an fp32 bundle"):
        quantize(int8, tmp_path / "again")
    with pytest.raises(BundleError, match="convolutions"):
        quantize(make_bundle(tmp_path / "small"), tmp_path / "out")
    with pytest.raises(ConfigError, match="give --data"):
        quantize(make_bundle(tmp_path / "bare", golden=False), tmp_path / "out")
    with pytest.raises(ConfigError, match="found none"):
        clips_in([tmp_path / "nothing"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_nodes_without_names_are_lowered_as_those_with(
    original: Bundle, tmp_path: Path, precision: Literal["int8", "fp16"]
) -> None:
    """As files from elsewhere may have them: a name tells no two of them apart."""
    model = onnx.load_from_string(original.read("features.onnx"))
    for node in model.graph.node:
        node.name = ""
    files = {name: original.read(name) for name in original.spec.hashes()} | {
        "features.onnx": model.SerializeToString()
    }
    nameless = write_bundle(tmp_path / "nameless", original.spec, files)
    wanted, got = (
        Counter(node.op_type for node in features_graph(lowered).node)
        for lowered in (
            quantize(bundle, tmp_path / f"lowered{number}", precision=precision)[0]
            for number, bundle in enumerate((original, nameless))
        )
    )
    assert got == wanted and {"int8": "QuantizeLinear", "fp16": "Cast"}[precision] in got


def test_clips_are_files_and_what_is_in_folders(class_folders: Path, walk_clip: Path) -> None:
    found = clips_in([walk_clip, class_folders / "right"])
    assert found == [walk_clip, *(class_folders / "right" / f"seq{n:02d}_right.mp4" for n in range(4))]


def test_the_commands(
    tiny_run: Run, original: Bundle, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anything = ["--max-loss", 100]  # of random weights, by which no label is sure
    words = [original.folder, "--out", tmp_path / "one", *anything, "--json"]
    commands.quantize.main([str(word) for word in words], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert told["precision"] == "int8" and 0.9 <= told["measured"]["agreement"] <= 1
    assert Bundle.load(tmp_path / "one").model == told["model"]

    words = [
        tiny_run.folder,
        "--out",
        tmp_path / "two",
        "--clip",
        h264_clip,
        "--precision",
        "int8",
        "--data",
        h264_clip,
        *anything,
    ]
    commands.export.main([str(word) for word in words], standalone_mode=False)
    assert "two@" in capsys.readouterr().out
    exported = Bundle.load(tmp_path / "two")
    assert (exported.spec.name, exported.spec.precision) == ("two", "int8")
    verify(exported).require()


def test_fp16_is_nearer_and_keeps_the_types_of_what_goes_in_and_out(
    original: Bundle, made: tuple[Bundle, Measured], walk_clip: Path, tmp_path: Path
) -> None:
    half, measured = quantize(original, tmp_path / "fp16", [walk_clip], precision="fp16")
    assert half.spec.precision == "fp16"
    assert 0 < measured.features_error < made[1].features_error / 4
    verify(half).require()
    graph = features_graph(half)
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT16
    weights = [tensor for tensor in graph.initializer if len(tensor.dims) == 4]
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.FLOAT16}
    exact, coarse = OnnxFeatures(original, "cpu"), OnnxFeatures(half, "cpu")
    kept = [exact.zeros(1), coarse.zeros(1)]
    for tick in read_ticks(walk_clip, original.input)[:5]:
        kept = [each.extract(tick.image[None], state)[1] for each, state in zip((exact, coarse), kept, strict=True)]
        np.testing.assert_array_equal(kept[0]["previous_in"], kept[1]["previous_in"])


def test_the_live_line_computes_what_the_lowered_graph_computes(int8: Bundle, walk_clip: Path) -> None:
    """Only Keras may be far: between the two paths of one bundle nothing is allowed for."""
    report = verify(int8, video=walk_clip)
    report.require()
    assert {check.limit for check in report.checks} == {0.0, LIMIT}


def test_no_tensorflow_is_needed(original: Bundle, tmp_path: Path) -> None:
    program = f"""
import sys
sys.modules.update(dict.fromkeys(["tensorflow", "keras", "tf2onnx"]))  # as if they were not installed
from export.commands import quantize
quantize.main([{str(original.folder)!r}, "--out", {str(tmp_path / "out")!r}], standalone_mode=False)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "of the labels agree" in done.stdout and done.stderr == ""
