"""Which packets of a live stream are left undecoded so that what is shown stays near what happens. Pure; no clock.

A machine that decodes a camera more slowly than it sends does not lose pictures: they wait in the system's buffers, and
what is judged is seconds old, then minutes. The times that the packets carry tell: they come ever later than the
quickest ones came. What piled up in a short silence of the network is decoded within less than `LASTING_S` and does not
count. Where it lasts, everything is left out until packets come at the pace of their own times again, which means that
nothing waits any more, and from there to the next keyframe, at which decoding can begin. What piled up while this
process itself stood still for long (Ctrl-Z, a paused container) is left out at once.

Packets without times of their own tell by whether they had to be waited for: one that did not was waiting itself.
"""

from __future__ import annotations

from collections import deque

LATE_S = 1.0
"""Behind the quickest packets by so much for `LASTING_S`: decoding does not keep up."""
LASTING_S = 2.0
CREEP = 0.001
"""Seconds a second by which the quickest may be forgotten: a camera's clock runs apart from ours by less."""
JUMP_S = 5.0
"""The packets' own times step by so much: the camera's clock was set. A delay of so much needs not last."""
PACE = 4
"""Packets over which their pace is measured."""
WAIT_S = 0.005
"""A packet that takes so long to come was waited for, and is new."""
UNWAITED_S = 0.3
"""For so long none had to be waited for: decoding does not keep up."""
WAITS = 3
"""Packets running that must be waited for until nothing waits any more: a busy machine may delay one that had come."""
LONGEST_S = 5.0
"""Nowhere does more pile up than can be read in so long: who still sends sends faster than any camera."""
NO_KEY_S = 15.0
"""Streams that refresh piece by piece have no keyframes: after so long decoding goes on without."""


class CatchUp:
    """Follows one connection.

    Args:
        late_s: seconds behind the quickest packets that are too many; `LATE_S` if None.
        lasting_s: seconds for which they must be; `LASTING_S` if None.
        near_s: seconds behind the quickest at which nothing counts as waiting.
        pace: packets over which their pace is measured.

    Attributes:
        skipped: packets that were left out.
    """

    def __init__(
        self,
        late_s: float | None = None,
        lasting_s: float | None = None,
        near_s: float = 0.0,
        pace: int = PACE,
    ) -> None:
        self.skipped = 0
        self._late_s = LATE_S if late_s is None else late_s
        self._lasting_s = LASTING_S if lasting_s is None else lasting_s
        self._near_s = near_s
        self._quickest: float | None = None  # least difference of our clock and the packets' times
        self._latest = 0.0  # the newest difference
        self._time = self._now = 0.0  # that it is the difference of
        self._late_since: float | None = None
        self._skipping_since: float | None = None
        self._is_through = False  # while skipping: nothing waits any more
        self._paces: deque[tuple[float, float]] = deque(maxlen=pace + 1)

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
        is_near = self._quickest is not None and self._latest - self._quickest <= self._near_s
        may_begin = is_key and (is_near or self._is_through)
        if may_begin or now - self._skipping_since > NO_KEY_S:
            self._skipping_since = self._late_since = None
            self._quickest = self._quickest if is_near else self._latest
            return False
        self.skipped += 1
        return True

    def _heed(self, time: float, now: float) -> None:
        """Takes when a packet came, and decides whether to skip."""
        late = now - time
        is_set = min(abs(late - self._latest), abs(time - self._time)) > JUMP_S
        if self._quickest is None or is_set:
            self._quickest, self._late_since = late, None
        self._quickest = min(late, self._quickest + CREEP * (now - self._now))
        self._latest, self._time, self._now = late, time, now
        self._paces.append((time, now))
        if self._skipping_since is not None:
            (first, begun), pace = self._paces[0], len(self._paces) == self._paces.maxlen
            self._is_through = self._is_through or (pace and time - first <= 1.5 * (now - begun))
            return
        if late - self._quickest <= self._late_s:
            self._late_since = None
            return
        self._late_since = now if self._late_since is None else self._late_since
        if now - self._late_since >= self._lasting_s or late - self._quickest > JUMP_S:
            self._skipping_since, self._is_through = now, False
            self._paces.clear()


class Waits:
    """Follows one connection whose packets carry no times, and stand each for itself (MJPEG over HTTP)."""

    def __init__(self) -> None:
        self._new: float | None = None  # when the last came that was waited for
        self._running = 0  # that were waited for
        self._skipping_since: float | None = None
        self._is_paced = True

    def leaves_out(self, asked: float, now: float) -> bool:
        """Whether a packet is not to be decoded, which was `asked` for and came `now`, in seconds of our clock."""
        is_new = now - asked >= WAIT_S
        self._running = self._running + 1 if is_new else 0
        if is_new or self._new is None:
            self._new = now
        if self._skipping_since is None:
            self._skipping_since = now if now - self._new > UNWAITED_S else None
        elif self._running >= WAITS:
            self._skipping_since = None
        elif now - self._skipping_since > LONGEST_S:
            self._is_paced = False
        return self._is_paced and self._skipping_since is not None
