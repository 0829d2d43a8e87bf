"""`data check`: what it finds in sets that were made to be wrong in one way each, and what it says of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from stream.errors import ConfigError
from tests.folders import read
from tests.media import encode_h264
from tests.test_formats_features import perframe
from train.cache import ArrayCache
from train.data.commands import data
from train.data.giveaway import ALL, give_away
from train.data.grid import draw_grid
from train.data.leaks import find_leaks
from train.readable import Facts, facts_of


def clip(path: Path, seed: int, *, frames: int = 6, width: int = 64, fps: float = 20) -> Path:
    """A clip of a ground of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ground = np.kron(np.random.default_rng(seed).integers(0, 255, (12, 16, 3)), np.ones((4, width // 16, 1)))
    return encode_h264([ground.astype(np.uint8)] * frames, path, fps=fps)


def checked(root: Path, tmp_path: Path, *options: object) -> dict[str, Any]:
    arguments = ["check", root, "--cache", tmp_path / "cache", "--json", *options]
    result = CliRunner().invoke(data, [str(argument) for argument in arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_sound_set(class_folders: Path, tmp_path: Path) -> None:
    found = checked(class_folders, tmp_path)
    assert found["format"] == "class folders of clips"
    assert (found["recordings"], found["groups"], found["labels"]) == (12, 4, ["none", "down", "right"])
    assert found["classes"][1] == {"label": "down", "recordings": 4, "times": 4, "groups": 4, "parts": {}}
    assert found["lengths"]["frames"] == {"least": 20, "median": 20, "greatest": 20}
    assert found["lengths"]["fps"]["median"] == pytest.approx(20, abs=0.1)
    assert found["sizes"] == {"64x48": 12}
    assert len(found["sample"]) == 8
    assert found["sample"][0]["recording"] == "down/seq00_down.mp4"
    assert found["unreadable"] == found["remarks"] == []
    assert [answer["gives_away"] for answer in found["given_away"]] == [False] * 4


def test_the_tables_say_the_same(class_folders: Path, tmp_path: Path) -> None:
    root = shutil.copytree(class_folders, tmp_path / "clips")
    (root / "down/seq00_broken.mp4").write_text("no video")
    shutil.copy(root / "right/seq00_right.mp4", root / "right/seq03_copy.mp4")
    result = CliRunner().invoke(data, ["check", str(root), "--cache", str(tmp_path / "cache")], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.exception
    for expected in (
        "class folders of clips",
        "13 clips, in 4 groups",
        "64x48 (13)",
        "down/seq00_down.mp4",
        "cannot be read, and are left out: 1",
        "seq00_broken.mp4 is no video",
        "suspected leaks between groups, by which splits are made: 1",
        "the same bytes: right/seq00_right.mp4 (seq00), right/seq03_copy.mp4 (seq03)",
        "all of these",
    ):
        assert expected in result.stdout


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ("length", lambda label: {"frames": 6 + 6 * label}),
        ("size", lambda label: {"width": 64 + 32 * label}),
        ("fps", lambda label: {"fps": 20 + 5 * label, "frames": 8 + 2 * label}),
    ],
)
def test_what_betrays_a_class_is_named(tmp_path: Path, asked: str, made: Callable[[int], dict[str, Any]]) -> None:
    for label, name in enumerate(("wave", "clap")):
        for group in range(8):
            clip(tmp_path / f"clips/{name}/g{group:02d}.mp4", seed=10 * label + group, **made(label))
    found = {answer["asked"]: answer for answer in checked(tmp_path / "clips", tmp_path)["given_away"]}
    assert found[asked]["accuracy"] == 1.0 and found[asked]["gives_away"]
    others = {"size", "length", "fps"} - {asked} - ({"length"} if asked == "fps" else set())
    assert not any(found[other]["gives_away"] for other in others)
    assert found[ALL]["gives_away"]


def test_numbers_that_say_nothing_give_nothing_away() -> None:
    """Of ten sets of random numbers none is suspected: chance is left behind by three standard errors or not at all."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        facts = [
            Facts(int(rng.integers(50, 90)), rng.uniform(2, 4), 240, int(rng.integers(200, 400))) for _ in range(60)
        ]
        labels = [f"class {i % 3}" for i in range(60)]
        groups = [f"group {i // 6}" for i in range(60)]
        assert not any(answer.gives_away for answer in give_away(facts, labels, groups, seed=seed)[-1:])


def test_a_group_is_never_on_both_sides_of_the_question() -> None:
    """Every group has its own size and only one class: within groups it tells all, across them nothing."""
    rng = np.random.default_rng(0)
    sizes = rng.permutation(40) * 10 + 100
    facts = [Facts(60, 3.0, 240, int(sizes[i // 4])) for i in range(160)]
    labels = ["wave" if i // 4 % 2 else "clap" for i in range(160)]
    size = give_away(facts, labels, [f"group {i // 4}" for i in range(160)])[0]
    assert size.accuracy < 0.75
    apart = give_away(facts, labels, [f"clip {i}" for i in range(160)])[0]
    assert apart.accuracy > 0.8


def test_too_little_to_ask() -> None:
    facts = [Facts(60, 3.0, 240, 320)] * 4
    assert give_away(facts, ["a", "a", "b", "b"], ["g"] * 4) == ()
    assert give_away(facts, ["a", "a", "a", "b"], ["g", "h", "i", "j"]) == ()


def test_leaks_between_the_parts_of_a_split(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    for number, name in enumerate(("g1_a", "g2_b", "g3_c", "g4_d", "g5_e", "g6_f")):
        clip(root / f"{'wave' if number % 2 else 'clap'}/{name}.mp4", seed=number)
    shutil.copy(root / "clap/g1_a.mp4", root / "clap/g7_same.mp4")
    clip(root / "wave/g8_alike.mp4", seed=1, frames=9)  # the first picture of g2_b, in another file
    clip(root / "wave/g3_again.mp4", seed=20)
    for seed, name in ((0, "black1"), (1, "black2")):
        encode_h264([np.full((48, 64, 3), 16 + seed, np.uint8)] * 4, root / f"wave/{name}.mp4")
    tested = ("g7_same", "g8_alike", "g3_again", "black2")
    rows = [f"{path.name},{path.parent.name}\n" for path in sorted(root.rglob("*.mp4"))]
    (root / "train.csv").write_text("video_name,tag\n" + "".join(r for r in rows if not r.startswith(tested)))
    (root / "test.csv").write_text("video_name,tag\n" + "".join(r for r in rows if r.startswith(tested)))
    dataset, cache = read(root), ArrayCache(tmp_path / "cache")
    leaks = find_leaks(dataset, [facts_of(cache, each) for each in dataset.recordings])
    found = {(leak.kind, Path(leak.first).stem, Path(leak.second).stem) for leak in leaks}
    assert found == {
        ("group", "g3_c", "g3_again"),
        ("bytes", "g1_a", "g7_same"),
        ("picture", "g2_b", "g8_alike"),
    }
    assert {leak.sides for leak in leaks} == {("training", "test")}
    assert any("groups in several parts of the split: 1" in remark for remark in dataset.remarks)


def test_annotations_beyond_the_end_are_told(tmp_path: Path) -> None:
    clip(tmp_path / "streams/s.mp4", seed=1, frames=40)
    happening = [{"label": "wave", "segment": segment} for segment in ([0.5, 2.5], [1.0, 9.5])]
    database = {"s": {"file": "s.mp4", "annotations": happening}}
    (tmp_path / "streams/annotations.json").write_text(json.dumps({"database": database}))
    found = checked(tmp_path / "streams", tmp_path)
    assert found["beyond"] == ["s.mp4 ends at 2.0 s, but wave happens from 1 to 9.5 s"]
    assert found["untrimmed"] and found["given_away"] == []
    assert found["classes"] == [{"label": "wave", "recordings": 1, "times": 2, "groups": 1, "parts": {}}]


def test_features_are_checked_without_pictures(tmp_path: Path) -> None:
    found = checked(perframe(tmp_path / "thumos"), tmp_path)
    assert found["sizes"] == {"10 features": 3} and found["parts"] == {"training": 2, "test": 1}
    result = CliRunner().invoke(data, ["check", str(tmp_path / "thumos"), "--grid", "x.png", "--cache", str(tmp_path)])
    assert "has no pictures to draw" in str(result.exception)


def test_the_grid_shows_every_label(class_folders: Path, tmp_path: Path) -> None:
    page: NDArray[np.uint8] = draw_grid(read(class_folders))
    assert page.shape == (2 * 16 + 3 * (180 + 44) + 2 * 12, 2 * 16 + 5 * 240 + 4 * 12, 3)
    # The first cell holds a picture, and below it there is ink.
    assert page[16:196, 16:256].std() > 20
    assert (page[196:240, 16:256] < 100).any() and (page[196:240] > 240).any()
    checked(class_folders, tmp_path, "--grid", tmp_path / "grid.png")
    written = cv2.imread(str(tmp_path / "grid.png"))
    assert written is not None and np.array_equal(written, page)
    result = CliRunner().invoke(data, ["check", str(class_folders), "--grid", "grid.txt", "--cache", str(tmp_path)])
    assert isinstance(result.exception, ConfigError) and "expected a name that ends with .png" in str(result.exception)


def test_real_clips_betray_their_class(shared: Path, tmp_path: Path) -> None:
    found = checked(shared / "ut-interaction", tmp_path)
    answers = {answer["asked"]: answer for answer in found["given_away"]}
    assert all(answers[asked]["gives_away"] for asked in ("size", "length", "fps", ALL))
    assert answers[ALL]["accuracy"] > 0.5 > 3 * answers[ALL]["chance"]
    assert answers["size"]["found"]["point"] > 0.8
    assert (found["recordings"], found["groups"]) == (156, 14)
