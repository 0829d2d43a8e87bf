"""Export: graphs that the runtime can rely on, golden files that are what Keras computes, a bundle that is whole."""

from __future__ import annotations

import json
from pathlib import Path

import av
import keras
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tensorflow as tf
from keras import ops

from export import commands
from export.clip import CLIP_BYTES, golden_clip
from export.compare import random_run
from export.convert import FORBIDDEN, OPSET, Graphs, convert, to_onnx
from export.pack import pack
from export.trace import read_ticks
from export.verify import verify
from stream.bundle import Bundle
from stream.contracts import Input
from stream.errors import BundleError, ConfigError, SourceOpenError
from stream.schema import PERSON
from tests.media import encode
from train.models import ModelSettings, StateTensor, step, unroll, zeros
from train.runs import Run

CLOSE = 1e-4


@pytest.fixture(scope="module")
def moving_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose features keep state."""
    settings = ModelSettings(backbone="compact", motion="difference", head="gru", units=8, evidence=3)
    return random_run(tmp_path_factory.mktemp("runs"), settings, Input(48, 64), ["none", "wave", "clap"])


@pytest.fixture(scope="module")
def moving_graphs(moving_run: Run) -> Graphs:
    return convert(moving_run.network)


def graph_of(bundle: Bundle, part: str) -> onnx.ModelProto:
    return onnx.load_from_string(bundle.read(f"{part}.onnx"))


@pytest.mark.parametrize("part", ["features", "head"])
def test_a_graph_is_flat_and_standard(keras_bundle: Bundle, part: str) -> None:
    model = graph_of(keras_bundle, part)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import if opset.domain == ""] == [("", OPSET)]
    assert not FORBIDDEN & {node.op_type for node in model.graph.node}
    assert not {value.name for value in model.graph.input} & {tensor.name for tensor in model.graph.initializer}


def test_states_are_named_inputs_and_outputs(moving_graphs: Graphs) -> None:
    features, head = (ort.InferenceSession(graph) for graph in (moving_graphs.features, moving_graphs.head))
    assert [(value.name, value.type, value.shape[1:]) for value in features.get_inputs()] == [
        ("frames", "tensor(uint8)", [48, 64, 3]),
        ("previous_in", "tensor(float)", [48, 64, 1]),
        ("seen_in", "tensor(float)", [1]),
    ]
    assert [value.name for value in features.get_outputs()] == ["features", "previous_out", "seen_out"]
    assert [value.name for value in head.get_inputs()] == ["features", "h_in", "evidence_in"]
    assert [value.name for value in head.get_outputs()] == ["logits", "h_out", "evidence_out"]


@pytest.mark.parametrize("rows", [1, 3])
def test_any_batch_is_what_keras_computes(moving_run: Run, moving_graphs: Graphs, rows: int) -> None:
    network, session = moving_run.network, ort.InferenceSession(moving_graphs.features)
    rng = np.random.default_rng(rows)
    pictures = rng.integers(0, 256, (rows, 48, 64, 3), np.uint8)
    states = [rng.random((rows, *state.shape), np.float32) for state in network.features_state]
    expected, after = step(network.features, tf.constant(pictures), [tf.constant(state) for state in states])
    got = session.run(None, {"frames": pictures, "previous_in": states[0], "seen_in": states[1]})
    assert float(np.std(expected)) > 0.1
    for ours, keras_says in zip(got, [expected, *after], strict=True):
        np.testing.assert_allclose(ours, keras_says, atol=CLOSE)


def test_a_recurrent_layer_is_refused() -> None:
    sequence = keras.Input((None, 4), name="features")
    layer = keras.Model([sequence], [keras.layers.GRU(3)(sequence)], name="head")
    with pytest.raises(BundleError, match="one flat step"):
        to_onnx(layer, "features", "logits", ())


def test_names_must_fit_the_network(moving_run: Run) -> None:
    with pytest.raises(ValueError, match="zip"):
        to_onnx(moving_run.network.head, "features", "logits", ())
    states = StateTensor("memory", "memory_out", (8,)), StateTensor("so_far", "so_far_out", (3,))
    renamed = to_onnx(moving_run.network.head, "features", "logits", states)
    assert [value.name for value in onnx.load_from_string(renamed).graph.input] == ["features", "memory", "so_far"]


def test_constants_that_keras_captured_are_no_inputs() -> None:
    """The channel means of VGG16 and EfficientNet."""
    frames = keras.Input((8, 8, 3), dtype="uint8", name="frames")
    centred = ops.cast(frames, "float32") + ops.convert_to_tensor(np.array([1, 2, 3]), dtype="float32")
    model = keras.Model([frames], [keras.layers.GlobalAveragePooling2D()(centred)])
    content = to_onnx(model, "frames", "features", ())
    assert [value.name for value in onnx.load_from_string(content).graph.input] == ["frames"]
    (got,) = ort.InferenceSession(content).run(None, {"frames": np.full((1, 8, 8, 3), 10, np.uint8)})
    np.testing.assert_allclose(got, [[11, 12, 13]])


def test_golden_arrays_are_the_whole_sequence_in_keras(keras_bundle: Bundle, tiny_run: Run) -> None:
    golden, network = keras_bundle.golden(), tiny_run.network
    ticks = read_ticks(keras_bundle.folder / "golden" / "clip.mp4", keras_bundle.input)
    images = np.stack([tick.image for tick in ticks])
    features, _ = step(network.features, tf.constant(images), [])
    logits, last = unroll(network.head, features[None], zeros(network.head_state, 1))

    assert golden.images is not None
    np.testing.assert_array_equal(golden.images, images)
    np.testing.assert_array_equal(golden.times, [tick.time for tick in ticks])
    np.testing.assert_array_equal(golden.indices, [tick.index for tick in ticks])
    np.testing.assert_allclose(golden.features, features, atol=CLOSE)
    np.testing.assert_allclose(golden.logits, logits[0], atol=CLOSE)
    np.testing.assert_allclose(golden.states["h_in"][-1], last[0][0], atol=CLOSE)
    assert golden.labels == tiny_run.labels
    assert golden.logits.std() > 0.1


def test_golden_logits_of_a_window_are_the_model_offline(tiny_run: Run, h264_clip: Path, tmp_path: Path) -> None:
    golden = pack(tiny_run, tmp_path / "bundle", clip=h264_clip, mode="window", window=4).golden()
    head = tiny_run.network.head
    for k in (0, 2, 3, 4, 19):
        recent = tf.constant(golden.features[max(0, k - 3) : k + 1][None])
        logits, _ = unroll(head, recent, zeros(tiny_run.network.head_state, 1))
        np.testing.assert_allclose(golden.logits[k], logits[0, -1], atol=CLOSE)
    assert golden.states == {}


def test_states_of_features_are_golden_too(moving_run: Run, h264_clip: Path, tmp_path: Path) -> None:
    golden = pack(moving_run, tmp_path / "bundle", clip=h264_clip).golden()
    assert set(golden.states) == {"previous_in", "seen_in", "h_in", "evidence_in"}
    assert golden.images is not None
    np.testing.assert_allclose(golden.states["previous_in"][..., 0], golden.images.mean(axis=-1) / 255, atol=1e-6)


def test_a_golden_clip_is_two_small_seconds_with_the_times_of_its_source(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (180, 322, 3), np.uint8) // 2 + 64 for _ in range(90)]
    times = [i / 30 + 0.004 * (i % 3) for i in range(90)]
    content = golden_clip(encode(noise, tmp_path / "noise.mp4", fps=30, times=times), Input(48, 64))
    assert len(content) < CLIP_BYTES
    (tmp_path / "golden.mp4").write_bytes(content)
    with av.open(tmp_path / "golden.mp4") as container:
        read = list(container.decode(video=0))
        assert container.streams.video[0].codec_context.name == "h264"
    np.testing.assert_allclose([frame.time for frame in read], times[: len(read)], atol=1e-4)
    assert len(read) == 60


def test_a_bundle_says_what_the_run_says(keras_bundle: Bundle, tiny_run: Run) -> None:
    assert keras_bundle.labels == tiny_run.labels
    assert keras_bundle.input == tiny_run.input
    assert keras_bundle.spec.temporal.model_dump(exclude={"replicas"}) == tiny_run.temporal
    assert keras_bundle.spec.provenance["seed"] == 0
    card = (keras_bundle.folder / "CARD.md").read_text(encoding="utf-8")
    assert "wave, clap" in card
    assert "64x48 pixels (`letterbox`)" in card


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"mode": "window"}, "give --window T"),
        ({"name": "no/name"}, "choose one with --name"),
    ],
)
def test_what_cannot_be_exported(tiny_run: Run, tmp_path: Path, options: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        pack(tiny_run, tmp_path / "bundle", clip=None, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "bundle").exists()


def test_features_with_state_have_no_window(moving_run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="features keep state"):
        pack(moving_run, tmp_path / "bundle", clip=None, mode="window", window=3)


def test_a_clip_that_is_not_there(tiny_run: Run, tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match=r"missing\.mp4"):
        pack(tiny_run, tmp_path / "bundle", clip=tmp_path / "missing.mp4")


def test_the_command_exports_a_run_folder(
    tiny_run: Run, h264_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = tmp_path / "words.md"
    words.write_text("A person must fill a third of the picture.")
    arguments = [tiny_run.folder, "--out", tmp_path / "out", "--clip", h264_clip, "--card", words, "--json"]
    arguments += ["--person", 30]
    commands.export.main([str(word) for word in arguments], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    bundle = Bundle.load(tmp_path / "out")
    assert told["model"] == bundle.model
    assert told["graphs"][0]["width"] == tiny_run.network.dimension
    parameters = sum(graph["parameters"] for graph in told["graphs"])
    assert parameters >= 0.95 * (tiny_run.network.features.count_params() + tiny_run.network.head.count_params())
    card = (bundle.folder / "CARD.md").read_text(encoding="utf-8")
    assert "a third of the picture" in card and "30 of its lines high" in card
    assert bundle.spec.provenance[PERSON] == 30


@pytest.mark.parametrize("window", [None, 3])
def test_staggered_needs_ticks_for_its_replicas(moving_run: Run, tmp_path: Path, window: int | None) -> None:
    with pytest.raises(ConfigError, match="mode staggered: expected"):
        pack(moving_run, tmp_path / "bundle", clip=None, mode="staggered", window=window)


def test_a_staggered_bundle_is_verified_like_any_other(moving_run: Run, h264_clip: Path, tmp_path: Path) -> None:
    bundle = pack(moving_run, tmp_path / "bundle", clip=h264_clip, mode="staggered", window=8)
    assert "never more than the last 8" in (bundle.folder / "CARD.md").read_text(encoding="utf-8")
    verify(bundle).require()
    verify(bundle, run=moving_run, video=h264_clip).require()
