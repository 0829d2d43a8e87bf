"""How fast a stage learns and when it stops: worked by hand, and as Keras' own callbacks do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from rich.console import Console

from stream.contracts import Input
from stream.errors import ConfigError
from train import fit
from train.cache import ArrayCache
from train.models import ModelSettings, build, step
from train.schedule import cosine, is_over, plateau, rate_share
from train.settings import StageSettings, read_recipe
from train.stepper import Batch, Stepper


def stage(**changes: Any) -> StageSettings:
    return StageSettings.model_validate({"kind": "head", "epochs": 1} | changes)


def rows(losses: list[float], accuracies: list[float] | None = None) -> list[dict[str, Any]]:
    accuracies = accuracies or [0.5] * len(losses)
    return [
        {"validation_loss": loss, "validation_accuracy": accuracy}
        for loss, accuracy in zip(losses, accuracies, strict=True)
    ]


def test_a_plateau_is_what_keras_calls_one() -> None:
    settings = stage(schedule="plateau", plateau_factor=0.3, plateau_patience=2, least_rate=1e-4, learning_rate=1e-2)
    losses = np.random.default_rng(0).normal(1, 0.1, 25).tolist()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(1e-2), "mse")
    callback = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.3, patience=2, min_lr=1e-4)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        ours = settings.learning_rate * plateau(settings, rows(losses[: epoch + 1]))
        assert ours == pytest.approx(float(model.optimizer.learning_rate))
    assert ours == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("monitor", "values", "patience", "over"),
    [
        ("validation_loss", [3, 2, 2.5, 2.1], 2, True),
        ("validation_loss", [3, 2, 2.5, 1.9], 2, False),
        ("validation_loss", [3, 2, 2, 2], 0, False),
        ("validation_accuracy", [0.2, 0.5, 0.5, 0.5], 2, True),
        ("validation_accuracy", [0.2, 0.5, 0.5, 0.6], 2, False),
    ],
)
def test_patience_ends_a_stage(monitor: str, values: list[float], patience: int, over: bool) -> None:
    past = [{monitor: value} for value in values]
    assert is_over(stage(monitor=monitor, patience=patience), past) == over


def test_nothing_is_waited_for_without_validation() -> None:
    assert not is_over(stage(), [{"loss": 1.0}] * 3)


def test_the_schedules() -> None:
    assert rate_share(stage(schedule="constant"), 70, 100, []) == 1.0
    assert rate_share(stage(warmup=0.1), 70, 100, []) == cosine(70, 100, 0.1) < 0.3


def a_batch(targets: list[int]) -> Batch:
    rows = len(targets)
    return Batch(
        shown=np.random.default_rng(0).normal(0, 1, (rows, 1, 4)).astype(np.float32),
        targets=np.array(targets, np.int32)[:, None],
        weights=np.ones((rows, 1), np.float32),
        partners=np.arange(rows, dtype=np.int32),
        carried=np.zeros(rows, np.float32),
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_label_weights_weigh_the_loss(smoothing: float) -> None:
    """By hand: the cross-entropy of each row times its label's weight, over the sum of the weights."""
    settings = ModelSettings(backbone="features", dimension=4, head="frame", dropout=0)
    network = build(settings, Input(1, 1), 3)
    batch, weights = a_batch([0, 0, 0, 2]), np.array([0.5, 1, 4], np.float32)
    logits = np.asarray(step(network.head, batch.shown[:, 0], [])[0])
    shares = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    wanted = np.eye(3)[[0, 0, 0, 2]] * (1 - smoothing) + smoothing / 3
    expected = np.average(-(wanted * shares).sum(1), weights=[0.5, 0.5, 0.5, 4])
    stepper = Stepper(network, stage(batch=4, smoothing=smoothing), classes=3, seed=0, label_weights=weights)
    loss, _ = stepper.step(batch, 1.0)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_adam_is_keras_adam() -> None:
    """Without a limit to the gradient, and with the epsilon of the recipe: three steps as Keras takes them."""
    settings = ModelSettings(backbone="features", dimension=4, head="frame", dropout=0)
    ours, theirs = (build(settings, Input(1, 1), 3) for _ in range(2))
    theirs.head.set_weights(ours.head.get_weights())
    how = stage(batch=4, smoothing=0, optimizer="adam", epsilon=0.01, clip_norm=0, learning_rate=0.1)
    stepper, batch = Stepper(ours, how, classes=3, seed=0), a_batch([0, 1, 1, 2])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    theirs.head.compile(keras.optimizers.Adam(0.1, epsilon=0.01), loss)
    for _ in range(3):
        stepper.step(batch, 1.0)
        theirs.head.train_on_batch(batch.shown[:, 0], batch.targets[:, 0])
    for a, b in zip(ours.head.get_weights(), theirs.head.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("change", [{"stages.0.patience": 2}, {"stages.0.schedule": "plateau"}])
def test_what_waits_for_validation_needs_some(change: dict[str, Any], class_folders: Path, tmp_path: Path) -> None:
    changes = {"data.validation": 0, "input.height": 16, "input.width": 16, "model.weights": None}
    recipe = read_recipe("cnn-lstm", changes | change)
    cache = ArrayCache(tmp_path / "cache")
    with pytest.raises(ConfigError, match=r"expected \[data\] validation over 0"):
        fit.train(class_folders, recipe, tmp_path / "run", cache=cache, console=Console(quiet=True))
