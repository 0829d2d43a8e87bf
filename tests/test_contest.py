"""`actionstream compare`: every recipe is trained for every fold and seed, and asked about what it never saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from export.contest import JUDGED, PRICED, entries
from export.contest_command import ORDERS, compare
from tests.media import encode_h264
from train.runs import RUN, load_run
from train.settings import read_recipe

SMALL = [
    "--backbone", "compact", "--weights", "none", "--epochs", 1, "--folds", 2, "--seeds", 1,
    "--set", "input.height=32", "--set", "input.width=32", "--set", "decision.streams=1", "--set", "decision.seconds=3",
    "--set", "data.validation=0.5",
]  # fmt: skip


@pytest.fixture(scope="module")
def there_and_back(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A square that crosses the picture to the right, or the same to the left: only order tells the two apart."""
    root = tmp_path_factory.mktemp("ordered")
    for label in ("there", "back"):
        (root / label).mkdir()
    for sequence in range(9):
        ground = np.random.default_rng(sequence).integers(30, 90, (48, 64, 3)).astype(np.uint8)
        pictures = [ground.copy() for _ in range(20)]
        for t, picture in enumerate(pictures):
            picture[4 + 3 * sequence : 18 + 3 * sequence, 2 * t + 4 : 2 * t + 18] = (240, 220, 60)
        encode_h264(pictures, root / "there" / f"seq{sequence:02d}.mp4", fps=20)
        encode_h264(pictures[::-1], root / "back" / f"seq{sequence:02d}.mp4", fps=20)
    return root


def compared(data: Path, *more: object) -> Any:
    result = CliRunner().invoke(compare, [str(each) for each in (data, *SMALL, *more, "--json")])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def told(class_folders: Path, out: Path) -> Any:
    return compared(class_folders, "--recipes", "uniform-gru,vgg16-frame", "--out", out, "--cache", out / "cache")


def test_every_fold_is_asked_of_every_recipe(told: Any) -> None:
    assert [each["name"] for each in told["recipes"]] == ["uniform-gru", "vgg16-frame"]
    for each in told["recipes"]:
        assert [trial["fold"] for trial in each["trials"]] == [0, 1]
        for order in ORDERS:
            shares = [trial[order] for trial in each["trials"]]
            assert all(0 <= share <= 1 for share in shares)
            assert each[order]["mean"] == pytest.approx(np.mean(shares))
            assert each[order]["sd"] == pytest.approx(np.std(shares, ddof=1))
        assert each["gflops"] > 0 and each["label_ms"] > 0


def test_its_table_is_read_in_80_columns(class_folders: Path, told: Any, out: Path) -> None:
    words = [class_folders, "--recipes", "uniform-gru,vgg16-frame", "--out", out, "--cache", out / "cache"]
    result = CliRunner(env={"COLUMNS": "80"}).invoke(compare, [*map(str, words), *map(str, SMALL)])
    lines = result.stdout.splitlines()
    for each in told["recipes"]:
        (line,) = (line for line in lines if line.startswith(each["name"]))
        for order in ORDERS:
            assert f"{100 * each[order]['mean']:.1f} ± {100 * each[order]['sd']:.1f}" in line
        assert f"{each['parameters'] / 1e6:.2f} M" in line
    assert max(map(len, lines)) <= 80 and "…" not in result.stdout


@pytest.mark.slow
def test_what_order_is_worth(there_and_back: Path, tmp_path: Path) -> None:
    learned = ["--epochs", 60, "--set", "stages.0.learning_rate=0.01", "--set", "stages.0.patience=0"]
    told = compared(
        there_and_back, "--recipes", "uniform-gru", "--out", tmp_path, "--cache", tmp_path / "cache", *learned
    )
    (gru,) = told["recipes"]
    assert gru["ordered"]["mean"] > 0.9
    assert gru["shuffled"]["mean"] < 0.75
    assert told["classes"] == 2


def test_weights_are_counted_as_keras_counts_them(told: Any, out: Path) -> None:
    folder = next(path for path in out.iterdir() if path.name.startswith("uniform-gru-"))
    network = load_run(folder / f"fold0-seed{told['recipes'][0]['trials'][0]['seed']}").network
    whole = network.features.count_params() + network.head.count_params()
    # A converter folds batch normalisation into the convolution before it, and keeps a few constants of its own.
    assert told["recipes"][0]["parameters"] == pytest.approx(whole, rel=0.02)


def written(out: Path) -> dict[Path, int]:
    """When each file of the runs in `out` was last written."""
    return {path: path.stat().st_mtime_ns for path in out.glob("*/*/*.json")}


