"""Networks over time: pictures to features, and features to logits, for many ticks at once.

The models take one step; training and measuring need whole rows. Features of all ticks are computed in one batch, since
each depends only on its own picture and on the state before it. No loss here, and no reading of videos.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

import train.backbones
import train.shift
from train.cache import ArrayCache
from train.models import Network, step, unroll, zeros

CHUNK = 16
"""Pictures in one call of the backbone; a fixed number, so that one graph serves all."""

Tensor = Any
"""A TensorFlow tensor; TensorFlow has no types here."""


def see(network: Network, frames: Tensor, states: list[Tensor], *, training: bool) -> tuple[Tensor, list[Tensor]]:
    """Features (N, T, D) of frames (N, T, H, W, 3) uint8, and the feature states after the last tick.

    The states before each tick come from a first pass, without gradients; where they depend on little (the previous
    picture), TensorFlow prunes all else from that pass. States that are learned themselves are passed on step by step.
    """
    if network.learns_state:
        return unroll(network.features, frames, states, training=training)
    rows, ticks = frames.shape[:2]
    flat = tf.reshape(frames, (rows * ticks, *frames.shape[2:]))
    before: list[Tensor] = []
    if network.features_state:
        # Time first, as tf.scan wants it.
        along = tf.scan(
            lambda carried, pictures: step(network.features, pictures, carried)[1],
            ops.swapaxes(frames, 0, 1),
            initializer=states,
        )
        for first, after in zip(states, along, strict=True):
            ahead = tf.stop_gradient(tf.concat([first[None], after[:-1]], axis=0))
            before.append(tf.reshape(ops.swapaxes(ahead, 0, 1), (rows * ticks, *first.shape[1:])))
        states = [after[-1] for after in along]
    features, _ = step(network.features, flat, before, training=training)
    return tf.reshape(features, (rows, ticks, features.shape[-1])), states


class Forward:
    """A network over whole recordings: pictures to features in chunks of a fixed size, features to logits together."""

    def __init__(self, network: Network) -> None:
        """Makes both graphs; they are traced at their first call, and see later changes of the weights."""
        self.network = network
        self._see = tf.function(self._see_chunk, autograph=False)
        width = tf.TensorSpec((None, None, network.dimension), tf.float32)
        self._unroll = tf.function(self._unroll_head, autograph=False, input_signature=[width])

    def features(self, images: NDArray[np.uint8], *, reset: bool = False) -> NDArray[np.float32]:
        """Features (T, D) float32 of a recording's pictures (T, H, W, 3), from zero state.

        Args:
            images: in order.
            reset: begin anew at every tick: what the features are worth without memory.
        """
        found = []
        states = zeros(self.network.features_state, CHUNK if reset else 1)
        for first in range(0, len(images), CHUNK):
            chunk = np.asarray(images[first : first + CHUNK])
            padded = np.concatenate([chunk, np.repeat(chunk[-1:], CHUNK - len(chunk), axis=0)])
            features, after = self._see(padded[:, None] if reset else padded[None], states)
            states = states if reset else after
            found.append(features.numpy().reshape(CHUNK, -1)[: len(chunk)])
        return np.concatenate(found).astype(np.float32)

    def logits(
        self, recordings: Sequence[NDArray[np.float32]], *, window: int | None = None, reset: bool = False
    ) -> list[NDArray[np.float32]]:
        """Logits (T, K) float32 at every tick of each recording's features (T, D).

        Args:
            recordings: features, each from zero state.
            window: None carries the state; a number T judges each tick by the last min(k, T) alone.
            reset: begin anew at every tick.
        """
        if reset:
            return [self._windowed(features, 1) for features in recordings]
        if window is not None:
            return [self._windowed(features, window) for features in recordings]
        longest = max(len(features) for features in recordings)
        padded = np.stack([np.pad(features, ((0, longest - len(features)), (0, 0))) for features in recordings])
        logits = self._unroll(padded).numpy()
        return [logits[i, : len(features)] for i, features in enumerate(recordings)]

    def _windowed(self, features: NDArray[np.float32], window: int) -> NDArray[np.float32]:
        """Every tick a row of its own: its window, filled up behind, read at its last tick."""
        last = np.minimum(np.arange(len(features)), window - 1)
        first = np.maximum(np.arange(len(features)) - window + 1, 0)
        rows = features[np.minimum(first[:, None] + np.arange(window), len(features) - 1)]
        logits: NDArray[np.float32] = self._unroll(rows).numpy()
        return logits[np.arange(len(features)), last]

    def _see_chunk(self, frames: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        return see(self.network, frames, states, training=False)

    def _unroll_head(self, features: Tensor) -> Tensor:
        """Logits (N, T, K) of features (N, T, D)."""
        return unroll(self.network.head, features, zeros(self.network.head_state, tf.shape(features)[0]))[0]


class Shown(Protocol):
    """Pictures with a name for all that they depend on."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """In order, (T, H, W, 3)."""

    @property
    def key(self) -> str:
        """Hex digest of what they depend on."""


class CachedFeatures:
    """Features from the disk where this very backbone has seen these very pictures before; for constant weights."""

    def __init__(self, forward: Forward, cache: ArrayCache) -> None:
        """Makes a reader for the weights that `forward` has now."""
        self._forward, self._cache = forward, cache
        self._backbone = _backbone_key(forward.network)
        self._passes = not forward.network.features.weights

    def get(self, pictures: str, load: Callable[[], NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Features (T, D) float32 of a recording.

        Args:
            pictures: key of its pictures.
            load: gives them, (T, H, W, 3); called only where the features are not there yet.
        """
        if self._passes:  # features from files
            return np.asarray(load(), np.float32)
        depends = {"kind": "features", "backbone": self._backbone, "pictures": pictures}
        arrays, _ = self._cache.get(depends, lambda: {"features": self._forward.features(load())})
        return np.asarray(arrays["features"])

    def of(self, shown: Shown) -> NDArray[np.float32]:
        """Features (T, D) float32 of pictures that are at hand."""
        return self.get(shown.key, lambda: shown.images)


def _backbone_key(network: Network) -> str:
    """Digest of all that decides what is made of pictures: the code, settings, precision, the weights in order."""
    code = "".join(inspect.getsource(module) for module in (train.backbones, train.shift))
    found = hashlib.sha256(code.encode())
    found.update(json.dumps(network.settings.sees, sort_keys=True).encode())
    found.update("".join(sorted({layer.compute_dtype for layer in network.features.layers})).encode())
    for weight in network.features.weights:
        found.update(str(weight.shape).encode())
        found.update(np.ascontiguousarray(weight.numpy()).tobytes())
    return found.hexdigest()
