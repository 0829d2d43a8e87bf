"""Every recipe, small: it trains, exports, is proven, and judges a file live. And what each of them is, in numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from export.pack import pack
from export.verify import verify
from stream.contracts import Input
from stream.engine import Engine
from stream.errors import ConfigError
from stream.recognizer import Recognizer
from tests.running import Notes, open_clip
from train.commands import train
from train.models import Network, build
from train.options import HIDDEN_UNITS, changes_of
from train.runs import load_run
from train.settings import RECIPES, ClipSettings, Recipe, read_recipe, write_recipe

SMALL = [
    "--weights", "none", "--epochs", 1,
    "--set", "input.height=32", "--set", "input.width=32", "--set", "decision.streams=1", "--set", "decision.seconds=3",
    "--set", "data.validation=0.25",
]  # fmt: skip
SMALLEST = ["--backbone", "compact"]
MORE: dict[str, list[Any]] = {
    "keras-cnn-rnn": SMALLEST,
    "uniform-gru": SMALLEST,
    "cnn-lstm": ["--every", 0.1, "--set", "stages.0.batch=4"],
    "mobilenet-lstm": [*SMALLEST, "--every", 0.1],
    "vgg16-frame": [*SMALLEST, "--head-layers", 3, "--set", "stages.0.batch=6"],
    "vgg16-gru": [*SMALLEST, "--set", "stages.0.batch=6", "--set", "stages.*.variants=1"],
    "miniroad": [*SMALLEST, "--set", "model.units=32", "--set", "model.embedding=64"],
    "transformer": [*SMALLEST, "--set", "stages.0.variants=1"],
}
"""What makes each recipe small enough for a second's clips and two cores."""
QUICK = ("keras-cnn-rnn", "vgg16-frame")
"""A row that is a clip, a head that remembers nothing; the others are proven where there is more time."""


def trained(recipe: str, data: Path, out: Path, cache: Path, *more: object) -> None:
    arguments = [data, "--recipe", recipe, "--out", out, "--cache", cache, *SMALL, *MORE.get(recipe, []), *more]
    result = CliRunner().invoke(train, [str(argument) for argument in arguments])
    assert result.exit_code == 0, (result.output, result.exception)


def built(recipe: str, classes: int, **changes: Any) -> tuple[Recipe, Network]:
    changes = {"model.weights": None} | changes
    settings = read_recipe(recipe, {name.replace("__", "."): value for name, value in changes.items()})
    return settings, build(settings.model, settings.input.contract(), classes)


