"""What two people do to each other: hug, kick, point, punch, push, shake hands; told as the `Moves` of both.

The actor does it, the other takes part or takes it. Both stand and face each other, `apart` heights away, when it
begins, and stand again when it ends. Hands and feet go where the other's body is, so that they touch it. Who does what
when is told by pairs_script.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from samples.actions import reach
from samples.figure import CONTROLS, HEAD, PELVIS, POINT, SPINE, Array
from samples.pairs_moves import SIDES, Moves, bent

LABELS = ("none", "hug", "kick", "point", "punch", "push", "shake_hands")
APART = {
    "hug": (0.55, 0.95),
    "kick": (0.65, 1.0),
    "point": (0.6, 1.1),
    "punch": (0.6, 1.0),
    "push": (0.6, 1.0),
    "shake_hands": (0.7, 1.1),
}
"""Least and most heights between the two when it begins."""
Span = tuple[float, float]
DEEP = 0.06
"""Heights from the middle of a trunk to its skin."""
LIFT = np.array([0.0, 1.0, 0.0])


def across(apart: float, point: Array) -> Array:
    """The same point (3,) as somebody sees it who stands `apart` away, face to face."""
    return np.array([-point[0], point[1], apart - point[2]])


def _arms(rng: np.random.Generator, out: Span, up: Span, ahead: Span) -> Array:
    """What to add to standing, (CONTROLS,), for both hands to be somewhere in these ranges; as in `reach`."""
    left, right = (reach(side, *(rng.uniform(*span) for span in (out, up, ahead))) for side in (0, 1))
    return left + right


def punch(rng: np.random.Generator, actor: Moves, other: Moves, apart: float) -> None:
    """One fist is drawn back and thrust at head, chest or belly; the other is knocked back or doubles up."""
    side = int(rng.random() < 0.7)
    turn, low = 2 * side - 1, rng.random() < 0.2
    ready, thrust, stay, back = rng.uniform(0.3, 0.6), rng.uniform(0.13, 0.27), *rng.uniform((0.04, 0.3), (0.35, 0.6))
    hit, spread = ready + thrust, rng.uniform(0.2, 0.45)
    body = other.points(hit, np.zeros(CONTROLS))
    part = body[POINT["waist"]] + LIFT * 0.04 if low else body[POINT[str(rng.choice(["head", "head", "neck"]))]]
    target = across(apart, part + np.array([0, rng.uniform(-0.02, 0.01), DEEP]))

    lean = rng.uniform(0.05, 0.2) + 0.3 * low
    far = np.zeros(CONTROLS) if rng.random() < 0.5 else reach(1 - side, -0.1, rng.uniform(-0.3, 0.1), 0.45)
    cocked = bent(lean / 3, 0, -turn * rng.uniform(0.2, 0.7)) + far
    cocked += reach(side, rng.uniform(0.0, 0.7), rng.uniform(-0.35, 0.15), rng.uniform(-0.3, 0.15))
    flung = far if rng.random() < 0.5 else reach(1 - side, *rng.uniform((0.2, -0.8, -0.5), (0.6, -0.4, -0.1)))
    thrown = bent(lean, rng.uniform(0.0, 0.25), turn * rng.uniform(0.4, 1.0), nod=-lean / 2) + flung
    travel = actor.missing(thrown, spread, f"{SIDES[side]}_shoulder", target, rng.uniform(0.85, 0.97) * actor.body.arm)
    start = rng.uniform(0.0, 0.2)
    actor.advance(start, hit - start, travel, spread, front=1 - side)
    thrown = actor.touch(hit, thrown, side, target)
    actor.key(ready, cocked)
    actor.key(hit, thrown)
    actor.key(hit + stay, thrown)
    if rng.random() < 0.4:  # hands up on guard before they come down
        back += 0.3
        actor.key(hit + stay + 0.3, bent(lean / 3) + _arms(rng, (-0.1, 0.1), (-0.2, 0.1), (0.3, 0.5)))
    actor.rest(hit + stay + back)
    (_double_up if low else _reel)(rng, other, hit - 0.03)
    _recover(rng, actor, hit + stay, apart - other.feet().max())


def push(rng: np.random.Generator, actor: Moves, other: Moves, apart: float) -> None:
    """Both hands go to the other's chest, the arms stretch and stay so; the other is shoved one to four steps back."""
    ready, reaching, shove = rng.uniform(0.3, 0.55), rng.uniform(0.12, 0.35), rng.uniform(0.18, 0.4)
    stay, back = rng.uniform(0.15, 0.65), rng.uniform(0.35, 0.65)
    hit, spread, front = ready + reaching, rng.uniform(0.22, 0.45), int(rng.integers(2))
    chest = other.points(hit, np.zeros(CONTROLS))[POINT["neck"]] + np.array([0, -rng.uniform(0.02, 0.11), DEEP])
    target, wide, far = across(apart, chest), rng.uniform(0.03, 0.08), rng.uniform(0.14, 0.26)

    def pressed(time: float, pose: Array, ahead: float) -> Array:
        for side in (0, 1):
            pose = actor.touch(time, pose, side, target + np.array([wide * (1 - 2 * side), 0, ahead]))
        return pose

    lean = rng.uniform(0.12, 0.4)
    raised = bent(lean / 3) + _arms(rng, (-0.1, 0.15), (-0.5, -0.1), (0.35, 0.65))
    near = bent(lean * 0.7, nod=-lean / 3)
    travel = actor.missing(near, spread, "neck", target, rng.uniform(0.62, 0.85) * actor.body.arm)
    start = rng.uniform(0.0, 0.2)
    actor.advance(start, hit - start, travel, spread, front)
    actor.key(ready, raised)
    actor.key(hit, pressed(hit, near, 0.0))
    stretched = pressed(hit, bent(lean, rng.uniform(0.05, 0.35), nod=-lean / 2), far)
    actor.key(hit + shove, stretched)
    actor.key(hit + shove + stay, stretched)
    actor.rest(hit + shove + stay + back)
    _stumble(rng, other, hit, far)
    _recover(rng, actor, hit + shove + stay, apart - other.feet().max())


