"""The commands `train`, `calibrate`, `evaluate`: what they print and leave, and one line for every bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from click.testing import CliRunner, Result

from export.pack import pack
from stream.contracts import Input
from stream.errors import SinkError, StreamError
from tests.media import encode_h264
from tests.process import run
from train.calibrate import _held_out
from train.commands import calibrate, evaluate, train
from train.data.commands import check
from train.datasets import read_dataset
from train.models import ModelSettings, build
from train.runs import Run, load_run, save_run
from train.settings import DataSettings, InputSettings, Recipe, read_recipe

# Keras 3.15 saves weights through numpy 1's way of reading a TensorFlow variable; numpy 2 works, and says so.
LABELS = ("none", "down", "right")
EACH = r"seq\d+_\w+"
"""Each clip a group of its own."""
RECIPE = """
name = "quick"
input = {height = 48, width = 64}
model = {backbone = "compact", units = 8, embedding = 8}
data = {validation = 0}
decision = {streams = 1, seconds = 4.0}
stages = [{kind = "head", epochs = 1, batch = 4, window = 6, variants = 0}]
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose network knows nothing: enough to measure how it is measured."""
    model = ModelSettings(backbone="compact", motion="difference", units=8, embedding=8)
    network = build(model, Input(height=48, width=64), len(LABELS))
    rng = np.random.default_rng(0)
    for weight in network.head.trainable_variables:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    rules = {label: {"enter": 0.4, "exit": 0.3, "min": 0.0} for label in LABELS[1:]}
    run = Run(
        network=network,
        labels=LABELS,
        none="none",
        input=Input(height=48, width=64),
        temporal={"mode": "carry", "window": None, "warmup": 2, "max_gap": 2.0},
        decision={"temperature": 0.7, "smoothing": 0.2, "labels": rules},
        provenance={"seed": 5},
        folder=tmp_path_factory.mktemp("runs") / "untrained",
    )
    stage = {"kind": "head", "epochs": 1}
    save_run(
        run,
        Recipe.model_validate(
            {"name": "none", "input": InputSettings(height=48, width=64), "model": model, "stages": [stage]}
        ),
    )
    return run


def invoke(command: Any, arguments: Sequence[object]) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def measured(*arguments: object) -> dict[str, Any]:
    result = invoke(evaluate, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def assert_same(one: Any, other: Any) -> None:
    """The same counts and labels; numbers that are made of scores to 1e-4, as ONNX and Keras agree on those."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list):
        assert len(one) == len(other)
        for each, its in zip(one, other, strict=True):
            assert_same(each, its)
    else:
        assert one == (pytest.approx(other, abs=1e-4) if isinstance(one, float) else other)


