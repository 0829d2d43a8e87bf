"""A recipe: everything that decides what training does, read from TOML, checked, and written back with every default.

Each table is a frozen pydantic model that refuses keys it does not know, so a misspelt setting is an error and never a
silent default. No data, no network and no training here.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stream.contracts import Fit, Input
from stream.errors import ConfigError
from train.model_settings import ModelSettings

RECIPES = Path(__file__).parent / "recipes"
NATIVE_RATE = 25.0
"""Frames a second that a network that sees every frame is reckoned to get, where a number is needed."""


class Table(BaseModel):
    """A table of a recipe: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSettings(Table):
    """What the network sees; becomes the bundle's input."""

    height: int = Field(default=96, gt=0)
    width: int = Field(default=128, gt=0)
    fit: Fit = "letterbox"
    rate: Annotated[float, Field(gt=0)] | Literal["native"] = 10.0
    max_gap: float = Field(default=2.0, gt=0)
    region: tuple[float, float, float, float] | None = None

    def contract(self) -> Input:
        """The same, as stream knows it."""
        return Input(**(self.model_dump() | {"rate": None if self.rate == "native" else self.rate}))

    @property
    def ticks_a_second(self) -> float:
        """Ticks a second; of a network that sees every frame, how many that usually is."""
        return NATIVE_RATE if self.rate == "native" else self.rate


class DataSettings(Table):
    """How a folder is read and divided.

    Attributes:
        none: the label of nothing in particular.
        group: regular expression; its match in a recording's name is its group (a sequence, a person), and groups are
            never split. Without a match the format says what belongs together (train.formats), or else nothing does.
        split: number of an official split, or a list of filename:training; the first official one if there are any.
        validation: share of the groups kept for choosing the best epoch; 0 trains on everything by a fixed schedule.
        detail: size of the pictures kept for augmentation, relative to the network's.
        oversample: times the tick rate at which they are kept, so that speed can be varied without repeating frames.
    """

    none: str = "none"
    group: str = r"(?i)(?<![a-z0-9])(seq\d+|g\d+|person\d+)"
    split: str | None = None
    validation: float = Field(default=0.2, ge=0, lt=1)
    detail: float = Field(default=1.25, ge=1)
    oversample: float = Field(default=3.0, ge=1)


class ClipSettings(Table):
    """Training on a fixed number of pictures of each clip, as the tutorials do, in place of ticks in a row.

    Stages then have rows of that many ticks: a clip, from its first picture, and nothing behind it.

    Attributes:
        frames: T, pictures of a clip; those of a shorter one are followed by ticks that weigh nothing.
        take: its `first` ones, at the input's rate (or every frame, where that is `native`); or `uniform`, T of all
            its n frames whatever its length, number int(i n / T), so that its rate is T / its length: the input's
            becomes that of the clip of median length.
    """

    frames: int = Field(gt=0)
    take: Literal["first", "uniform"] = "first"


class AugmentSettings(Table):
    """How far a clip may be changed; every frame of it alike.

    Attributes:
        enabled: False leaves every clip as it is, whatever else stands here.
        plain: share of clips that keep the place in the frame that `fit` gives them.
        scale: least and greatest size in the frame, relative to what `fit` gives.
        crop: share of a border that may be cut off.
        stretch: log of the greatest change of the width-to-height ratio.
        flip: share of clips that are mirrored.
        upend: share of clips that are turned upside down.
        turn: greatest turn about the middle, in whole turns, either way.
        zoom: greatest change of size about the middle, as a share; what a turn or it leaves free mirrors the picture.
        contrast: greatest change of contrast, as a share, about the picture's mean.
        light: strength of gain, offset, gamma and contrast; 0 is none.
        color: share of clips whose colours are shifted.
        gray: share of clips that lose their colours.
        noise: share of clips with sensor noise or blur.
        speed: slowest and fastest.
        keep: least share of a clip's duration that a temporal crop keeps.
        passers: share of the clips of nothing that show, instead, their people passing through a still scene.
        still: share of the clips of nothing that show, instead, one of their pictures all the time.
    """

    enabled: bool = True
    plain: float = Field(default=0.25, ge=0, le=1)
    scale: tuple[float, float] = (0.5, 1.1)
    crop: float = Field(default=0.15, ge=0, lt=1)
    stretch: float = Field(default=0.2, ge=0, lt=1)
    flip: float = Field(default=0.5, ge=0, le=1)
    upend: float = Field(default=0.0, ge=0, le=1)
    turn: float = Field(default=0.0, ge=0, le=1)
    zoom: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)
    light: float = Field(default=1.0, ge=0, le=2)
    color: float = Field(default=0.5, ge=0, le=1)
    gray: float = Field(default=0.1, ge=0, le=1)
    noise: float = Field(default=0.3, ge=0, le=1)
    speed: tuple[float, float] = (0.8, 1.25)
    keep: float = Field(default=0.8, gt=0, le=1)
    passers: float = Field(default=0.0, ge=0, le=1)
    still: float = Field(default=0.0, ge=0, le=1)


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
        per_class: recordings of one class in an epoch, at most, drawn anew each time; 0 is all.
        class_weights: whether labels weigh in the loss as if all were equally frequent.
        learning_rate, backbone_learning_rate: peak rates of the head and of the backbone.
        schedule: `cosine` decays to 1 %; `constant`; or `plateau`, which lowers the rates when `validation_loss` has
            not sunk for `plateau_patience` epochs.
        plateau_factor, plateau_patience, least_rate: by how much, when, and the rate where that ends.
        warmup: share of the steps over which the rates rise, before a cosine.
        optimizer, weight_decay, epsilon: AdamW, or Adam, which has no decay.
        clip_norm: greatest global norm of the gradient; 0 is none.
        monitor: what the best epoch, whose weights stay, is chosen by.
        patience: epochs without a better one after which a stage ends early; 0 is never.
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
    per_class: int = Field(default=0, ge=0)
    class_weights: bool = False
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"
    plateau_factor: float = Field(default=0.1, gt=0, lt=1)
    plateau_patience: int = Field(default=10, gt=0)
    least_rate: float = Field(default=0.0, ge=0)
    warmup: float = Field(default=0.05, ge=0, lt=1)
    optimizer: Literal["adamw", "adam"] = "adamw"
    weight_decay: float = Field(default=1e-2, ge=0)
    epsilon: float = Field(default=1e-7, gt=0)
    clip_norm: float = Field(default=1.0, ge=0)
    monitor: Literal["validation_loss", "validation_accuracy"] = "validation_loss"
    patience: int = Field(default=0, ge=0)

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
        passing: further ones of that length, in which people only pass by (train.passers), as `augment.passers` shows
            them in training: a camera sees many more of those than of any action.
    """

    smoothing: float = Field(default=0.3, ge=0)
    false_per_minute: float = Field(default=1.0, gt=0)
    streams: int = Field(default=20, gt=0)
    passing: int = Field(default=0, ge=0)
    seconds: float = Field(default=60.0, gt=0)


class ComputeSettings(Table):
    """What training computes with; what it leaves behind is the same kind of run whatever stands here.

    Attributes:
        precision: of the backbone's layers: `bfloat16` needs half the memory and is faster where there are units for it
            (graphics cards since 2020, TPUs). Weights, their updates and the head stay float32.
        devices: `all` graphics cards of the machine share each batch (tf.distribute); or `one`.
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    devices: Literal["one", "all"] = "one"


