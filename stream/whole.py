"""A model whose two graphs are one (`export --fuse`): a run less a tick, and nothing carried from the one to the other.

Tracks' states come and go as values, as with the two graphs; a row that hurts is told apart in the same way
(stream.batch), and by its features, too. The other way to have one graph is stream.resident's, where states stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream.batch import Outcome, run
from stream.bundle import Bundle
from stream.contracts import Mode
from stream.inference import OnnxWhole
from stream.resident import pays
from stream.session import resolve_device
from stream.state import StateBank


def serves(bundle: Bundle, device: str, mode: Mode | None = None, *, gated: bool = False) -> bool:
    """Whether ticks had better be stepped through the bundle's fused graph: it has one, and nothing else is wanted.

    That is in carry mode, without a gate, and not where states had better stay on the device (stream.resident).

    Raises:
        ConfigError, DeviceError: the device cannot be used here.
    """
    carried = (mode or bundle.spec.temporal.mode) == "carry" and not gated
    return bundle.spec.fused is not None and carried and not pays(resolve_device(device), "carry")


class Whole:
    """Steps tracks through the fused graph, in `carry` mode, and keeps their states."""

    name = "fused"

    def __init__(self, bundle: Bundle, graph: OnnxWhole) -> None:
        """Makes a model without tracks of the open `graph` of `bundle`."""
        self._graph = graph
        self._states = StateBank(graph.zeros)
        self._nothing = np.zeros((0, bundle.input.height, bundle.input.width, 3), np.uint8)

    def judge(self, cameras: Sequence[str], images: NDArray[np.uint8], size: int) -> Outcome:
        """Logits (n, K) of the next `images` (n, H, W, 3) of `cameras`, each another one, in a run of `size` rows.

        The state of a camera whose row is not healthy is of no use: whoever asked drops it. States are not handed out.

        Raises:
            DeviceError: the run fails on zeros as well, so it is no row's fault.
        """
        outcome = run(self._graph.step, images, self._states.gather(cameras), size)
        self._states.scatter(cameras, outcome.state)
        return Outcome(outcome.output, {}, outcome.healthy)

    def warm_up(self, size: int) -> None:
        """Runs `size` rows of nobody: a size's first run is a slow one.

        Raises:
            DeviceError: the graph does not run on the device.
        """
        run(self._graph.step, self._nothing, self._states.gather([]), size)

    def drop(self, camera: str) -> None:
        """Forgets `camera`, known or not."""
        self._states.drop(camera)

    def __len__(self) -> int:
        return len(self._states)
