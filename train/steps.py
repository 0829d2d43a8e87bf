"""One step of a model and many in a row: what a state is, and how the one-step models walk along a sequence.

A model takes a list (the main input, then one tensor a state) and returns a list (the main output, then the next
states). Training, export and verification all walk so. No networks are built here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

Tensor = Any
"""A Keras, TensorFlow or numpy array; Keras has no type for it."""


@dataclass(frozen=True)
class StateTensor:
    """One recurrent state: its names in the graphs and its shape without N; float32, zero at reset."""

    input: str
    output: str
    shape: tuple[int, ...]


def state_tensor(name: str, shape: tuple[int, ...]) -> tuple[keras.KerasTensor, StateTensor]:
    """The input `name`_in of a model that carries a state of `shape`, and the state that goes with it."""
    return keras.Input(shape, name=f"{name}_in"), StateTensor(f"{name}_in", f"{name}_out", shape)


def zeros(states: tuple[StateTensor, ...], n: int) -> list[Tensor]:
    """The states of `n` rows at reset."""
    return [ops.zeros((n, *state.shape)) for state in states]


def step(
    model: keras.Model, main: Tensor, states: list[Tensor], *, training: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """Output and next states of `model` for one step. Keras may hand back a list of one unpacked; this does not."""
    outputs = model([main, *states], training=training)
    output, *after = outputs if isinstance(outputs, list | tuple) else [outputs]
    return output, after


def unroll(
    model: keras.Model, sequence: Tensor, states: list[Tensor], *, training: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """Outputs (N, T, ...) of the one-step `model` along `sequence` (N, T, ...), and the states after its last step.

    In training, what a recurrent cell drops is the same all along the sequence, as in Keras' recurrent layers.
    """
    steps = ops.swapaxes(ops.convert_to_tensor(sequence), 0, 1)
    rows = ops.shape(steps)[1]

    def follow(before: tuple[Tensor, ...], moment: Tensor) -> tuple[Tensor, ...]:
        output, after = step(model, moment, list(before[1:]), training=training)
        return (output, *after)

    cells = _dropping_cells(model) if training else []
    for cell in cells:
        _draw_masks(cell, rows)
    # A loop in the graph: unrolled in Python, 64 steps take 15 s to trace, and this way 1 s; the numbers are equal.
    nothing = ops.zeros((rows, *model.outputs[0].shape[1:]))
    outputs, *passed = tf.scan(follow, steps, initializer=(nothing, *states))
    for cell in cells:
        _forget_masks(cell)
    return ops.swapaxes(outputs, 0, 1), [state[-1] for state in passed]


def _dropping_cells(model: keras.Model) -> list[Any]:
    cells = [layer for layer in model.layers if isinstance(layer, layers.GRUCell | layers.LSTMCell)]
    return [cell for cell in cells if cell.dropout or cell.recurrent_dropout]


def _draw_masks(cell: Any, rows: Tensor) -> None:
    """Draws what the cell drops, before the loop, which captures it: a cell keeps the first mask it is asked for."""
    _forget_masks(cell)
    cell.get_dropout_mask(ops.ones((rows, cell.kernel.shape[0]), cell.compute_dtype))
    cell.get_recurrent_dropout_mask(ops.ones((rows, cell.units), cell.compute_dtype))


def _forget_masks(cell: Any) -> None:
    cell.reset_dropout_mask()
    cell.reset_recurrent_dropout_mask()