def kick(rng: np.random.Generator, actor: Moves, other: Moves, apart: float) -> None:
    """A step, then one leg swings up and out at leg, belly or, seldom, head; the other shrinks or hops back."""
    side, high = int(rng.random() < 0.7), rng.random() < 0.25
    ready, swing = rng.uniform(0.35, 0.65), rng.uniform(0.2, 0.38)
    stay, back = rng.uniform(0.02, 0.3), rng.uniform(0.35, 0.6)
    hit, spread, turn = ready + swing, rng.uniform(0.15, 0.4), 2 * side - 1
    body = other.points(hit, np.zeros(CONTROLS))
    height = rng.uniform(0.68, 0.86) if high else rng.uniform(0.25, 0.62)
    target = across(apart, np.array([0, height, body[POINT["pelvis"], 2] + DEEP + 0.04]))

    swung = _arms(rng, (0.2, 0.7), (-0.8, 0.0), (-0.4, 0.5))
    poised = bent(rng.uniform(0, 0.15), rng.uniform(0, 0.2), -turn * rng.uniform(0, 0.4)) + 0.5 * swung
    away = -rng.uniform(0.15, 0.4) - 0.15 * high
    struck = bent(away * 0.6, away * 0.3, turn * rng.uniform(-0.4, 0.5), nod=-away * 0.6) + swung
    over = np.zeros(CONTROLS)
    # The body's weight is on the other foot, and that leg is all but straight.
    over[PELVIS] = turn * 0.045, 0.9 * float(actor.sunk(np.array(spread))), spread / 2 - 0.03
    struck, chamber = struck + over, 0.4 * struck + 0.6 * poised + over
    leg = actor.body.thigh + actor.body.shin
    travel = actor.missing(struck, spread, f"{SIDES[side]}_hip", target, rng.uniform(0.9, 0.98) * leg)
    start = rng.uniform(0.0, 0.15)
    actor.advance(start, ready + 0.3 * swing - start, travel, spread, front=1 - side)
    hip = actor.points(hit, struck)[POINT[f"{SIDES[side]}_hip"]]
    lifted = actor.tread(hit, chamber, side, hip + np.array([0, -0.3 + 0.25 * (height - 0.25), 0.03]))
    struck = actor.tread(hit, struck, side, target)
    for time, pose in ((ready, poised), (ready + swing * 0.45, lifted), (hit, struck), (hit + stay, struck)):
        actor.key(time, pose)
    actor.key(hit + stay + back * 0.5, 0.7 * lifted)
    actor.rest(hit + stay + back)
    (_reel if high else _double_up)(rng, other, hit - 0.03)
    _recover(rng, actor, hit + stay + back * 0.8, apart - other.feet().max())


