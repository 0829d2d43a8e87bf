"""Who does what when: the everyday motions that are no action, and the timeline that strings motions into a life.

A script is consistent: who falls lies until they get up, who leaves is gone until they return, and two actions never
touch. The truth comes from here: each action runs from the first to the last frame on which its movement shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samples import actions
from samples.actions import Motion, bump, ease, nothing, still
from samples.figure import CONTROLS, FEET, HANDS, HEAD, HEELS, PELVIS, SPINE, TILT, Array, Body, joints, standing

REST = 0.9
"""Least seconds between two actions."""
SIDE_TO_SIDE = ("wave", "clap")
SEEN = 0.95
"""The largest heading, radians from the viewer, at which hands that move from side to side are seen to move."""
BROADSIDE = 0.6
"""The smallest at which an arm that is thrust ahead is seen to be: straight at the viewer it hardly moves."""


@dataclass(frozen=True)
class Annotation:
    """An action's label, start and end in media seconds."""

    label: str
    start: float
    end: float


def idle(rng: np.random.Generator, times: Array) -> Array:
    """Sway, breath and small shifts (T, CONTROLS): sines of random phase, alike forwards and backwards in time."""
    size = np.zeros(CONTROLS)
    size[PELVIS], size[TILT], size[SPINE], size[HEAD] = (0.009, 0.002, 0.006), 0.012, 0.022, 0.07
    for hand in HANDS:
        size[hand] = 0.045, 0.012, 0.06
    sway = np.zeros((len(times), CONTROLS))
    for rate in (0.13, 0.27, 0.6):
        phase, strength = rng.uniform(0, 2 * np.pi, CONTROLS), rng.uniform(0.3, 1, CONTROLS) * size
        sway += strength * np.sin(2 * np.pi * rate * rng.uniform(0.8, 1.25) * times[:, None] + phase)
    return sway


def wait(seconds: float) -> Motion:
    """Nothing but idling for `seconds`."""
    return Motion("none", seconds, nothing, still)


def gesture(rng: np.random.Generator, body: Body) -> Motion:
    """A random movement of someone who stands and does nothing that has a name."""
    return [_scratch, _talk, _phone, _hips, _look][rng.integers(5)](rng, body)


def _held(rng: np.random.Generator, pose: Array, seconds: float, shake: Array, rate: float) -> Motion:
    """A pose that is taken, held while `shake` wobbles it, and left."""
    rise, sink = rng.uniform(0.35, 0.6, 2)
    phase = rng.uniform(0, 2 * np.pi, CONTROLS)

    def track(t: Array) -> Array:
        held = bump(t, 0, rise, seconds, sink)[:, None]
        return held * (pose + shake * np.sin(2 * np.pi * rate * t[:, None] + phase))

    return Motion("none", seconds, track, still)


def _scratch(rng: np.random.Generator, body: Body) -> Motion:
    side = int(rng.integers(2))
    pose, shake = actions.reach(side, -0.12, rng.uniform(0.3, 0.5), 0.22), np.zeros(CONTROLS)
    pose[HEAD] = 0.15, 0.12 * (1 - 2 * side), 0
    shake[HANDS[side]] = 0.02, 0.05, 0.02
    return _held(rng, pose, rng.uniform(1.3, 2.6), shake, rng.uniform(2, 3.5))


def _phone(rng: np.random.Generator, body: Body) -> Motion:
    side, shake = int(rng.integers(2)), np.zeros(CONTROLS)
    pose = actions.reach(side, -0.1, -0.05, 0.5)
    pose[HEAD.start], shake[HANDS[side]] = 0.4, 0.015
    return _held(rng, pose, rng.uniform(1.5, 4), shake, rng.uniform(0.5, 1.2))


def _hips(rng: np.random.Generator, body: Body) -> Motion:
    sides = [(0, 1), (0,), (1,)][rng.integers(3)]
    pose = np.sum([actions.reach(side, 0.12, -0.72, 0.12) for side in sides], axis=0)
    return _held(rng, pose, rng.uniform(1.5, 3.5), np.zeros(CONTROLS), 1)


def _look(rng: np.random.Generator, body: Body) -> Motion:
    shake, pose = np.zeros(CONTROLS), np.zeros(CONTROLS)
    shake[HEAD.start + 2], shake[SPINE.start + 2] = rng.uniform(0.5, 1.0), rng.uniform(0, 0.3)
    return _held(rng, pose, rng.uniform(1.5, 3.5), shake, rng.uniform(0.2, 0.4))


def _talk(rng: np.random.Generator, body: Body) -> Motion:
    sides = [(0, 1), (0, 1), (0,), (1,)][rng.integers(4)]
    pose, shake = np.zeros(CONTROLS), np.zeros(CONTROLS)
    for side in sides:
        pose += actions.reach(side, rng.uniform(0.1, 0.3), rng.uniform(-0.6, -0.4), rng.uniform(0.3, 0.5))
        shake[HANDS[side]] = rng.uniform(0.05, 0.16, 3)
    shake[HEAD] = 0.08
    return _held(rng, pose, rng.uniform(1.6, 4), shake, rng.uniform(0.4, 0.9))


