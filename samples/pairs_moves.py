"""Movements told by key poses and steps: what stands between an action's description and the `Motion` that it is.

Feet stay where they are set down, the body moves over them, and hands and feet find points in space. Points are in the
person's own frame at the start of the movement: x to the left, y up, z ahead, in heights. What two people do with it
lives in pairs.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samples.actions import Motion, ease
from samples.figure import (
    CONTROLS,
    FEET,
    HANDS,
    HEAD,
    PELVIS,
    POINT,
    SPINE,
    TILT,
    Array,
    Body,
    joints,
    reach_for,
    standing,
)

SIDES = ("left", "right")


@dataclass(frozen=True)
class Step:
    """One foot (0 left, 1 right) is put `ahead` heights forward, from `start` for `seconds`."""

    side: int
    start: float
    seconds: float
    ahead: float


def bent(
    lean: float = 0.0, bow: float = 0.0, yaw: float = 0.0, roll: float = 0.0, nod: float = 0.0, look: float = 0.0
) -> Array:
    """What to add to standing, (CONTROLS,): the hips lean and the chest bows forward, yaw turns to the left.

    Of the yaw the hips take a third; `nod` and `look` are the head's, relative to the chest. Radians.
    """
    pose = np.zeros(CONTROLS)
    pose[TILT] = lean, 0, yaw / 3
    pose[SPINE] = bow, roll, yaw * 2 / 3
    pose[HEAD] = nod, 0, look
    return pose


class Moves:
    """How one person moves: key poses, eased from each to the next, and steps.

    Args:
        body: whose.
    """

    def __init__(self, body: Body) -> None:
        self.body = body
        self.end = 0.0
        self._keys = [(0.0, np.zeros(CONTROLS))]
        self._steps: list[Step] = []

    def key(self, time: float, pose: Array) -> None:
        """Has the pose `pose` (CONTROLS,), added to standing, at `time`; keys come in order."""
        self._keys.append((time, pose))
        self.end = max(self.end, time)

    def step(self, side: int, start: float, seconds: float, ahead: float) -> None:
        """Adds a step."""
        self._steps.append(Step(side, start, seconds, ahead))
        self.end = max(self.end, start + seconds)

    def rest(self, time: float) -> None:
        """Is back at standing at `time`."""
        self.key(time, np.zeros(CONTROLS))

    def feet(self) -> Array:
        """How far ahead the left and the right foot stand after all steps so far, (2,)."""
        return np.asarray(self._feet(np.array([np.inf]))[0])

    def advance(self, start: float, seconds: float, travel: float, spread: float, front: int) -> None:
        """Steps that bring the body `travel` ahead, to a stand with the foot `front` ahead by `spread`."""
        now = self.feet()
        ahead = np.where(np.arange(2) == front, 0.5, -0.5) * spread + now.mean() + travel - now
        pace = seconds / 2 if abs(ahead).min() > 0.05 else seconds
        self.step(1 - front, start, pace, float(ahead[1 - front]))
        self.step(front, start + seconds - pace, pace, float(ahead[front]))

    def gather(self, start: float, seconds: float, place: float) -> None:
        """Steps that bring both feet to `place`, first the one that has the longer way."""
        way = place - self.feet()
        first = int(np.argmax(np.abs(way)))
        pace = seconds / 2 if abs(way[1 - first]) > 0.02 else seconds
        self.step(first, start, pace, float(way[first]))
        self.step(1 - first, start + seconds - pace, pace, float(way[1 - first]))

    def _feet(self, times: Array) -> Array:
        """How far ahead each foot stands (T, 2)."""
        feet = np.zeros((len(times), 2))
        for step in self._steps:
            feet[:, step.side] += step.ahead * ease((times - step.start) / step.seconds)
        return feet

    def gone(self, times: Array) -> Array:
        """How far ahead the body is (T,): midway between the feet."""
        return np.asarray(self._feet(times).mean(axis=1))

    def stride(self, times: Array) -> Array:
        """What the steps add to the pose, (T, CONTROLS)."""
        add, feet = np.zeros((len(times), CONTROLS)), self._feet(times)
        for side, foot in enumerate(FEET):
            add[:, foot.start + 2] = feet[:, side] - feet.mean(axis=1)
        for step in self._steps:
            lift = np.sin(np.pi * np.clip((times - step.start) / step.seconds, 0, 1))
            add[:, FEET[step.side].start + 1] += min(0.05, 0.2 * abs(step.ahead)) * lift
        add[:, PELVIS.start + 1] = -self.sunk(np.abs(np.diff(feet, axis=1))[:, 0])
        return add

    def sunk(self, spread: Array) -> Array:
        """By how much the pelvis comes down for both feet to reach the ground `spread` apart."""
        leg = 0.985 * (self.body.thigh + self.body.shin)
        return np.asarray(leg - np.sqrt(np.maximum(leg**2 - (spread / 2) ** 2, 0)))

    def points(self, time: float, pose: Array) -> Array:
        """Points (P, 3) of the body with `pose` at `time`."""
        points = joints(self.body, self._whole(time, pose))[0]
        return np.asarray(points + np.array([0, 0, self.gone(np.array([time]))[0]]))

    def _whole(self, time: float, pose: Array) -> Array:
        """All controls at `time`, (1, CONTROLS): standing, `pose` and steps."""
        return np.asarray(standing(self.body) + pose + self.stride(np.array([time])))

    def touch(self, time: float, pose: Array, side: int, point: Array) -> Array:
        """`pose` with the hand of `side` at `point` (3,) at `time`, or as near as the arm goes."""
        pose, gone = pose.copy(), self.gone(np.array([time]))[0]
        wanted = reach_for(self.body, self._whole(time, pose), side, (point - np.array([0, 0, gone]))[None])[0]
        pose[HANDS[side]] = wanted - standing(self.body)[HANDS[side]]
        return pose

    def tread(self, time: float, pose: Array, side: int, point: Array) -> Array:
        """`pose` with the ankle of `side` at `point` (3,) at `time`, or as near as the leg goes."""
        pose, gone = pose.copy(), self.gone(np.array([time]))[0]
        pose[FEET[side]] = 0
        wanted = (point - np.array([0, 0, gone])) * np.array([1 - 2 * side, 1, 1])
        pose[FEET[side]] = wanted - self._whole(time, pose)[0, FEET[side]]
        return pose

    def missing(self, pose: Array, spread: float, joint: str, point: Array, limb: float) -> float:
        """How far the body must get for `joint` to be `limb` from `point` (3,), standing with the feet `spread`."""
        start = joints(self.body, (standing(self.body) + pose)[None])[0, POINT[joint]]
        start[1] -= self.sunk(np.array([spread]))[0]
        aside = float(np.sum((point - start)[:2] ** 2))
        return float(point[2] - start[2] - np.sqrt(max(limb**2 - aside, 0.004)))

    def motion(self, label: str, heading: float, slower: float = 1.0) -> Motion:
        """All this as a motion, `slower` times as long, of somebody who looks along `heading`."""
        seconds = self.end + 0.02
        knots = np.array([time for time, _ in self._keys] + [seconds])
        poses = np.stack([pose for _, pose in self._keys] + [np.zeros(CONTROLS)])
        way = np.array([np.sin(heading), np.cos(heading), 0])

        def pose(t: Array) -> Array:
            last = np.clip(np.searchsorted(knots, t, side="right") - 1, 0, len(knots) - 2)
            share = ease((t - knots[last]) / np.maximum(knots[last + 1] - knots[last], 1e-6))[:, None]
            return np.asarray(poses[last] * (1 - share) + poses[last + 1] * share + self.stride(t))

        return Motion(
            label, slower * seconds, lambda t: pose(t / slower), lambda t: self.gone(t / slower)[:, None] * way
        )
