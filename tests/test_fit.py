"""Training, for real and small: a run folder that is whole, a killed run that goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from stream.contracts import Input
from stream.errors import ConfigError
from train import fit
from train.cache import ArrayCache
from train.forward import Forward
from train.models import ModelSettings, build, step, zeros
from train.runs import Run, begin_from, load_run
from train.schedule import cosine
from train.settings import Recipe, read_recipe, write_recipe

# Keras 3.15 saves weights through numpy 1's way of reading a TensorFlow variable; numpy 2 works, and says so.
RECIPE = """
name = "tiny"
seed = 3
input = {height = 48, width = 64, rate = 10.0}
model = {backbone = "compact", units = 8, embedding = 8}
data = {validation = 0.25}
temporal = {warmup = 2}
decision = {streams = 2, seconds = 4.0}

[[stages]]
kind = "finetune"
epochs = 2
batch = 6
window = 6
loss = "ramp"
auxiliary = 0.3
learning_rate = 5e-3
backbone_learning_rate = 5e-3

[[stages]]
kind = "head"
epochs = 3
batch = 6
window = 8
variants = 1
loss = "all"
"""
TRAIN = """
import sys
from pathlib import Path
from rich.console import Console
from train import fit
from train.cache import ArrayCache
from train.settings import read_recipe
data, recipe, out, cache = map(Path, sys.argv[1:])
fit.train(data, read_recipe(str(recipe)), out, cache=ArrayCache(cache), console=Console(quiet=True))
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ArrayCache:
    return ArrayCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def run(class_folders: Path, recipe: Path, cache: ArrayCache, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "whole"
    return trained(class_folders, recipe, out, cache)


def trained(data: Path, recipe: Path, out: Path, cache: ArrayCache) -> Run:
    return fit.train(data, read_recipe(str(recipe)), out, cache=cache, console=Console(quiet=True))


def history(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "history.json").read_text())
    return [{name: value for name, value in row.items() if name not in ("kind", "seconds")} for row in rows]


def test_a_run_folder_is_whole(run: Run) -> None:
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "architecture.json",
        "confusion-matrix.png",
        "history.csv",
        "history.json",
        "learning-curves.png",
        "metrics.json",
        "recipe.toml",
        "run.json",
        "summary.txt",
        "weights.weights.h5",
    ]
    rows = history(run.folder)
    assert [(row["stage"], row["epoch"]) for row in rows] == [(0, 1), (0, 2), (1, 1), (1, 2), (1, 3)]
    assert all(np.isfinite([row["loss"], row["validation_loss"]]).all() for row in rows)
    assert (run.folder / "history.csv").read_text().count("\n") == 6
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics["clips"]["clips"] == metrics["placed"]["clips"] == 3
    assert metrics["streams"]["streams"] == 2
    kept = [each for part in run.provenance["metrics"].values() if isinstance(part, dict) for each in part.values()]
    assert kept and all(float(f"{each:.4g}") == each for each in kept if isinstance(each, float))
    assert (run.folder / "learning-curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_comes_back_as_it_was(run: Run) -> None:
    loaded = load_run(run.folder)
    for name in ("labels", "none", "input", "temporal", "decision", "provenance"):
        assert getattr(loaded, name) == getattr(run, name), name
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 64, 3)).astype(np.uint8)
    ours, theirs = (Forward(each.network).features(images) for each in (run, loaded))
    np.testing.assert_array_equal(ours, theirs)


def test_the_best_epoch_of_the_last_stage_is_kept(run: Run, class_folders: Path, cache: ArrayCache) -> None:
    """The kept weights give the lowest validation loss of the history, computed anew."""
    from train.datasets import read_dataset
    from train.splits import split
    from train.stages import Task, _Validation
    from train.stepper import Stepper
    from train.views import PlainViews

    settings = read_recipe(str(run.folder / "recipe.toml"))
    dataset = read_dataset(class_folders, none="none", group=settings.data.group)
    divided = split(dataset, validation=0.25, seed=settings.seed)
    plain = PlainViews(dataset, cache, run.input)
    task = Task(settings, plain, plain, divided, run.network, Forward(run.network), run.folder, Console(quiet=True))
    stepper = Stepper(run.network, settings.stages[1], classes=3, seed=0)
    again = _Validation(task, settings.stages[1], stepper).measure()
    best = min(row["validation_loss"] for row in history(run.folder) if row["stage"] == 1)
    assert again["validation_loss"] == pytest.approx(best, rel=1e-4)


def _has_reached(stage: int, checkpoint: Path) -> bool:
    if not checkpoint.exists():
        return False
    with np.load(checkpoint) as arrays:
        return bool(json.loads(str(arrays["reached"]))["stage"] >= stage)