def walk(rng: np.random.Generator, body: Body, here: Array, there: Array, speed: float) -> Motion:
    """A walk from `here` to `there` (x, z, heading): turn, go, turn; only the turn where the way is short."""
    way = there[:2] - here[:2]
    distance = float(np.hypot(*way))
    course = float(np.arctan2(way[0], way[1])) if distance > 0.05 else float(here[2])
    first, last = (_angle(b - a) for a, b in ((here[2], course), (course, there[2])))
    turning = [0.25 + 0.45 * abs(angle) if abs(angle) > 0.02 else 0.0 for angle in (first, last)]
    going = distance / speed + 0.35
    if distance <= 0.05:
        first, turning, going = 0.0, [0.0, turning[1]], 0.05
    begin, end = turning[0] * 0.7, turning[0] * 0.7 + going
    length = end + turning[1] * 0.7 + 0.05
    rate = rng.uniform(0.85, 1.05) * (0.6 + 0.6 * speed)
    stride, swing = speed / (2 * np.pi * rate), rng.uniform(0.2, 0.45)

    def share(t: Array) -> Array:
        """Part of the way gone: speeds up, goes, slows down."""
        u = np.clip((t - begin) / going, 0, 1)
        ramp = 0.175 / going
        edge = np.clip(np.stack([u, 1 - u]) / (2 * ramp), 0, 1) ** 2 * ramp
        return np.where(u < 2 * ramp, edge[0], np.where(u > 1 - 2 * ramp, 1 - 2 * ramp - edge[1], u - ramp)) / (
            1 - 2 * ramp
        )

    def root(t: Array) -> Array:
        heading = first * ease(t / (turning[0] + 1e-6)) + last * ease(
            (t - end + turning[1] * 0.3) / (turning[1] + 1e-6)
        )
        return np.concatenate([share(t)[:, None] * way, heading[:, None]], axis=1)

    def pose(t: Array) -> Array:
        add, cycle = nothing(t), 2 * np.pi * rate * t
        go = bump(t, begin, 0.3, end, 0.3) * (distance > 0.05)
        step = bump(t, 0, 0.15, length, 0.15) * (1 - go)
        add[:, PELVIS.start + 1] = go * (-0.012 + 0.008 * np.cos(2 * cycle))
        add[:, TILT.start] = 0.05 * go
        for side, foot, hand, heel in zip((0, np.pi), FEET, HANDS, HEELS, strict=True):
            add[:, foot.start + 2] = stride * np.sin(cycle + side) * go
            lift = np.maximum(0, np.cos(cycle + side))
            add[:, foot.start + 1] = lift * (0.045 * go + 0.02 * step)
            add[:, heel] = 0.5 * go * np.maximum(0, -np.sin(cycle + side))
            add[:, hand.start + 2] = -swing * np.sin(cycle + side) * go
            add[:, hand.start + 1] = 0.05 * go
        return add

    return Motion("none", length, pose, root)


def _angle(radians: float) -> float:
    """The same angle in -pi..pi."""
    return float((radians + np.pi) % (2 * np.pi) - np.pi)