SIZE = {"input__height": 96, "input__width": 96}
"""Of pictures; with average pooling, what is counted does not depend on it."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.timeout(300)  # a training, an export and two proofs, each from a cold start
@pytest.mark.parametrize(
    "recipe", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in sorted(MORE)]
)
def test_a_recipe_trains_exports_and_streams(recipe: str, class_folders: Path, cache: Path, tmp_path: Path) -> None:
    trained(recipe, class_folders, tmp_path / "run", cache)
    run = load_run(tmp_path / "run")
    clip = sorted((class_folders / "right").iterdir())[0]
    bundle = pack(run, tmp_path / "bundle", clip=clip)
    verify(bundle).require()
    verify(bundle, run=run).require()

    notes = Notes()
    recognizer = Recognizer.load(bundle.folder, device="cpu", threads=1)
    Engine(recognizer, [open_clip(clip, recognizer)], [notes]).run()
    assert len(notes.predictions) == len(bundle.golden().times)
    assert all(np.isfinite(prediction.scores).all() for prediction in notes.predictions)
    if recipe == "uniform-gru":  # clips of 20 frames at 20 a second
        assert bundle.input.rate == pytest.approx(20)


def test_keras_cnn_rnn_is_the_one_in_print() -> None:
    recipe, network = built("keras-cnn-rnn", 5, **SIZE)
    assert network.head.count_params() == 99_909
    assert network.dimension == 2048
    assert read_recipe("keras-cnn-rnn").input.contract() == Input(224, 224, "center", None)
    assert (recipe.temporal.mode, recipe.temporal.window) == ("window", 20)


def test_uniform_gru_has_the_same_head() -> None:
    theirs, ours = (read_recipe(name).model for name in ("keras-cnn-rnn", "uniform-gru"))
    assert theirs == ours
    recipe = read_recipe("uniform-gru")
    assert (recipe.temporal.mode, recipe.temporal.window, recipe.stages[0].patience) == ("window", 20, 10)


def test_cnn_lstm_is_the_one_in_print() -> None:
    _, network = built("cnn-lstm", 3)
    assert network.features.count_params() == 696_864
    assert network.features.count_params() + network.head.count_params() == 13_612_195
    assert [layer.rate for layer in network.head.layers if hasattr(layer, "rate")] == [0.0, 0.3]


def test_mobilenet_lstm_has_a_large_lstm() -> None:
    _, network = built("mobilenet-lstm", 3, **SIZE)
    assert network.dimension == 1280
    lstm = 4 * ((1280 + 512) * 512 + 512)
    assert network.head.count_params() == lstm + (512 * 128 + 128) + (128 * 3 + 3)


def test_vgg16_trains_its_last_four_layers() -> None:
    recipe, network = built("vgg16-frame", 3)
    assert network.dimension == 4 * 4 * 512
    changed = [variable.path.split("/")[-2] for variable in network.features.trainable_variables]
    assert changed == [name for name in ("block5_conv1", "block5_conv2", "block5_conv3") for _ in range(2)]
    assert network.head.count_params() == (4 * 4 * 512 + 1) * 3
    assert network.head_state == ()
    stage = recipe.stages[0]
    assert stage.batch * stage.window == 100
    assert stage.per_class * stage.window == 200


def test_miniroad_is_at_full_size() -> None:
    recipe, network = built("miniroad", 22, model__dimension=4096)
    shapes = [tuple(variable.shape) for variable in network.head.trainable_variables if len(variable.shape) == 2]
    assert shapes == [(4096, 2048), (2048, 3 * 1024), (1024, 3 * 1024), (2, 3 * 1024), (1024, 22)]
    stage = recipe.stages[0]
    assert (stage.window, stage.loss, stage.optimizer) == (128, "last", "adamw")
    assert (stage.learning_rate, stage.weight_decay) == (1e-4, 0.05)


def changed(recipe: str, **options: Any) -> Recipe:
    given: dict[str, Any] = dict.fromkeys(
        ("backbone", "weights", "finetune", "epochs", "every", "frames", "head_layers", "seed", "split", "group")
    )
    return read_recipe(recipe, changes_of(**(given | {"settings": ()} | options)))


def test_options_change_the_recipe() -> None:
    lstm = changed("mobilenet-lstm", backbone="VGG16", weights="none", finetune=3, epochs=2, every=0.5, seed=4)
    assert (lstm.model.backbone, lstm.model.weights, lstm.model.finetune) == ("VGG16", None, 3)
    assert (lstm.stages[0].kind, lstm.stages[0].epochs, lstm.input.rate, lstm.seed) == ("finetune", 2, 2.0, 4)
    assert changed("streaming-gru", weights="a.weights.h5").model.weights == "a.weights.h5"
    assert [stage.kind for stage in changed("vgg16-gru", finetune=0).stages] == ["head", "head"]
    assert [stage.epochs for stage in changed("vgg16-gru", epochs=7).stages] == [7, 7]
    assert changed("vgg16-frame", head_layers=3).model.dense == (HIDDEN_UNITS, HIDDEN_UNITS)
    assert changed("keras-cnn-rnn", settings=("model.cells=[4]", "name=mine")).model.cells == (4,)
    evenly = changed("cnn-lstm", frames=6)
    assert evenly.clips == ClipSettings(frames=6, take="uniform")
    assert evenly.stages[0].window == evenly.temporal.window == 6
    apart = changed("uniform-gru", every=0.25)
    assert (apart.input.rate, apart.clips) == (4.0, ClipSettings(frames=20, take="first"))
    assert changed("streaming-gru", every=0.25).clips is None
    with pytest.raises(click.UsageError, match="exclude each other"):
        changed("cnn-lstm", frames=6, every=1.0)
    with pytest.raises(click.BadParameter, match="NAME=VALUE"):
        changed("cnn-lstm", settings=("seed",))


def test_every_recipe_comes_back_as_it_was_written(tmp_path: Path) -> None:
    for path in RECIPES.glob("*.toml"):
        recipe = read_recipe(path.stem)
        assert recipe.name == path.stem
        write_recipe(recipe, tmp_path / path.name)
        assert read_recipe(str(tmp_path / path.name)) == recipe


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clips.frames": 0}, "clips.frames"),
        ({"stages.0.window": 8}, "window holds all its frames"),
        ({"stages.0.spread": True}, "no spread"),
        ({"input.rate": "fast"}, "input.rate"),
    ],
)
def test_what_clips_cannot_be_is_told(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        read_recipe("keras-cnn-rnn", changes)
    assert "\n" not in str(raised.value)
