"""Replicas of a head's state, restarted in turn, so that what speaks has seen many ticks and never too many.

A head trained on short sequences drifts where it is carried for hours; one that is restarted forgets everything at
once. So R replicas are carried beside each other, each restarted every P ticks, P/R ticks apart, and the oldest
speaks: it has always seen more than P - P/R ticks and never more than P. A tick costs R rows of one batched head step,
however long the stream. Which replica restarts and which speaks depends on the number of the tick alone. Only the
head is restarted: features that keep state keep it for the whole session, as in carry. No graph is opened here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from stream.batch import Outcome, Step, run
from stream.contracts import State
from stream.state import StateBank


def ages(tick: int, period: int, replicas: int) -> list[int]:
    """How many ticks each replica has seen since its restart, `tick` counted; a session's first tick is number 0.

    All begin with the session; replica r is first restarted at tick r P / R, rounded down, then every P ticks.

    Args:
        tick: its number in the session.
        period: P, ticks from restart to restart.
        replicas: R, from 1 to P.
    """
    offsets = [replica * period // replicas for replica in range(replicas)]
    return [tick + 1 if tick < offset else (tick - offset) % period + 1 for offset in offsets]


def shortest_memory(period: int, replicas: int) -> int:
    """Ticks that the speaking replica has seen at least, once the session is P ticks old."""
    return min(max(ages(tick, period, replicas)) for tick in range(period, 2 * period))


class Staggered:
    """The replicas of every camera, and the step that carries them on."""

    def __init__(self, step: Step, zeros: Callable[[int], State], period: int, replicas: int) -> None:
        """Makes replicas without cameras.

        Args:
            step: the head's.
            zeros: n -> the head's state of n fresh rows.
            period: P, ticks from a replica's restart to its next.
            replicas: R, from 2 to P.
        """
        self._step = step
        self._bank = StateBank(zeros)
        self._period = period
        self._replicas = replicas
        self._seen: Counter[str] = Counter()

    def judge(self, cameras: Sequence[str], features: NDArray[np.float32], size: int) -> Outcome:
        """Logits (n, K) of the replicas that speak, each having seen `features` (n, D) of its camera.

        The state stays here; a camera is healthy where all its replicas are.

        Args:
            cameras: n of them, each once.
            features: (n, D) float32.
            size: cameras that the run is padded to; it has R times as many rows, the speaking ones first.

        Raises:
            DeviceError: as `stream.batch.run`.
        """
        by_age = [self._oldest_first(camera) for camera in cameras]
        rows = [
            (camera, order[place])
            for place in range(self._replicas)
            for camera, order in zip(cameras, by_age, strict=True)
        ]
        repeated = np.tile(features, (self._replicas, 1))
        judged = run(self._step, repeated, self._bank.gather(rows), size * self._replicas)
        self._bank.scatter(rows, judged.state)
        self._seen.update(cameras)
        healthy = np.logical_and.reduce(judged.healthy.reshape(self._replicas, len(cameras)))
        return Outcome(judged.output[: len(cameras)], {}, healthy)

    def drop(self, camera: str) -> None:
        """Forgets `camera`, known or not."""
        self._seen.pop(camera, None)
        for replica in range(self._replicas):
            self._bank.drop((camera, replica))

    def _oldest_first(self, camera: str) -> list[int]:
        """The camera's replicas by their age at its next tick, the oldest first; those that begin with it are fresh."""
        old = ages(self._seen[camera], self._period, self._replicas)
        for replica in range(self._replicas):
            if old[replica] == 1:
                self._bank.reset((camera, replica))
        return sorted(range(self._replicas), key=lambda replica: -old[replica])
