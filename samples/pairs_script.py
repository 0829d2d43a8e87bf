"""Who does what to whom when: the timeline of two people who meet, or of one who stands alone and points at things.

Each has a `Script`, and the two run in step: before an action both stand, face each other and are as far apart as it
needs; the walking to get there is no part of it. What an action is lives in pairs.py.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np

from samples import pairs
from samples.figure import Array, Body
from samples.pairs_moves import Moves
from samples.script import Annotation, Script, gesture, walk

REST = 1.0
"""Least seconds between two actions."""
ODDS = {"hug": 0.22, "kick": 0.16, "point": 0.11, "punch": 0.16, "push": 0.16, "shake_hands": 0.19}
"""How often two try each action. The longer it lasts, the more seldom there is time for it."""


class Encounter:
    """The timeline of one or two people.

    Args:
        rng: decides.
        bodies: of one or two.
        reach: how far left and right of x = 0 the picture goes, heights.
    """

    def __init__(self, rng: np.random.Generator, bodies: list[Body], reach: float) -> None:
        self.rng, self.reach = rng, reach
        self.people = [Script(rng, body, np.zeros(3), reach) for body in bodies]
        for script, place in zip(self.people, self._places(), strict=True):
            script.place = place

    @property
    def time(self) -> float:
        """Seconds so far."""
        return max(script.time for script in self.people)

    def _places(self) -> list[Array]:
        """Where one or two might stand: two face each other, seen about from the side."""
        if len(self.people) == 1:
            return [np.array([self.people[0].spot(), self.rng.uniform(-0.15, 0.15), self.people[0].facing()])]
        apart, slant = self.rng.uniform(0.65, 1.15), float(np.clip(self.rng.normal(0, 0.25), -0.6, 0.6))
        room = max(self.reach - apart / 2 - 0.12, 0.0)
        middle = np.array([self.rng.uniform(-room, room), self.rng.uniform(-0.12, 0.12)])
        way = np.array([np.cos(slant), np.sin(slant)]) * self.rng.choice((-1, 1))
        first, second = middle - way * apart / 2, middle + way * apart / 2
        return [np.array([*first, _course(way)]), np.array([*second, _course(-way)])]

    def together(self) -> None:
        """Who is ahead of time waits for the other."""
        for script in self.people:
            if self.time > script.time:
                script.rest(self.time - script.time)

    def rest(self, seconds: float) -> None:
        """Both idle for `seconds`."""
        self.together()
        for script in self.people:
            script.rest(seconds)

    def regroup(self) -> None:
        """Each walks to another place."""
        for script, there in zip(self.people, self._places(), strict=True):
            script.rest(float(self.rng.uniform(0, 0.5)))
            script.add(walk(self.rng, script.body, script.place, there, float(self.rng.uniform(0.5, 0.9))))
        self.together()

    def pass_time(self) -> None:
        """Something that is no action."""
        kind = self.rng.choice(["talk", "one", "stroll", "leave", "near"], p=[0.4, 0.2, 0.15, 0.1, 0.15])
        someone = self.people[self.rng.integers(len(self.people))]
        if kind == "talk":
            for script in self.people:
                script.add(gesture(self.rng, script.body))
        elif len(self.people) == 1:
            someone.nothing_special()
        elif kind == "one":
            someone.add(gesture(self.rng, someone.body))
        elif kind == "stroll":
            self.regroup()
        elif kind == "leave":
            self._leave(someone)
            self.rest(float(self.rng.uniform(0.5, 3)))
            self.regroup()
        else:
            least, most = sorted(self.rng.uniform(0.35, 1.2, 2))
            self._face(float(least), float(most))
        self.together()

    def _turn(self, script: Script, heading: float) -> None:
        """One turns on the spot."""
        there = np.array([*script.place[:2], heading])
        script.add(walk(self.rng, script.body, script.place, there, 0.5))

    def _approach(self, script: Script, ahead: float) -> None:
        """One goes `ahead`: walks where it is far; else steps, or steps back, each foot once or twice."""
        if abs(ahead) > 0.7:
            heading = script.place[2]
            there = script.place + ahead * np.array([np.sin(heading), np.cos(heading), 0])
            script.add(walk(self.rng, script.body, script.place, there, float(self.rng.uniform(0.5, 0.9))))
            return
        moves, count = Moves(script.body), 1 + int(abs(ahead) > 0.3)
        for part in range(count):
            moves.gather(0.7 * part, 0.7, (part + 1) * (ahead / count))
        script.add(moves.motion("none", script.place[2]))

    def _face(self, least: float, most: float) -> float:
        """Has both face each other, `least` to `most` apart, inside the picture; returns how far apart they are."""
        way = self._way()
        outside = max(abs(script.place[0]) for script in self.people) > self.reach - 0.2
        if outside or abs(way[1]) > 0.7 * abs(way[0]):
            self.regroup()
            way = self._way()
        apart = float(np.hypot(*way))
        wanted = apart if least <= apart <= most else float(self.rng.uniform(least, most))
        for script, course in zip(self.people, (_course(way), _course(-way)), strict=True):
            if abs(np.angle(np.exp(1j * (script.place[2] - course)))) > 1e-6:
                self._turn(script, course)
        mover = self.people[self.rng.integers(2)]
        if apart != wanted:
            self._approach(mover, apart - wanted)
        self.together()
        return wanted

    def _way(self) -> Array:
        """From the first to the second, x and z."""
        first, second = (script.place[:2] for script in self.people)
        return np.asarray(second - first)

    def _leave(self, script: Script) -> None:
        """One walks out of the picture on the nearer side."""
        side = float(np.sign(script.place[0]))
        script.go(side * (self.reach + 0.5), side * np.pi / 2)

    def prepare(self, label: str) -> float:
        """Has everybody stand as `label` needs it; returns how far apart. Whoever points is often left alone for it."""
        if len(self.people) == 1:
            if self.rng.random() < 0.6:  # filmed from the side, most point to the left or right of the picture
                self._turn(self.people[0], float(self.rng.choice((-1, 1)) * (np.pi / 2 + self.rng.normal(0, 0.25))))
            return 0.0
        apart = self._face(*pairs.APART[label])
        if label == "point" and self.rng.random() < 0.5:
            self._leave(self.people[self.rng.integers(2)])
        self.rest(float(self.rng.uniform(0.2, 0.7)))
        return apart

    def act(self, label: str, apart: float, until: float) -> bool:
        """The action `label`, by one who is in the picture to the other, `apart` heights away.

        False: it would last past `until`, and is not done.
        """
        seen = [i for i, script in enumerate(self.people) if abs(script.place[0]) < self.reach]
        one = int(self.rng.choice(seen or [0]))
        scripts = self.people[one], self.people[one - 1]  # who is alone is both, and does what needs nobody
        actor, other = (Moves(script.body) for script in scripts)
        pairs.ACTIONS[label](self.rng, actor, other, apart)
        slower = float(self.rng.uniform(0.9, 1.3))
        if self.time + slower * max(actor.end, other.end) > until:
            return False
        for script, moves in zip(scripts, (actor, other), strict=True):
            if moves.end:
                script.add(moves.motion(label, script.place[2], slower))
        self.together()
        return True

    def live(self, seconds: float) -> None:
        """Goes on until `seconds`, with actions and everything between; no action is cut by the end."""
        odds = ODDS if len(self.people) == 2 else {"point": 1.0}
        fits = True
        while fits and self.time < seconds:
            self.rest(float(self.rng.uniform(REST, 1.8)))
            if self.rng.random() < 0.22:
                self.pass_time()
            else:
                label = str(self.rng.choice(list(odds), p=list(odds.values())))
                fits = self.act(label, self.prepare(label), until=seconds - 0.1)
        self.rest(max(seconds - self.time, 0) + 1)

    def play(self, times: Array) -> tuple[list[Array], list[Annotation]]:
        """Each one's points (T, P, 3) at `times`, and what was done when: while the movement of either shows."""
        played = [script.play(times) for script in self.people]
        merged: list[Annotation] = []
        for done in sorted(chain.from_iterable(truth for *_, truth in played), key=lambda done: done.start):
            if merged and done.start < merged[-1].end:
                merged[-1] = replace(merged[-1], end=max(merged[-1].end, done.end))
            else:
                merged.append(done)
        return [points for points, *_ in played], merged


def _course(way: Array) -> float:
    """The heading of somebody who looks along `way` (x, z)."""
    return float(np.arctan2(way[0], way[1]))
