"""What Keras computes on a clip, tick by tick: what a bundle is held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from export.trace import trace
from stream.bundle import Golden, Temporal
from stream.bundle import StateTensor as Slot
from stream.contracts import State, Tick
from train.models import Network, StateTensor, step


class KerasStep:
    """One Keras model as a step on numpy arrays, as both protocols of stream.contracts want it."""

    def __init__(self, model: keras.Model, states: tuple[StateTensor, ...]) -> None:
        """Compiles `model` for any N."""
        self._states = states
        signature = [tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]
        self._run = tf.function(lambda main, *before: step(model, main, list(before)), input_signature=signature)

    def __call__(self, main: NDArray[Any], state: State) -> tuple[NDArray[np.float32], State]:
        """Output (N, ...) and the next state of `main` (N, ...)."""
        output, after = self._run(main, *(state[each.input] for each in self._states))
        return output.numpy(), {each.input: value.numpy() for each, value in zip(self._states, after, strict=True)}

    extract = step = __call__


def slots(states: tuple[StateTensor, ...]) -> tuple[Slot, ...]:
    """The states as bundle.json writes them."""
    return tuple(Slot(input=state.input, output=state.output, shape=state.shape) for state in states)


def trace_keras(network: Network, temporal: Temporal, ticks: Sequence[Tick], labels: tuple[str, ...]) -> Golden:
    """What Keras computes at each of `ticks`."""
    return trace(
        KerasStep(network.features, network.features_state),
        KerasStep(network.head, network.head_state),
        (slots(network.features_state), slots(network.head_state)),
        temporal,
        ticks,
        labels,
    )
