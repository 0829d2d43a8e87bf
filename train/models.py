"""The networks, as Keras models that take one step: frames to features, features and state to logits.

Training, export and verification all run these very models: one set of weights, one definition of a step. Both models
take a list (the main input, then one tensor a state) and return a list (the main output, then the next states), because
state is data that goes in and comes out, never something hidden in a layer. No training loop and no data live here.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import tensorflow as tf
from keras import layers, ops
from pydantic import BaseModel, ConfigDict, Field

from stream.contracts import Input
from stream.errors import ConfigError

Tensor = Any
"""A Keras, TensorFlow or numpy array; Keras has no type for it."""


class ModelSettings(BaseModel):
    """What to build; the `[model]` table of a recipe.

    Attributes:
        backbone: `compact`, or a network of keras.applications by its name there.
        weights: of the backbone: a file, `imagenet` (downloaded), the folder of another run (in a recipe, where
            train.fit sees to it), or None for random ones.
        alpha: width multiplier of the MobileNets.
        motion: `difference` adds what changed since the previous picture; `stack` puts the grey levels of this picture
            and of the two before it where red, green and blue were, so that a pretrained network sees motion at no
            cost. Either keeps earlier pictures as state of the features.
        head: `miniroad` (Dense, LayerNorm, ReLU, Dropout, GRU, ReLU, Dense; An et al., ICCV 2023) or `gru` alone.
        units: U of the GRU.
        embedding: width of the Dense layer before it (miniroad).
        dropout: share dropped before the GRU, in training.
        evidence: ticks, the time constant of an exponential average of the logits that is kept as state; 0 is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str = "MobileNetV2"
    weights: str | None = None
    alpha: float = Field(default=1.0, gt=0)
    motion: Literal["none", "difference", "stack"] = "none"
    head: Literal["miniroad", "gru"] = "miniroad"
    units: int = Field(default=256, gt=0)
    embedding: int = Field(default=256, gt=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    evidence: float = Field(default=0.0, ge=0)


@dataclass(frozen=True)
class StateTensor:
    """One recurrent state: its names in the graphs and its shape without N; float32, zero at reset."""

    input: str
    output: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """The two models and the states that they carry.

    Attributes:
        features: [frames (N, H, W, 3) uint8, *states] -> [features (N, D) float32, *next states]; called by `step`.
        head: [features (N, D) float32, *states] -> [logits (N, K) float32, *next states]; one step; called by `step`.
        features_state, head_state: the states, in the models' order.
    """

    features: keras.Model
    head: keras.Model
    features_state: tuple[StateTensor, ...]
    head_state: tuple[StateTensor, ...]

    @property
    def dimension(self) -> int:
        """D, the length of a feature vector."""
        return int(self.features.outputs[0].shape[-1])

    def set_trainable(self, *, features: bool, head: bool = True) -> None:
        """Chooses what training changes. A pretrained backbone's BatchNorm always keeps its statistics."""
        self.features.trainable = features
        self.head.trainable = head
        for layer in self.features.layers:
            if isinstance(layer, keras.Model):
                for norm in batch_norms(layer):
                    norm.trainable = False


def build(settings: ModelSettings, input: Input, classes: int) -> Network:
    """Returns the untrained network (its backbone pretrained where `settings.weights` says so).

    Raises:
        ConfigError: no such backbone, a weights file that is missing or does not fit, a picture too small.
    """
    features, features_state = _build_features(settings, input)
    head, head_state = _build_head(settings, int(features.outputs[0].shape[-1]), classes)
    network = Network(features, head, features_state, head_state)
    network.set_trainable(features=True)
    return network


def batch_norms(model: keras.Model) -> list[layers.BatchNormalization]:
    """Every BatchNormalization in `model`, those of the models in it too."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += batch_norms(layer)
        elif isinstance(layer, layers.BatchNormalization):
            found.append(layer)
    return found


def zeros(states: tuple[StateTensor, ...], n: int) -> list[Tensor]:
    """The states of `n` rows at reset."""
    return [ops.zeros((n, *state.shape)) for state in states]


def step(
    model: keras.Model, main: Tensor, states: list[Tensor], *, training: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """Output and next states of `model` for one step. Keras may hand back a list of one unpacked; this does not."""
    outputs = model([main, *states], training=training)
    output, *after = outputs if isinstance(outputs, list | tuple) else [outputs]
    return output, after


def unroll(
    model: keras.Model, sequence: Tensor, states: list[Tensor], *, training: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """Outputs (N, T, ...) of the one-step `model` along `sequence` (N, T, ...), and the states after its last step."""
    steps = ops.swapaxes(ops.convert_to_tensor(sequence), 0, 1)

    def follow(before: tuple[Tensor, ...], moment: Tensor) -> tuple[Tensor, ...]:
        output, after = step(model, moment, list(before[1:]), training=training)
        return (output, *after)

    # A loop in the graph: unrolled in Python, 64 steps take 15 s to trace, and this way 1 s; the numbers are equal.
    nothing = ops.zeros((ops.shape(steps)[1], *model.outputs[0].shape[1:]))
    outputs, *passed = tf.scan(follow, steps, initializer=(nothing, *states))
    return ops.swapaxes(outputs, 0, 1), [state[-1] for state in passed]


def _build_features(settings: ModelSettings, input: Input) -> tuple[keras.Model, tuple[StateTensor, ...]]:
    frames = keras.Input((input.height, input.width, 3), dtype="uint8", name="frames")
    pixels = ops.cast(frames, "float32")
    if settings.motion == "none":
        return keras.Model([frames], [_see(settings, pixels)], name="features"), ()

    grey = ops.mean(pixels, axis=-1, keepdims=True) / 255.0
    kept = 1 if settings.motion == "difference" else 2
    previous = keras.Input((input.height, input.width, kept), name="previous_in")
    seen = keras.Input((1,), name="seen_in")
    # At reset nothing was seen yet: `seen` is 0, and what came before the first picture is that picture.
    before = ops.where(ops.reshape(seen, (-1, 1, 1, 1)) > 0.5, previous, ops.repeat(grey, kept, axis=-1))
    stack = ops.concatenate([grey, before], axis=-1)
    if settings.motion == "difference":
        features = _see(settings, pixels, grey - before)
    else:
        features = _see(settings, stack * 255.0)
    model = keras.Model([frames, previous, seen], [features, stack[..., :kept], ops.ones_like(seen)], name="features")
    states = (
        StateTensor("previous_in", "previous_out", (input.height, input.width, kept)),
        StateTensor("seen_in", "seen_out", (1,)),
    )
    return model, states


def _see(settings: ModelSettings, pixels: Tensor, difference: Tensor | None = None) -> Tensor:
    """Features of `pixels` (N, H, W, 3) in 0-255 and of the change since the last picture (N, H, W, 1) in -1 to 1."""
    if settings.backbone == "compact":
        planes = pixels / 127.5 - 1.0
        return _compact(planes if difference is None else ops.concatenate([planes, difference], axis=-1))
    backbone, preprocess = _pretrained(settings, tuple(pixels.shape[1:]))
    seen = layers.GlobalAveragePooling2D()(backbone(preprocess(pixels)))
    return seen if difference is None else ops.concatenate([seen, _compact(difference)], axis=-1)


def _compact(picture: Tensor) -> Tensor:
    """Features of a small network that trains from scratch; under a millisecond at 96x128 on one core.

    The first layer shrinks by four at once: two layers that shrink by two cost 2.2 times as much to train, nearly all
    of it in moving their large maps through memory. The average alone would forget where things are, so a narrow copy
    of the last map is kept cell by cell.
    """
    x = _convolve(picture, 40, strides=4, size=6)
    for filters in (64, 96, 128):
        x = _convolve(x, filters, strides=2)
    x = x + _convolve(x, 128, strides=1)
    where = layers.Flatten()(layers.Conv2D(24, 1, activation="relu")(x))
    return ops.concatenate([layers.GlobalAveragePooling2D()(x), where], axis=-1)


def _convolve(x: Tensor, filters: int, strides: int, size: int = 3) -> Tensor:
    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def _pretrained(settings: ModelSettings, shape: tuple[int, int, int]) -> tuple[keras.Model, Callable[[Tensor], Tensor]]:
    """A network of keras.applications without its classifier, and the normalisation that it was trained with."""
    make = getattr(keras.applications, settings.backbone, None)
    if not inspect.isfunction(make):
        raise ConfigError(
            f"no backbone {settings.backbone!r}: expected 'compact' or a network of keras.applications such as "
            "'MobileNetV2'; correct [model] backbone"
        )
    options: dict[str, Any] = {"include_top": False, "input_shape": shape, "weights": None}
    if settings.weights == "imagenet":
        options["weights"] = "imagenet"
    if settings.alpha != 1.0:
        options["alpha"] = settings.alpha
    try:
        backbone = make(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"backbone {settings.backbone} cannot be built for pictures of {shape}: {error}") from error
    if settings.weights not in (None, "imagenet"):
        _load_backbone(backbone, Path(str(settings.weights)))
    return backbone, _module_of(settings.backbone).preprocess_input


def _module_of(name: str) -> Any:
    """The module of keras.applications that holds network `name` and its own `preprocess_input`."""
    modules = (module for _, module in inspect.getmembers(keras.applications, inspect.ismodule))
    return next(module for module in modules if hasattr(module, name))


def _load_backbone(backbone: keras.Model, path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"no weights at {path}: expected a .weights.h5 file; correct [model] weights")
    try:
        backbone.load_weights(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"weights {path.name} do not fit {backbone.name}: {reason}") from error


def _build_head(settings: ModelSettings, dimension: int, classes: int) -> tuple[keras.Model, tuple[StateTensor, ...]]:
    features = keras.Input((dimension,), name="features")
    h = keras.Input((settings.units,), name="h_in")
    x = features
    if settings.head == "miniroad":
        x = layers.ReLU()(layers.LayerNormalization()(layers.Dense(settings.embedding)(x)))
    x = layers.Dropout(settings.dropout)(x)
    output, next_h = layers.GRUCell(settings.units)(x, h)
    if settings.head == "miniroad":
        output = layers.ReLU()(output)
    logits = layers.Dense(classes, name="logits")(output)
    memory = StateTensor("h_in", "h_out", (settings.units,))
    if not settings.evidence:
        return keras.Model([features, h], [logits, next_h], name="head"), (memory,)
    # What spoke for each label lately is kept beside what speaks for it now: a network that is sure of single ticks of
    # what it learned from sees no need to remember them, and errs where a single tick looks like something else.
    before, fresh = keras.Input((classes,), name="evidence_in"), 1 - math.exp(-1 / settings.evidence)
    logits = layers.Add(name="evidence")([layers.Rescaling(fresh)(logits), layers.Rescaling(1 - fresh)(before)])
    head = keras.Model([features, h, before], [logits, next_h, logits], name="head")
    return head, (memory, StateTensor("evidence_in", "evidence_out", (classes,)))
