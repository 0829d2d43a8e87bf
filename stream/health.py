"""How one live camera is, from what its reader sees of it: when it counts as stalled, away, unwell or well again.

Pure: times and counts go in, a `Status` comes out where something changed, None where nothing did. No thread, no clock.
The rules, all of them:

    online      a frame came
    degraded    frames come, but within `WINDOW_S` came `DAMAGED` damaged packets or pictures, or `DROPPED` ticks had to
                go because the engine was behind; or the stream has no usable times. Over with a window without
    stalled     no frame for `STALL_S`, or for `STALL_INTERVALS` of its own (median) intervals if that is longer
    offline     the connection ended or could not be made, or the camera's schedule says so; it is tried again
    failed      a file that cannot be read on, or a camera of which something is asked that cannot be; not tried again
"""

from __future__ import annotations

from collections import deque
from statistics import median

from stream.address import without_logins
from stream.contracts import AWAY, Health, Status
from stream.errors import SourceRefused, SourceStalled, StreamError

STALL_S = 3.0
STALL_INTERVALS = 5
INTERVALS = 16  # over which a camera's frame interval is measured
WINDOW_S = 10.0
DAMAGED = 5
DROPPED = 10


def reason_of(error: Exception, url: str = "") -> str:
    """`error` in one line without logins, and without the `url` in front; one that nobody foresaw, with its kind."""
    text = str(error) if isinstance(error, StreamError) else f"unexpected {type(error).__name__}: {error}"
    return without_logins(" ".join(text.split())).removeprefix(f"{url}: ")


class CameraHealth:
    """Follows one camera; times are of one monotonic clock.

    Attributes:
        health: what was told last; None before the first news.
        session: of the newest frame; whoever sampled it may set it, gaps counted in.
    """

    def __init__(self, camera: str, url: str, now: float) -> None:
        """Begins with a camera that nobody has heard of yet; `url` is what its errors begin with."""
        self.health: Health | None = None
        self.session = 0
        self._camera, self._url = camera, url
        self._kind = ""  # with the health, what must differ to be told again
        self._last = now  # when the newest frame came, or when it was first waited for
        self._connected = False
        self._intervals: deque[float] = deque(maxlen=INTERVALS)  # kept over connections: a slow camera stays slow
        self._window = now
        self._before = (0, 0)

    @property
    def is_away(self) -> bool:
        """True where nothing comes, as far as was told."""
        return self.health in AWAY

    def frame(self, session: int, now: float) -> Status | None:
        """News of a frame of `session`: `online` where it is the first one, or the first one again."""
        away = now - self._last if self.is_away else 0.0
        is_news = self.health is None or self.is_away
        if is_news:
            self._window = now
        if self._connected:
            self._intervals.append(now - self._last)
        self.session, self._last, self._connected = session, now, True
        return self._change("online", "", away) if is_news else None

    def lost(self, error: Exception, now: float) -> Status | None:
        """News of a connection that failed with `error`, or could not be made."""
        self._connected = False
        health: Health = "stalled" if isinstance(error, SourceStalled) else "offline"
        # The other reasons change from try to try; a refused login is news to whoever waits for the camera.
        kind = "refused" if isinstance(error, SourceRefused) else ""
        return self._change(health, reason_of(error, self._url), now - self._last, kind)

    def failed(self, error: Exception) -> Status | None:
        """News of a camera, or a file, that is given up with `error`."""
        return self._change("failed", reason_of(error, self._url), 0.0)

    def asleep(self, now: float) -> Status | None:
        """News of a camera whose schedule wants it closed."""
        self._connected = False
        return self._change("offline", "outside its schedule", now - self._last, "asleep")

    def look(self, now: float, damaged: int, dropped: int, by_arrival: bool = False) -> Status | None:
        """News of a camera that fell silent, is unwell, or is well again.

        Args:
            now: the time.
            damaged: packets and pictures so far that could not be decoded, or not wholly.
            dropped: ticks so far that were not judged, and pictures that were not decoded, for want of time.
            by_arrival: its stream has no usable times, so that its frames are timed by when they arrive.
        """
        if self.health is None or self.is_away:
            self._before = (damaged, dropped)
            return None
        if now - self._last >= self._patience():
            # Or it was us: where decoding does not keep up, everything up to the next keyframe is left out.
            behind = self._trouble(0, dropped - self._before[1], by_arrival=False)
            reason = f"no frame for {now - self._last:.0f} s" + (f"; {behind}" if behind else "")
            return self._change("stalled", reason, now - self._last)
        reason = self._trouble(damaged - self._before[0], dropped - self._before[1], by_arrival)
        is_over = now - self._window >= WINDOW_S
        if is_over:
            self._window, self._before = now, (damaged, dropped)
        if reason:
            return self._change("degraded", reason, 0.0)
        return self._change("online", "", 0.0) if is_over else None

    def _patience(self) -> float:
        """Seconds without a frame after which the camera counts as stalled."""
        return max(STALL_S, STALL_INTERVALS * median(self._intervals)) if self._intervals else STALL_S

    def _trouble(self, damaged: int, dropped: int, by_arrival: bool) -> str:
        """What is wrong though frames come; empty where nothing is."""
        if damaged >= DAMAGED:
            return f"{damaged} damaged packets or pictures within {WINDOW_S:.0f} s; the network may be losing some"
        if dropped >= DROPPED:
            lost = f"{dropped} ticks or pictures left out in {WINDOW_S:.0f} s"
            return f"{lost}; this machine does not keep up with its cameras"
        return "the stream has no usable times; its frames are timed by when they arrive" if by_arrival else ""

    def _change(self, health: Health, reason: str, away: float, kind: str = "") -> Status | None:
        """The status, unless it was told before."""
        if (health, kind) == (self.health, self._kind):
            return None
        self.health, self._kind = health, kind
        return Status(self._camera, self.session, health, reason, away)
