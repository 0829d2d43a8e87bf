"""Overload: whether the engine falls behind its live cameras, and how many ticks a second each track may have then.

Pure: times and counts go in. No thread, no clock. Nothing is dropped here: readers thin (`Thinner`), the engine sheds.

    behind      all through a window of `WINDOW_S` there was something to judge (a burst ends, an overload does not, as
                in CoDel, RFC 8289), and a `LOST` share of the ticks was not judged (pushed out, or too old), or one of
                each track was waiting even just after a batch was taken
    lowered     behind for `BEHIND` windows: no track gets more ticks a second than the ceiling, at which all of them
                together come to `HEADROOM` of what was judged. Whoever asks for less than that gets it; what waits goes
    raised      after a hold, by a quarter a window as long as that goes well; the first time by more with each window,
                since what made the engine fall behind may be over. Where it goes wrong, the next hold is twice as long
    recovered   the ceiling binds nobody any more, and for a hold nobody fell behind
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

WINDOW_S = 1.0
LOOKS = 3  # at least, in a window: one slow step proves nothing
LOST = 0.05
BEHIND = 2
HEADROOM = 0.9
RAISES = (0.25, 1.0)  # at first, and at most
HOLD_S = (2.0, 30.0)  # at first, and at most
LEAST = 0.1  # ticks a second: a ceiling is never lower


def even(rates: Iterable[float], capacity: float) -> float:
    """The ceiling at which `rates`, each cut to it, sum up to `capacity`; infinite where they do not exceed it.

    Everyone below the ceiling keeps what it has and all others get the same: the max-min fair share.
    """
    ascending = sorted(rates)
    for place, rate in enumerate(ascending):
        share = capacity / (len(ascending) - place)
        if rate > share:
            return share
        capacity -= rate
    return math.inf


class Thinner:
    """Keeps of one track's ticks no more than the ceiling lets through, evenly."""

    def __init__(self) -> None:
        self._credit = 1.0
        self._before: float | None = None

    def keeps(self, now: float, ceiling: float | None) -> bool:
        """Whether a tick of the time `now` is kept, `ceiling` being ticks a second; None keeps all."""
        if ceiling is None:
            self._before = None
            return True
        passed = 0.0 if self._before is None else now - self._before
        self._before = now
        # Up to two: ticks that come in pairs, or a little unevenly, get their share as well.
        self._credit = min(2.0, self._credit + passed * ceiling)
        if self._credit < 1:
            return False
        self._credit -= 1
        return True


class Overload:
    """Follows how the engine keeps up.

    Attributes:
        ceiling: ticks a second that a track may have at most; None while all are judged.
        lasting: True from the first lowering until the engine has recovered.
        seconds: how long that was so, in all.
    """

    def __init__(self, now: float) -> None:
        """Begins at `now`, well."""
        self.ceiling: float | None = None
        self.lasting = False
        self.seconds = 0.0
        self._begun = now
        self._looks, self._left, self._idle = 0, math.inf, False
        self._offered: Mapping[str, int] = {}
        self._judged = self._lost = self._behind = 0
        self._hold, self._until = HOLD_S[0], now
        self._raises = 0  # running

    def saw(self, waiting: int, left: int) -> None:
        """Takes how many live ticks were waiting when the engine had time, and how many when it had taken its batch."""
        self._looks += 1
        self._left = min(self._left, left)
        self._idle = self._idle or waiting == 0

    def is_due(self, now: float) -> bool:
        """True where a window is over."""
        return now - self._begun >= WINDOW_S and self._looks >= LOOKS

    def decide(self, now: float, offered: Mapping[str, int], judged: int, lost: int) -> bool:
        """Sets the ceiling at the end of a window; True where what waits now had better go.

        Args:
            now: the time.
            offered: ticks so far that were sampled, by live track.
            judged: live ticks so far that were.
            lost: live ticks so far that were handed over and pushed out, or found too old.
        """
        seconds = now - self._begun
        self.seconds += seconds * self.lasting
        rates = [max(0, count - self._offered.get(track, 0)) / seconds for track, count in offered.items()]
        capacity = (judged - self._judged) / seconds
        is_losing = lost - self._lost > LOST * sum(rates) * seconds
        is_standing = self._left >= max(1, sum(rate > 0 for rate in rates))
        self._behind = self._behind + 1 if not self._idle and (is_losing or is_standing) else 0
        self._begun, self._looks, self._left, self._idle = now, 0, math.inf, False
        self._offered, self._judged, self._lost = dict(offered), judged, lost
        if self._behind and (self.lasting or self._behind >= BEHIND):
            self._lower(now, rates, capacity)
            return True
        if self.lasting and not self._behind and now >= self._until:
            self._raise(now, max(rates, default=0.0))
        return False

    def _lower(self, now: float, rates: list[float], capacity: float) -> None:
        if self._raises and now - self._until < HOLD_S[1]:  # not long after a raise, or after it had recovered
            self._hold = min(2 * self._hold, HOLD_S[1])
        elif not self.lasting:
            self._hold = HOLD_S[0]
        fastest = max(rates, default=0.0)
        self.ceiling = max(LEAST, min(even(rates, HEADROOM * capacity), HEADROOM * fastest))
        self.lasting, self._raises = True, 0
        self._until = now + self._hold

    def _raise(self, now: float, fastest: float) -> None:
        if self.ceiling is None:
            self.lasting = False
            return
        is_first_time = self._hold == HOLD_S[0]
        self.ceiling *= 1 + min(RAISES[0] * 2 ** (self._raises * is_first_time), RAISES[1])
        self._raises += 1
        self._until = now + WINDOW_S
        if self.ceiling >= fastest:
            self.ceiling, self._until = None, now + self._hold
