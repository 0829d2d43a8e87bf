"""Verify: a faithful bundle passes on both paths, and every planted fault is found, by name and at its first tick."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import ops
from onnx import helper, numpy_helper

from export import commands
from export.clip import golden_arrays
from export.compare import random_run
from export.convert import to_onnx
from export.pack import pack
from export.verify import LIMIT, Report, check, verify
from stream.bench.rtsp_server import RtspServer
from stream.bundle import Bundle, write_bundle
from stream.contracts import Input
from stream.errors import BundleError
from tests.media import encode, encode_h264, moving_pictures
from tests.process import ROOT
from train.models import ModelSettings, step
from train.runs import Run


def changed(bundle: Bundle, out: Path, *, files: dict[str, bytes] | None = None, **spec: Any) -> Bundle:
    """The bundle with other files or another spec, and hashes that fit them: a fault that only numbers can show."""
    kept = {name: bundle.read(name) for name in bundle.spec.hashes()}
    return write_bundle(out, bundle.spec.model_copy(update=spec), {**kept, **(files or {})})


def failed(report: Report) -> dict[tuple[str, str], int | None]:
    """The first tick of each check that failed, by path and name."""
    with pytest.raises(BundleError, match="differs from"):
        report.require()
    return {(each.path, each.name): each.first for each in report.checks if not each.passed}


def closest(report: Report) -> float:
    report.require()
    return max(each.closeness for each in report.checks)


@pytest.fixture(scope="module")
def gap_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of two sessions: 20 frames, 5 seconds of nothing, 20 frames."""
    times = [i / 20 for i in range(20)] + [6 + i / 20 for i in range(20)]
    return encode(moving_pictures(40), tmp_path_factory.mktemp("clips") / "gap.mp4", fps=20, times=times)


def test_a_bundle_proves_itself_by_its_golden_files(keras_bundle: Bundle) -> None:
    report = verify(keras_bundle)
    assert closest(report) <= LIMIT
    assert report.reference == "golden arrays"
    assert report.ticks == 20
    names = {"labels", "times", "indices", "images", "features", "h_in", "logits", "scores"}
    assert {each.name for each in report.checks if each.path == "engine"} == names
    assert {each.name for each in report.checks if each.path == "onnx"} == {"labels", "features", "h_in", "logits"}
    assert {each.name for each in report.checks if each.path == "batch"} == {"features", "h_in", "logits"}