@pytest.mark.timeout(300)  # three trainings, one of them in another process
@pytest.mark.parametrize("stage", [0, 1])
def test_a_run_killed_in_any_stage_goes_on_to_the_same_history(
    stage: int, run: Run, class_folders: Path, recipe: Path, cache: ArrayCache, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    arguments = [sys.executable, "-c", TRAIN, *map(str, (class_folders, recipe, out, cache.folder))]
    root = Path(__file__).resolve().parent.parent
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(arguments, cwd=root, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 100
        while not _has_reached(stage, out / "checkpoint.npz"):
            assert process.poll() is None, "training ended before its first checkpoint"
            assert time.monotonic() < until, "no checkpoint"
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert not (out / "run.json").exists()
    with pytest.raises(ConfigError, match="unfinished"):
        load_run(out)

    trained(class_folders, recipe, out, cache)
    assert not (out / "checkpoint.npz").exists()
    for ours, theirs in zip(history(out), history(run.folder), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)


def test_a_folder_that_is_taken_is_refused(
    run: Run, class_folders: Path, recipe: Path, cache: ArrayCache, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="finished run"):
        trained(class_folders, recipe, run.folder, cache)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        trained(class_folders, recipe, tmp_path, cache)


def test_recipes_are_checked_and_come_back(recipe: Path, tmp_path: Path) -> None:
    settings = read_recipe(str(recipe), {"stages.0.epochs": 7, "model.units": 5})
    assert (settings.stages[0].epochs, settings.model.units) == (7, 5)
    write_recipe(settings, tmp_path / "again.toml")
    assert read_recipe(str(tmp_path / "again.toml")) == settings
    assert isinstance(read_recipe("streaming-gru"), Recipe)
    for change, said in (
        ({"model.unit": 5}, "model.unit"),
        ({"seed": "x"}, "seed"),
        ({"stages.9.epochs": 1}, "no setting"),
        ({"data.validation": 1.5}, "data.validation"),
    ):
        with pytest.raises(ConfigError, match=said) as raised:
            read_recipe(str(recipe), change)
        assert "\n" not in str(raised.value)
    with pytest.raises(ConfigError, match=r"no recipe 'absent': .*streaming-gru"):
        read_recipe("absent")


def test_whole_recordings_equal_single_steps() -> None:
    """Chunks, batches and scans give what the models give tick by tick, states included, in all three ways."""
    settings = ModelSettings(backbone="compact", motion="difference", units=8, embedding=8)
    network = build(settings, Input(height=48, width=64), 3)
    images = np.random.default_rng(0).integers(0, 256, (70, 48, 64, 3)).astype(np.uint8)
    features, states = [], zeros(network.features_state, 1)
    for image in images:
        feature, states = step(network.features, tf.constant(image[None]), states)
        features.append(np.asarray(feature)[0])
    forward = Forward(network)
    seen = forward.features(images)
    np.testing.assert_allclose(seen, np.stack(features), rtol=1e-4, atol=1e-5)
    fresh = [
        np.asarray(step(network.features, tf.constant(images[i : i + 1]), zeros(network.features_state, 1))[0])[0]
        for i in (0, 69)
    ]
    np.testing.assert_allclose(forward.features(images, reset=True)[[0, 69]], np.stack(fresh), rtol=1e-4, atol=1e-5)

    def one_by_one(rows: Any) -> Any:
        states, logits = zeros(network.head_state, 1), None
        for row in rows:
            logits, states = step(network.head, tf.constant(row[None]), states)
        return np.asarray(logits)[0]

    carried, short = forward.logits([seen, seen[:5]])
    np.testing.assert_allclose(carried[-1], one_by_one(seen), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(short, carried[:5], rtol=1e-4, atol=1e-5)
    (windowed,) = forward.logits([seen], window=6)
    for k in (0, 3, 5, 6, 69):
        np.testing.assert_allclose(windowed[k], one_by_one(seen[max(0, k - 5) : k + 1]), rtol=1e-4, atol=1e-5)
    (alone,) = forward.logits([seen], reset=True)
    np.testing.assert_allclose(alone[42], one_by_one(seen[42:43]), rtol=1e-4, atol=1e-5)


def test_the_rate_rises_and_falls() -> None:
    shares = [cosine(step, 100, 0.1) for step in range(100)]
    assert shares[0] < shares[5] < shares[9] < shares[10] == 1
    assert shares[11] > shares[50] > shares[99] > 0.0099


def test_a_backbone_begins_where_another_run_ended(run: Run) -> None:
    small = ModelSettings(backbone="MobileNetV2", alpha=0.35, units=8, embedding=8)
    ended, begun = build(small, Input(64, 64), 3), build(small, Input(96, 64), 5)
    begin_from(begun, replace(run, network=ended))
    ours, theirs = (
        next(layer for layer in network.features.layers if isinstance(layer, keras.Model)).get_weights()
        for network in (begun, ended)
    )
    assert len(ours) > 100
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    with pytest.raises(ConfigError, match="another backbone"):
        begin_from(begun, run)
