"""The least that a label can cost: a bundle's graphs in the barest loop around ONNX Runtime.

No tracks, no sessions, no checks, no decision: every row of the batch steps together, and what comes out as state goes
straight back in. It runs the very sessions that the line runs, with their providers, threads and memory; where the line
keeps states on the device, a session like the one that it has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.bench.conditions import OpenBundle
from stream.bundle import Bundle
from stream.errors import ConfigError
from stream.inference import OnnxWhole
from stream.schema import GraphSpec

Step: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""The next pictures (N, H, W, 3) of all rows to logits (N, K)."""


def bare_loop(opened: OpenBundle, rows: int) -> Step:
    """The barest loop there is for `opened`, at zero state: a step of `rows` rows.

    Raises:
        ConfigError: the bundle's mode is neither carry nor window, or it promises no batch of so many rows.
        DeviceError: the graphs do not run on the device.
    """
    most = opened.bundle.spec.max_batch
    if most is not None and rows > most:
        raise ConfigError(f"{opened.bundle.model}: expected at most {most} tracks (max_batch), got {rows}; take fewer")
    if opened.stays:
        return opened.resident(rows).bare(rows)
    return _bare_whole(opened.whole, opened.bundle, rows) if opened.whole else BareLoop(opened, rows).step


def _bare_whole(whole: OnnxWhole, bundle: Bundle, rows: int) -> Step:
    """The loop through the fused graph."""
    inputs, outputs = _names(bundle.spec.whole)
    state = list(whole.zeros(rows).values())

    def step(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal state
        logits, *state = whole.session.run(outputs, dict(zip(inputs, (images, *state), strict=True)))
        judged: NDArray[Any] = logits
        return judged

    return step


class BareLoop:
    """Steps a batch through both graphs, in the bundle's own mode."""

    def __init__(self, opened: OpenBundle, rows: int) -> None:
        """Makes a loop at zero state.

        Args:
            opened: what is measured.
            rows: of every batch.

        Raises:
            ConfigError: the bundle's mode is neither carry nor window.
        """
        bundle = opened.bundle
        temporal = bundle.spec.temporal
        if temporal.mode not in ("carry", "window"):
            raise ConfigError(f"{bundle.model}: expected mode carry or window to measure against, got {temporal.mode}")
        self._features, self._head = opened.features.session, opened.head.session
        self._names = _names(bundle.spec.features), _names(bundle.spec.head)
        self._zeros = bundle.spec.head.zeros(rows)
        self._features_state = list(bundle.spec.features.zeros(rows).values())
        self._head_state = list(self._zeros.values())
        self._window: deque[NDArray[np.float32]] | None = None
        if temporal.mode == "window":
            self._window = deque(maxlen=temporal.window)

    def step(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, K) float32 of the next `images` (N, H, W, 3) uint8."""
        (inputs, outputs), (head_inputs, head_outputs) = self._names
        seen, *self._features_state = self._features.run(
            outputs, dict(zip(inputs, (images, *self._features_state), strict=True))
        )
        if self._window is None:
            vectors = [seen]
        else:
            self._window.append(seen)
            vectors, self._head_state = list(self._window), list(self._zeros.values())
        for vector in vectors:
            logits, *self._head_state = self._head.run(
                head_outputs, dict(zip(head_inputs, (vector, *self._head_state), strict=True))
            )
        result: NDArray[Any] = logits
        return result


def _names(spec: GraphSpec) -> tuple[list[str], list[str]]:
    """Inputs and outputs of a graph, the data first, then the states in one order."""
    return [spec.input, *(state.input for state in spec.state)], [spec.output, *(state.output for state in spec.state)]
