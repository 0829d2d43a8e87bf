"""Runs of the recipes in odd circumstances: features from files, a run that is interrupted, a backbone that shifts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from export.convert import convert
from export.pack import pack
from stream.contracts import Input
from stream.errors import ConfigError
from train import fit
from train.cache import ArrayCache
from train.measure import measure
from train.models import ModelSettings, build, step, unroll, zeros
from train.runs import load_run
from train.settings import Recipe, read_recipe

QUIET = Console(quiet=True)
SEEN = Input(64, 64)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ArrayCache:
    return ArrayCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six streams of 40 rows, one of pictures and one of flow, in which the first column says what happens."""
    root = tmp_path_factory.mktemp("features")
    for kind in ("rgb_small", "flow_small", "target_perframe"):
        (root / kind).mkdir()
    for number in range(6):
        rng = np.random.default_rng(number)
        happens = np.zeros(40, np.int64)
        happens[8 + number : 20 + number], happens[26:33] = 1, 2
        rgb = rng.normal(0, 0.1, (40, 5)).astype(np.float32)
        rgb[:, 0] += happens
        np.save(root / "rgb_small" / f"v{number}.npy", rgb)
        np.save(root / "flow_small" / f"v{number}.npy", rng.normal(0, 1, (40, 3)).astype(np.float32))
        np.save(root / "target_perframe" / f"v{number}.npy", np.eye(3)[happens])
    return root


def small(recipe: str, **changes: Any) -> Recipe:
    changes = {
        "model__weights": None,
        "decision__streams": 1,
        "decision__seconds": 3,
        "data__validation": 0.25,
    } | changes
    return read_recipe(recipe, {name.replace("__", "."): value for name, value in changes.items()})


def test_miniroad_learns_from_features_in_files(features: Path, cache: ArrayCache, tmp_path: Path) -> None:
    recipe = small(
        "miniroad", model__units=16, model__embedding=16, stages__0__window=8, stages__0__epochs=12,
        stages__0__learning_rate=5e-3, stages__0__batch=4,
    )  # fmt: skip
    fit.train(features, recipe, tmp_path / "run", cache=cache, console=QUIET)
    run = load_run(tmp_path / "run")
    assert run.network.dimension == 8
    assert run.labels == ("none", "class_01", "class_02")
    found = measure(tmp_path / "run", features, cache=cache, console=QUIET).results["streams"]
    assert found["argmax_accuracy"] > 0.8
    with pytest.raises(ConfigError, match="takes features from files"):
        pack(run, tmp_path / "bundle", clip=None)


def test_what_wants_pictures_refuses_features(features: Path, cache: ArrayCache, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no pictures: expected a recipe that takes them, such as miniroad"):
        fit.train(features, small("streaming-gru"), tmp_path / "run", cache=cache, console=QUIET)


def test_what_wants_features_refuses_pictures(class_folders: Path, cache: ArrayCache, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose one with --backbone"):
        fit.train(class_folders, small("miniroad"), tmp_path / "run", cache=cache, console=QUIET)


class Interrupted(Console):
    """A console whose user presses Ctrl-C when the second epoch is over."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Ends it there."""
        if "epoch 2 of" in str(objects[0]):
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.timeout(300)  # three trainings
@pytest.mark.parametrize("recipe", ["cnn-lstm", "vgg16-frame"])
def test_an_interrupted_recipe_goes_on_to_the_same_result(
    recipe: str, class_folders: Path, cache: ArrayCache, tmp_path: Path
) -> None:
    """What a cell drops, what a plateau lowered and what patience waits for: all of it is as it would have been."""
    changes: dict[str, Any] = {"input__height": 16, "input__width": 16, "stages__0__batch": 3, "stages__0__epochs": 4}
    changes |= {"input__rate": 10.0} if recipe == "cnn-lstm" else {"model__backbone": "compact"}
    settings = small(recipe, **changes)
    fit.train(class_folders, settings, tmp_path / "whole", cache=cache, console=QUIET)
    with pytest.raises(KeyboardInterrupt):
        fit.train(class_folders, settings, tmp_path / "parts", cache=cache, console=Interrupted(quiet=True))
    assert (tmp_path / "parts" / "checkpoint.npz").is_file()
    fit.train(class_folders, settings, tmp_path / "parts", cache=cache, console=QUIET)

    whole, parts = (json.loads((tmp_path / name / "history.json").read_text()) for name in ("whole", "parts"))
    assert len(whole) == len(parts) >= 3
    for ours, theirs in zip(parts, whole, strict=True):
        for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-5), (ours["epoch"], name)


def test_shifted_channels_are_those_of_the_tick_before() -> None:
    """Nothing moves: from the second tick on, a block sees what it would without a shift, as far as states reach."""
    keras.utils.set_random_seed(0)
    plain = build(ModelSettings(alpha=0.35, head="frame"), SEEN, 3)
    shifting = build(ModelSettings(alpha=0.35, head="frame", shift=0.125), SEEN, 3)
    assert shifting.features.count_params() == plain.features.count_params()
    shifting.features.set_weights(plain.features.get_weights())
    assert len(shifting.features_state) == 10  # MobileNetV2's residual blocks
    rng = np.random.default_rng(0)
    still, other = (tf.constant(rng.integers(0, 256, (1, 64, 64, 3), np.uint8)) for _ in range(2))

    states = zeros(shifting.features_state, 1)
    features = []
    for _ in range(len(states) + 1):
        feature, states = step(shifting.features, still, states)
        features.append(np.asarray(feature))
    scale = np.abs(features[-1]).max()
    np.testing.assert_allclose(features[-1] / scale, step(plain.features, still, [])[0] / scale, atol=1e-4)
    assert np.abs(features[0] - features[-1]).max() > 1e-3 * scale  # the first tick has nothing before it
    after, _ = step(shifting.features, still, step(shifting.features, other, zeros(shifting.features_state, 1))[1])
    assert np.abs(after - features[1]).max() > 1e-3 * scale


def test_gradients_go_through_shifted_states() -> None:
    keras.utils.set_random_seed(0)
    network = build(ModelSettings(alpha=0.35, head="frame", shift=0.25), SEEN, 3)
    pictures = tf.cast(tf.random.stateless_uniform((1, 2, 64, 64, 3), (0, 1), 0, 256, tf.int32), tf.uint8)
    kernel = network.features.trainable_variables[0]
    with tf.GradientTape() as tape:
        features, _ = unroll(network.features, pictures, zeros(network.features_state, 1))
        last = tf.reduce_sum(features[:, -1] ** 2)
    assert float(tf.reduce_max(tf.abs(tape.gradient(last, kernel)))) > 0
    assert network.learns_state


@pytest.mark.slow
def test_a_shifting_backbone_becomes_a_graph_with_its_states() -> None:
    network = build(ModelSettings(alpha=0.35, head="frame", shift=0.125), SEEN, 3)
    assert convert(network).features


@pytest.mark.parametrize("settings", [{"backbone": "VGG16"}, {"motion": "stack"}])
def test_only_mobilenet_shifts(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected backbone MobileNetV2 and no motion"):
        build(ModelSettings.model_validate({"shift": 0.125} | settings), SEEN, 3)
