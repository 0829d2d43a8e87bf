"""Two people: the same seed gives the same pixels, the truth has rests, and who hits or holds somebody touches them."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from samples import pairs
from samples.drawing import Camera, Figure
from samples.figure import POINT, Body, Look, draw_body, grown, joints, reach_for, standing
from samples.pairs_moves import Moves, bent
from samples.pairs_scene import PairScene
from samples.pairs_script import REST, Encounter
from samples.render import PairStream, main, truth
from samples.script import Annotation

Points = NDArray[np.float64]
SMALL = (128, 96)
FPS = 20
SEEDS = 22
SECONDS = 40.0
TRUNK = (("pelvis", "neck"), ("neck", "crown"))
LEGS = (("left_hip", "left_ankle"), ("right_hip", "right_ankle"))


@cache
def encounter(seed: int) -> tuple[tuple[Points, Points], tuple[Annotation, ...]]:
    """Points (T, P, 3) of the two who meet, idling and all, and what they did."""
    rng = np.random.default_rng(seed)
    both = Encounter(rng, [grown(draw_body(rng), rng.uniform(0.88, 1.06)) for _ in range(2)], reach=1.2)
    both.live(SECONDS)
    (first, second), done = both.play(np.arange(0, SECONDS, 1 / FPS))
    return (first, second), tuple(done)


def scenes(label: str) -> list[tuple[Points, Points]]:
    """Points (T', P, 3) of both during each action `label` of some encounters."""
    found = []
    for seed in range(SEEDS):
        people, annotations = encounter(seed)
        for done in annotations:
            if done.label == label:
                on = slice(round(done.start * FPS), round(done.end * FPS) + 1)
                found.append((people[0][on], people[1][on]))
    assert len(found) >= 8
    return found


def distance(points: Points, body: Points, bones: tuple[tuple[str, str], ...]) -> Points:
    """Distance (T,) of `points` (T, 3) to the nearest of `bones` of `body` (T, P, 3)."""
    found = []
    for a, b in bones:
        start, along = body[:, POINT[a]], body[:, POINT[b]] - body[:, POINT[a]]
        share = np.sum((points - start) * along, axis=1) / np.sum(along**2, axis=1)
        found.append(np.linalg.norm(points - start - np.clip(share, 0, 1)[:, None] * along, axis=1))
    return np.asarray(np.min(found, axis=0))


def hands(person: Points, other: Points) -> Points:
    """Distances (T, 2) of a person's left and right hand to the other's trunk and head."""
    return np.stack([distance(person[:, POINT[f"{side}_hand"]], other, TRUNK) for side in ("left", "right")], axis=1)


def apart(one: Points, other: Points) -> Points:
    """How far apart two people stand (T,)."""
    return np.asarray(np.linalg.norm((one - other)[:, POINT["pelvis"], ::2], axis=1))


def test_labels_are_none_and_then_every_action_by_name() -> None:
    assert pairs.LABELS == ("none", "hug", "kick", "point", "punch", "push", "shake_hands")
    assert tuple(pairs.ACTIONS) == tuple(pairs.APART) == pairs.LABELS[1:]


def test_the_same_seed_gives_the_same_pixels_in_any_order() -> None:
    first, second = PairStream(5, 8, SMALL), PairStream(5, 8, SMALL)
    pictures = [picture for picture, _ in first]
    assert np.array_equal(pictures[90], second.picture(90))
    assert np.array_equal(pictures[3], second.picture(3))
    assert first.annotations == second.annotations
    assert not np.array_equal(pictures[90], PairStream(6, 8, SMALL).picture(90))


def test_actions_lie_inside_the_stream_with_rests_between_and_all_of_them_happen() -> None:
    seen = set()
    for seed in range(SEEDS):
        _, annotations = encounter(seed)
        seen |= {done.label for done in annotations}
        assert all(0 < done.start < done.end < SECONDS for done in annotations)
        assert all(0.8 < done.end - done.start < 6.5 for done in annotations)
        assert all(after.start - before.end >= REST for before, after in pairwise(annotations))
    assert seen == set(pairs.LABELS[1:])


def test_one_fist_hits_and_who_is_hit_is_knocked_about() -> None:
    for one, other in scenes("punch"):
        assert min(hands(one, other).min(), hands(other, one).min()) < 0.15  # a head is 0.07 deep, a fist 0.025
        moved = [np.ptp(who[:, POINT["head"]], axis=0).max() for who in (one, other)]
        assert min(moved) > 0.03


def test_both_hands_push_at_once_and_who_is_pushed_goes_back() -> None:
    for one, other in scenes("push"):
        both = np.minimum(hands(one, other).max(axis=1), hands(other, one).max(axis=1))
        at = int(both.argmin())
        assert both[at] < 0.16  # of the spine: they lie up to 0.08 beside it, on a chest 0.06 deep
        pusher, pushed = (one, other) if hands(one, other)[at].max() < hands(other, one)[at].max() else (other, one)
        way = (pushed - pusher)[at, POINT["pelvis"]] / np.linalg.norm((pushed - pusher)[at, POINT["pelvis"]])
        assert float((pushed[-1] - pushed[at])[POINT["pelvis"]] @ way) > 0.08


def test_a_foot_gets_to_who_is_kicked_and_the_other_foot_stays_on_the_ground() -> None:
    for one, other in scenes("kick"):
        kicks = []
        for who, whom in ((one, other), (other, one)):
            left, right = who[:, POINT["left_ankle"]], who[:, POINT["right_ankle"]]
            for foot, still in ((left, right), (right, left)):
                up = foot[:, 1] > 0.15
                if up.any():
                    kicks.append((distance(foot, whom, TRUNK + LEGS)[up].min(), still[up, 1].max()))
        near, other_foot = min(kicks)
        assert near < 0.2
        assert other_foot < 0.12


def test_who_hugs_stands_body_to_body_for_a_while_and_all_four_arms_are_around() -> None:
    for one, other in scenes("hug"):
        held = apart(one, other) < 0.24
        assert held.sum() / FPS > 0.7
        middle = np.flatnonzero(held)[held.sum() // 2]
        assert max(hands(one, other)[middle].max(), hands(other, one)[middle].max()) < 0.16


def test_the_same_hands_meet_midway_and_stay_together() -> None:
    for one, other in scenes("shake_hands"):
        sides = [(one[:, POINT[f"{side}_hand"]], other[:, POINT[f"{side}_hand"]]) for side in ("left", "right")]
        a, b = min(sides, key=lambda hands: float(np.linalg.norm(hands[0] - hands[1], axis=1).min()))
        together = np.linalg.norm(a - b, axis=1) < 0.08
        assert together.sum() / FPS > 0.6
        assert (apart(one, other)[together] > 0.4).all()
        assert np.abs(a[together, 1] - 0.6).max() < 0.2


def test_who_points_stretches_one_arm_and_the_other_does_nothing() -> None:
    for both in scenes("point"):
        stretched = []
        for who in both:
            for side in ("left", "right"):
                shoulder, elbow, hand = (who[:, POINT[f"{side}_{name}"]] for name in ("shoulder", "elbow", "hand"))
                length = np.linalg.norm(elbow - shoulder, axis=1) + np.linalg.norm(hand - elbow, axis=1)
                straight = np.linalg.norm(hand - shoulder, axis=1) > 0.9 * length
                stretched.append((straight & (hand[:, 1] > shoulder[:, 1] - 0.1)).sum() / FPS)
        assert max(stretched) > 0.5
        assert sum(seconds > 0.3 for seconds in stretched) == 1


@pytest.mark.parametrize("label", [label for label in pairs.LABELS[1:] if label != "hug"])
def test_nobody_stands_inside_somebody(label: str) -> None:
    assert min(float(apart(one, other).min()) for one, other in scenes(label)) > 0.2


@pytest.mark.parametrize("label", pairs.LABELS[1:])
def test_an_action_begins_and_ends_at_rest(label: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        actor, other = Moves(draw_body(rng)), Moves(draw_body(rng))
        pairs.ACTIONS[label](rng, actor, other, 0.8)
        for moves in (actor, other):
            motion = moves.motion(label, 0.3, slower=1.2)
            assert np.abs(motion.pose(np.array([0.0, motion.duration]))).max() < 1e-6
            assert motion.duration == pytest.approx(1.2 * (moves.end + 0.02))


def test_a_foot_that_takes_no_step_stays_where_it_is() -> None:
    moves = Moves(Body())
    moves.advance(0.0, 0.4, travel=0.1, spread=0.2, front=1)
    motion = moves.motion("none", heading=0.0)
    times = np.linspace(0, motion.duration, 30)
    points = joints(moves.body, standing(moves.body) + motion.pose(times))
    points[:, :, 2] += motion.root(times)[:, 1:2]
    left, right = (points[:, POINT[f"{side}_ankle"]] for side in ("left", "right"))
    assert np.ptp(left, axis=0).max() < 0.005
    assert right[-1, 2] - right[0, 2] == pytest.approx(0.2, abs=0.005)
    assert right[:, 1].max() > right[0, 1] + 0.02


def test_hands_and_feet_find_the_point_they_are_sent_to() -> None:
    moves = Moves(draw_body(np.random.default_rng(1)))
    moves.advance(0.0, 0.5, travel=0.2, spread=0.3, front=0)
    goal = np.array([0.05, 0.75, 0.45])
    pose = moves.touch(0.6, bent(lean=0.2, bow=0.1, yaw=0.4, roll=0.1), 1, goal)
    assert moves.points(0.6, pose)[POINT["right_hand"]] == pytest.approx(goal, abs=1e-6)
    goal = np.array([-0.05, 0.4, 0.5])
    pose = moves.tread(0.6, bent(lean=-0.2), 1, goal)
    assert moves.points(0.6, pose)[POINT["right_ankle"]] == pytest.approx(goal, abs=1e-6)


def test_what_is_out_of_reach_is_reached_for() -> None:
    body, far = Body(), np.array([[0.0, 1.0, 3.0]])
    pose = standing(body)[None].copy()
    pose[:, 12:15] = reach_for(body, pose, 0, far)
    arm = np.diff(joints(body, pose)[0, [POINT["left_shoulder"], POINT["left_hand"]]], axis=0)[0]
    assert np.linalg.norm(arm) == pytest.approx(body.arm, rel=0.01)
    assert arm[2] > 0.98 * body.arm


def test_who_is_alone_only_points() -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        lone = Encounter(rng, [draw_body(rng)], reach=1.2)
        lone.live(30)
        _, annotations = lone.play(np.arange(0, 30, 1 / FPS))
        assert {done.label for done in annotations} == {"point"}


def test_an_arm_in_front_is_drawn_over_whoever_is_nearer() -> None:
    look = Look((255,) * 3, (9,) * 3, (0, 0, 255), (0, 0, 255), (9,) * 3, "none", "long", "bald", None)
    shirt = Look((9,) * 3, (9,) * 3, (255, 0, 0), (255, 0, 0), (9,) * 3, "long", "long", "bald", None)
    scene = PairScene(np.random.default_rng(1), SMALL, "studio")
    body, camera = Body(), Camera(64, 90, 80, 0.1, 8)
    reaching = standing(body)[None].copy()
    reaching[:, 15:18] = 0.0, -0.3, 0.9
    far, near = joints(body, reaching)[0], joints(body, standing(body)[None])[0] + np.array([0, 0, 0.1])
    near[:, 0] += far[POINT["right_hand"], 0]
    picture = np.zeros((96, 128, 3), np.uint8)
    people = [(Figure(body, look, scene.light), far), (Figure(body, shirt, scene.light), near)]
    scene._draw_people(picture, people, camera)
    (x, y), _ = camera.project(far[POINT["right_hand"]])
    assert picture[round(y), round(x)].min() > 150
    (x, y), _ = camera.project(near[POINT["waist"]])
    assert tuple(picture[round(y), round(x)] > 100) == (True, False, False)


def test_people_fill_half_of_the_picture_or_more() -> None:
    for seed in range(20):
        scene = PairScene(np.random.default_rng(seed), (192, 144))
        assert 0.45 <= scene.height_share * np.cos(scene.camera.pitch) <= 0.9


def test_streams_as_files_have_their_truth_and_the_labels_of_pairs(tmp_path: Path) -> None:
    arguments = ["pairs", "--out", str(tmp_path), "--count", "2", "--seconds", "12", "--seed", "7"]
    arguments += ["--size", "96x72", "--size", "128x72", "--fps", "15"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "annotations.json").read_text())
    assert [node["nodeName"] for node in content["taxonomy"]] == list(pairs.LABELS)
    assert [entry["resolution"] for entry in content["database"].values()] == ["96x72", "128x72"]
    second = PairStream(8, 12, (128, 72), 15)
    assert content["database"]["stream_0002"] == truth(second, "stream_0002.mp4", "streams")
    assert len(second) == 180
