"""Geometry in a graph: the pictures of stream.geometry within 2 grey levels, whoever else is in the batch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.geometry import geometry_graph
from export.verify import verify
from stream.bench.conditions import OpenBundle
from stream.bench.latency import STEP, measure, measure_steps
from stream.bundle import Bundle
from stream.commands.inspect import inspect
from stream.commands.watch import watch
from stream.contracts import FITS, Fit, Input, Layout, Picture, Prediction, Tick, Unfitted
from stream.embedded import EmbeddedGeometry, pays
from stream.engine import Engine
from stream.errors import BundleError, ConfigError
from stream.geometry import fit
from stream.recognizer import Recognizer
from stream.session import CPU, CUDA
from stream.sources import FileSource
from stream.unfitted import NO_IMAGE, unfitted
from tests.graphs import OPSET, decoded, make_bundle, with_geometry
from tests.process import ROOT

SIZES = [(90, 120), (135, 241), (361, 203), (480, 640), (32, 44), (24, 32)]
POISON = 254
"""The first sample of a picture that makes a run of `trapped_graph` fail."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny bundle with golden files and a geometry graph; its model sees 32x24."""
    folder = tmp_path_factory.mktemp("bundles")
    return with_geometry(make_bundle(folder / "plain"), folder / "tiny")


@pytest.fixture(scope="module")
def geometry(bundle: Bundle) -> EmbeddedGeometry:
    return EmbeddedGeometry(bundle, "cpu")


