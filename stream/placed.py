"""Runs of one size whose inputs and outputs always lie in the same places on the device, and so may be captured.

    pictures ──copied──► places ──► a run that reads one bank and writes the other ──► places ──copied──► logits

A CUDA graph is a run of kernels that was recorded once and is launched as one; what it reads and writes lies where it
lay when it was recorded. So each size has places of its own, and for each of the two banks that may be read a binding
and a graph of its own. ONNX Runtime runs a step two or three times over to record it (onnxruntime#32243), which is
harmless here: a run reads what it does not write, so it comes to the same however often it is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Bank: TypeAlias = Mapping[str, ort.OrtValue]
"""The states of all tracks, by the names that they go in by."""
GRAPH_ID = "gpu_graph_id"
"""ONNX Runtime's name for which graph a run replays, or records if it is new."""


def placed(array: NDArray[Any], where: str) -> ort.OrtValue:
    """A copy of `array` on the device `where`, cpu or cuda."""
    return ort.OrtValue.ortvalue_from_numpy(np.array(array), where, 0)  # on the CPU it would share the array's memory


class PlacedRun:
    """A session's runs with one number of rows."""

    def __init__(
        self,
        session: ort.InferenceSession,
        where: str,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, NDArray[Any]],
        banks: tuple[Bank, Bank],
        next_of: Mapping[str, str],
        graphs: tuple[int, int] | None,
    ) -> None:
        """Makes the places, and binds them.

        Args:
            session: whose runs.
            where: the device of the places: cpu or cuda.
            inputs: by name, an array of the shape and type of each; they are copied there.
            outputs: the same of those that are read after each run.
            banks: the states, of which a run reads one and writes the other.
            next_of: for each name in a bank, that of the output that it is written by.
            graphs: ids of the two CUDA graphs, of no other run of this session; None where runs are not captured.
        """
        self._session = session
        self._inputs = {name: placed(array, where) for name, array in inputs.items()}
        self._outputs = {name: placed(array, where) for name, array in outputs.items()}
        self._bindings = [self._bound(banks[turn], banks[1 - turn], next_of) for turn in (0, 1)]
        self.graphs: Sequence[int] = graphs or ()
        self._options = [_replaying(graph) for graph in self.graphs] or [None, None]

    def __call__(self, turn: int, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The outputs of a run on `feeds`, of the inputs' very shapes, that reads bank `turn` and writes the other."""
        for name, array in feeds.items():
            self._inputs[name].update_inplace(np.ascontiguousarray(array))
        self._session.run_with_iobinding(self._bindings[turn], self._options[turn])
        return {name: np.array(value.numpy()) for name, value in self._outputs.items()}  # on the CPU, numpy() is a view

    def release(self) -> None:
        """Lets go of the graphs, whose banks are about to move."""
        for graph in self.graphs:
            release = getattr(self._session, "release_captured_graph", None)  # since 1.27 or thereabouts
            if release is not None:
                release(graph)

    def _bound(self, now: Bank, after: Bank, next_of: Mapping[str, str]) -> ort.IOBinding:
        binding = self._session.io_binding()
        for name, value in (*self._inputs.items(), *now.items()):
            binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            binding.bind_ortvalue_output(name, value)
        for name, value in after.items():
            binding.bind_ortvalue_output(next_of[name], value)
        return binding


def _replaying(graph: int) -> ort.RunOptions:
    options = ort.RunOptions()
    options.add_run_config_entry(GRAPH_ID, str(graph))
    return options
