"""A recipe: everything that decides what training does, read from TOML, checked, and written back with every default.

Each table is a frozen pydantic model that refuses keys it does not know, so a misspelt setting is an error and never a
silent default. No data, no network and no training here.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stream.contracts import Fit, Input
from stream.errors import ConfigError
from train.models import ModelSettings

RECIPES = Path(__file__).parent / "recipes"


class Table(BaseModel):
    """A table of a recipe: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSettings(Table):
    """What the network sees; becomes the bundle's input."""

    height: int = Field(default=96, gt=0)
    width: int = Field(default=128, gt=0)
    fit: Fit = "letterbox"
    rate: float = Field(default=10.0, gt=0)
    max_gap: float = Field(default=2.0, gt=0)
    region: tuple[float, float, float, float] | None = None

    def contract(self) -> Input:
        """The same, as stream knows it."""
        return Input(**self.model_dump())


class DataSettings(Table):
    """How a folder is read and divided.

    Attributes:
        none: the label of nothing in particular.
        group: regular expression; its match in a file's name is the file's group (a sequence, a person), and groups
            are never split. A file without a match is a group of its own.
        validation: share of the groups kept for choosing the best epoch; 0 trains on everything by a fixed schedule.
        detail: size of the pictures kept for augmentation, relative to the network's.
        oversample: times the tick rate at which they are kept, so that speed can be varied without repeating frames.
    """

    none: str = "none"
    group: str = r"(seq\d+|g\d+|person\d+)"
    validation: float = Field(default=0.2, ge=0, lt=1)
    detail: float = Field(default=1.25, ge=1)
    oversample: float = Field(default=3.0, ge=1)


class AugmentSettings(Table):
    """How far a clip may be changed; every frame of it alike.

    Attributes:
        plain: share of clips that keep the place in the frame that `fit` gives them.
        scale: least and greatest size in the frame, relative to what `fit` gives.
        crop: share of a border that may be cut off.
        stretch: log of the greatest change of the width-to-height ratio.
        flip: share of clips that are mirrored.
        light: strength of gain, offset, gamma and contrast; 0 is none.
        color: share of clips whose colours are shifted.
        gray: share of clips that lose their colours.
        noise: share of clips with sensor noise or blur.
        speed: slowest and fastest.
        keep: least share of a clip's duration that a temporal crop keeps.
        passers: share of the clips of nothing that show, instead, their people passing through a still scene.
    """

    plain: float = Field(default=0.25, ge=0, le=1)
    scale: tuple[float, float] = (0.5, 1.1)
    crop: float = Field(default=0.15, ge=0, lt=1)
    stretch: float = Field(default=0.2, ge=0, lt=1)
    flip: float = Field(default=0.5, ge=0, le=1)
    light: float = Field(default=1.0, ge=0, le=2)
    color: float = Field(default=0.5, ge=0, le=1)
    gray: float = Field(default=0.1, ge=0, le=1)
    noise: float = Field(default=0.3, ge=0, le=1)
    speed: tuple[float, float] = (0.8, 1.25)
    keep: float = Field(default=0.8, gt=0, le=1)
    passers: float = Field(default=0.0, ge=0, le=1)


