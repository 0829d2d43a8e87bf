"""The person: body proportions, looks, and the skeleton that turns a pose into points in space.

A pose is one row of `CONTROLS` numbers: where the pelvis, the hands and the feet are wanted and how the trunk and the
head are turned; elbows and knees follow by two-bone inverse kinematics. Lengths are in standing heights. Axes: x to the
person's left, y up, z forward; at heading 0 the person looks at the viewer, so x runs to the right of the picture.
What a person does lives in actions.py, how it is drawn in drawing.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Colour: TypeAlias = tuple[float, float, float]
"""Red, green, blue, 0-255."""

PELVIS = slice(0, 3)  # x, y, z of the pelvis above the figure's origin on the ground
TILT = slice(3, 6)  # pitch (forward), roll (to the left) and yaw of the pelvis, radians
SPINE = slice(6, 9)  # the same three for the chest, relative to the pelvis
HEAD = slice(9, 12)  # the same three for the head, relative to the chest
HANDS = (slice(12, 15), slice(15, 18))  # left, right: outward, up, forward of the shoulder, in arm lengths
FEET = (slice(18, 21), slice(21, 24))  # left, right ankle: outward, up, forward of the origin
HEELS = (24, 25)  # left, right: how far the toes point down, radians
CONTROLS = 26

SIDE_POINTS = ("shoulder", "elbow", "hand", "hip", "knee", "ankle", "toe")
POINTS = (
    *("pelvis", "waist", "neck", "head", "crown", "nose"),
    *(f"left_{name}" for name in SIDE_POINTS),
    *(f"right_{name}" for name in SIDE_POINTS),
)
POINT = {name: i for i, name in enumerate(POINTS)}


@dataclass(frozen=True)
class Body:
    """Proportions, in standing heights."""

    trunk: float = 0.305
    shoulders: float = 0.098
    hips: float = 0.052
    upper_arm: float = 0.165
    forearm: float = 0.165
    thigh: float = 0.235
    shin: float = 0.225
    ankle: float = 0.04
    head: float = 0.066
    girth: float = 1.0
    stance: float = 0.07

    @property
    def arm(self) -> float:
        """Length from shoulder to the middle of the hand."""
        return self.upper_arm + self.forearm

    @property
    def pelvis_height(self) -> float:
        """Height of the pelvis when standing, knees all but straight."""
        return (self.thigh + self.shin) * 0.985 + self.ankle + 0.01


@dataclass(frozen=True)
class Look:
    """Colours and cut of hair and clothes."""

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    sleeves: str
    legs: str
    haircut: str
    stripe: Colour | None


SKINS = ((255, 219, 187), (241, 194, 155), (224, 172, 125), (198, 134, 88), (150, 96, 62), (104, 66, 44), (78, 50, 36))
HAIRS = ((28, 22, 20), (62, 40, 26), (112, 72, 40), (170, 120, 62), (214, 178, 112), (150, 60, 32), (150, 150, 152))
CLOTHES = (
    (214, 69, 65), (38, 97, 156), (244, 190, 66), (52, 138, 98), (238, 238, 232), (48, 52, 62), (128, 82, 148),
    (232, 126, 58), (96, 168, 196), (206, 120, 150), (122, 132, 68), (66, 76, 128), (176, 52, 92), (150, 154, 160),
)  # fmt: skip
TROUSERS = (
    (44, 58, 92), (36, 38, 46), (108, 96, 82), (168, 150, 120),
    (74, 92, 122), (92, 66, 52), (70, 76, 70), (120, 48, 52),
)  # fmt: skip
SHOES = ((240, 240, 240), (32, 30, 32), (120, 74, 44), (196, 52, 48), (60, 90, 140))


def draw_body(rng: np.random.Generator) -> Body:
    """A random body: proportions vary a few percent, girth a good deal more."""

    def vary(value: float, share: float) -> float:
        return float(value * rng.uniform(1 - share, 1 + share))

    return Body(
        trunk=vary(0.305, 0.05),
        shoulders=vary(0.098, 0.14),
        hips=vary(0.052, 0.15),
        upper_arm=vary(0.165, 0.06),
        forearm=vary(0.165, 0.06),
        thigh=vary(0.235, 0.04),
        shin=vary(0.225, 0.04),
        head=vary(0.066, 0.1),
        girth=float(rng.uniform(0.82, 1.3)),
        stance=float(rng.uniform(0.055, 0.1)),
    )


def grown(body: Body, factor: float) -> Body:
    """The same body, all lengths times `factor`."""
    lengths = {field.name: getattr(body, field.name) * factor for field in fields(body)}
    return replace(body, **lengths)


def draw_look(rng: np.random.Generator) -> Look:
    """Random colours and cut; the shirt never has the trousers' colour."""

    def pick(colours: tuple[Colour, ...], spread: float = 14) -> Colour:
        red, green, blue = np.clip(np.array(colours[rng.integers(len(colours))]) + rng.normal(0, spread, 3), 8, 250)
        return float(red), float(green), float(blue)

    skin, trousers = pick(SKINS, 6), pick(TROUSERS)
    shirt = max((pick(CLOTHES) for _ in range(3)), key=lambda c: float(np.abs(np.subtract(c, trousers)).sum()))
    return Look(
        skin=skin,
        hair=pick(HAIRS, 8),
        shirt=shirt,
        trousers=trousers,
        shoes=pick(SHOES, 8),
        sleeves=str(rng.choice(["long", "short", "none"], p=[0.5, 0.4, 0.1])),
        legs=str(rng.choice(["long", "shorts", "skirt"], p=[0.7, 0.18, 0.12])),
        haircut=str(rng.choice(["short", "long", "bun", "bald", "cap"], p=[0.42, 0.25, 0.12, 0.08, 0.13])),
        stripe=pick(CLOTHES) if rng.random() < 0.3 else None,
    )


