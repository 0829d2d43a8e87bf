"""What a person does: each action as a motion that is added to the pose of standing.

A `Motion` has a length, a label, what it adds to the pose over time, and how it moves the person over the ground. Every
motion is eased symmetrically in time and begins and ends at rest; `get_up` is a fall played backwards, drawn from the
very same distribution, so that no single picture tells the two apart. Who does what when is told by script.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from samples.figure import CONTROLS, FEET, HANDS, HEAD, HEELS, PELVIS, SPINE, TILT, Array, Body, joints, standing

LABELS = ("none", "wave", "clap", "jump", "squat", "punch", "fall", "get_up")
SHOWS = 0.02
"""Heights by which some joint must have moved for a movement to show."""

Track = Callable[[Array], Array]
"""Times (T,), seconds since the motion's start, to values (T, ...)."""


@dataclass(frozen=True)
class Motion:
    """Something done.

    Attributes:
        label: one of `LABELS`.
        duration: seconds.
        pose: what is added to the pose (T, CONTROLS).
        root: displacement over the ground, x and z in heights, and change of heading, radians (T, 3).
    """

    label: str
    duration: float
    pose: Track
    root: Track

    def shown(self, body: Body, times: Array) -> tuple[float, float]:
        """First and last of `times` (T,), seconds since its start, at which the movement shows.

        It shows while the body is neither where it was at the start nor where it will be at the end.
        """
        ends = np.array([0.0, self.duration])
        moving = joints(body, standing(body) + self.pose(times))
        rest = joints(body, standing(body) + self.pose(ends))
        away = np.linalg.norm(moving[:, None] - rest[None], axis=-1).max(-1).min(-1)
        (when,) = np.nonzero((away > SHOWS) & (times > 0) & (times < self.duration))
        return float(times[when[0]]), float(times[when[-1]])