class Script:
    """The timeline of one person.

    Args:
        rng: decides.
        body: who.
        place: x, z (heights) and heading (radians) at time 0.
        reach: how far left and right of x = 0 the picture goes, heights.
    """

    def __init__(self, rng: np.random.Generator, body: Body, place: Array, reach: float) -> None:
        self.rng, self.body, self.place, self.reach = rng, body, place, reach
        self.time = 0.0
        self.lying: actions.Lying | None = None
        self._pieces: list[tuple[float, Array, Motion]] = []

    def add(self, motion: Motion) -> None:
        """Appends `motion`."""
        self._pieces.append((self.time, self.place, motion))
        self.place = self.place + motion.root(np.array([motion.duration]))[0]
        self.time += motion.duration

    def rest(self, seconds: float) -> None:
        """Idles, standing or lying, for `seconds`."""
        if self.lying is None:
            self.add(wait(seconds))
        else:
            offset = self.lying.pose(self.body) + self.lying.arms()
            self.add(Motion("none", seconds, lambda t: np.tile(offset, (len(t), 1)), still))

    def draw_lying(self) -> actions.Lying:
        """A way to lie that stays in the picture: mostly to the left or right, towards the middle."""
        x, _, heading = self.place
        side = np.sign(self.rng.normal(-2.5 * x / max(self.reach, 0.1), 1))
        return actions.draw_lying(self.rng, _angle(side * np.pi / 2 + self.rng.uniform(-0.6, 0.6) - heading))

    def act(self, label: str) -> None:
        """Does the action `label`; a fall leaves the person lying, to get up needs it.

        Nobody, a viewer no more than a model, tells a wave in full profile from an arm held up, or a punch straight at
        the viewer from a clap: who waves or claps turns to the viewer first, and who punches aside, so that the truth
        is what can be seen.
        """
        away = abs(_angle(self.place[2]))
        if label in SIDE_TO_SIDE and away > SEEN:
            self._turn(0.3, SEEN)
        elif label == "punch" and away < BROADSIDE:
            self._turn(BROADSIDE, 1.45)
        if label == "fall":
            self.lying = self.draw_lying()
            self.add(actions.fall(self.rng, self.body, self.lying))
        elif label == "get_up":
            assert self.lying is not None
            self.add(actions.get_up(self.rng, self.body, self.lying))
            self.lying = None
        else:
            self.add(getattr(actions, label)(self.rng, self.body))

    def _turn(self, low: float, high: float) -> None:
        """Turns to a heading from `low` to `high` on the side that the person faces already, and stands a moment."""
        heading = float(np.copysign(self.rng.uniform(low, high), _angle(self.place[2])))
        self.add(walk(self.rng, self.body, self.place, np.array([*self.place[:2], heading]), 0.5))
        self.rest(self.rng.uniform(0.1, 0.4))

    def go(self, x: float, heading: float) -> None:
        """Walks to `x`, and turns to `heading` there."""
        there = np.array([x, self.rng.uniform(-0.15, 0.15), heading])
        self.add(walk(self.rng, self.body, self.place, there, self.rng.uniform(0.45, 0.85)))

    def leave_and_return(self) -> None:
        """Walks out of the picture, stays away, and comes back."""
        outside = (self.reach + 0.45) * self.rng.choice((-1, 1))
        self.go(outside, np.sign(outside) * np.pi / 2)
        self.rest(self.rng.uniform(0.8, 3.5))
        if self.rng.random() < 0.5:
            self.place = self.place * np.array([-1, 1, 1])
        self.go(self.spot(), self.facing())

    def spot(self) -> float:
        """An x at which the person stands wholly in the picture."""
        room = max(self.reach - 0.3, 0)
        return float(self.rng.uniform(-room, room))

    def facing(self) -> float:
        """A heading: towards the viewer, three quarters, or sideways."""
        low, high = ((0, 0.3), (0.3, 0.95), (0.95, 1.45))[self.rng.choice(3, p=[0.3, 0.4, 0.3])]
        return float(self.rng.uniform(low, high) * self.rng.choice((-1, 1)))

    def nothing_special(self) -> None:
        """Something that is no action."""
        kind = self.rng.choice(["gesture", "walk", "turn", "leave", "rest"], p=[0.48, 0.2, 0.15, 0.07, 0.1])
        if kind == "gesture":
            self.add(gesture(self.rng, self.body))
        elif kind == "walk":
            self.go(self.spot(), self.facing())
        elif kind == "turn":
            there = np.array([*self.place[:2], self.facing()])
            self.add(walk(self.rng, self.body, self.place, there, 0.5))
        elif kind == "leave":
            self.leave_and_return()
        else:
            self.rest(self.rng.uniform(1, 4))

    def live(self, seconds: float) -> None:
        """Goes on until `seconds`, with actions and everything between; no action is cut by the end."""
        if self.rng.random() < 0.12:
            self.lying = self.draw_lying()
        elif self.rng.random() < 0.1:
            self.place = np.array([(self.reach + 0.45) * self.rng.choice((-1, 1)), 0, 0.0])
            self.rest(self.rng.uniform(0.5, 2.5))
            self.go(self.spot(), self.facing())
        while True:
            self.rest(self.rng.uniform(REST, 2.2))
            if self.lying is None and self.rng.random() < 0.36:
                self.nothing_special()
                continue
            if self.time > seconds - 4.5:
                break
            if self.lying is not None:
                self.act("get_up")
            else:
                self.act(str(self.rng.choice(["wave", "clap", "jump", "squat", "punch", "fall"])))
        self.rest(max(seconds - self.time, 0) + 1)

    def play(self, times: Array) -> tuple[Array, Array, list[Annotation]]:
        """Points (T, P, 3) and places (T, 3) at `times`, and what was done when."""
        poses = standing(self.body) + idle(self.rng, times)
        places = np.tile(self.place, (len(times), 1))
        annotations = []
        for start, place, motion in self._pieces:
            on = (times >= start) & (times < start + motion.duration)
            since = times[on] - start
            poses[on] += motion.pose(since)
            places[on] = place + motion.root(since)
            if motion.label != "none" and on.any():
                first, last = motion.shown(self.body, times - start)
                annotations.append(Annotation(motion.label, float(start + first), float(start + last)))
        points = joints(self.body, poses)
        cos, sin = np.cos(places[:, 2:3]), np.sin(places[:, 2:3])
        x, y, z = np.moveaxis(points, -1, 0)
        world = np.stack([x * cos + z * sin + places[:, :1], y, z * cos - x * sin + places[:, 1:2]], axis=-1)
        return world, places, annotations
