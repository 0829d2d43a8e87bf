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

from stream.batch import Outcome
from stream.bundle import Bundle
from stream.errors import DeviceError
from stream.fused import FRESH, HEALTHY, IMAGES, LOGITS, ROWS, bank_in, bank_out, fused, parts
from stream.session import CUDA, ORT_ERRORS, line_of, open_session
from stream.threads import available_cores

CAPACITY = 64
NOBODY = 0


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
        self._size = (bundle.input.height, bundle.input.width, 3)
        self._classes = len(bundle.labels)
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
        n = len(cameras)
        rows, fresh = np.full(size, NOBODY, np.int64), np.ones(size, np.bool_)
        for place, camera in enumerate(cameras):
            rows[place] = self._row(camera)
            fresh[place] = camera in self._fresh
        batch = images
        if n < size:
            batch = np.zeros((size, *self._size), np.uint8)
            batch[:n] = images
        logits, healthy = self._guarded(np.ascontiguousarray(batch), rows, fresh, range(n))
        self._fresh.difference_update(cameras)
        for camera, sound in zip(cameras, healthy[:n], strict=True):
            if not sound:  # what made a run fail has kept its old state
                self._fresh.add(camera)
        return Outcome(np.where(healthy[:n, None], logits[:n], np.float32(0)), {}, healthy[:n])

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

    def _guarded(
        self, images: NDArray[np.uint8], rows: NDArray[np.int64], fresh: NDArray[np.bool_], places: range
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Logits and health of a whole batch of which `places` are in use; those that make a run fail are not well."""
        try:
            return self._run(images, rows, fresh)
        except DeviceError:
            if len(places) == 0:
                raise
        if len(places) == 1:
            self._guarded(*_only(places[:0], images, rows, fresh), places[:0])
            return np.zeros((len(rows), self._classes), np.float32), np.zeros(len(rows), np.bool_)
        half = len(places) // 2
        logits, healthy = self._guarded(*_only(places[:half], images, rows, fresh), places[:half])
        others, well = self._guarded(*_only(places[half:], images, rows, fresh), places[half:])
        first = np.arange(len(rows)) < places[half]
        return np.where(first[:, None], logits, others), np.where(first, healthy, well)

    def _run(
        self, images: NDArray[np.uint8], rows: NDArray[np.int64], fresh: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """One run; the banks change places once it went well."""
        now, after = self._banks
        binding = self.session.io_binding()
        for name, array in ((IMAGES, images), (ROWS, rows), (FRESH, fresh)):
            binding.bind_cpu_input(name, array)
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
        return logits, healthy


def _only(
    places: range, images: NDArray[np.uint8], rows: NDArray[np.int64], fresh: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """The batch with black pictures of nobody everywhere but in `places`."""
    kept = np.zeros(len(rows), np.bool_)
    kept[list(places)] = True
    black = np.where(kept[:, None, None, None], images, np.uint8(0))
    return black, np.where(kept, rows, NOBODY), np.where(kept, fresh, True)