def ease(u: Array) -> Array:
    """0 to 1 for `u` from 0 to 1, slow at both ends, symmetric."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(u, 0, 1)))


def bump(t: Array, start: float, rise: float, end: float, sink: float) -> Array:
    """0, eased up to 1 in `rise` seconds from `start`, eased down to 0 in the `sink` seconds before `end`."""
    return ease((t - start) / rise) * ease((end - t) / sink)


def still(t: Array) -> Array:
    """No displacement (T, 3)."""
    return np.zeros((len(t), 3))


def nothing(t: Array) -> Array:
    """No change of pose (T, CONTROLS)."""
    return np.zeros((len(t), CONTROLS))


def reach(side: int, out: float, up: float, ahead: float) -> Array:
    """What to add to the pose of standing for a hand to be there, in arm lengths from its shoulder."""
    pose = np.zeros(CONTROLS)
    pose[HANDS[side]] = out - 0.2, up + 0.95, ahead - 0.1
    return pose


def wave(rng: np.random.Generator, body: Body) -> Motion:
    """One raised hand that swings from side to side, high or at the height of the head."""
    side, high = int(rng.integers(2)), rng.random() < 0.5
    up = rng.uniform(0.72, 0.88) if high else rng.uniform(0.38, 0.6)
    raised = reach(side, rng.uniform(0.3, 0.5), up, rng.uniform(0.1, 0.3))
    rate, swings = rng.uniform(1.5, 2.6), int(rng.integers(2, 5))
    rise, sink = rng.uniform(0.3, 0.5, 2)
    length = min(rise + swings / rate + sink, 3.0)
    swing, lean = rng.uniform(0.2, 0.34), rng.uniform(-0.06, 0.1) * (1 - 2 * side)

    def pose(t: Array) -> Array:
        held = bump(t, 0, rise, length, sink)
        add = raised * held[:, None]
        add[:, HANDS[side].start] += swing * np.sin(2 * np.pi * rate * (t - rise * 0.6)) * held**2
        add[:, SPINE.start + 1] -= lean * held
        return add

    return Motion("wave", length, pose, still)


def clap(rng: np.random.Generator, body: Body) -> Motion:
    """Both hands that meet again and again, before the chest or over the head."""
    overhead = rng.random() < 0.35
    up, ahead = (rng.uniform(0.75, 0.88), 0.15) if overhead else (rng.uniform(-0.35, -0.05), rng.uniform(0.55, 0.72))
    meet = -body.shoulders / body.arm + 0.05
    together = reach(0, meet, up, ahead) + reach(1, meet, up, ahead)
    rate, claps = rng.uniform(1.7, 3.0), int(rng.integers(2, 6))
    rise, sink = rng.uniform(0.3, 0.5, 2)
    length = min(rise + claps / rate + sink, 3.0)
    gap = rng.uniform(0.3, 0.5) if overhead else rng.uniform(0.22, 0.42)

    def pose(t: Array) -> Array:
        held = bump(t, 0, rise, length, sink)
        add = together * held[:, None]
        apart = gap * (0.5 - 0.5 * np.cos(2 * np.pi * rate * (t - rise))) * held
        for hand in HANDS:
            add[:, hand.start] += apart
        return add

    return Motion("clap", length, pose, still)


def jump(rng: np.random.Generator, body: Body) -> Motion:
    """A crouch, a flight with both feet off the ground, and a landing; once or twice."""
    crouch, flight, land = rng.uniform(0.24, 0.36), rng.uniform(0.32, 0.5), rng.uniform(0.24, 0.36)
    count = 1 if rng.random() < 0.65 else 2
    length = count * (crouch + flight) + land
    depth, height = rng.uniform(0.07, 0.12), rng.uniform(0.14, 0.3)
    arms_up, tuck = rng.uniform(0.3, 1.6), rng.uniform(0, 0.1)

    def pose(t: Array) -> Array:
        add = nothing(t)
        for start in np.arange(count) * (crouch + flight):
            u = np.clip((t - start - crouch) / flight, 0, 1)
            air = 4 * u * (1 - u)
            low = bump(t, start, crouch * 0.7, start + crouch + 0.06, crouch * 0.5)
            low += bump(t, start + crouch + flight - 0.06, land * 0.5, start + crouch + flight + land, land * 0.6)
            add[:, PELVIS.start + 1] += height * air - depth * low
            add[:, TILT.start] += 0.35 * low
            add[:, SPINE.start] += 0.15 * low
            for hand, foot, heel in zip(HANDS, FEET, HEELS, strict=True):
                add[:, foot.start + 1] += (height + tuck) * air
                add[:, heel] += 0.9 * np.sqrt(air)
                add[:, hand] += np.outer(low, [0.1, 0.15, -0.35]) + np.outer(air, [0.35, arms_up, 0.35])
        return add

    return Motion("jump", length, pose, still)


def squat(rng: np.random.Generator, body: Body) -> Motion:
    """Down on bent knees with the feet on the ground, and up again; once or twice."""
    count = 1 if rng.random() < 0.7 else 2
    down, hold, up = rng.uniform(0.42, 0.7), rng.uniform(0.05, 0.45), rng.uniform(0.42, 0.7)
    once = down + hold + up
    if count == 2:
        down, hold, up = (part * min(1.0, 1.45 / once) for part in (down, hold, up))
        once = down + hold + up
    length = count * once
    depth, lean, wide = rng.uniform(0.2, 0.27), rng.uniform(0.3, 0.6), rng.uniform(0.0, 0.05)
    arms = np.array([-0.1, rng.uniform(0.7, 1.0), 0.75]) if rng.random() < 0.7 else np.array([0.0, 0.45, 0.3])

    def pose(t: Array) -> Array:
        add = nothing(t)
        for start in np.arange(count) * once:
            low = bump(t, start, down, start + once, up)
            add[:, PELVIS] += np.outer(low, [0, -depth, -0.07])
            add[:, TILT.start] += lean * low
            add[:, HEAD.start] -= lean * 0.6 * low
            for hand, foot in zip(HANDS, FEET, strict=True):
                add[:, hand] += np.outer(low, arms)
                add[:, foot.start] += wide * low
        return add

    return Motion("squat", length, pose, still)


def punch(rng: np.random.Generator, body: Body) -> Motion:
    """A step ahead with one arm thrust straight forward, the other hand on guard; one to three thrusts."""
    side, count = int(rng.integers(2)), int(rng.integers(1, 4))
    ready, thrust, back = rng.uniform(0.16, 0.3), rng.uniform(0.3, 0.5), rng.uniform(0.25, 0.4)
    length = ready + count * thrust + back
    height, step, twist = rng.uniform(-0.05, 0.25), rng.uniform(0.08, 0.18), rng.uniform(0.3, 0.6)
    guard = reach(side, -0.15, 0.05, 0.45) + reach(1 - side, -0.2, 0.08, 0.4)
    straight = np.zeros(CONTROLS)
    straight[HANDS[side]] = 0.02, height - 0.05, 0.55
    straight[SPINE] = 0.12, 0, twist * (2 * side - 1)
    ahead = np.zeros(CONTROLS)
    ahead[PELVIS] = 0, -0.03, step * 0.6
    ahead[FEET[1 - side]] = 0, 0, step
    ahead[FEET[side]] = 0, 0, -step * 0.35

    def pose(t: Array) -> Array:
        held = bump(t, 0, ready, length, back)
        u = np.clip((t - ready * 0.8) / thrust, 0, count)
        out = (0.5 - 0.5 * np.cos(2 * np.pi * u)) ** 0.7
        return np.outer(held, guard + ahead) + np.outer(out, straight)

    return Motion("punch", length, pose, still)


@dataclass(frozen=True)
class Lying:
    """How and where to a person falls: all that one sees of a fall after it.

    Attributes:
        turn: direction of the fall relative to the heading, radians: 0 forward, pi / 2 to the left.
        bend: heights by which the feet are drawn up.
        spread: how far the arms lie from the body, arm lengths.
    """

    turn: float
    bend: float
    spread: float

    def pose(self, body: Body, share: float = 1.0, height: float = 0.075) -> Array:
        """What lying (or, for a smaller `share`, falling) adds to the pose of standing, (CONTROLS,)."""
        quarter = round(self.turn / (np.pi / 2))
        pitch, roll = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarter % 4]
        way = np.array([np.sin(self.turn), np.cos(self.turn)])
        pose = np.zeros(CONTROLS)
        pelvis = way * 0.38 * share
        pose[PELVIS] = pelvis[0], height - body.pelvis_height, pelvis[1]
        pose[TILT] = pitch * share * np.pi / 2, roll * share * np.pi / 2, (self.turn - quarter * np.pi / 2) * share
        feet = way * (self.bend - 0.05) * share
        for side, sign in enumerate((1, -1)):
            pose[FEET[side]] = sign * feet[0], 0.03 * share * (side == (roll > 0)), feet[1]
        return pose

    def arms(self) -> Array:
        """What the arms of the lying add to the pose, (CONTROLS,)."""
        quarter = round(self.turn / (np.pi / 2)) % 4
        out, up, ahead = [(0.45, 0.55, 0.15), (0.05, -0.2, 0.7), (0.3 + self.spread, -0.6, 0.1), (0.05, -0.2, 0.7)][
            quarter
        ]
        return reach(0, out, up, ahead) + reach(1, out, up + 0.1 * self.spread, ahead)


def draw_lying(rng: np.random.Generator, turn: float) -> Lying:
    """A random way to lie after a fall towards `turn`."""
    return Lying(turn, float(rng.uniform(0, 0.12)), float(rng.uniform(0.1, 0.5)))


def _fall(rng: np.random.Generator, body: Body, lying: Lying) -> tuple[float, Track]:
    """Length and pose of a fall into `lying`: standing, buckling, nearly down, down."""
    length = rng.uniform(0.9, 2.2)
    flail, buckle, early = rng.uniform(0.3, 0.9), rng.uniform(0.36, 0.42), rng.uniform(0.3, 0.4)
    arms = reach(0, 0.5, -0.9 + flail, 0.45) + reach(1, 0.5, -0.9 + flail, 0.45)
    stages = np.stack(
        [
            np.zeros(CONTROLS),
            lying.pose(body, 0.28, buckle) + 0.6 * arms,
            lying.pose(body, rng.uniform(0.7, 0.8), rng.uniform(0.17, 0.22)) + arms,
            lying.pose(body) + lying.arms(),
        ]
    )
    knots = [0.0, early, rng.uniform(0.65, 0.75), 1.0]

    def pose(t: Array) -> Array:
        # Eased as a whole, straight from stage to stage: one movement, as fast one way as the other.
        u = ease(t / length)
        return np.stack([np.interp(u, knots, column) for column in stages.T], axis=-1)

    return length, pose


def fall(rng: np.random.Generator, body: Body, lying: Lying) -> Motion:
    """A fall from standing into `lying`."""
    length, pose = _fall(rng, body, lying)
    return Motion("fall", length, pose, still)


def get_up(rng: np.random.Generator, body: Body, lying: Lying) -> Motion:
    """A fall into `lying` played backwards."""
    length, pose = _fall(rng, body, lying)
    return Motion("get_up", length, lambda t: pose(length - t), still)
