"""Heads: what they remember and forget, that a mask is a weight, that a cell drops the same all along a row."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from export.convert import convert, to_onnx
from stream.contracts import Input
from train.heads import build_head
from train.model_settings import ModelSettings
from train.steps import step, unroll, zeros

SEEN = Input(48, 64)
LENGTHS = (3, 7, 5)


def head(**settings: Any) -> tuple[keras.Model, Any]:
    return build_head(ModelSettings.model_validate({"head": "recurrent", "dropout": 0.0} | settings), 12, 4)


def features(rows: int, ticks: int, seed: int = 1) -> Any:
    return tf.random.stateless_normal((rows, ticks, 12), seed=(seed, 2))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_mask_is_a_weight_on_the_last_valid_tick(cell: str) -> None:
    """Keras' layers with a mask, and our steps with the loss on each row's last valid tick: outputs and gradients."""
    ours, states = head(cell=cell, cells=[6, 5], dense=[3])
    layer = layers.GRU if cell == "gru" else layers.LSTM
    rows, valid = keras.Input((7, 12)), keras.Input((7,), dtype="bool")
    x = layer(6, return_sequences=True)(rows, mask=valid)
    x = layer(5)(x, mask=valid)
    theirs = keras.Model([rows, valid], layers.Dense(4)(layers.Dense(3, activation="relu")(x)))
    theirs.set_weights(ours.get_weights())

    sequence, targets = features(3, 7), tf.constant([0, 2, 3])
    last = tf.constant(LENGTHS) - 1
    mask = tf.range(7)[None] <= last[:, None]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape(persistent=True) as tape:
        masked = theirs([sequence, mask])
        padded = tf.where(mask[..., None], sequence, sequence[:, -1:])  # whatever follows must not matter
        weighed = tf.gather(unroll(ours, padded, zeros(states, 3))[0], last, batch_dims=1)
        losses = loss(targets, masked), loss(targets, weighed)
    np.testing.assert_allclose(masked, weighed, atol=1e-6)
    assert float(np.abs(masked).max()) > 1e-2
    both = zip(
        tape.gradient(losses[0], theirs.trainable_variables),
        tape.gradient(losses[1], ours.trainable_variables),
        strict=True,
    )
    for masked_gradient, weighed_gradient in both:
        np.testing.assert_allclose(masked_gradient, weighed_gradient, atol=1e-6)


def test_what_a_cell_drops_is_the_same_all_along_a_row() -> None:
    """A GRU without recurrence on a constant input nears its aim by the same share at every tick."""
    model, states = head(cells=[4], input_dropout=0.5)
    cell = next(layer for layer in model.layers if isinstance(layer, layers.GRUCell))
    kernel, _, bias = cell.get_weights()
    cell.set_weights([kernel, np.zeros((4, 12), np.float32), bias])
    model.get_layer("logits").set_weights([np.eye(4, dtype=np.float32), np.zeros(4, np.float32)])
    constant = tf.repeat(features(5, 1), 6, axis=1)

    h, _ = unroll(model, constant, zeros(states, 5), training=True)
    steps = np.diff(h, axis=1, prepend=0)
    np.testing.assert_allclose(steps[:, 2] * steps[:, 2], steps[:, 1] * steps[:, 3], atol=1e-6)
    again, _ = unroll(model, constant, zeros(states, 5), training=True)
    assert np.abs(np.asarray(h) - again).max() > 1e-3  # drawn anew for every row of every batch
    whole = [unroll(model, constant, zeros(states, 5))[0] for _ in range(2)]
    np.testing.assert_array_equal(*whole)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_dropping_cells_train_in_a_graph(cell: str) -> None:
    model, states = head(cell=cell, cells=[4, 3], input_dropout=0.5, recurrent_dropout=0.5)
    run = tf.function(lambda rows: unroll(model, rows, zeros(states, 2), training=True)[0])
    first, second = run(features(2, 4)), run(features(2, 4))
    assert np.abs(np.asarray(first) - second).max() > 1e-3
    names = [state.input for state in states]
    assert names == (["h1_in", "h2_in"] if cell == "gru" else ["h1_in", "c1_in", "h2_in", "c2_in"])


def test_a_frame_head_remembers_nothing() -> None:
    model, states = head(head="frame", dense=[8, 8])
    assert states == ()
    sequence = features(2, 4)
    logits, _ = unroll(model, sequence, [])
    for t in range(4):
        np.testing.assert_allclose(logits[:, t], step(model, sequence[:, t], [])[0], atol=1e-6)


def attended(sequence: Any) -> Any:
    """Logits of a transformer over the last 4 ticks, always of the same weights."""
    keras.utils.set_random_seed(7)
    model, states = head(head="transformer", embedding=8, heads=2, context=4)
    return np.asarray(unroll(model, sequence, zeros(states, len(sequence)))[0])


def test_a_transformer_forgets_what_is_older_than_its_context() -> None:
    whole = attended(features(2, 9))
    for t in range(9):
        recent = features(2, 9)[:, max(0, t - 3) : t + 1]
        np.testing.assert_allclose(whole[:, t], attended(recent)[:, -1], atol=1e-5)


def test_a_transformer_knows_its_ticks_and_their_order() -> None:
    sequence = features(2, 4)
    changed = tf.concat([sequence[:, :1] + 1, sequence[:, 1:]], axis=1)
    swapped = tf.gather(sequence, [1, 0, 2, 3], axis=1)
    plain = attended(sequence)[:, -1]
    assert np.abs(plain - attended(changed)[:, -1]).max() > 1e-3
    assert np.abs(plain - attended(swapped)[:, -1]).max() > 1e-4


def test_nothing_comes_from_the_future_of_a_transformer() -> None:
    sequence = features(2, 6)
    np.testing.assert_allclose(attended(sequence)[:, :3], attended(sequence[:, :3]), atol=1e-6)


def test_a_transformer_is_one_flat_step() -> None:
    model, states = head(head="transformer", embedding=8, heads=2, context=4)
    assert to_onnx(model, "features", "logits", states)


def test_an_lstm_becomes_a_graph_with_both_its_states() -> None:
    from train.models import build

    network = build(ModelSettings(backbone="compact", head="recurrent", cell="lstm", cells=(8,)), SEEN, 3)
    assert [state.input for state in network.head_state] == ["h_in", "c_in"]
    assert convert(network).head
