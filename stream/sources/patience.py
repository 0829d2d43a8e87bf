"""How long a live source may be silent before it counts as stalled. Pure; it is told when packets came."""

from __future__ import annotations

from collections import deque

INTERVALS = 5  # of the camera's own rhythm, where that is slower
RHYTHM = 10  # packets that show it
LONGEST_S = 30.0


class Patience:
    """`seconds` is the larger of the least patience and 5 measured intervals between packets.

    FFmpeg is told of it when a connection is opened and not again. So a connection has the patience that the packets of
    earlier ones taught, the last ones most of all. A connection that fell silent before it had brought `RHYTHM` packets
    teaches that the camera may just be slow, or sends nothing before its next keyframe: patience doubles, up to 30 s,
    until one brings enough to measure.

    Args:
        least: seconds; infinite for what is waited for without a limit.
    """

    def __init__(self, least: float) -> None:
        self.seconds = self._least = least
        self._came: deque[float] = deque(maxlen=RHYTHM)

    def connected(self) -> None:
        """A connection begins: its first packet is no interval after the last one's."""
        self._came.clear()

    def packet(self, came: float) -> None:
        """A packet came at `came`, on the monotonic clock."""
        self._came.append(came)
        if len(self._came) == RHYTHM:
            interval = (self._came[-1] - self._came[0]) / (RHYTHM - 1)
            self.seconds = max(self._least, INTERVALS * interval)

    def ran_out(self) -> None:
        """The connection was silent for `seconds`."""
        if len(self._came) < RHYTHM:
            self.seconds = max(self.seconds, min(LONGEST_S, 2 * self.seconds))
