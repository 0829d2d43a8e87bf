"""Who decodes when: no more cameras at once than there are cores, so that the thread that judges gets its turn.

Forty decoders that all may run leave the system forty threads to share two cores between. One that is stopped in the
middle of its slice may hold Python's lock, and then everyone waits until it is its turn again. Measured with 640x360 at
25 a second and five labels a second on two cores: 27 cameras were held with everyone running, and 28 collapsed; 32 are
held with as many as there are cores, and what is more than that loses evenly.
"""

from __future__ import annotations

from itertools import count
from threading import Lock

from stream.threads import available_cores

PATIENCE_S = 0.25
"""A decoder that takes longer than any picture can is not waited for: it may stand still for ever."""


class Lane:
    """What several cameras have in common: while one of them is inside, the others wait, but not for ever."""

    def __init__(self) -> None:
        self._lock = Lock()

    def enter(self) -> bool:
        """Waits for its turn; False where that took too long, and whoever asked goes on beside the other."""
        return self._lock.acquire(timeout=PATIENCE_S)

    def leave(self, entered: bool) -> None:
        """Makes room, where `enter` gave `entered`."""
        if entered:
            self._lock.release()


class Lanes:
    """As many lanes as `cores`, given out in turn."""

    def __init__(self, cores: int) -> None:
        self._lanes = tuple(Lane() for _ in range(max(1, cores)))
        self._given = count()

    def next(self) -> Lane:
        """The lane of one more camera."""
        return self._lanes[next(self._given) % len(self._lanes)]


LANES = Lanes(available_cores())
"""Of this process."""