def hug(rng: np.random.Generator, actor: Moves, other: Moves, apart: float) -> None:
    """Both, or one of them, step in with open arms, hold each other body to body, and step back."""
    both, close = (actor, other), rng.uniform(0.12, 0.17)
    shares = rng.dirichlet((2, 2)) * (apart - close)
    seconds = rng.uniform(0.55, 0.8) + 0.5 * (apart - close)
    meet = seconds + rng.uniform(0.1, 0.3)
    leave = meet + rng.uniform(0.8, 1.9)
    roll, high = rng.choice((-1, 1)) * rng.uniform(0.06, 0.14), int(rng.integers(2))
    trunks = []
    for moves, travel in zip(both, shares, strict=True):
        moves.advance(rng.uniform(0, 0.15), seconds - 0.15, travel, rng.uniform(0.0, 0.12), int(rng.integers(2)))
        trunk = bent(rng.uniform(0.0, 0.08), rng.uniform(0.02, 0.14), nod=rng.uniform(-0.1, 0.25), roll=roll)
        trunk[PELVIS.start] = 0.2 * roll
        trunk[HEAD.start + 1] = 2 * roll
        trunks.append(trunk)
    for moves, partner, trunk, theirs in zip(both, both[::-1], trunks, trunks[::-1], strict=True):
        opened = bent(0.03) + reach(high, rng.uniform(0.2, 0.5), rng.uniform(-0.1, 0.35), rng.uniform(0.6, 0.8))
        opened += reach(1 - high, rng.uniform(0.2, 0.5), rng.uniform(-0.5, -0.2), rng.uniform(0.6, 0.8))
        body, held = partner.points(meet, theirs), trunk
        for side in (0, 1):
            spot = body[POINT["neck"]] - LIFT * 0.04 if side == high else body[POINT["waist"]] + LIFT * 0.05
            outward = (1 - 2 * side) * rng.uniform(0.0, 0.06)
            held = moves.touch(meet, held, side, across(apart, spot - np.array([outward, 0, DEEP])))
        moves.key(seconds * rng.uniform(0.55, 0.75), opened)
        moves.key(meet, held)
        rocked = held.copy()
        rocked[SPINE.start + 1] += rng.uniform(-0.04, 0.04)
        moves.key((meet + leave) / 2, rocked)
        moves.key(leave, held)
        moves.key(leave + 0.3, 0.6 * opened)
        moves.rest(leave + rng.uniform(0.6, 0.9))
        place = float(moves.feet().mean()) - rng.uniform(0.2, 0.45)
        moves.gather(leave + rng.uniform(0, 0.2), rng.uniform(0.6, 0.9), place)


