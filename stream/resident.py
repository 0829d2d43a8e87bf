"""A model whose tracks' states stay where it runs: pictures go to the device, logits come back, nothing else moves.

Two banks take turns: a run reads one and writes the other, so that a run that fails has changed nothing, and can be
tried again without the row that broke it. Row 0 belongs to nobody; rows that pad a batch read and write it. The graph
is stream.fused's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from stream.batch import Outcome, run
from stream.bundle import Bundle
from stream.contracts import Mode, State
from stream.errors import DeviceError
from stream.fused import FRESH, HEALTHY, IMAGES, LOGITS, ROWS, bank_in, bank_out, fused, parts
from stream.session import CUDA, ORT_ERRORS, line_of, open_session
from stream.threads import available_cores

CAPACITY = 64
NOBODY = 0
KNOWN = "known"
"""Which rows hold a state already: the others are fresh, as is what pads a batch."""


def pays(providers: Sequence[str], mode: Mode) -> bool:
    """Whether states had better stay where features are computed by `providers`, the first one first."""
    return providers[0] == CUDA and mode == "carry"


class Resident:
    """Steps tracks through both graphs at once, in `carry` mode, and keeps their states."""

    def __init__(
        self, bundle: Bundle, device: str = "auto", threads: int | None = None, *, capacity: int = CAPACITY
    ) -> None:
        """Opens the joined graph.

        Args:
            bundle: whose graphs.
            device: one of `stream.session.DEVICES`.
            threads: CPU threads of a run; all cores when None.
            capacity: tracks that there is room for at first; the room doubles when it is full.

        Raises:
            BundleError: the graphs are damaged, or cannot be joined.
            ConfigError, DeviceError: the device cannot be used here, or the onnx package is missing.
        """
        self._path = bundle.folder
        session = open_session(fused(bundle), bundle.folder, bundle, device, threads or available_cores())
        self.session: ort.InferenceSession = session
        self.providers: list[str] = session.get_providers()
        self._where = "cuda" if self.providers[0] == CUDA else "cpu"
        self._rows: dict[str, int] = {}
        self._fresh: set[str] = set()
        self._free = list(range(capacity, NOBODY, -1))
        states = [(part, tensor) for part, spec in parts(bundle) for tensor in spec.state]
        self._names = {bank_in(part, tensor): bank_out(part, tensor) for part, tensor in states}
        self._banks = [
            {bank_in(p, t): self._placed(np.zeros((capacity + 1, *t.shape), t.dtype)) for p, t in states}
            for _ in range(2)
        ]

    def judge(self, cameras: Sequence[str], images: NDArray[np.uint8], size: int) -> Outcome:
        """Logits (n, K) of the next `images` (n, H, W, 3) of `cameras`, each another one, in a run of `size` rows.

        A camera whose row is not healthy has zero state afterwards. States are not handed out.

        Raises:
            DeviceError: the run fails on zeros as well, so it is no row's fault.
        """
        rows = np.array([self._row(camera) for camera in cameras], np.int64)
        known = np.array([camera not in self._fresh for camera in cameras], np.bool_)
        outcome = run(self._step, images, {ROWS: rows, KNOWN: known}, size)
        healthy = outcome.healthy & outcome.state[HEALTHY]
        for camera, sound in zip(cameras, healthy, strict=True):
            if sound:
                self._fresh.discard(camera)
            else:  # what made a run fail has kept its old state
                self._fresh.add(camera)
        return Outcome(np.where(healthy[:, None], outcome.output, np.float32(0)), {}, healthy)

    def drop(self, camera: str) -> None:
        """Forgets `camera`, known or not; its row serves the next new one."""
        row = self._rows.pop(camera, None)
        self._fresh.discard(camera)
        if row is not None:
            self._free.append(row)

    def __len__(self) -> int:
        return len(self._rows)

    def _row(self, camera: str) -> int:
        if camera not in self._rows:
            if not self._free:
                self._grow()
            self._rows[camera] = self._free.pop()
            self._fresh.add(camera)
        return self._rows[camera]

    def _grow(self) -> None:
        """Doubles the room, all but the row of nobody."""
        for number, bank in enumerate(self._banks):
            held = {name: value.numpy() for name, value in bank.items()}
            more = {name: np.zeros((len(rows) - 1, *rows.shape[1:]), rows.dtype) for name, rows in held.items()}
            self._banks[number] = {name: self._placed(np.concatenate((held[name], more[name]))) for name in held}
        known = len(self._rows)
        self._free.extend(range(2 * known, known, -1))

    def _placed(self, array: NDArray[Any]) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(array, self._where, 0)

    def _step(self, images: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """One run, as stream.batch wants it: zeros are black pictures of nobody. The banks then change places."""
        now, after = self._banks
        binding = self.session.io_binding()
        for name, array in ((IMAGES, images), (ROWS, state[ROWS]), (FRESH, ~state[KNOWN])):
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for name, value in now.items():
            binding.bind_ortvalue_input(name, value)
            binding.bind_ortvalue_output(self._names[name], after[name])
        binding.bind_output(LOGITS, "cpu")
        binding.bind_output(HEALTHY, "cpu")
        try:
            self.session.run_with_iobinding(binding)
        except ORT_ERRORS as error:
            raise DeviceError(f"{self._path}: the run failed on {self.providers[0]}: {line_of(error)}") from error
        *_, logits, healthy = binding.copy_outputs_to_cpu()
        self._banks = [after, now]
        return logits, {HEALTHY: healthy}
