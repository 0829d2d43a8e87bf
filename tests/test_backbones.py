"""Backbones and heads as graphs: whole families of networks, and the pieces that need care."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import tensorflow as tf
from keras import layers

from export.backbones import NAMES, Row, measure, measure_each, pictures, table
from export.convert import _convert_quietly, to_onnx
from train.backbones import _module_of
from train.models import StateTensor, step

FAILING: dict[str, str] = {}
"""Networks that cannot be exported, and what is said of them; a test notices when that changes."""
LARGER = {"InceptionV3": 299}
"""Networks whose fresh weights amplify rounding where little is averaged: 8.7e-4 at 96 pixels, 6.8e-5 at these."""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_a_family_exports_and_computes_what_keras_computes(name: str) -> None:
    """Small pictures: what is converted is the same, and InceptionResNetV2 takes minutes as it is."""
    (row,) = measure_each([name], LARGER.get(name, 96), 2)
    if name in FAILING:
        assert row.error is not None and FAILING[name] in row.error
        return
    assert row.error is None and row.passed, row
    assert row.features > 0.1, "of nothing, everything is close"
    assert row.ms is not None and set(row.ms) == {"fp32", "fp16", "int8"} and not row.remarks
    assert row.apart is not None and 0 < row.apart["fp16"] < 0.1 and row.apart["fp16"] < row.apart["int8"] < 0.5


def test_every_network_has_its_normalisation() -> None:
    makers = [make for _, make in inspect.getmembers(keras.applications, inspect.isfunction)]
    assert {make.__name__ for make in makers} > set(NAMES)
    assert all(callable(_module_of(make).preprocess_input) for make in makers)


def test_pictures_are_photographs() -> None:
    seen = pictures(64, 4)
    assert seen.shape == (4, 64, 64, 3) and seen.dtype == np.uint8
    assert seen.std(axis=(1, 2, 3)).min() > 20
    assert np.abs(np.diff(seen.astype(int), axis=2)).mean() < 20, "neighbours are alike in a photograph, not in noise"


def test_what_is_no_network_is_a_row_that_says_so() -> None:
    row = measure("NoSuchNet", 64, 1)
    assert not row.passed and row.error is not None and "no backbone 'NoSuchNet'" in row.error
    shown = table([row, Row("Fine", 64, width=8, features=1.0, closeness=1e-6, ms={"fp32": 2.0, "int8": 1.0})])
    assert (
        "| NoSuchNet | no: ConfigError" in shown
        and "| Fine | yes | 8 | 1.0 | 1.0e-06 | - / - / - | 2 / - / 1 |" in shown
    )


def test_grouped_convolutions_and_exact_gelu() -> None:
    """ConvNeXt's pieces: Keras has XLA compile the one, and makes the other of erfc; ONNX has neither."""
    keras.utils.set_random_seed(0)
    frames = keras.Input((8, 8, 6), name="frames")
    seen = layers.Conv2D(6, 3, padding="same", groups=6)(frames)
    model = keras.Model([frames], [layers.GlobalAveragePooling2D()(layers.Activation("gelu")(seen))])
    given = np.random.default_rng(0).normal(size=(2, 8, 8, 6)).astype(np.float32)
    wanted, _ = step(model, tf.constant(given), [])
    got = ort.InferenceSession(to_onnx(model, "frames", "features", ())).run(None, {"frames": given})[0]
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert float(np.std(wanted)) > 0.01


@pytest.mark.xfail(strict=True, reason="tf2onnx 1.17 knows no Erfc: export.rewrites.spell_out_erfc goes round it")
def test_tf2onnx_converts_erfc_by_itself() -> None:
    function = tf.function(lambda x: {"y": tf.math.erfc(x)})
    graph = _convert_quietly(function, [tf.TensorSpec((None, 3), tf.float32, "x")])
    assert "Erfc" not in {node.op_type for node in graph.graph.node}


@pytest.mark.parametrize("reset_after", [True, False])
def test_a_stack_of_cells_is_one_flat_step(reset_after: bool) -> None:
    """Both forms of the GRU, and an LSTM on top."""
    keras.utils.set_random_seed(1)
    x = keras.Input((5,), name="features")
    shapes = {"h1": 4, "h2": 3, "c2": 3}
    before = {name: keras.Input((units,), name=f"{name}_in") for name, units in shapes.items()}
    lower, (h1,) = layers.GRUCell(4, reset_after=reset_after, bias_initializer="normal")(x, [before["h1"]])
    upper, (h2, c2) = layers.LSTMCell(3, bias_initializer="normal")(lower, [before["h2"], before["c2"]])
    model = keras.Model([x, *before.values()], [layers.Dense(2)(upper), h1, h2, c2], name="head")
    states = tuple(StateTensor(f"{name}_in", f"{name}_out", (units,)) for name, units in shapes.items())
    content = to_onnx(model, "features", "logits", states)
    graph = onnx.load_from_string(content).graph
    assert [value.name for value in graph.output] == ["logits", "h1_out", "h2_out", "c2_out"]
    session, rng = ort.InferenceSession(content), np.random.default_rng(2)
    kept = {name: np.zeros((3, units), np.float32) for name, units in shapes.items()}
    for _ in range(4):
        given = rng.normal(size=(3, 5)).astype(np.float32)
        wanted = step(model, tf.constant(given), [tf.constant(value) for value in kept.values()])
        feeds = {"features": given, **{f"{name}_in": value for name, value in kept.items()}}
        logits, *after = session.run(None, feeds)
        np.testing.assert_allclose(logits, wanted[0], atol=1e-6)
        for ours, theirs in zip(after, wanted[1], strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
        kept = dict(zip(kept, after, strict=True))