def standing(body: Body) -> Array:
    """The pose (CONTROLS,) of `body` at rest: upright, arms hanging."""
    pose = np.zeros(CONTROLS)
    pose[PELVIS] = 0, body.pelvis_height, 0
    for hand, foot in zip(HANDS, FEET, strict=True):
        pose[hand] = 0.2, -0.95, 0.1
        pose[foot] = body.stance, body.ankle, 0
    return pose


def joints(body: Body, poses: Array) -> Array:
    """Points (T, P, 3) in the figure's own frame, in the order of `POINTS`, of `poses` (T, CONTROLS)."""
    out = np.empty((len(poses), len(POINTS), 3))
    hips_turn = _rotation(poses[:, TILT])
    chest_turn = hips_turn @ _rotation(poses[:, SPINE])
    head_turn = chest_turn @ _rotation(poses[:, HEAD])
    pelvis = poses[:, PELVIS]
    waist = pelvis + _turned(hips_turn, (0, 0.09, 0))
    neck = waist + _turned(chest_turn, (0, body.trunk - 0.09, 0))
    head = neck + _turned(chest_turn, (0, 0.035, 0.005)) + _turned(head_turn, (0, body.head * 0.95, 0.008))
    crown, nose = (head + _turned(head_turn, way) for way in ((0, body.head, 0), (0, 0, body.head)))
    out[:, :6] = np.stack([pelvis, waist, neck, head, crown, nose], axis=1)
    upright = np.clip(hips_turn[:, 1:2, 1], 0, 1)
    for side, start, hand, foot, heel in zip((1, -1), (6, 13), HANDS, FEET, HEELS, strict=True):
        mirror = np.array([side, 1, 1])
        shoulder = neck + _turned(chest_turn, (side * body.shoulders, -0.025, 0))
        wanted = shoulder + np.einsum("tij,tj->ti", chest_turn, poses[:, hand] * mirror) * body.arm
        elbow, palm = _two_bones(
            shoulder, wanted, body.upper_arm, body.forearm, _turned(chest_turn, (side * 0.55, -0.6, -0.55))
        )
        hip = pelvis + _turned(hips_turn, (side * body.hips, -0.01, 0))
        knee, ankle = _two_bones(
            hip, poses[:, foot] * mirror, body.thigh, body.shin, _turned(hips_turn, (side * 0.18, 0, 1))
        )
        ahead = _turned(hips_turn, (side * 0.2, 0, 1))
        ahead[:, 1:2] *= 1 - upright
        ahead[:, 1] -= np.sin(poses[:, heel])
        toe = ankle + ahead / np.linalg.norm(ahead, axis=1, keepdims=True) * 0.085
        toe[:, 1] -= 0.018
        out[:, start : start + 7] = np.stack([shoulder, elbow, palm, hip, knee, ankle, toe], axis=1)
    np.maximum(out[..., 1], 0.022, out=out[..., 1])
    return out


def reach_for(body: Body, poses: Array, side: int, points: Array) -> Array:
    """Hand controls (T, 3) with which the hand of `side` is at `points` (T, 3), in the figure's own frame.

    What is farther away than the arm is long is reached for as far as the arm goes.
    """
    shoulder = joints(body, poses)[:, POINT[("left_shoulder", "right_shoulder")[side]]]
    chest_turn = _rotation(poses[:, TILT]) @ _rotation(poses[:, SPINE])
    return np.asarray(np.einsum("tji,tj->ti", chest_turn, points - shoulder) / body.arm * (1 - 2 * side, 1, 1))


def _rotation(angles: Array) -> Array:
    """Matrices (T, 3, 3) of pitch, roll, yaw (T, 3): roll first, then pitch, then yaw."""
    pitch, roll, yaw = np.moveaxis(angles, -1, 0)
    (cp, sp), (cr, sr), (cy, sy) = ((np.cos(a), np.sin(a)) for a in (pitch, roll, yaw))
    zero, one = np.zeros_like(pitch), np.ones_like(pitch)
    turn = _matrices((cy, zero, sy), (zero, one, zero), (-sy, zero, cy))
    lean = _matrices((one, zero, zero), (zero, cp, -sp), (zero, sp, cp))
    tip = _matrices((cr, sr, zero), (-sr, cr, zero), (zero, zero, one))
    return np.asarray(turn @ lean @ tip)


def _matrices(*rows: tuple[Array, Array, Array]) -> Array:
    return np.stack([np.stack(row, -1) for row in rows], -2)


def _turned(rotation: Array, vector: tuple[float, float, float]) -> Array:
    return np.asarray(rotation @ np.array(vector))


def _two_bones(root: Array, wanted: Array, upper: float, lower: float, towards: Array) -> tuple[Array, Array]:
    """Middle and end joint (T, 3) of a limb that reaches for `wanted`, its middle joint pushed `towards`."""
    reach = wanted - root
    distance = np.linalg.norm(reach, axis=1, keepdims=True) + 1e-9
    axis = reach / distance
    distance = np.clip(distance, abs(upper - lower) + 0.02, (upper + lower) * 0.999)
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    aside = np.sqrt(np.maximum(upper**2 - along**2, 0))
    bend = towards - np.sum(towards * axis, axis=1, keepdims=True) * axis
    bend /= np.linalg.norm(bend, axis=1, keepdims=True) + 1e-9
    return root + axis * along + bend * aside, root + axis * distance