class Recipe(Table):
    """Everything that decides what training does, but for the data themselves."""

    name: str
    seed: int = 0
    input: InputSettings = InputSettings()
    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    clips: ClipSettings | None = None
    augment: AugmentSettings = AugmentSettings()
    stages: tuple[StageSettings, ...] = Field(min_length=1)
    temporal: TemporalSettings = TemporalSettings()
    decision: DecisionSettings = DecisionSettings()
    compute: ComputeSettings = ComputeSettings()

    @model_validator(mode="before")
    @classmethod
    def _rows_are_clips(cls, table: Any) -> Any:
        """With [clips], rows and the window that runs live are of its `frames`, unless they are given."""
        frames = _frames(table)
        if frames is None:
            return table
        stages = [{"window": frames, "streams": 0.0, "carried": 0.0, "loss": "last"} | each for each in table["stages"]]
        temporal = {"mode": "window", "window": frames} | table.get("temporal", {})
        return table | {"stages": stages, "temporal": temporal}

    @model_validator(mode="after")
    def _clips_fit_their_rows(self) -> Recipe:
        frames = 0 if self.clips is None else self.clips.frames
        for stage in self.stages if frames else ():
            if stage.window < frames or stage.apart or stage.streams:
                raise ValueError("with [clips], a stage's window holds all its frames, with no streams and no spread")
        return self

    def check_mode(self) -> None:
        """Refuses what could be trained but not be run: a window is replayed on features, which must keep no state.

        Runs that were trained so can still be read, measured, and exported in another mode; so reading does not check.

        Raises:
            ConfigError: features that keep state, in a mode other than `carry`.
        """
        mode = self.temporal.mode
        if self.model.keeps_state and mode != "carry":
            raise ConfigError(
                f"recipe {self.name}: features that keep state (model.motion, model.shift) run in mode carry alone: "
                f"expected temporal.mode carry, got {mode} (what [clips] and --lengths choose); add --set "
                "temporal.mode=carry and no --lengths, or leave out motion and shift"
            )


def _frames(table: Any) -> int | None:
    """[clips] frames of a recipe as it was read, where it is well-formed enough to tell."""
    try:
        return int(table["clips"]["frames"]) if all(isinstance(each, dict) for each in table["stages"]) else None
    except (KeyError, TypeError, ValueError):
        return None


def read_recipe(name: str, changes: dict[str, Any] | None = None) -> Recipe:
    """The recipe in file `name`, or of that name among the project's, with `changes` to single settings.

    Args:
        name: a path to a TOML file, or `streaming-gru` for train/recipes/streaming-gru.toml.
        changes: values by dotted name, as in {"model.weights": "mobilenet.weights.h5", "seed": 1}; stages are
            counted from 0: {"stages.0.epochs": 2}, -1 is the last, and * all of them. A table with a ? behind it is
            changed only where the recipe has it: {"clips?.take": "first"}.

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
        got = "" if first["type"] in ("missing", "value_error") else f", got {first['input']!r}"
        raise ConfigError(f"recipe {path.name}: {where}: {first['msg'].lower()}{got}; correct the recipe") from error


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Writes the recipe with every default spelt out; `read_recipe` gives an equal one back."""
    path.write_text(_toml(recipe.model_dump(mode="json", exclude_none=True)), encoding="utf-8")


def _change(table: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    places: list[Any] = [table]
    try:
        for parent in parents:
            places = [inner for place in places for inner in _inside(place, parent)]
        for place in places:
            place[last] = value
    except (IndexError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"no setting {dotted!r} in the recipe; expected a dotted name such as model.units") from error


def _inside(place: Any, part: str) -> list[Any]:
    """What `part` of a dotted name stands for in a table, or in a list of tables."""
    if not isinstance(place, list):
        name = part.removesuffix("?")
        return [] if name != part and name not in place else [place.setdefault(name, {})]
    return place if part == "*" else [place[int(part)]]


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