def shake_hands(rng: np.random.Generator, actor: Moves, other: Moves, apart: float) -> None:
    """Both step in, the same hand of each meets the other's midway and shakes, and both let go."""
    both, side, close = (actor, other), int(rng.random() < 0.85), rng.uniform(0.48, 0.66)
    shares = rng.dirichlet((2, 2)) * (apart - close)
    seconds = rng.uniform(0.5, 0.8) + 0.4 * abs(apart - close)
    meet = seconds + rng.uniform(0.0, 0.2)
    rate, swings, height = rng.uniform(1.6, 3.0), int(rng.integers(2, 5)), rng.uniform(0.56, 0.68)
    half, size, leave = 0.5 / rate, rng.uniform(0.015, 0.045), meet + swings / rate + rng.uniform(0.1, 0.6)
    aside = rng.uniform(-0.03, 0.03)
    for moves, travel in zip(both, shares, strict=True):
        moves.advance(rng.uniform(0, 0.15), seconds - 0.15, travel, rng.uniform(0.0, 0.2), int(rng.random() < 0.6))
        bow = rng.uniform(0.03, 0.16)
        trunk = bent(bow, bow, (2 * side - 1) * rng.uniform(0.0, 0.35), nod=rng.uniform(-0.1, 0.2))
        gone = shares[0] + close / 2 if moves is actor else shares[1] + close / 2
        point = np.array([aside if moves is actor else -aside, height, gone])
        grips = [moves.touch(meet, trunk, side, point + LIFT * lift) for lift in (0, size, -size)]
        offered = bent(bow / 2) + reach(side, 0.0, rng.uniform(-0.6, -0.4), rng.uniform(0.6, 0.8))
        moves.key(seconds * rng.uniform(0.2, 0.4), 0.15 * offered)
        moves.key(seconds * rng.uniform(0.7, 0.9), offered)
        moves.key(meet, grips[0])
        for swing in range(2 * swings):
            moves.key(meet + (swing + 0.5) * half, grips[1 + swing % 2])
        moves.key(meet + 2 * swings * half, grips[0])
        moves.key(leave, grips[0])
        moves.rest(leave + rng.uniform(0.4, 0.7))
        place = float(moves.feet().mean()) - (rng.uniform(0.1, 0.4) if rng.random() < 0.75 else 0)
        moves.gather(leave + rng.uniform(0.1, 0.3), rng.uniform(0.5, 0.8), place)


def point(rng: np.random.Generator, actor: Moves, _other: Moves, _apart: float) -> None:
    """One arm is stretched at something far away, ahead or aside, held, and taken down; the other takes no part."""
    side = int(rng.random() < 0.65)
    turn, open_to = 2 * side - 1, rng.uniform(0.0, 0.6)
    rise, stay, sink = rng.uniform(0.35, 0.7), rng.uniform(0.7, 2.3), rng.uniform(0.3, 0.6)
    aside = rng.normal(0, 0.2) if rng.random() < 0.75 else rng.uniform(0.4, 1.3)
    up = rng.uniform(-0.1, 0.4)
    if aside > 0.4:
        open_to = 0.0

    def aimed(jerk: float) -> Array:
        """The arm stretched, off the target by `jerk` radians; the chest is turned so that the shoulder comes ahead."""
        out = aside + open_to + jerk
        hand = 0.98 * np.array([np.sin(out) * np.cos(up), np.sin(up + jerk), np.cos(out) * np.cos(up)])
        return bent(yaw=turn * open_to, look=-0.8 * turn * (aside + open_to)) + reach(side, *hand)

    actor.key(rise, aimed(0))
    jerks = int(rng.integers(0, 4))
    for jerk in range(jerks):
        actor.key(rise + stay * (jerk + 1) / (jerks + 1), aimed(rng.normal(0, 0.06)))
    actor.key(rise + stay, aimed(0))
    actor.rest(rise + stay + sink)


def _recover(rng: np.random.Generator, moves: Moves, start: float, ahead: float) -> None:
    """The feet come together where they are or farther back, out of reach of the other, who is `ahead`."""
    place = moves.feet().mean() * rng.uniform(0, 0.6) if rng.random() < 0.5 else moves.feet().max()
    moves.gather(start, rng.uniform(0.4, 0.75), float(min(place, ahead - rng.uniform(0.4, 0.6))))


def _retreat(rng: np.random.Generator, moves: Moves, start: float, count: int, length: float) -> None:
    """`count` steps back of `length`, and the feet come together."""
    side, pace = int(rng.integers(2)), rng.uniform(0.24, 0.36)
    for step in range(count):
        foot = (side + step) % 2
        now = moves.feet()
        moves.step(foot, start + step * pace, pace, float(now[1 - foot] - length - now[foot]))
    moves.gather(start + count * pace, pace, float(moves.feet().min()))