def noise(size: tuple[int, int], layout: Layout = "yuv420", *, seed: int = 0, rotation: int = 0) -> Picture:
    """A picture whose every sample is drawn by lot: nothing is harder to resize alike."""
    height, width = size
    half = ((height + 1) // 2, (width + 1) // 2)
    shapes = {"yuv420": [size, half, half], "gray": [size]}.get(layout, [(height, width, 3)])
    rng = np.random.default_rng([seed, height, width])
    planes = tuple(rng.integers(0, 256, shape, np.uint8) for shape in shapes)
    return Picture(planes, layout, bool(seed % 2), "bt709" if seed % 3 else "bt601", rotation)


def tick_of(picture: Picture, seen: Input, camera: str = "a", index: int = 0) -> Tick:
    part = unfitted(picture, seen)
    assert part is not None
    return Tick(camera, index, 0, index / 10, 0.0, NO_IMAGE, 0.1 if index else 0.0, part)


def apart(geometry: EmbeddedGeometry, picture: Picture, seen: Input) -> int:
    """Grey levels by which the graph's picture differs from stream.geometry's."""
    (tick,) = geometry.fitted([tick_of(picture, seen)])
    assert tick.unfitted is None and tick.image.dtype == np.uint8
    wanted = fit(picture, seen)
    assert tick.image.shape == wanted.shape
    return int(np.abs(tick.image.astype(int) - wanted).max())


def seen_by(how: Fit) -> Input:
    return Input(24, 32, how, region=(0.3, 0.15, 0.85, 0.9) if how == "region" else None)


@pytest.mark.parametrize("how", FITS)
@pytest.mark.parametrize("layout", ["yuv420", "rgb", "bgr", "gray"])
@pytest.mark.parametrize("size", SIZES)
def test_every_layout_and_fit_of_any_size(
    geometry: EmbeddedGeometry, size: tuple[int, int], layout: Layout, how: Fit
) -> None:
    for seed in range(4):  # both ranges, both matrices
        picture = noise(size, layout, seed=seed, rotation=90 * seed)
        if unfitted(picture, seen_by(how)) is not None:
            assert apart(geometry, picture, seen_by(how)) <= 2


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_come_out_upright(geometry: EmbeddedGeometry, rotation: int) -> None:
    ramp = np.add.outer(np.arange(96) * 2, np.arange(128) // 4).astype(np.uint8)
    assert apart(geometry, Picture((ramp,), "gray", True, rotation=rotation), seen_by("letterbox")) <= 1
    for how in FITS:
        assert apart(geometry, noise((150, 222), rotation=rotation), seen_by(how)) <= 2


def test_real_pictures_that_are_halved_are_the_very_same(tmp_path: Path) -> None:
    """640x360 to 96x54: luma is halved and averaged, chroma averaged; to 160x90 luma is halved twice, chroma once."""
    pictures = [frame.picture for frame in decoded(ROOT / "samples" / "clips" / "wave.mp4")[::20]]
    assert pictures[0].planes[0].shape == (360, 640)
    plain = [make_bundle(tmp_path / f"plain {width}", size=(90, width), golden=False) for width in (96, 160)]
    averaged, halved = (
        EmbeddedGeometry(with_geometry(each, tmp_path / each.folder.name[-3:].strip()), "cpu") for each in plain
    )
    assert max(apart(averaged, picture, Input(90, 96)) for picture in pictures) <= 2
    assert max(apart(halved, picture, Input(90, 160)) for picture in pictures) == 0


def test_around_a_letterbox_all_is_black(geometry: EmbeddedGeometry) -> None:
    (tick,) = geometry.fitted([tick_of(noise((90, 400)), seen_by("letterbox"))])
    assert not tick.image[:8].any() and not tick.image[-8:].any() and tick.image[9:15].any()


def test_a_camera_sees_the_same_in_any_company(geometry: EmbeddedGeometry) -> None:
    """Two sizes, two fits, two turns in one batch, one tick fitted already: each as it is alone, to the last bit."""
    shown = [noise(size, seed=n, rotation=90 * (n % 2)) for n, size in enumerate(2 * [(90, 120), (480, 640)] * 2)]
    ticks = [tick_of(picture, seen_by(FITS[n // 4]), f"camera {n}") for n, picture in enumerate(shown)]
    ticks.append(Tick("fitted", 0, 0, 0.0, 0.0, fit(shown[0], seen_by("squash")), 0.0))
    together = geometry.fitted(ticks)
    assert [tick.camera for tick in together] == [tick.camera for tick in ticks]
    for tick, among in zip(ticks, together, strict=True):
        (alone,) = geometry.fitted([tick])
        assert alone.image.tobytes() == among.image.tobytes()
    assert together[-1] is ticks[-1]


def test_cameras_of_two_sizes_are_judged_as_each_alone(bundle: Bundle) -> None:
    def told(cameras: Sequence[int]) -> list[Prediction]:
        recognizer = Recognizer.load(bundle.folder, device="cpu", threads=1, batch_size=4, embedded=True)
        sizes = [(90, 120), (240, 320), (90, 120)]
        rounds = [
            [tick_of(noise(sizes[n], seed=index + n), recognizer.input, f"camera {n}", index) for n in cameras]
            for index in range(5)
        ]
        return [prediction for ticks in rounds for prediction in recognizer.step(ticks)]

    among = told([0, 1, 2])
    for camera in range(3):
        own = [each for each in among if each.camera == f"camera {camera}"]
        assert [each.scores.tobytes() for each in own] == [each.scores.tobytes() for each in told([camera])]


@pytest.mark.parametrize("gate", [None, 0.5])
def test_a_file_comes_to_the_same_labels(bundle: Bundle, h264_clip: Path, gate: float | None) -> None:
    def told(embedded: bool) -> list[Prediction]:
        recognizer = Recognizer.load(bundle.folder, device="cpu", threads=1, embedded=embedded, gate=gate)
        heard: list[Prediction] = []
        seen = recognizer.input
        boxes = {"left": replace(seen, fit="region", region=(0.0, 0.0, 0.5, 1.0)), "all": seen}
        Engine(
            recognizer,
            [FileSource(h264_clip, seen, camera="clip")],
            tracks={"clip": boxes},
            on_prediction=lambda prediction, _: heard.append(prediction),
        ).run()
        assert not recognizer.faults
        return heard

    fitted, embedded = told(False), told(True)
    assert len(fitted) == 60
    for ours, theirs in zip(embedded, fitted, strict=True):
        assert (ours.camera, ours.index, ours.label) == (theirs.camera, theirs.index, theirs.label)
        assert np.abs(ours.scores - theirs.scores).max() <= 0.02


def test_it_is_taken_where_it_is_asked_for(bundle: Bundle, tiny_bundle: Path, h264_clip: Path) -> None:
    (plain, embedded) = (Recognizer.load(bundle.folder, device="cpu", embedded=each) for each in (None, True))
    assert next(iter(FileSource(h264_clip, plain.input))).unfitted is None, "on a CPU it only costs"
    assert next(iter(FileSource(h264_clip, embedded.input))).unfitted is not None
    assert pays(bundle, [CUDA, CPU]) and not pays(bundle, [CPU])
    assert not pays(Bundle.load(tiny_bundle), [CUDA, CPU])
    with pytest.raises(ConfigError, match=r"tiny@\w+ has none; export it again with --embed-geometry"):
        Recognizer.load(tiny_bundle, device="cpu", embedded=True)


def trapped_graph() -> bytes:
    """The geometry graph, but any picture that begins with POISON makes the run fail."""
    model = onnx.load_from_string(geometry_graph(OPSET))
    frames = model.graph.node[-1]
    frames.output[0] = "trap/frames"
    constants = {
        "trap/first": np.array([0, 0]),
        "trap/second": np.array([1, 1]),
        "trap/axes": np.array([2, 3]),
        "trap/poison": np.array(POISON, np.int32),
        "trap/table": np.zeros(1, np.uint8),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.node.extend(
        [
            helper.make_node("Slice", ["luma", "trap/first", "trap/second", "trap/axes"], ["trap/corner"]),
            helper.make_node("Cast", ["trap/corner"], ["trap/level"], to=TensorProto.INT32),
            helper.make_node("Equal", ["trap/level", "trap/poison"], ["trap/fails"]),
            helper.make_node("Cast", ["trap/fails"], ["trap/place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["trap/table", "trap/place"], ["trap/nothing"]),  # place 1 of a table of 1
            helper.make_node("Add", ["trap/frames", "trap/nothing"], ["frames"]),
        ]
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def beginning_with(level: int, picture: Picture) -> Picture:
    first = picture.planes[0].copy()
    first[0, 0] = level
    return replace(picture, planes=(first, *picture.planes[1:]))


def test_a_picture_that_makes_the_run_fail_costs_nobody_else(tmp_path: Path) -> None:
    poor = with_geometry(make_bundle(tmp_path / "plain", golden=False), tmp_path / "b", trapped_graph())
    recognizer = Recognizer.load(poor.folder, device="cpu", threads=1, batch_size=4, embedded=True)
    shown = [beginning_with(POISON if n == 1 else 16, noise((90, 120), seed=n)) for n in range(4)]
    ticks = [tick_of(picture, recognizer.input, f"camera {n}") for n, picture in enumerate(shown)]
    told = recognizer.step(ticks)
    assert recognizer.faults == {"camera 1": 1} and (told[1].label, told[1].warm) == ("none", False)
    recognizer.finish()
    without = recognizer.step([ticks[n] for n in (0, 2, 3)])
    assert [told[n].scores.tobytes() for n in (0, 2, 3)] == [each.scores.tobytes() for each in without]


def test_graphs_that_are_none(tmp_path: Path) -> None:
    plain = make_bundle(tmp_path / "plain", golden=False)
    with pytest.raises(BundleError, match="expected an ONNX graph"):
        EmbeddedGeometry(with_geometry(plain, tmp_path / "a", b"no graph"), "cpu")
    with pytest.raises(BundleError, match="expected the inputs"):
        EmbeddedGeometry(with_geometry(plain, tmp_path / "b", plain.read("head.onnx")), "cpu")
    turned = onnx.load_from_string(geometry_graph(OPSET))
    turned.graph.node[-1].attribute[0].ints[:] = [0, 1, 2, 3]
    turned.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(BundleError, match=re.escape("expected pictures (1, 24, 32, 3), got (1, 3, 24, 32)")):
        EmbeddedGeometry(with_geometry(plain, tmp_path / "c", turned.SerializeToString()), "cpu")


def test_the_graph_is_flat_and_standard() -> None:
    model = onnx.load_from_string(geometry_graph(OPSET))
    assert not {"Loop", "Scan", "If"} & {node.op_type for node in model.graph.node}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET)]


def test_verify_holds_it_against_the_geometry(bundle: Bundle, tmp_path: Path) -> None:
    checks = {each.name: each for each in verify(bundle).checks if each.path == "engine"}
    assert checks["embedded images"].passed and checks["embedded images"].limit == 2
    assert checks["embedded scores"].passed and checks["embedded scores"].limit == 0.02
    dark = onnx.load_from_string(geometry_graph(OPSET))
    (most,) = (each for each in dark.graph.initializer if each.name == "most")
    most.CopyFrom(numpy_helper.from_array(np.array(200, np.float32), "most"))
    plain = make_bundle(tmp_path / "plain")
    report = verify(with_geometry(plain, tmp_path / "dark", dark.SerializeToString()))
    failed = [each for each in report.checks if not each.passed]
    assert "embedded images" in {each.name for each in failed} and failed[0].first == 0
    assert {each.name for each in failed} <= {"embedded images", "embedded scores"}


def test_the_commands_know_of_it(bundle: Bundle, h264_clip: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(inspect, [str(bundle.folder), "--device", "cpu"], catch_exceptions=False).stdout
    assert shown.count("geometry.onnx") == 2
    labels = tmp_path / "labels.jsonl"
    options = ["--model", str(bundle.folder), "--device", "cpu", "--labels", str(labels), "--embed-geometry"]
    done = CliRunner().invoke(watch, [str(h264_clip), *options], catch_exceptions=False)
    assert done.exit_code == 0 and len(labels.read_text(encoding="utf-8").splitlines()) == 30


def test_the_bench_measures_it(bundle: Bundle) -> None:
    opened = OpenBundle.load(bundle.folder, device="cpu", threads=1, embedded=True)
    count, stages = measure_steps(opened, size=(160, 120), seconds=0.2)
    assert count > 5 and [stage.name for stage in stages][-1] == STEP
    ticks, _ = measure(opened, duration=0.5, size=(160, 120))
    assert ticks >= 1


def test_a_part_is_what_it_says(geometry: EmbeddedGeometry) -> None:
    """Half of a picture fills half of the model's: what `size` says is where it goes."""
    white: NDArray[np.uint8] = np.full((10, 20), 255, np.uint8)
    part = Unfitted(Picture((white,), "gray", full_range=True), (12, 32))
    (tick,) = geometry.fitted([Tick("a", 0, 0, 0.0, 0.0, NO_IMAGE, 0.0, part)])
    assert (tick.image[6:18] == 255).all() and not tick.image[:6].any() and not tick.image[18:].any()
