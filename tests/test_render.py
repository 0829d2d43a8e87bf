"""The renderer: the same seed gives the same pixels, the truth fits the pictures, and files carry both."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from samples import actions
from samples.actions import LABELS, SHOWS, draw_lying
from samples.figure import POINT, POINTS, Body, draw_body, joints, standing
from samples.outdoors import KINDS
from samples.render import Stream, main, truth
from samples.script import REST, Script
from train.datasets import read_dataset

SMALL = (128, 96)


def _actor(seed: int, label: str) -> tuple[Body, actions.Motion]:
    rng = np.random.default_rng(seed)
    body = draw_body(rng)
    if label in ("fall", "get_up"):
        return body, getattr(actions, label)(rng, body, draw_lying(rng, float(rng.uniform(-3, 3))))
    return body, getattr(actions, label)(rng, body)


def _points(body: Body, motion: actions.Motion, times: NDArray[np.float64]) -> NDArray[np.float64]:
    return joints(body, standing(body) + motion.pose(times))


def test_the_same_seed_gives_the_same_pixels_in_any_order() -> None:
    first, second = Stream(5, 3, SMALL), Stream(5, 3, SMALL)
    pictures = [picture for picture, _ in first]
    assert np.array_equal(pictures[20], second.picture(20))
    assert np.array_equal(pictures[3], second.picture(3))
    assert not np.array_equal(pictures[20], Stream(6, 3, SMALL).picture(20))


def test_pictures_and_times_are_what_was_asked_for() -> None:
    stream = Stream(1, 2.0, (160, 90), fps=25)
    frames = list(stream)
    assert len(frames) == len(stream) == 50
    assert frames[0][0].shape == (90, 160, 3) and frames[0][0].dtype == np.uint8
    assert [time for _, time in frames] == pytest.approx(np.arange(50) / 25)


def test_the_frame_rate_varies_with_the_seed() -> None:
    rates = {Stream(seed, 2.0, SMALL).fps for seed in range(12)}
    assert len(rates) > 4 and all(20 <= rate <= 30 for rate in rates)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_backdrop_is_a_picture_of_its_own(kind: str) -> None:
    first, second = (Stream(seed, 2.0, SMALL, kind=kind).picture(0).astype(int) for seed in (1, 2))
    assert first.std() > 3
    assert np.abs(first - second).mean() > 3


@pytest.mark.parametrize("label", LABELS[1:])
def test_an_action_lasts_from_0_6_to_3_seconds_and_ends_at_rest(label: str) -> None:
    for seed in range(40):
        body, motion = _actor(seed, label)
        start, end = motion.shown(body, np.arange(-0.5, motion.duration + 0.5, 0.04))
        assert 0.55 <= end - start <= 3.0
        assert 0 <= start < 0.35 and motion.duration - 0.35 < end <= motion.duration
        before, after = _points(body, motion, np.array([0.0, motion.duration]))
        upright = joints(body, standing(body)[None])[0]
        if label != "get_up":
            assert np.abs(before - upright).max() < 1e-6
        if label != "fall":
            assert np.abs(after - upright).max() < 1e-6


def test_the_movement_shows_within_its_segment_and_not_outside() -> None:
    body, motion = _actor(3, "wave")
    times = np.arange(-0.5, motion.duration + 0.5, 0.04)
    start, end = motion.shown(body, times)
    away = np.linalg.norm(_points(body, motion, times) - joints(body, standing(body)[None]), axis=-1).max(axis=1)
    inside = (times >= start) & (times <= end)
    assert away[inside].max() > 0.2
    assert away[~inside].max() <= SHOWS


def test_getting_up_is_the_fall_backwards() -> None:
    body = draw_body(np.random.default_rng(7))
    lying = draw_lying(np.random.default_rng(8), 1.4)
    falling = actions.fall(np.random.default_rng(9), body, lying)
    rising = actions.get_up(np.random.default_rng(9), body, lying)
    times = np.linspace(0, falling.duration, 60)
    assert rising.duration == falling.duration
    assert np.allclose(_points(body, falling, times), _points(body, rising, times)[::-1])
    halves = falling.shown(body, times), rising.shown(body, times)
    assert halves[0] == pytest.approx([falling.duration - halves[1][1], falling.duration - halves[1][0]])


def test_who_falls_lies_until_they_get_up() -> None:
    seen = 0
    for seed in range(12):
        body = draw_body(np.random.default_rng(seed))
        script = Script(np.random.default_rng(seed), body, np.zeros(3), 1.5)
        script.live(60)
        times = np.arange(0, 60, 0.05)
        points, _, annotations = script.play(times)
        tall = points[:, POINT["crown"], 1]
        down = bool(tall[0] < 0.5)
        for before, after in pairwise(annotations):
            assert after.start - before.end >= REST
        for done in annotations:
            assert (done.label == "get_up") == down
            down = done.label == "fall" or (down and done.label != "get_up")
            quiet = tall[(times > done.end) & (times < done.end + 0.8)]
            assert (quiet < 0.5).all() if down else (quiet > 0.8).all()
            seen += done.label in ("fall", "get_up")
    assert seen > 20


def test_bones_keep_their_lengths_and_nobody_sinks_into_the_ground() -> None:
    bones = [("shoulder", "elbow", "upper_arm"), ("elbow", "hand", "forearm"), ("hip", "knee", "thigh")]
    for label in LABELS[1:]:
        body, motion = _actor(11, label)
        points = _points(body, motion, np.linspace(0, motion.duration, 30))
        assert points.shape == (30, len(POINTS), 3)
        assert points[..., 1].min() >= 0
        high = points[..., 1].min(axis=-1) > 0.03
        for a, b, name in bones:
            lengths = np.linalg.norm(points[:, POINT[f"left_{a}"]] - points[:, POINT[f"left_{b}"]], axis=-1)
            assert lengths[high] == pytest.approx(getattr(body, name), abs=1e-6)


def test_the_person_is_where_the_points_are() -> None:
    """Without the person, the picture differs around the person, and nowhere far from there but in the shadow."""
    stream = Stream(21, label="wave", size=(320, 240), kind="studio")
    index = len(stream) // 2
    _, points, first = stream._people[-1]
    with_person = stream.picture(index).astype(int)
    without = stream.scene.picture(float(stream.times[index]), index, [], stream.seed).astype(int)
    changed = np.abs(with_person - without).sum(axis=-1) > 60
    pixels, _ = stream.scene.camera.project(points[index - first])
    x, y = np.rint(pixels[POINT["waist"]]).astype(int)
    assert changed[y, x]
    assert changed.sum() > 300
    assert not changed[:, : max(int(pixels[:, 0].min()) - 60, 0)].any()


def test_a_stream_as_a_file_has_its_pictures_and_its_truth(tmp_path: Path) -> None:
    arguments = [
        "streams",
        "--out",
        str(tmp_path),
        "--count",
        "2",
        "--seconds",
        "12",
        "--seed",
        "40",
        "--size",
        "160x96",
    ]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    database = json.loads((tmp_path / "annotations.json").read_text())["database"]
    assert sorted(database) == ["stream_0001", "stream_0002"]
    entry, stream = database["stream_0002"], Stream(41, 12, (160, 96))
    assert entry == truth(stream, "stream_0002.mp4", "streams")
    with av.open(str(tmp_path / entry["file"])) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].codec_context.name == "h264"
        assert float(container.streams.video[0].average_rate or 0) == pytest.approx(entry["fps"])
    assert len(frames) == len(stream)
    assert np.abs(frames[30].astype(int) - stream.picture(30)).mean() < 8


def test_clips_lie_in_a_folder_a_label(tmp_path: Path) -> None:
    arguments = ["clips", "--out", str(tmp_path), "--per-label", "1", "--seed", "2", "--size", "96x64"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert sorted(path.parent.name for path in tmp_path.glob("*/*.mp4")) == sorted(LABELS)
    database = json.loads((tmp_path / "clips.json").read_text())["database"]
    for name, entry in database.items():
        labels = [done["label"] for done in entry["annotations"]]
        assert labels == ([] if name.startswith("none") else [name.rsplit("_", 1)[0]])
    # The list of times beside them makes no streams of the folder, unless it is asked for by its name.
    clips, streams = (read_dataset(path, none="none", group="no group") for path in (tmp_path, tmp_path / "clips.json"))
    assert not clips.untrimmed and {each.label for each in clips.recordings} == set(LABELS)
    assert streams.untrimmed and {each.path for each in streams.recordings} == {each.path for each in clips.recordings}


def test_a_size_that_cannot_be_encoded_is_a_usage_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["streams", "--out", str(tmp_path), "--size", "161x96"])
    assert result.exit_code == 2
    assert "161x96" in result.output


def test_a_contact_sheet_is_a_picture(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["sheet", "--out", str(tmp_path / "sheet.png"), "--size", "96x64"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "sheet.png").read_bytes()[:4] == b"\x89PNG"
