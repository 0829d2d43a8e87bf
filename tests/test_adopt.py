"""`actionstream import`: other people's graphs become a bundle that computes what they compute, or are asked about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from export.adopt import Answers, Strangers
from export.adopt_command import import_
from stream.bundle import Bundle
from stream.decision import scores_of
from stream.errors import BundleError, ConfigError
from stream.inference import OnnxFeatures, OnnxHead
from stream.recognizer import Recognizer
from stream.sources import FileSource

SIZE, WIDTH, UNITS = (32, 24), 5, 4
MEAN, DEVIATION = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int]],
    outputs: dict[str, list[int]],
    **numbers: NDArray[np.float32],
) -> onnx.ModelProto:
    given, made = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()]
        for side in (inputs, outputs)
    )
    tensors = [numpy_helper.from_array(value, name) for name, value in numbers.items()]
    graph = helper.make_graph(nodes, "theirs", given, made, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """As PyTorch exports them: batch 1, planes of normalised BGR, maps (1, D, 1, 1), states of one shape, softmax."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(WIDTH, 3, 3, 3)).astype(np.float32)
    backbone = model(
        [
            helper.make_node("Conv", ["image/0", "kernel"], ["maps"], strides=[2, 2]),
            helper.make_node("Relu", ["maps"], ["active"]),
            helper.make_node("GlobalAveragePool", ["active"], ["vector"]),
        ],
        {"image/0": [1, 3, SIZE[1], SIZE[0]]},
        {"vector": [1, WIDTH, 1, 1]},
        kernel=kernel,
    )
    head = model(
        [
            helper.make_node("MatMul", ["x", "into"], ["new"]),
            helper.make_node("Mul", ["hx", "half"], ["old"]),
            helper.make_node("Add", ["new", "old"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["hy"]),
            helper.make_node("Add", ["cx", "hy"], ["more"]),
            helper.make_node("Mul", ["more", "half"], ["cy"]),
            helper.make_node("MatMul", ["cy", "out"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        {"x": [1, WIDTH], "hx": [1, UNITS], "cx": [1, UNITS]},
        {"probabilities": [1, 3], "hy": [1, UNITS], "cy": [1, UNITS]},
        into=rng.normal(size=(WIDTH, UNITS)).astype(np.float32),
        half=np.full((), 0.5, np.float32),
        out=rng.normal(size=(UNITS, 3)).astype(np.float32) * 3,
    )
    paths = tmp_path / "backbone.onnx", tmp_path / "head.onnx"
    onnx.save(backbone, paths[0])
    onnx.save(head, paths[1])
    return paths


COMPLETE = ["--labels", "none, wave,clap", "--rate", "10", "--pixels", "imagenet", "--colours", "bgr"]
STATES = ["--state", "hx=hy", "--state", "cx=cy"]


def command(files: tuple[Path, Path], out: Path, *more: str | Path) -> list[str]:
    return [str(word) for word in ("--features", files[0], "--head", files[1], "--out", out, *more)]


def test_it_computes_what_the_files_compute(files: tuple[Path, Path], h264_clip: Path, tmp_path: Path) -> None:
    words = command(files, tmp_path / "theirs", *COMPLETE, *STATES, "--clip", h264_clip)
    import_.main(words, standalone_mode=False)
    bundle = Bundle.load(tmp_path / "theirs")
    assert (bundle.input.height, bundle.input.width, bundle.input.rate) == (SIZE[1], SIZE[0], 10.0)
    assert [state.input for state in bundle.spec.head.state] == ["hx_in", "cx_in"]
    backbone, head = (ort.InferenceSession(str(path)) for path in files)
    kept = {name: np.zeros((1, UNITS), np.float32) for name in ("hx", "cx")}
    recognizer = Recognizer.load(tmp_path / "theirs", device="cpu")
    for tick in list(FileSource(h264_clip, bundle.input))[:8]:
        bgr = ((tick.image - MEAN) / DEVIATION)[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
        vector = backbone.run(None, {"image/0": bgr})[0].reshape(1, WIDTH)
        wanted, hy, cy = head.run(None, {"x": vector, **kept})
        kept = {"hx": hy, "cx": cy}
        (told,) = recognizer.step([tick])
        np.testing.assert_allclose(told.scores, wanted[0], atol=1e-5)


def test_any_batch_is_taken(files: tuple[Path, Path], h264_clip: Path, tmp_path: Path) -> None:
    words = command(files, tmp_path / "theirs", *COMPLETE, *STATES, "--clip", h264_clip)
    import_.main(words, standalone_mode=False)
    bundle = Bundle.load(tmp_path / "theirs")
    images = np.random.default_rng(1).integers(0, 256, (3, SIZE[1], SIZE[0], 3), np.uint8)
    features, head = OnnxFeatures(bundle, "cpu"), OnnxHead(bundle, "cpu")
    vectors, _ = features.extract(images, {})
    logits, _ = head.step(vectors, head.zeros(3))
    alone = head.step(features.extract(images[1:2], {})[0], head.zeros(1))[0]
    np.testing.assert_allclose(scores_of(logits, 1.0)[1:2], scores_of(alone, 1.0), atol=1e-5)


def frozen(files: tuple[Path, Path], shape: list[int], out: Path) -> Path:
    """The backbone with `x.flatten(1)` as PyTorch's exporter writes it for one example: the shape that it saw."""
    made = onnx.load(files[0])
    made.graph.node.append(helper.make_node("Reshape", ["vector", "seen"], ["view"], allowzero=1))
    made.graph.initializer.append(numpy_helper.from_array(np.array(shape), "seen"))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("view", TensorProto.FLOAT, shape))
    onnx.save(made, out)
    return out


def test_a_shape_that_was_seen_in_an_example_is_opened(
    files: tuple[Path, Path], h264_clip: Path, tmp_path: Path
) -> None:
    two = frozen(files, [1, WIDTH], tmp_path / "frozen.onnx"), files[1]
    import_.main(command(two, tmp_path / "a", *COMPLETE, *STATES, "--clip", h264_clip), standalone_mode=False)
    import_.main(command(files, tmp_path / "b", *COMPLETE, *STATES, "--clip", h264_clip), standalone_mode=False)
    images = np.random.default_rng(1).integers(0, 256, (3, SIZE[1], SIZE[0], 3), np.uint8)
    a, b = (OnnxFeatures(Bundle.load(tmp_path / name), "cpu").extract(images, {})[0] for name in "ab")
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_batch_axis_that_cannot_be_opened_is_told(files: tuple[Path, Path], tmp_path: Path) -> None:
    made = onnx.load(frozen(files, [1, WIDTH], tmp_path / "frozen.onnx"))
    made.graph.node.append(helper.make_node("ReduceMean", ["view"], ["mean"], axes=[0], keepdims=1))
    made.graph.output[0].name = "mean"
    onnx.save(made, tmp_path / "mean.onnx")
    words = command((tmp_path / "mean.onnx", files[1]), tmp_path / "out", *COMPLETE, *STATES)
    with pytest.raises(BundleError, match=r"mean\.onnx: expected .* any number of rows, got one whose features"):
        import_.main(words, standalone_mode=False)


@pytest.mark.parametrize(
    ("labels", "name", "expected"),
    [("none,wave,wave", "theirs", "labels must differ"), ("none,wave,clap", "the irs", "name: String should match")],
)
def test_answers_that_no_bundle_can_have(
    files: tuple[Path, Path], tmp_path: Path, labels: str, name: str, expected: str
) -> None:
    words = command(files, tmp_path / name, *COMPLETE, *STATES, "--labels", labels)
    with pytest.raises(ConfigError, match=f"expected answers that a bundle can have, got {expected}"):
        import_.main(words, standalone_mode=False)


def test_a_softmax_that_others_need_stays(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Taken off, it would leave a state without what it is made of; scores are then those of probabilities."""
    head = onnx.load(files[1])
    next(node for node in head.graph.node if node.output[0] == "hy").output[0] = "inner"
    head.graph.node.extend(
        [
            helper.make_node("ReduceSum", ["probabilities"], ["sure"], keepdims=1),
            helper.make_node("Mul", ["inner", "sure"], ["hy"]),
        ]
    )
    for node in head.graph.node:
        if node.output[0] == "more":
            node.input[1] = "inner"
    onnx.save(head, tmp_path / "head.onnx")
    answers = Answers(("none", "wave", "clap"), None, 10.0, "0-1", "rgb", None, {"hx": "hy", "cx": "cy"})
    made = onnx.load_from_string(Strangers(files[0], tmp_path / "head.onnx").adopted(answers).head)
    assert any(node.op_type == "Softmax" for node in made.graph.node)


@pytest.mark.parametrize("tail", [[], ["Identity"], ["Cast", "Identity"]])
def test_a_softmax_comes_off_with_what_hands_it_on(files: tuple[Path, Path], tmp_path: Path, tail: list[str]) -> None:
    """Left on, its probabilities would be taken for logits, and every score lie near one in the number of labels."""
    head = onnx.load(files[1])
    head.graph.node[-1].output[0] = value = "inner"
    for operator in tail:
        kind = {"to": TensorProto.FLOAT} if operator == "Cast" else {}
        head.graph.node.append(helper.make_node(operator, [value], [f"{value}/{operator}"], **kind))
        value = f"{value}/{operator}"
    head.graph.node[-1].output[0] = "probabilities"
    onnx.save(head, tmp_path / "head.onnx")
    answers = Answers(("none", "wave", "clap"), None, 10.0, "0-1", "rgb", None, {"hx": "hy", "cx": "cy"})
    made = onnx.load_from_string(Strangers(files[0], tmp_path / "head.onnx").adopted(answers).head)
    assert [node.op_type for node in made.graph.node[-2:]] == ["MatMul", "Cast"]


@pytest.mark.parametrize("order", ["xh", "hx"])
def test_a_state_of_the_features_width_is_asked_for(files: tuple[Path, Path], tmp_path: Path, order: str) -> None:
    """Which of two inputs of one shape is the state no file says, whichever comes first."""
    nodes = [
        helper.make_node("Mul", ["h", "half"], ["old"]),
        helper.make_node("Add", ["old", "x"], ["new"]),
        helper.make_node("MatMul", ["new", "out"], ["logits"]),
    ]
    numbers = {"half": np.full((), 0.5, np.float32), "out": np.ones((WIDTH, 2), np.float32)}
    outputs = {"logits": [1, 2], "new": [1, WIDTH]}
    onnx.save(model(nodes, {name: [1, WIDTH] for name in order}, outputs, **numbers), tmp_path / "head.onnx")
    strangers = Strangers(files[0], tmp_path / "head.onnx")
    answers = Answers(("none", "wave"), None, 10.0, "0-1", "rgb")
    (question,) = strangers.questions(answers)
    assert question.option == "--state" and f"is the next {order[1]}?" in question.words
    answers = replace(answers, states={"h": "new"})
    assert strangers.questions(answers) == []
    (state,) = strangers.adopted(answers).head_spec.state
    assert state.input == "h_in" and state.output == "h_out"


@pytest.mark.parametrize("order", [("past", "now"), ("now", "past")])
def test_a_state_may_look_like_a_picture(files: tuple[Path, Path], tmp_path: Path, order: tuple[str, str]) -> None:
    nodes = [
        helper.make_node("Sub", ["now", "past"], ["moved"]),
        helper.make_node("GlobalAveragePool", ["moved"], ["vector"]),
        helper.make_node("Identity", ["now"], ["kept"]),
    ]
    shape = [1, 3, SIZE[1], SIZE[0]]
    onnx.save(
        model(nodes, dict.fromkeys(order, shape), {"vector": [1, 3, 1, 1], "kept": shape}), tmp_path / "backbone.onnx"
    )
    head = model(
        [helper.make_node("MatMul", ["x", "out"], ["y"])], {"x": [1, 3]}, {"y": [1, 2]}, out=np.ones((3, 2), np.float32)
    )
    onnx.save(head, tmp_path / "head.onnx")
    strangers = Strangers(tmp_path / "backbone.onnx", tmp_path / "head.onnx")
    answers = Answers(("none", "wave"), None, 10.0, "0-1", "rgb")
    assert [question.option for question in strangers.questions(answers)] == ["--state"]
    answers = replace(answers, states={"past": "kept"})
    (state,) = strangers.adopted(answers).features_spec.state
    assert state.input == "features_past_in"


def test_a_state_may_be_one_number_a_row(files: tuple[Path, Path], h264_clip: Path, tmp_path: Path) -> None:
    """A counter of ticks, say."""
    nodes = [
        helper.make_node("Add", ["seen", "one"], ["more"]),
        helper.make_node("MatMul", ["x", "out"], ["logits"]),
    ]
    numbers = {"one": np.ones((), np.float32), "out": np.ones((WIDTH, 3), np.float32)}
    head = model(nodes, {"x": [1, WIDTH], "seen": [1]}, {"logits": [1, 3], "more": [1]}, **numbers)
    onnx.save(head, tmp_path / "head.onnx")
    words = command((files[0], tmp_path / "head.onnx"), tmp_path / "theirs", *COMPLETE, "--clip", h264_clip)
    import_.main(words, standalone_mode=False)
    golden = Bundle.load(tmp_path / "theirs").golden()
    np.testing.assert_array_equal(golden.states["seen_in"], np.arange(1, len(golden.times) + 1))


def test_what_no_file_says_is_asked_all_at_once(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        import_.main(command(files, tmp_path / "theirs"), standalone_mode=False)
    for words in (
        "--labels: what are the names of its 3 classes",
        "--rate",
        "--pixels",
        "--colours",
        "--state: which of",
    ):
        assert words in str(caught.value)
    assert "--size" not in str(caught.value) and not (tmp_path / "theirs").exists()


def test_a_person_is_asked_one_by_one(
    files: tuple[Path, Path], h264_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.adopt_command._is_asked_by_a_person", lambda: True)
    answers = "still,wave,clap\nnone\nstill\nten\n10\nimagenet\nbgr\nhx is hy\nhx=hy\n"  # some are asked again
    words = command(files, tmp_path / "theirs", "--clip", h264_clip)
    result = CliRunner().invoke(import_, words, input=answers, catch_exceptions=False)
    assert result.exit_code == 0
    assert "which label means that nothing is happening: still, wave, clap?" in result.output
    assert "expected INPUT=OUTPUT, got 'hx is hy'" in result.output
    bundle = Bundle.load(tmp_path / "theirs")
    assert bundle.none == "still" and len(bundle.spec.head.state) == 2


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"labels": ("none", "wave")}, ConfigError, "expected 3 names"),
        ({"size": (64, 48)}, ConfigError, "--size: expected 32x24, as the file says, got 64x48"),
        ({"states": {"hx": "hy", "cx": "hy"}}, ConfigError, "an output of its own"),
        ({"states": {"hx": "nothing", "cx": "cy"}}, ConfigError, "an output of its own"),
        ({"states": {"x": "hy", "hx": "cy"}}, BundleError, "expected"),
    ],
)
def test_answers_that_do_not_fit(
    files: tuple[Path, Path], change: dict[str, object], error: type[Exception], named: str
) -> None:
    said: dict[str, object] = {"labels": ("none", "wave", "clap"), "rate": 10.0, "pixels": "0-1", "colours": "rgb"}
    said |= {"states": {"hx": "hy", "cx": "cy"}} | change
    with pytest.raises(error, match=named):
        Strangers(*files).adopted(Answers(**said))  # type: ignore[arg-type]


def test_pixels_of_a_file_that_takes_bytes_are_as_they_are(files: tuple[Path, Path], tmp_path: Path) -> None:
    """How they are scaled is in its graph; a second scaling was left out without a word."""
    backbone = onnx.load(files[0])
    backbone.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    backbone.graph.node.insert(0, helper.make_node("Cast", ["image/0"], ["floats"], to=TensorProto.FLOAT))
    backbone.graph.node[1].input[0] = "floats"
    onnx.save(backbone, tmp_path / "bytes.onnx")
    strangers = Strangers(tmp_path / "bytes.onnx", files[1])
    answers = Answers(("none", "wave", "clap"), None, 10.0, "imagenet", "rgb", None, {"hx": "hy", "cx": "cy"})
    with pytest.raises(ConfigError, match="--pixels: expected 0-255, for the file takes uint8, got imagenet"):
        strangers.adopted(answers)
    assert strangers.adopted(replace(answers, pixels=None)).size == SIZE


def test_files_that_are_none_of_it(files: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(BundleError, match="expected an ONNX file"):
        Strangers(tmp_path / "junk.onnx", files[1])
    with pytest.raises(BundleError, match="expected an input of pictures"):
        Strangers(files[1], files[1])


def test_numbers_outside_the_folder_are_not_taken_in(files: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"\0" * 4 * WIDTH * 27)
    inner = tmp_path / "inner"
    inner.mkdir()
    theirs = onnx.load(files[0])
    tensor = theirs.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret.bin"
    (inner / "a.onnx").write_bytes(theirs.SerializeToString())
    with pytest.raises(BundleError, match="expected an ONNX file"):
        Strangers(inner / "a.onnx", files[1])
