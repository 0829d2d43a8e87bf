"""Presentation times to the model's ticks: the one rule by which frames are sampled, when training and when live.

Tick k of a session fires on the first frame whose time is at least t0 + k / rate - 2 ms, t0 being the session's first
time. A frame that passes several ticks is stepped once, and its `dt` says so: nothing is repeated, nothing awaited.
Declared frame rates, frame counts and clocks have no part in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from stream.contracts import Frame, Input, Tick
from stream.geometry import fit

TOLERANCE = 0.002
"""Media seconds by which a frame may be early: containers round times to a millisecond, RTP to 1/90000 s."""

ROUNDING = 1e-6
"""Ticks that floating point may take from a time that is exactly due."""


class Sampler:
    """Decides which of one camera's frames are ticks, and brings only those to the model's size."""

    def __init__(self, input: Input) -> None:
        """Makes a sampler that has seen nothing.

        Args:
            input: what the model wants: its rate, its longest gap, its size.
        """
        self._input = input
        self._gaps = 0
        self._last: Frame | None = None
        self._start = 0.0
        self._due = 0
        self._ticked: float | None = None

    def offer(self, frame: Frame) -> Tick | None:
        """The tick that `frame` fires, or None.

        A tick's session is the frame's plus the sessions that the sampler itself began: one at each gap longer than
        `input.max_gap`, and one wherever time runs backwards within a session, for there the state's past is not
        this frame's past.
        """
        if self._last is None or frame.session != self._last.session:
            self._begin(frame)
        elif not 0 <= frame.time - self._last.time <= self._input.max_gap:
            self._gaps += 1
            self._begin(frame)
        self._last = frame

        if self._input.rate is not None:
            passed = math.floor((frame.time - self._start + TOLERANCE) * self._input.rate + ROUNDING)
            if passed < self._due:
                return None
            self._due = passed + 1
        dt = 0.0 if self._ticked is None else frame.time - self._ticked
        self._ticked = frame.time
        return Tick(
            camera=frame.camera,
            index=frame.index,
            session=frame.session + self._gaps,
            time=frame.time,
            arrived=frame.arrived,
            image=fit(frame.picture, self._input),
            dt=dt,
        )

    def _begin(self, frame: Frame) -> None:
        """Starts a session at `frame`, which will be its tick 0."""
        self._start = frame.time
        self._due = 0
        self._ticked = None


def ticks(frames: Iterable[Frame], input: Input) -> Iterator[Tick]:
    """The ticks of one camera's `frames`, as they fire."""
    sampler = Sampler(input)
    for frame in frames:
        tick = sampler.offer(frame)
        if tick is not None:
            yield tick
