"""Training and measuring on data that are not plain class folders: parts, pictures, files that cannot be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.test_train_cli import RECIPE, invoke
from train.commands import evaluate, train
from train.data.commands import data


def lists(clips: Path, root: Path) -> Path:
    """The clips in no folder, train.csv of the first three sequences and test.csv of the last."""
    root.mkdir()
    rows: dict[str, list[str]] = {"train": ["video_name,tag"], "test": ["video_name,tag"]}
    for path in sorted(clips.rglob("*.mp4")):
        shutil.copy(path, root)
        rows["test" if path.name.startswith("seq03") else "train"].append(f"{path.name},{path.parent.name}")
    for name, lines in rows.items():
        (root / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return root


def test_the_test_set_is_measured_once_and_nothing_else_is(class_folders: Path, tmp_path: Path) -> None:
    root, out, recipe = lists(class_folders, tmp_path / "lists"), tmp_path / "run", tmp_path / "quick.toml"
    (root / "seq02_right.mp4").write_text("no video")
    with (root / "train.csv").open("a") as file:
        file.write("seq09_right.mp4,right\n")
    recipe.write_text(RECIPE)
    options = ["--cache", tmp_path / "cache"]
    result = invoke(train, [root, "--out", out, "--recipe", recipe, *options])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "left out: no such recording: seq09_right.mp4" in result.output.replace("\n", "")
    assert "seq02_right.mp4 is no video that can be read" in result.output.replace("\n", "")
    described = json.loads((out / "run.json").read_text())["provenance"]["data"]
    assert described["recordings"] == {"training": 8, "validation": 0, "held_out": 3}
    assert described["groups"]["held_out"] == ["seq03"]
    reached = json.loads((out / "metrics.json").read_text())
    assert (reached["on"], reached["recordings"]) == ("test set", 3)

    again = invoke(evaluate, [out, root, *options, "--json", "--streams", 1, "--seconds", 4])
    assert again.exit_code == 0, (again.output, again.exception)
    found = json.loads(again.stdout)
    assert found["recordings"] == 3 and found["clips"]["clips"] == 3
    assert found["clips"]["confusion"] == reached["clips"]["confusion"]


def test_extracted_pictures_train_as_their_clips_do(class_folders: Path, tmp_path: Path) -> None:
    pictures, recipe = tmp_path / "pictures", tmp_path / "quick.toml"
    recipe.write_text(RECIPE)
    options = ["--cache", tmp_path / "cache"]
    assert invoke(data, ["extract", class_folders, "--every", 0.1, "--out", pictures, *options]).exit_code == 0
    mine = tmp_path / "mine.txt"
    folders = sorted(path for path in pictures.glob("*/*") if path.is_dir())
    parts = {path: "test" if path.name.startswith("seq01") else "training" for path in folders}
    mine.write_text("".join(f"{path.parent.name}/{path.name}:{part}\n" for path, part in parts.items()))
    result = invoke(train, [pictures, "--out", tmp_path / "run", "--recipe", recipe, "--split", mine, *options])
    assert result.exit_code == 0, (result.output, result.exception)
    described = json.loads((tmp_path / "run/run.json").read_text())["provenance"]["data"]
    assert described["recordings"] == {"training": 9, "validation": 0, "held_out": 3}
    assert described["groups"]["held_out"] == ["seq01"]
    assert str(tmp_path) not in json.dumps(described)
    again = invoke(
        evaluate, [tmp_path / "run", pictures, "--split", mine, *options, "--json", "--streams", 1, "--seconds", 4]
    )
    assert again.exit_code == 0, (again.output, again.exception)
    assert json.loads(again.stdout)["recordings"] == 3