def test_what_is_finished_is_neither_trained_nor_judged_again(class_folders: Path, told: Any, out: Path) -> None:
    before = written(out)
    assert [sum(path.name == name for path in before) for name in (RUN, JUDGED, PRICED)] == [4, 4, 2]
    again = compared(class_folders, "--recipes", "uniform-gru,vgg16-frame", "--out", out, "--cache", out / "cache")
    assert again["recipes"] == told["recipes"]  # the milliseconds of a label too, which no two measurements share
    assert written(out) == before


def test_what_was_judged_by_other_weights_is_judged_again(class_folders: Path, told: Any, out: Path) -> None:
    before = written(out)
    other, damaged = sorted(path.parent for path in out.glob(f"uniform-gru-*/*/{JUDGED}"))
    (run := other / RUN).write_text(run.read_text() + "\n")
    (damaged / JUDGED).write_text("half a fi")
    again = compared(class_folders, "--recipes", "uniform-gru", "--out", out, "--cache", out / "cache")
    assert again["recipes"][0]["trials"] == told["recipes"][0]["trials"]
    after = written(out)
    changed = {path for path in before if after[path] != before[path]}
    assert changed == {run, other / JUDGED, other / PRICED, damaged / JUDGED}


@pytest.mark.slow
def test_other_settings_are_other_runs(class_folders: Path, told: Any, out: Path) -> None:
    """Of a recipe that is changed, nothing that was finished before is taken for its own."""
    again = compared(class_folders, "--recipes", "uniform-gru", "--out", out, "--cache", out / "cache", "--epochs", 2)
    assert len(list(out.glob(f"uniform-gru-*/*/{RUN}"))) == 4
    assert [trial["fold"] for trial in again["recipes"][0]["trials"]] == [0, 1]


def test_lengths() -> None:
    recipes = [read_recipe("uniform-gru"), read_recipe("streaming-gru")]
    plain = entries(recipes, [])
    assert [(entry.name, entry.frames) for entry in plain] == [("uniform-gru", 20), ("streaming-gru", None)]
    short, long = entries(recipes[:1], [5, 40])
    assert (short.name, short.frames, long.frames) == ("uniform-gru, 5", 5, 40)
    assert short.recipe.clips is not None and short.recipe.clips.frames == 5
    assert short.recipe.temporal.window == 5 and short.recipe.temporal.warmup <= 5
    assert {stage.window for stage in long.recipe.stages} == {40}
    (carried,) = entries(recipes[1:], [8])
    assert (carried.recipe.temporal.mode, carried.recipe.temporal.window) == ("window", 8)
    seen = [entry.recipe.model.context for entry in entries([read_recipe("transformer")], [5, 40])]
    assert seen == [5, 40]  # it attends to all pictures that it is said to judge by


@pytest.mark.parametrize("asked", [["--lengths", "5,0"], ["--lengths", "five"], ["--recipes", ","]])
def test_what_is_listed_must_be_something(class_folders: Path, tmp_path: Path, asked: list[str]) -> None:
    options = ["--recipes", "uniform-gru", "--out", str(tmp_path / "out"), *asked]
    result = CliRunner().invoke(compare, [str(class_folders), *options])
    assert result.exit_code == 2
    assert f"with commas between them; got {asked[1]!r}" in result.output.replace("\n", " ").replace("  ", " ")


def test_what_could_not_run_is_refused_before_anything_is_trained(class_folders: Path, tmp_path: Path) -> None:
    asked = [class_folders, "--recipes", "uniform-gru,figures", *SMALL, "--out", tmp_path / "out", "--lengths", 4]
    result = CliRunner().invoke(compare, [str(each) for each in asked])
    assert result.exit_code == 1
    assert "recipe figures: features that keep state" in str(result.exception)
    assert "expected temporal.mode carry, got window" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_streams_are_refused(class_folders: Path, tmp_path: Path) -> None:
    clip = next((class_folders / "right").iterdir())
    stream = {"file": clip.name, "annotations": [{"label": "right", "segment": [0.1, 0.8]}]}
    (tmp_path / clip.name).write_bytes(clip.read_bytes())
    (tmp_path / "annotations.json").write_text(json.dumps({"database": {"one": stream}}))
    asked = [tmp_path, "--recipes", "streaming-gru", "--out", tmp_path / "out", "--cache", tmp_path / "cache"]
    result = CliRunner().invoke(compare, [str(each) for each in asked])
    assert result.exit_code == 1 and "untrimmed streams" in str(result.exception)


def test_a_recipe_that_is_not_there(class_folders: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(compare, [str(class_folders), "--recipes", "nobody", "--out", str(tmp_path)])
    assert result.exit_code == 1 and "no recipe 'nobody'" in str(result.exception)