def _reel(rng: np.random.Generator, moves: Moves, start: float) -> None:
    """Head and trunk are knocked back and aside, the arms fly, mostly with a step or two back."""
    hard, turn = rng.uniform(0.5, 1.15), rng.choice((-1, 1))
    snap, stay, back = rng.uniform(0.1, 0.22), rng.uniform(0.1, 0.4), rng.uniform(0.4, 0.8)
    bow = rng.uniform(-0.45, -0.15) if rng.random() < 0.7 else rng.uniform(0.2, 0.6)
    knocked = bent(
        -rng.uniform(0.08, 0.28), bow, turn * rng.uniform(0.2, 1.0), turn * rng.uniform(-0.15, 0.35),
        -rng.uniform(0.1, 0.5), turn * rng.uniform(0.2, 0.8),
    ) + _arms(rng, (0.2, 0.7), (-0.9, -0.4), (0.0, 0.5))  # fmt: skip
    moves.key(start, np.zeros(CONTROLS))
    moves.key(start + snap, hard * knocked)
    moves.key(start + snap + stay, 0.9 * hard * knocked)
    moves.rest(start + snap + stay + back)
    count = int(rng.choice(4, p=[0.2, 0.35, 0.25, 0.2]))
    if count:
        _retreat(rng, moves, start + 0.05, count, hard * rng.uniform(0.1, 0.24))


def _double_up(rng: np.random.Generator, moves: Moves, start: float) -> None:
    """The trunk folds forward, the hips go back, the hands go to where it hurts, with a hop back or none."""
    hard = rng.uniform(0.4, 1.0)
    fold, stay, back = rng.uniform(0.15, 0.32), rng.uniform(0.15, 0.7), rng.uniform(0.4, 0.8)
    folded = bent(rng.uniform(0.15, 0.4), rng.uniform(0.25, 0.7), rng.uniform(-0.4, 0.4), nod=rng.uniform(0, 0.3))
    folded[PELVIS] = 0, -rng.uniform(0.01, 0.05), -rng.uniform(0.04, 0.09)
    folded *= hard
    if rng.random() < 0.6:
        belly = moves.points(start, folded)[POINT["pelvis"]] + np.array([0, rng.uniform(-0.02, 0.08), 0.09])
        for side in (0, 1):
            folded = moves.touch(start, folded, side, belly + np.array([0.03 * (1 - 2 * side), 0, 0]))
    else:
        folded += hard * _arms(rng, (0.1, 0.5), (-0.8, -0.4), (0.2, 0.6))
    moves.key(start, np.zeros(CONTROLS))
    moves.key(start + fold, folded)
    moves.key(start + fold + stay, 0.9 * folded)
    moves.rest(start + fold + stay + back)
    count = int(rng.choice(3, p=[0.35, 0.4, 0.25]))
    if count:
        _retreat(rng, moves, start, count, hard * rng.uniform(0.1, 0.22))


def _stumble(rng: np.random.Generator, moves: Moves, start: float, shoved: float) -> None:
    """The chest is shoved back and the feet hurry after it, while the arms stay behind, stretched ahead."""
    snap, stay, back = rng.uniform(0.18, 0.3), rng.uniform(0.15, 0.45), rng.uniform(0.4, 0.7)
    tipped = bent(-rng.uniform(0.12, 0.35), rng.uniform(-0.15, 0.2), rng.uniform(-0.25, 0.25), nod=rng.uniform(0, 0.3))
    tipped += _arms(rng, (0.1, 0.6), (-0.6, 0.25), (0.3, 0.8)) * rng.uniform(0.4, 1.0)
    tipped[PELVIS.start + 2] = -rng.uniform(0.02, 0.06)
    moves.key(start, np.zeros(CONTROLS))
    moves.key(start + snap, tipped)
    moves.key(start + snap + stay, 0.8 * tipped)
    moves.rest(start + snap + stay + back)
    _retreat(rng, moves, start, int(rng.integers(1, 5)), max(0.8 * shoved, rng.uniform(0.12, 0.26)))


ACTIONS: dict[str, Callable[[np.random.Generator, Moves, Moves, float], None]] = {
    "hug": hug, "kick": kick, "point": point, "punch": punch, "push": push, "shake_hands": shake_hands,
}  # fmt: skip
