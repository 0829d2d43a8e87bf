"""When a camera is to be watched: spans of a week, and whether a moment lies in one. Pure, no clock of its own.

    sat 22:00-02:00             from Saturday evening into Sunday
    mon-fri,sun 08:00-18:00     days, runs of days, or both
    08:00-18:00                 every day

Times are local, as the clock on the wall says: in the night in which clocks are turned, a span may be an hour longer
or shorter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from stream.errors import ConfigError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
EXPECTED = 'days and times such as "mon-fri 08:00-18:00", "sat,sun 22:00-02:00" or "00:00-24:00"'
_DAY = f"(?:{'|'.join(DAYS)})"
_DAYS = f"{_DAY}(?:-{_DAY})?"
_TIME = r"([01]\d|2[0-4]):([0-5]\d)"
PATTERN = f"(?:({_DAYS}(?:,{_DAYS})*) )?{_TIME}-{_TIME}"
"""Of a span's text; an hour of 24 is good at midnight only, which no pattern says well."""


@dataclass(frozen=True)
class Span:
    """A part of the day that comes back every week.

    Attributes:
        days: on which it begins, Monday being 0.
        begin: minutes after midnight at which it begins.
        end: the first minute, after the midnight before `begin`, that is no longer in it; over 1440 where it crosses
            midnight.
    """

    days: frozenset[int]
    begin: int
    end: int

    def covers(self, moment: datetime) -> bool:
        """True where the local time `moment` lies in it."""
        minute, today = moment.hour * 60 + moment.minute, moment.weekday()
        since_yesterday = minute + DAY_MINUTES
        return (today in self.days and self.begin <= minute < self.end) or (
            (today - 1) % 7 in self.days and since_yesterday < self.end
        )


def parse_span(text: str) -> Span:
    """The span that `text` says.

    Raises:
        ConfigError: it says none, or one that is empty.
    """
    found = re.fullmatch(PATTERN, text)
    if not found:
        raise ConfigError(f"expected {EXPECTED}, got {text!r}")
    begin, end = (int(hour) * 60 + int(minute) for hour, minute in (found.group(2, 3), found.group(4, 5)))
    if max(begin, end) > DAY_MINUTES or begin == DAY_MINUTES:
        raise ConfigError(f"expected times from 00:00 to 24:00, got {text!r}")
    if begin == end:
        raise ConfigError(f"expected an end that is not the beginning, got {text!r}; a whole day is 00:00-24:00")
    return Span(_days(found[1]), begin, end if end > begin else end + DAY_MINUTES)


def is_awake(spans: Iterable[Span], moment: datetime) -> bool:
    """True where the local time `moment` lies in one of `spans`."""
    return any(span.covers(moment) for span in spans)


def _days(text: str | None) -> frozenset[int]:
    """The days of `mon-fri,sun`; all of them where nothing is said. A run may cross Sunday: `sat-mon`."""
    days: set[int] = set()
    for run in (text or "mon-sun").split(","):
        first, _, last = run.partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(days)
