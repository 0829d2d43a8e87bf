"""Whose turn it is: which ticks of which readers the engine judges next. No model runs here, and nothing is told.

Readers come in turn, each with one tick a track, so that one that floods its ring takes nothing from the others. Where
the recognizer has several batch sizes, files and live cameras also take turns with each other and never share a batch:
a file's ticks always run in the smallest size, whatever cameras come and go. A live tick that is too old when its turn
comes is passed over and counted; a file's never.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Condition

from stream.batch import smallest
from stream.contracts import Status, Tick
from stream.handover import POLL_S
from stream.readers import News, Reader
from stream.waiting import StepCosts, worth_waiting


@dataclass(frozen=True)
class Turn:
    """What comes next.

    Attributes:
        ticks: with whose they are, at most one a track and in the readers' order; none after a while without.
        news: the news that stands behind them.
        fixed: True for files' ticks, which must run in one batch size.
        sizes: batch sizes that the ticks may run in, ascending.
    """

    ticks: list[tuple[Reader, Tick]]
    news: list[tuple[Reader, Status]]
    fixed: bool
    sizes: tuple[int, ...]


class Turns:
    """The readers that have not ended, and whose turn it is. All is called by the engine's thread.

    Attributes:
        judged: live ticks that were handed out so far.
        waiting, left: live ticks that waited when the last turn began, and when it had taken its own.
    """

    def __init__(self, signal: Condition, *, apart: bool, stale_s: float, max_wait_s: float | None) -> None:
        """Begins without readers.

        Args:
            signal: of all readers' rings.
            apart: files in batches of their own.
            stale_s: age at which a live tick is not judged any more, from its arrival.
            max_wait_s: how long a turn waits for more ticks once there is one; None waits where that pays.
        """
        self.judged = self.waiting = self.left = 0
        self._signal = signal
        self._apart = apart
        self._stale_s = stale_s
        self._max_wait_s = max_wait_s
        self._lanes: deque[deque[Reader]] = deque([deque()])
        self._of_files = self._lanes[0]
        if apart:
            self._lanes.append(deque())
        self._of_live = self._lanes[-1]
        self._costs = StepCosts()
        self._latest: dict[str, tuple[int, float]] = {}  # by live track: session and time of the last tick handed out

    def __iter__(self) -> Iterator[Reader]:
        """The readers, the next in turn first."""
        return (reader for lane in tuple(self._lanes) for reader in tuple(lane))

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def admit(self, reader: Reader) -> None:
        """Gives `reader` its turns from here on."""
        (self._of_live if reader.source.live else self._of_files).append(reader)

    def release(self, reader: Reader) -> None:
        """Forgets `reader`, known or not."""
        for lane in self._lanes:
            if reader in lane:
                lane.remove(reader)
        for track in reader.tracks:
            self._latest.pop(track.name, None)

    def took(self, turn: Turn, seconds: float) -> None:
        """Learns what the step took that judged `turn`."""
        self._costs.took(smallest(turn.sizes, min(len(turn.ticks), turn.sizes[-1])), seconds)

    def next(self, sizes: tuple[int, ...]) -> Turn:
        """The oldest tick of each track that has one, readers in turn, and the news behind them; none after a while.

        No more readers are asked once a batch is full. News ends a reader's turn: it is told before the ticks behind.

        Args:
            sizes: the batch sizes in use, ascending.
        """
        self.waiting = self._count_live()
        with self._signal:
            self._signal.wait_for(lambda: any(len(reader.ring) or reader.ring.closed for reader in self), POLL_S)
            lane = next((lane for lane in self._lanes if _ready(lane)), self._lanes[0])
            fixed = lane is self._of_files and self._apart
            sizes = sizes[:1] if fixed else sizes
            self._wait_for_more(lane, sizes)
        turn = Turn([], [], fixed, sizes)
        for _ in range(len(lane)):
            if len(turn.ticks) >= sizes[-1]:
                break
            if len(lane[0].ring):
                self._take(lane[0], turn)
            lane.rotate(-1)
        if lane is self._lanes[0]:
            self._lanes.rotate(-1)
        self.left = self._count_live()
        return turn

    def _count_live(self) -> int:
        return sum(len(reader.ring) for reader in self._of_live if reader.source.live)

    def _wait_for_more(self, lane: deque[Reader], sizes: tuple[int, ...]) -> None:
        """Waits for a fuller batch, as long as was asked for or as that pays; its caller holds the signal."""
        ready = _ready(lane)
        if not ready:
            return
        if self._max_wait_s is not None:
            more, wait = min(sizes[-1], sum(len(reader.tracks) for reader in lane)) - ready, self._max_wait_s
        else:
            due = [track.due for reader in lane if not len(reader.ring) for track in reader.tracks]
            more, wait = worth_waiting(time.monotonic(), ready, due, lambda n: self._cost(n, sizes), sizes[-1])
        if more > 0:
            self._signal.wait_for(lambda: _ready(lane) >= ready + more, wait)

    def _cost(self, ticks: int, sizes: tuple[int, ...]) -> float:
        return self._costs.of(smallest(sizes, min(ticks, sizes[-1])))

    def _take(self, reader: Reader, turn: Turn) -> None:
        """Moves a tick a track, or what comes before the next news, from the ring of `reader` to `turn`."""
        for _ in reader.tracks:
            item = self._fresh(reader)
            if isinstance(item, Status):
                turn.news.append((reader, item))
            if not isinstance(item, Tick):
                return
            if reader.source.live:
                self.judged += 1
                item = self._since_the_last(item)
            turn.ticks.append((reader, item))

    def _fresh(self, reader: Reader) -> News | None:
        """The oldest item of `reader` that is not too old, if there is one."""
        oldest = time.monotonic() - self._stale_s if reader.source.live else 0.0
        while isinstance(item := reader.ring.take(timeout=0), Tick) and item.arrived < oldest:
            reader.stale += 1
        return item

    def _since_the_last(self, tick: Tick) -> Tick:
        """`tick` with the media seconds since the last one of its session that was judged: some may be dropped."""
        session, before = self._latest.get(tick.camera, (None, 0.0))
        dt = tick.time - before if session == tick.session else 0.0
        self._latest[tick.camera] = tick.session, tick.time
        return tick if dt == tick.dt else replace(tick, dt=dt)


def _ready(lane: deque[Reader]) -> int:
    """Ticks, or news, that could be taken at once."""
    return sum(min(len(reader.ring), len(reader.tracks)) for reader in lane)