class StageSettings(Table):
    """One stage of training; stages run in order and hand their weights on.

    Attributes:
        kind: `head` trains the head on features computed once and cached; `finetune` trains everything end to end.
        epochs, batch: passes over the training recordings, and rows in a step.
        window: T, ticks in a row.
        spread: rows are T ticks spread over a whole clip, not T in a row: cheap to fine-tune on. Their feature states
            are those of the true previous ticks.
        stride: ticks of a stream from one tick of a row to the next: neighbours look alike, and every third sees as
            much for a third of the cost. Feature states are those of the true previous ticks.
        streams: share of rows cut from pseudo-streams (clips joined by `none`).
        carried: share of rows that start from another row's final state.
        variants: augmented copies of each recording whose features are cached, beside the plain one (kind `head`).
        loss: which ticks count: the `last`, those `after` the burn-in, `all`, a `ramp` that grows with the time for
            which a label has been on, or `evidence`: those in the later part of a clip, whichever part a row holds.
        burn_in: seconds after a change of label that `after` leaves out.
        auxiliary: weight of a linear classifier on the mean of a row's features, thrown away afterwards.
        smoothing: label smoothing.
        learning_rate, backbone_learning_rate: peak rates of the head and of the backbone; cosine decay to 1 %.
        warmup: share of the steps over which the rates rise.
        weight_decay, clip_norm: of AdamW; greatest global norm of the gradient.
    """

    kind: Literal["head", "finetune"]
    epochs: int = Field(gt=0)
    batch: int = Field(default=16, gt=1)
    window: int = Field(default=32, gt=0)
    spread: bool = False
    stride: int = Field(default=1, gt=0)
    streams: float = Field(default=0.5, ge=0, le=1)
    carried: float = Field(default=0.5, ge=0, le=1)
    variants: int = Field(default=4, ge=0)
    loss: Literal["last", "after", "all", "ramp", "evidence"] = "after"
    burn_in: float = Field(default=0.5, ge=0)
    auxiliary: float = Field(default=0.0, ge=0)
    smoothing: float = Field(default=0.1, ge=0, lt=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    backbone_learning_rate: float = Field(default=1e-4, gt=0)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    weight_decay: float = Field(default=1e-2, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)

    @property
    def apart(self) -> bool:
        """Whether ticks of a row have others between them."""
        return self.spread or self.stride > 1


class TemporalSettings(Table):
    """How the trained network is run: the bundle's `temporal`, less the input's `max_gap`.

    A head is trained for one of these two; `staggered` is how one that was trained on windows may be run for hours.
    """

    mode: Literal["carry", "window"] = "carry"
    window: int | None = Field(default=None, gt=0)
    warmup: int = Field(default=5, ge=0)


class DecisionSettings(Table):
    """How thresholds are fitted.

    Attributes:
        smoothing: seconds of the scores' moving average.
        false_per_minute: false events a minute that the fit allows.
        streams, seconds: number and length of the pseudo-streams that it is fitted on.
    """

    smoothing: float = Field(default=0.3, ge=0)
    false_per_minute: float = Field(default=1.0, gt=0)
    streams: int = Field(default=20, gt=0)
    seconds: float = Field(default=60.0, gt=0)


class Recipe(Table):
    """Everything that decides what training does, but for the data themselves."""

    name: str
    seed: int = 0
    input: InputSettings = InputSettings()
    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    augment: AugmentSettings = AugmentSettings()
    stages: tuple[StageSettings, ...] = Field(min_length=1)
    temporal: TemporalSettings = TemporalSettings()
    decision: DecisionSettings = DecisionSettings()


def read_recipe(name: str, changes: dict[str, Any] | None = None) -> Recipe:
    """The recipe in file `name`, or of that name among the project's, with `changes` to single settings.

    Args:
        name: a path to a TOML file, or `streaming-gru` for train/recipes/streaming-gru.toml.
        changes: values by dotted name, as in {"model.weights": "mobilenet.weights.h5", "seed": 1}; stages are
            counted from 0: {"stages.0.epochs": 2}.

    Raises:
        ConfigError: no such recipe, no TOML, or a setting that is unknown or out of range.
    """
    path = Path(name)
    if not path.is_file():
        path = RECIPES / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(recipe.stem for recipe in RECIPES.glob("*.toml")))
        raise ConfigError(f"no recipe {name!r}: expected a TOML file or one of {known}; correct --recipe")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe {path.name} is no TOML: {error}") from error
    for dotted, value in (changes or {}).items():
        _change(table, dotted, value)
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        got = "" if first["type"] == "missing" else f", got {first['input']!r}"
        raise ConfigError(f"recipe {path.name}: {where}: {first['msg'].lower()}{got}; correct the recipe") from error


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Writes the recipe with every default spelt out; `read_recipe` gives an equal one back."""
    path.write_text(_toml(recipe.model_dump(mode="json", exclude_none=True)), encoding="utf-8")


def _change(table: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    place: Any = table
    try:
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
        place[last] = value
    except (IndexError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"no setting {dotted!r} in the recipe; expected a dotted name such as model.units") from error


def _toml(table: dict[str, Any], prefix: str = "") -> str:
    """`table` as TOML: plain values first, then its tables, then its lists of tables."""
    lines, rest = [], []
    for key, value in table.items():
        if isinstance(value, dict):
            rest.append(f"\n[{prefix}{key}]\n{_toml(value, f'{prefix}{key}.')}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rest += [f"\n[[{prefix}{key}]]\n{_toml(item, f'{prefix}{key}.')}" for item in value]
        else:
            lines.append(f"{key} = {json.dumps(value)}\n")
    return "".join(lines + rest)