def test_a_bundle_proves_itself_without_tensorflow(keras_bundle: Bundle) -> None:
    program = f"""
import sys
sys.modules.update(dict.fromkeys(["tensorflow", "keras", "tf2onnx", "onnx"]))  # as if they were not installed
from export.commands import verify
verify.main([{str(keras_bundle.folder)!r}], standalone_mode=False)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "against golden arrays, 20 ticks" in done.stdout


def test_keras_anew_on_another_clip(keras_bundle: Bundle, tiny_run: Run, h264_clip: Path) -> None:
    report = verify(keras_bundle, run=tiny_run, video=h264_clip)
    assert closest(report) <= LIMIT
    assert (report.reference, report.ticks, report.clip) == ("Keras", 30, "clip.mp4")


def test_sessions_begin_from_nothing(keras_bundle: Bundle, tiny_run: Run, gap_clip: Path) -> None:
    assert closest(verify(keras_bundle, run=tiny_run, video=gap_clip)) <= LIMIT


def test_a_clip_without_keras_holds_the_engine_against_the_graphs(keras_bundle: Bundle, gap_clip: Path) -> None:
    report = verify(keras_bundle, video=gap_clip)
    assert report.reference == "ONNX step by step"
    assert {each.path for each in report.checks} == {"engine", "batch"}
    assert closest(report) <= LIMIT
    assert max(each.closeness for each in report.checks if each.path == "engine") == 0.0


def test_a_window_is_held_against_the_model_offline(
    tiny_run: Run, h264_clip: Path, gap_clip: Path, tmp_path: Path
) -> None:
    bundle = pack(tiny_run, tmp_path / "bundle", clip=h264_clip, mode="window", window=4)
    assert closest(verify(bundle)) <= LIMIT
    assert closest(verify(bundle, run=tiny_run, video=gap_clip)) <= LIMIT


def test_features_that_keep_state(h264_clip: Path, gap_clip: Path, tmp_path: Path) -> None:
    settings = ModelSettings(backbone="compact", motion="difference", head="gru", units=8)
    run = random_run(tmp_path, settings, Input(48, 64, rate=None), ["none", "wave"])
    bundle = pack(run, tmp_path / "bundle", clip=h264_clip)
    report = verify(bundle)
    assert closest(report) <= LIMIT
    assert {"previous_in", "seen_in"} < {each.name for each in report.checks}
    assert closest(verify(bundle, run=run, video=gap_clip)) <= LIMIT


def test_a_geometry_graph_changes_nothing_else(
    keras_bundle: Bundle, tiny_run: Run, h264_clip: Path, tmp_path: Path
) -> None:
    bundle = pack(tiny_run, tmp_path / "exported", clip=h264_clip, embed_geometry=True)
    said = [json.loads((each.folder / "bundle.json").read_text()) for each in (bundle, keras_bundle)]
    for each in said:  # tf2onnx numbers the nodes of a process through: two graphs of one network are never the same
        each["features"].pop("sha256"), each["head"].pop("sha256")
    assert said[0].pop("geometry")["file"] == "geometry.onnx" and said[0] == said[1]
    assert all(bundle.read(name) == keras_bundle.read(name) for name in ("golden/clip.mp4", "golden/golden.npz"))
    assert (bundle.folder / "CARD.md").read_bytes() == (keras_bundle.folder / "CARD.md").read_bytes()
    report = verify(bundle)
    report.require()
    limits = {each.name: each.limit for each in report.checks if each.name.startswith("embedded")}
    assert limits == {"embedded images": 2, "embedded scores": 0.02}
    assert {each.name for each in verify(keras_bundle).checks}.isdisjoint(limits)


def test_wrong_channel_order(keras_bundle: Bundle, tiny_run: Run, tmp_path: Path) -> None:
    frames = keras.Input((48, 64, 3), dtype="uint8", name="frames")
    swapped = keras.Model([frames], [step(tiny_run.network.features, ops.flip(frames, axis=-1), [])[0]])
    faulty = changed(keras_bundle, tmp_path / "b", files={"features.onnx": to_onnx(swapped, "frames", "features", ())})
    faults = failed(verify(faulty))
    assert faults["onnx", "features"] == faults["engine", "features"] == 0
    assert ("engine", "images") not in faults


def test_normalised_twice(keras_bundle: Bundle, tmp_path: Path) -> None:
    model = onnx.load_from_string(keras_bundle.read("features.onnx"))
    cast = next(node for node in model.graph.node if node.op_type == "Cast")
    result, cast.output[0] = cast.output[0], "as_float"
    again = [
        helper.make_node("Div", ["as_float", "half"], ["divided"]),
        helper.make_node("Sub", ["divided", "one"], [result]),
    ]
    model.graph.initializer.extend(
        numpy_helper.from_array(np.float32(value), name) for name, value in (("half", 127.5), ("one", 1.0))
    )
    place = list(model.graph.node).index(cast) + 1
    nodes = [*model.graph.node[:place], *again, *model.graph.node[place:]]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    faulty = changed(keras_bundle, tmp_path / "b", files={"features.onnx": model.SerializeToString()})
    assert failed(verify(faulty))["onnx", "features"] == 0


def test_a_state_that_is_not_handed_on(keras_bundle: Bundle, tmp_path: Path) -> None:
    """The first tick is right: only the second can show it in the logits."""
    model = onnx.load_from_string(keras_bundle.read("head.onnx"))
    for node in model.graph.node:
        node.output[:] = ["computed" if name == "h_out" else name for name in node.output]
        node.input[:] = ["computed" if name == "h_out" else name for name in node.input]
    model.graph.node.append(helper.make_node("Identity", ["h_in"], ["h_out"]))
    faulty = changed(keras_bundle, tmp_path / "b", files={"head.onnx": model.SerializeToString()})
    faults = failed(verify(faulty))
    assert faults["onnx", "h_in"] == 0
    assert faults["onnx", "logits"] == faults["engine", "logits"] == faults["engine", "scores"] == 1


def test_other_labels_than_the_run(keras_bundle: Bundle, tiny_run: Run) -> None:
    faults = failed(verify(keras_bundle, run=replace(tiny_run, labels=("none", "clap", "wave"))))
    assert faults == {("onnx", "labels"): 0, ("engine", "labels"): 0}


def test_other_labels_than_the_golden_arrays(keras_bundle: Bundle, tmp_path: Path) -> None:
    faulty = changed(keras_bundle, tmp_path / "b", labels=("none", "clap", "wave"))
    with pytest.raises(BundleError, match="expected the labels"):
        verify(faulty)


def _one_tick_late(golden: dict[str, Any]) -> dict[str, Any]:
    late = golden["times"].copy()
    late[7:] += 0.04
    return {"times": late, "indices": golden["indices"] + np.arange(20) // 7}


def _other_picture(golden: dict[str, Any]) -> dict[str, Any]:
    images = golden["images"].copy()
    images[5, 20, 30, 1] ^= 1  # one grey level, in one pixel
    return {"images": images}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (_one_tick_late, {("engine", "times"): 7, ("engine", "indices"): 7}),
        (_other_picture, {("engine", "images"): 5}),
    ],
)
def test_ticks_that_are_not_the_models(
    keras_bundle: Bundle,
    tmp_path: Path,
    fault: Callable[[dict[str, Any]], dict[str, Any]],
    expected: dict[tuple[str, str], int],
) -> None:
    golden = keras_bundle.golden()
    arrays = golden_arrays(replace(golden, **fault(vars(golden))))
    faults = failed(verify(changed(keras_bundle, tmp_path / "b", files={"golden/golden.npz": arrays})))
    assert expected.items() <= faults.items()


def test_another_rate(keras_bundle: Bundle, tmp_path: Path) -> None:
    slower = keras_bundle.spec.input.model_copy(update={"rate": 5.0})
    faults = failed(verify(changed(keras_bundle, tmp_path / "b", input=slower)))
    assert faults["engine", "indices"] == 1
    assert faults["engine", "logits"] is not None


def test_another_fit(keras_bundle: Bundle, tiny_run: Run, tmp_path: Path) -> None:
    wide = tmp_path / "wide.mp4"
    encode_h264(moving_pictures(25, 320, 120), wide)
    bundle = pack(tiny_run, tmp_path / "bundle", clip=wide)
    squashed = bundle.spec.input.model_copy(update={"fit": "squash"})
    faulty = changed(bundle, tmp_path / "b", input=squashed)
    assert failed(verify(faulty))["engine", "images"] == 0
    with pytest.raises(BundleError, match="expected the input of the run"):
        verify(faulty, run=tiny_run)


@pytest.mark.parametrize("name", ["features.onnx", "head.onnx", "golden/clip.mp4", "golden/golden.npz", "bundle.json"])
def test_a_changed_byte(keras_bundle: Bundle, tmp_path: Path, name: str) -> None:
    bundle = changed(keras_bundle, tmp_path / "b")
    content = bytearray((bundle.folder / name).read_bytes())
    content[len(content) // 2] ^= 0x80
    (bundle.folder / name).write_bytes(content)
    with pytest.raises(BundleError):
        commands.verify.main([str(bundle.folder)], standalone_mode=False)


def test_a_bundle_without_golden_files(tiny_run: Run, h264_clip: Path, tmp_path: Path) -> None:
    bundle = pack(tiny_run, tmp_path / "bundle", clip=None)
    with pytest.raises(BundleError, match="expected golden files"):
        verify(bundle)
    assert closest(verify(bundle, run=tiny_run, video=h264_clip)) <= LIMIT


def test_the_command_prints_json_and_then_fails(
    keras_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slower = keras_bundle.spec.input.model_copy(update={"rate": 5.0})
    faulty = changed(keras_bundle, tmp_path / "b", input=slower)
    with pytest.raises(BundleError, match="differs from golden arrays"):
        commands.verify.main([str(faulty.folder), "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is False
    times = next(each for each in told["checks"] if each["name"] == "times")
    assert times == {"path": "engine", "name": "times", "closeness": None, "limit": 0.0, "first": 1, "passed": False}


def test_a_camera_that_plays_the_clip_is_held_against_keras(keras_bundle: Bundle, tmp_path: Path) -> None:
    with RtspServer({"/door": keras_bundle.folder / "golden" / "clip.mp4"}) as server:
        commands.verify.main(
            [str(keras_bundle.folder), "--rtsp", server.url("/door"), "--report", str(tmp_path / "proof.json")],
            standalone_mode=False,
        )
    told = json.loads((tmp_path / "proof.json").read_text())
    assert told["passed"] is True and told["camera"] == "the clip" and told["reference"] == "golden arrays"
    live = {each["name"] for each in told["checks"] if each["path"] == "rtsp"}
    assert live == {"features", "h_in", "logits", "scores"}


def test_a_camera_of_its_own_is_judged_by_what_it_showed(
    keras_bundle: Bundle, tiny_run: Run, h264_clip: Path, tmp_path: Path
) -> None:
    with RtspServer({"/door": h264_clip}) as server:
        report = verify(keras_bundle, run=tiny_run, rtsp=server.url("/door"))
        assert report.camera == "its own pictures"
        assert closest(report) <= LIMIT
        model = onnx.load_from_string(keras_bundle.read("head.onnx"))
        for tensor in model.graph.initializer:
            if list(tensor.dims) == [16, 3]:
                tensor.CopyFrom(numpy_helper.from_array(np.zeros((16, 3), np.float32), tensor.name))
        faulty = changed(keras_bundle, tmp_path / "b", files={"head.onnx": model.SerializeToString()})
        assert failed(verify(faulty, run=tiny_run, rtsp=server.url("/door")))["rtsp", "logits"] == 0


def test_a_row_that_depends_on_its_batch(keras_bundle: Bundle, tmp_path: Path) -> None:
    """One row alone is right: only a full batch can show it."""
    model = onnx.load_from_string(keras_bundle.read("head.onnx"))
    for node in model.graph.node:
        node.output[:] = ["own" if name == "logits" else name for name in node.output]
    model.graph.node.append(helper.make_node("ReduceMean", ["own"], ["all"], axes=[0], keepdims=1))
    model.graph.node.append(helper.make_node("Sub", ["own", "all"], ["rest"]))
    model.graph.node.append(helper.make_node("Sub", ["own", "rest"], ["logits"]))
    faults = failed(verify(changed(keras_bundle, tmp_path / "b", files={"head.onnx": model.SerializeToString()})))
    assert faults == {("batch", "logits"): 0}


@pytest.mark.parametrize(
    ("wanted", "got", "closeness", "first"),
    [
        ([[1.0], [2.0]], [[1.0], [2.0]], 0.0, None),
        ([[0.0], [0.5]], [[0.0], [0.6]], 0.1, 1),
        ([[10.0], [1000.0]], [[11.0], [1000.0]], 1e-3, 0),
        ([[1.0], [2.0]], [[1.0], [math.nan]], math.inf, 1),
        ([[1.0], [2.0]], [[1.0]], math.inf, 1),
        ([[1.0], [2.0]], [[1.0, 0.0], [2.0, 0.0]], math.inf, 0),
    ],
)
def test_closeness(wanted: list[Any], got: list[Any], closeness: float, first: int | None) -> None:
    result = check("onnx", "logits", np.array(wanted), np.array(got), LIMIT)
    assert result.closeness == pytest.approx(closeness)
    assert result.first == first
    assert result.passed == (first is None)
