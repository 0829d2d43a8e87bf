"""A model whose tracks' states stay where it runs: pictures go to the device, logits come back, nothing else moves.

Two banks take turns: a run reads one and writes the other, so that a run that fails has changed nothing, and can be
tried again without the row that broke it. Row 0 belongs to nobody; rows that pad a batch read and write it. The graph
is stream.fused's; on CUDA its runs are captured and replayed (stream.placed) where ONNX Runtime can.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from stream.batch import Outcome, run
from stream.bundle import Bundle
from stream.contracts import Mode, State
from stream.errors import BundleError, DeviceError
from stream.fused import FRESH, HEALTHY, IMAGES, LOGITS, ROWS, bank_in, bank_out, fused, parts
from stream.placed import PlacedRun, placed
from stream.session import CUDA, ORT_ERRORS, line_of, open_session
from stream.threads import available_cores

logger = logging.getLogger("stream")

CAPACITY = 64
NOBODY = 0
KNOWN = "known"
"""Which rows hold a state already: the others are fresh, as is what pads a batch."""


def pays(providers: Sequence[str], mode: Mode) -> bool:
    """Whether states had better stay where features are computed by `providers`, the first one first."""
    return providers[0] == CUDA and mode == "carry"


class Resident:
    """Steps tracks through both graphs at once, in `carry` mode, and keeps their states."""

    name = "resident"

    def __init__(
        self,
        bundle: Bundle,
        device: str = "auto",
        threads: int | None = None,
        *,
        capacity: int = CAPACITY,
        graphs: bool | None = None,
    ) -> None:
        """Opens the joined graph.

        Args:
            bundle: whose graphs.
            device: one of `stream.session.DEVICES`.
            threads: CPU threads of a run; all cores when None.
            capacity: tracks that there is room for at first; the room doubles when it is full.
            graphs: capture runs as CUDA graphs; where it runs on CUDA, when None. Where that is refused, a warning says
                why and runs are as without.

        Raises:
            BundleError: the graphs are damaged, or cannot be joined.
            ConfigError, DeviceError: the device cannot be used here, or the onnx package is missing.
        """
        self._bundle, self._device, self._threads = bundle, device, threads or available_cores()
        self._path = bundle.folder
        self._graph = fused(bundle)
        self.refusal: str | None = None
        """Why runs are not captured though they were to be."""
        self.graphs = False
        """Whether runs are captured as CUDA graphs."""
        self.session = self._open(graphs)
        self.providers: list[str] = self.session.get_providers()
        self._where = "cuda" if self.providers[0] == CUDA else "cpu"
        self._rows: dict[str, int] = {}
        self._fresh: set[str] = set()
        self._free = list(range(capacity, NOBODY, -1))
        states = [(part, tensor) for part, spec in parts(bundle.spec) for tensor in spec.state]
        self._names = {bank_in(part, tensor): bank_out(part, tensor) for part, tensor in states}
        zeros = {bank_in(part, t): np.zeros((capacity + 1, *t.shape), t.dtype) for part, t in states}
        self._banks = self._two_banks(zeros)
        self._turn = 0  # which bank is read next
        self._runs: dict[int, PlacedRun] = {}  # by rows
        self._captured = 0  # graphs so far: ids are not used again

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

    def warm_up(self, size: int) -> None:
        """Runs `size` rows of nobody, once from each bank where that is captured: a size's first runs are slow ones.

        Raises:
            DeviceError: the graph does not run on the device.
        """
        nobody = np.zeros((0, self._bundle.input.height, self._bundle.input.width, 3), np.uint8)
        for _ in range(2 if self.graphs else 1):
            self.judge([], nobody, size)

    def bare(self, rows: int) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
        """The run of the first `rows` rows, pictures (N, H, W, 3) to logits (N, K), and nothing around it.

        For those who hold the line against it; whoever calls it does not call `judge`, whose states it would step.
        """
        run_once = self._run_of(rows)
        feeds: State = {ROWS: np.arange(1, rows + 1), FRESH: np.zeros(rows, np.bool_)}

        def step(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            outputs = run_once(self._turn, {IMAGES: images, **feeds})
            self._turn = 1 - self._turn
            return outputs[LOGITS]

        return step

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
        """Doubles the room, all but the row of nobody. The banks move, so what was captured is of no more use."""
        held = {name: value.numpy() for name, value in self._banks[self._turn].items()}
        more = {name: np.zeros((len(rows) - 1, *rows.shape[1:]), rows.dtype) for name, rows in held.items()}
        self._forget_runs()
        self._banks = self._two_banks({name: np.concatenate((held[name], more[name])) for name in held})
        known = len(self._rows)
        self._free.extend(range(2 * known, known, -1))

    def _two_banks(self, states: State) -> tuple[dict[str, ort.OrtValue], dict[str, ort.OrtValue]]:
        one, other = ({name: placed(rows, self._where) for name, rows in states.items()} for _ in range(2))
        return one, other

    def _step(self, images: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """One run, as stream.batch wants it: zeros are black pictures of nobody. The banks then change places."""
        feeds = {IMAGES: images, ROWS: state[ROWS], FRESH: ~state[KNOWN]}
        try:
            outputs = self._run_of(len(images))(self._turn, feeds)
        except ORT_ERRORS as error:
            if not self.graphs:
                raise DeviceError(f"{self._path}: the run failed on {self.providers[0]}: {line_of(error)}") from error
            self._do_without_graphs(line_of(error))
            return self._step(images, state)
        self._turn = 1 - self._turn
        return outputs[LOGITS], {HEALTHY: outputs[HEALTHY]}

    def _run_of(self, rows: int) -> PlacedRun:
        """The run of so many rows; its first one in each turn is captured where runs are."""
        if rows not in self._runs:
            seen, labels = self._bundle.input, len(self._bundle.labels)
            images = np.zeros((rows, seen.height, seen.width, 3), np.uint8)
            inputs: State = {IMAGES: images, ROWS: np.zeros(rows, np.int64), FRESH: np.ones(rows, np.bool_)}
            outputs: State = {LOGITS: np.zeros((rows, labels), np.float32), HEALTHY: np.zeros(rows, np.bool_)}
            ids = None
            if self.graphs:
                ids, self._captured = (self._captured + 1, self._captured + 2), self._captured + 2
            self._runs[rows] = PlacedRun(self.session, self._where, inputs, outputs, self._banks, self._names, ids)
        return self._runs[rows]

    def _forget_runs(self) -> None:
        for each in self._runs.values():
            each.release()
        self._runs.clear()

    def _open(self, graphs: bool | None) -> ort.InferenceSession:
        """The session; one that captures unless `graphs` is False, where that is CUDA and ONNX Runtime agrees."""
        if graphs is False:
            return self._opened(capture=False)
        try:
            session = self._opened(capture=True)
        except (BundleError, DeviceError) as error:  # what is wrong with the graph or the device is raised again here
            session = self._opened(capture=False)
            self._refuse(line_of(error.__cause__ if isinstance(error.__cause__, Exception) else error))
            return session
        self.graphs = session.get_providers()[0] == CUDA
        if graphs and not self.graphs:
            self._refuse(f"expected {CUDA}, got {session.get_providers()[0]}")
        return session

    def _opened(self, *, capture: bool) -> ort.InferenceSession:
        return open_session(self._graph, self._path, self._bundle, self._device, self._threads, capture=capture)

    def _do_without_graphs(self, reason: str) -> None:
        """Goes on in a session that captures nothing; the states stay where they are."""
        self._forget_runs()
        self.session = self._opened(capture=False)
        self._refuse(reason)

    def _refuse(self, reason: str) -> None:
        self.graphs, self.refusal = False, reason
        logger.warning("%s: runs are not captured as CUDA graphs: %s", self._path, reason)
