"""Heads: features and state to logits, one step: cells, layers and named states. No loops, no sequences."""

from __future__ import annotations

import math

import keras
from keras import layers, ops

from train.model_settings import ModelSettings
from train.steps import StateTensor, Tensor, state_tensor


class _States:
    """The states of a head as it is built: what goes in, and what comes out."""

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.tensors: list[StateTensor] = []

    def enter(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """The state `name` before the step."""
        before, tensor = state_tensor(name, shape)
        self.inputs.append(before)
        self.tensors.append(tensor)
        return before


def build_head(settings: ModelSettings, dimension: int, classes: int) -> tuple[keras.Model, tuple[StateTensor, ...]]:
    """The untrained one-step head: [features (N, D), *states] -> [logits (N, K), *next states], and its states."""
    features = keras.Input((dimension,), name="features")
    states = _States()
    shapes = {"miniroad": _miniroad, "gru": _gru, "recurrent": _recurrent, "frame": _dense, "transformer": _transformer}
    logits = layers.Dense(classes, name="logits")(shapes[settings.head](settings, features, states))
    if settings.evidence:
        logits = _evidence(settings, logits, states)
    return keras.Model([features, *states.inputs], [logits, *states.outputs], name="head"), tuple(states.tensors)


def _miniroad(settings: ModelSettings, x: Tensor, states: _States) -> Tensor:
    x = layers.ReLU()(layers.LayerNormalization()(layers.Dense(settings.embedding)(x)))
    return layers.ReLU()(_gru(settings, x, states))


def _gru(settings: ModelSettings, x: Tensor, states: _States) -> Tensor:
    h = states.enter("h", (settings.units,))
    x, after = layers.GRUCell(settings.units)(layers.Dropout(settings.dropout)(x), h)
    states.outputs.append(after)
    return x


def _recurrent(settings: ModelSettings, x: Tensor, states: _States) -> Tensor:
    """Cells one on top of the other, then dense layers. States are h and c, numbered from 1 where there are several."""
    make = layers.GRUCell if settings.cell == "gru" else layers.LSTMCell
    for number, units in enumerate(settings.cells, start=1):
        suffix = str(number) if len(settings.cells) > 1 else ""
        names = [f"h{suffix}"] if settings.cell == "gru" else [f"h{suffix}", f"c{suffix}"]
        cell = make(units, dropout=settings.input_dropout, recurrent_dropout=settings.recurrent_dropout)
        x, after = cell(x, [states.enter(name, (units,)) for name in names])
        states.outputs += after
    return _dense(settings, x, states)


def _dense(settings: ModelSettings, x: Tensor, states: _States) -> Tensor:
    """Dense ReLU layers; alone, they judge each tick by itself."""
    x = layers.Dropout(settings.dropout)(x)
    for width in settings.dense:
        x = layers.Dropout(settings.dense_dropout)(layers.Dense(width, activation="relu")(x))
    return x


def _transformer(settings: ModelSettings, x: Tensor, states: _States) -> Tensor:
    """Attention over the last T ticks, whose embedded features are the state: a step forgets the oldest of them.

    Place is told by age: the newest tick always stands last, so that what the head says depends on the last
    min(k, T) ticks alone, however long it has been running.
    """
    ticks, width = settings.context, settings.embedding
    before, counted = states.enter("ticks", (ticks, width)), states.enter("count", (1,))
    embedded = layers.LayerNormalization()(layers.Dense(width)(x))
    kept = ops.concatenate([before[:, 1:], embedded[:, None]], axis=1)
    count = ops.minimum(counted + 1.0, float(ticks))
    states.outputs += [kept, count]

    x = _AddPlaces()(kept)
    filled = count > ops.arange(ticks, dtype="float32")[::-1]  # (N, T): the others hold nothing yet
    for _ in range(settings.blocks):
        x = _attend(settings, x, filled)
    return layers.LayerNormalization()(x[:, -1])


def _attend(settings: ModelSettings, x: Tensor, filled: Tensor) -> Tensor:
    """One block: each tick attends to itself and those before it, then thinks about what it saw."""
    seen = layers.LayerNormalization()(x)
    depth = max(1, settings.embedding // settings.heads)
    attention = layers.MultiHeadAttention(settings.heads, depth, dropout=settings.dropout)
    x = x + attention(seen, seen, attention_mask=filled[:, None, :], use_causal_mask=True)
    thought = layers.Dense(2 * settings.embedding, activation="relu")(layers.LayerNormalization()(x))
    return x + layers.Dropout(settings.dropout)(layers.Dense(settings.embedding)(thought))


@keras.saving.register_keras_serializable("actionstream")
class _AddPlaces(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Adds a learned vector of each place to (N, T, E)."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Makes the vectors."""
        self.places = self.add_weight(shape=shape[1:], initializer=keras.initializers.RandomNormal(stddev=0.02))

    def call(self, x: Tensor) -> Tensor:
        """`x` with its places."""
        return x + self.places


def _evidence(settings: ModelSettings, logits: Tensor, states: _States) -> Tensor:
    """An exponential average of the logits.

    What spoke for each label lately is kept beside what speaks for it now: a network that is sure of single ticks of
    what it learned from sees no need to remember them, and errs where a single tick looks like something else.
    """
    before, fresh = states.enter("evidence", tuple(logits.shape[1:])), 1 - math.exp(-1 / settings.evidence)
    average = layers.Add(name="evidence")([layers.Rescaling(fresh)(logits), layers.Rescaling(1 - fresh)(before)])
    states.outputs.append(average)
    return average
