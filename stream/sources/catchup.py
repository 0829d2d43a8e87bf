"""Which packets of a live stream are left undecoded so that what is shown stays near what happens. Pure; no clock.

A machine that decodes a camera more slowly than it sends does not lose pictures: they wait in the system's buffers, and
what is judged is seconds old, then minutes. The times that the packets carry tell: they come ever later than the
quickest ones came. What piled up in a short silence of the network is decoded within less than `LASTING_S` and does not
count. Where it lasts, everything is left out until packets come at the pace of their own times again, which means that
nothing waits any more, and from there to the next keyframe, at which decoding can begin.
"""

from __future__ import annotations

from collections import deque

LATE_S = 1.0
"""Behind the quickest packets by so much for `LASTING_S`: decoding does not keep up."""
LASTING_S = 2.0
CREEP = 0.001
"""Seconds a second by which the quickest may be forgotten: a camera's clock runs apart from ours by less."""
JUMP_S = 5.0
"""A step that large is the camera's clock set, not a delay."""
PACE = 4
"""Packets over which their pace is measured."""
NO_KEY_S = 15.0
"""Streams that refresh piece by piece have no keyframes: after so long decoding goes on without."""


class CatchUp:
    """Follows one connection.

    Attributes:
        skipped: packets that were left out.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self._quickest: float | None = None  # least difference of our clock and the packets' times
        self._latest = 0.0  # the newest difference
        self._now = 0.0
        self._late_since: float | None = None
        self._skipping_since: float | None = None
        self._is_through = False  # while skipping: nothing waits any more
        self._paces: deque[tuple[float, float]] = deque(maxlen=PACE + 1)

    def leaves_out(self, time: float | None, now: float, is_key: bool) -> bool:
        """Whether a packet is not to be decoded.

        Args:
            time: its presentation time in seconds; None where it carries none.
            now: seconds of our clock when it was handed out.
            is_key: decoding can begin with it.
        """
        if time is not None:
            self._heed(time, now)
        if self._skipping_since is None:
            return False
        may_begin = is_key and self._is_through
        if may_begin or now - self._skipping_since > NO_KEY_S:
            self._skipping_since = self._late_since = None
            self._quickest = self._latest
            return False
        self.skipped += 1
        return True

    def _heed(self, time: float, now: float) -> None:
        """Takes when a packet came, and decides whether to skip."""
        late = now - time
        if self._quickest is None or abs(late - self._latest) > JUMP_S:
            self._quickest, self._late_since = late, None
        self._quickest = min(late, self._quickest + CREEP * (now - self._now))
        self._latest, self._now = late, now
        self._paces.append((time, now))
        if self._skipping_since is not None:
            (first, begun), pace = self._paces[0], len(self._paces) > PACE
            self._is_through = self._is_through or (pace and time - first <= 1.5 * (now - begun))
        elif late - self._quickest <= LATE_S:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now
        elif now - self._late_since >= LASTING_S:
            self._skipping_since, self._is_through = now, False
            self._paces.clear()