def test_train_leaves_a_run_and_says_what_it_reached(class_folders: Path, cache: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "quick.toml", tmp_path / "run"
    recipe.write_text(RECIPE)
    options = ["--out", out, "--recipe", recipe, "--cache", cache, "--fold", 1, "--folds", 4, "--set", "seed=9"]
    result = invoke(train, [class_folders, *options])
    assert result.exit_code == 0, result.output
    assert "actionstream export" in " ".join(result.stdout.split())
    assert "stage 1: head: epoch 1 of 1, loss" in result.stdout
    assert "held-out fold" in (out / "metrics.json").read_text()
    described = json.loads((out / "run.json").read_text())
    assert described["provenance"]["seed"] == 9
    assert described["provenance"]["data"]["recordings"] == {"training": 9, "validation": 0, "held_out": 3}
    options = [out, class_folders, "--cache", cache, "--folds", 4, "--streams", 1, "--seconds", 4]
    again = measured(*options, "--fold", 1)
    assert again["clips"] == json.loads((out / "metrics.json").read_text())["clips"]
    # Asked about the fold that it held out, then about all that it learned from.
    assert not again["learned_from"]
    assert measured(*options)["learned_from"]
    # A fold of the same number is other recordings where another seed, or other groups, divided them.
    assert measured(*options, "--fold", 1, "--seed", 10)["learned_from"]
    assert measured(*options, "--fold", 1, "--group", EACH)["learned_from"]


def test_a_run_keeps_the_list_that_it_was_divided_by(class_folders: Path, cache: Path, tmp_path: Path) -> None:
    """The list itself may be gone; a bundle does not hold it, and says that it was asked about what it learned from."""
    recipe, mine, out = tmp_path / "quick.toml", tmp_path / "mine.txt", tmp_path / "run"
    recipe.write_text(RECIPE)
    clips = sorted(path.relative_to(class_folders) for path in class_folders.glob("*/*.mp4"))
    groups = sorted({path.stem[:5] for path in clips})
    parts = {path.as_posix(): "test" if path.stem[:5] in groups[-1:] else "training" for path in clips}
    mine.write_text("".join(f"{name}:{part}\n" for name, part in list(parts.items())[1:]))  # the first is left out
    result = invoke(train, [class_folders, "--out", out, "--recipe", recipe, "--cache", cache, "--split", mine])
    assert result.exit_code == 0, result.output
    mine.unlink()
    options = [class_folders, "--cache", cache, "--streams", 1, "--seconds", 4]
    again = measured(out, *options)
    assert again["clips"] == json.loads((out / "metrics.json").read_text())["clips"]
    assert again["recordings"] == list(parts.values()).count("test")
    provenance = json.loads((out / "run.json").read_text())["provenance"]
    assert str(tmp_path) not in json.dumps(provenance)
    assert "run learned from" in str(invoke(calibrate, [out, class_folders, "--cache", cache]).exception)
    # What another list holds out is what it learned from; that it was left out of is not.
    other = tmp_path / "other.txt"
    for tested, learned in ((list(parts)[1], True), (next(iter(parts)), False)):
        other.write_text("".join(f"{name}:{'test' if name == tested else 'training'}\n" for name in parts))
        assert measured(out, *options, "--split", other, "--group", EACH)["learned_from"] == learned

    bundle = tmp_path / "bundle"
    pack(load_run(out), bundle, clip=None)
    result = invoke(evaluate, [bundle, *options, "--json"])
    assert "was trained by a list (mine.txt) that it does not hold" in result.stderr
    told = json.loads(result.stdout)
    assert told["recordings"] == len(clips)
    assert told["learned_from"]


@pytest.mark.timeout(300)  # three trainings
def test_thresholds_come_from_what_the_folds_held_out(class_folders: Path, cache: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "quick.toml"
    recipe.write_text(RECIPE)
    other_seed = ["--fold", 1, "--folds", 4, "--set", "seed=3"]
    for name, more in (("all", []), ("fold0", ["--fold", 0, "--folds", 4]), ("fold1", other_seed)):
        options = ["--out", tmp_path / name, "--recipe", recipe, "--cache", cache, "--set", "stages.0.epochs=20", *more]
        assert invoke(train, [class_folders, *options]).exit_code == 0
    dataset = read_dataset(class_folders, none="none", group=DataSettings().group)
    for name in ("fold0", "fold1"):  # each was divided by its own seed
        run = load_run(tmp_path / name)
        _, members = _held_out(run, dataset, read_recipe(str(tmp_path / "all/recipe.toml")))
        assert sorted({dataset.recordings[i].group for i in members}) == run.provenance["data"]["groups"]["held_out"]
    everything = [tmp_path / "all", class_folders, "--cache", cache]
    refused = invoke(calibrate, everything)
    assert "learned from" in str(refused.exception)
    assert "held out no fold" in str(invoke(calibrate, [*everything, "--fold-run", tmp_path / "all"]).exception)

    before = json.loads((tmp_path / "all/run.json").read_text())
    folds = ["--fold-run", tmp_path / "fold0", "--fold-run", tmp_path / "fold1"]
    result = invoke(calibrate, [*everything, *folds, "--false-per-minute", 2])
    assert result.exit_code == 0, result.output
    assert "temperature" in result.stdout
    after = json.loads((tmp_path / "all/run.json").read_text())
    assert after["decision"] != before["decision"]
    assert after["provenance"].pop("calibrated") == {
        "data": class_folders.name,
        "fold_runs": 2,
        "false_per_minute": 2.0,
    }
    assert after["provenance"] == before["provenance"]
    # What is fitted is what the held-out recordings give, whatever was fitted before.
    assert invoke(calibrate, [*everything, *folds, "--false-per-minute", 2]).exit_code == 0
    assert json.loads((tmp_path / "all/run.json").read_text())["decision"] == after["decision"]


def test_a_run_and_its_bundle_measure_the_same(
    untrained: Run, class_folders: Path, cache: Path, tmp_path: Path
) -> None:
    bundle = pack(untrained, tmp_path / "bundle", clip=None).folder
    options = [class_folders, "--cache", cache, "--streams", 2, "--seconds", 5]
    for more in ([], ["--reset-each-tick"]):
        ours, theirs = (measured(model, *options, *more) for model in (untrained.folder, bundle))
        for name in ("clips", "placed", "streams"):
            assert_same(theirs[name], ours[name])
        assert ours["clips"]["clips"] == 12
        assert np.sum(ours["clips"]["confusion"]) == 12
        assert np.array(ours["clips"]["actions_confusion"])[:, 0].sum() == 0
        assert ours["streams"]["streams"] == 2


@pytest.mark.parametrize("kind", ["run", "bundle"])
def test_a_report_is_one_page(
    untrained: Run, class_folders: Path, cache: Path, tmp_path: Path, kind: Literal["run", "bundle"]
) -> None:
    model = untrained.folder if kind == "run" else pack(untrained, tmp_path / "bundle", clip=None).folder
    options = ["--cache", cache, "--streams", 1, "--seconds", 5, "--report", tmp_path / "report"]
    result = invoke(evaluate, [model, class_folders, *options])
    assert result.exit_code == 0, result.output
    (page,) = (tmp_path / "report").iterdir()
    assert page.name == "report.html" and "report.html" in result.stdout.replace("\n", "")
    text = page.read_text(encoding="utf-8")
    assert "12 recordings" in text and "Clips taken for something else" in text and "stream_0000" in text


def test_where_it_writes_is_tried_before_the_work(untrained: Run, class_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = ["--cache", tmp_path / "cache"]
    result = invoke(evaluate, [untrained.folder, class_folders, *cache, "--report", tmp_path / "file" / "report"])
    assert isinstance(result.exception, SinkError) and "--report: cannot write into" in str(result.exception)
    result = invoke(check, [class_folders, *cache, "--grid", tmp_path / "file" / "grid.png"])
    assert isinstance(result.exception, SinkError) and "--grid: cannot write into" in str(result.exception)
    result = invoke(check, [class_folders, *cache, "--grid", tmp_path / "grid.txt"])
    assert "expected a name that ends with .png" in str(result.exception)
    assert not list((tmp_path / "cache").glob("??"))  # nothing was decoded


def test_one_video_in_which_nothing_happens_counts_false_events(
    untrained: Run, class_folders: Path, cache: Path
) -> None:
    clip = sorted((class_folders / "none").iterdir())[0]
    found = measured(untrained.folder, clip, "--cache", cache)
    assert set(found) == {"model", "data", "recordings", "reset_each_tick", "learned_from", "streams"}
    assert found["streams"]["actions"] == 0
    assert found["streams"]["found"] is None


def test_annotated_streams_are_measured(untrained: Run, cache: Path, tmp_path: Path) -> None:
    pictures = [np.full((48, 64, 3), 40 + t, np.uint8) for t in range(60)]
    encode_h264(pictures, tmp_path / "s.mp4", fps=20)
    happening = [{"label": "down", "segment": [1.0, 2.0]}]
    database = {"s": {"file": "s.mp4", "duration": 3.0, "annotations": happening}}
    (tmp_path / "annotations.json").write_text(json.dumps({"database": database}))
    found = measured(untrained.folder, tmp_path, "--cache", cache)["streams"]
    assert found["actions"] == 1
    # 30 ticks, less those within 0.6 s of the two boundaries.
    assert found["ticks"] == 30 - 2 * 6
    table = invoke(evaluate, [untrained.folder, tmp_path, "--cache", cache])
    assert table.exit_code == 0
    assert "false events a minute" in table.stdout


def test_bad_input_gets_one_line(untrained: Run, class_folders: Path, cache: Path, tmp_path: Path) -> None:
    def line(command: Any, *arguments: object) -> str:
        result = invoke(command, [*arguments, "--cache", cache])
        assert isinstance(result.exception, StreamError), result.output
        assert "\n" not in str(result.exception)
        return str(result.exception)

    out = ["--out", tmp_path / "out", "--set", "model.weights=null"]
    (tmp_path / "clips/a").mkdir(parents=True)
    (tmp_path / "clips/b").mkdir()
    assert "no folder" in line(train, tmp_path / "absent", *out)
    assert "holds no video" in line(train, tmp_path / "clips", *out)
    for name in ("a/g1.mp4", "a/g2.mp4", "b/g1.mp4"):
        (tmp_path / "clips" / name).write_text("no video")
    assert "'b' has one clip" in line(train, tmp_path / "clips", *out)
    (tmp_path / "clips/b/g2.mp4").write_text("no video")
    recipe = tmp_path / "quick.toml"
    recipe.write_text(RECIPE)
    assert "g1.mp4 is no video" in line(train, tmp_path / "clips", *out, "--recipe", recipe)
    assert "no recipe" in line(train, class_folders, *out, "--recipe", "absent")
    assert "neither a run" in line(evaluate, tmp_path, class_folders)
    assert "labels that untrained was not trained for (a, b)" in line(evaluate, untrained.folder, tmp_path / "clips")


def test_features_that_keep_state_are_not_trained_for_a_window(class_folders: Path, tmp_path: Path) -> None:
    """[clips] begin with a window, which cannot be run; that is said before anything is read or trained."""
    out = tmp_path / "out"
    for changed in ("model.motion=stack", "model.shift=0.125"):
        result = invoke(train, [class_folders, "--out", out, "--recipe", "uniform-gru", "--set", changed])
        assert result.exit_code == 1
        assert "expected temporal.mode carry, got window" in str(result.exception)
        assert "\n" not in str(result.exception) and not out.exists()
    read_recipe("uniform-gru", {"model.motion": "stack", "temporal.mode": "carry"}).check_mode()


def test_without_internet_the_ways_on_are_told(class_folders: Path, cache: Path, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "out"), "--cache", str(cache), "--set", "data.validation=0", "--json"]
    proxy = "http://127.0.0.1:9"  # nobody listens there
    done = run("train", class_folders, *options, KERAS_HOME=str(tmp_path), https_proxy=proxy, no_proxy="")
    assert done.returncode == 1
    assert done.stdout == ""
    told = done.stderr.splitlines()[-1]
    assert told.startswith("actionstream: the imagenet weights of MobileNetV2 cannot be downloaded")
    assert "--weights FILE" in told and "--weights none" in told and "defect" not in told
    assert "Warning" not in done.stderr


def test_usage_errors_exit_with_2(class_folders: Path, tmp_path: Path) -> None:
    assert invoke(train, [class_folders]).exit_code == 2
    assert invoke(train, [class_folders, "--out", tmp_path / "x", "--set", "seed"]).exit_code == 2
    assert invoke(evaluate, [tmp_path]).exit_code == 2


def test_help_needs_no_tensorflow() -> None:
    program = "import sys, train.commands; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    root = Path(__file__).resolve().parent.parent
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False, timeout=60).returncode == 0
