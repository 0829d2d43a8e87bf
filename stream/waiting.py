"""Whether a step had better wait for a few more ticks: when that makes the sum of all delays smaller. Pure; no clock.

Cameras are regular, so it is known about when the next tick of each is due; and it is known what a step of each batch
size costs. With n ticks at hand, waiting for the k that are due next delays those n by the wait, and spares the k the
rest of a step that began without them, and all the cost of a second one. On a GPU, where a step of eight costs little
more than one of one, that often pays. On a CPU, where a row costs what it costs, it hardly ever does. With one camera
there is nobody to wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

SLACK_S = 0.003
"""Seconds by which a tick may come later than it is due and still be waited for."""


def worth_waiting(
    now: float, ready: int, due: Sequence[float], cost: Callable[[int], float], most: int
) -> tuple[int, float]:
    """For how many more ticks to wait, and how many seconds at most; (0, 0) where a step had better begin at once.

    Args:
        now: the time.
        ready: ticks at hand, 1 or more.
        due: when the next ticks of other tracks are expected; what is overdue is not waited for.
        cost: seconds of a step, by its number of ticks.
        most: ticks of a step at most.
    """
    coming = sorted(time for time in due if time > now - SLACK_S)[: max(0, most - ready)]
    best, gain = (0, 0.0), 0.0
    for more, time in enumerate(coming, 1):
        wait = max(0.0, time - now) + SLACK_S
        together = (ready + more) * (wait + cost(ready + more))
        apart = ready * cost(ready) + more * (max(cost(ready), wait) + cost(more))
        if apart - together > gain:
            best, gain = (more, wait), apart - together
    return best


class StepCosts:
    """What a step of each batch size costs, learnt from the steps that were."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def took(self, size: int, seconds: float) -> None:
        """Takes what one step of `size` rows took; the newest eighth of what is known."""
        known = self._seconds.get(size, seconds)
        self._seconds[size] = known + (seconds - known) / 8

    def of(self, size: int) -> float:
        """Seconds of a step of `size` rows; of a size that never ran, as many times a known one as it has rows."""
        if size in self._seconds or not self._seconds:
            return self._seconds.get(size, 0.0)
        nearest = min(self._seconds, key=lambda known: abs(known - size))
        return self._seconds[nearest] * size / nearest
