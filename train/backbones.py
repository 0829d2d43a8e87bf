"""Backbones: one picture, and what is kept of those before it, to features. No heads, no loops, no training."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from stream.contracts import Input
from stream.errors import ConfigError
from train.model_settings import ModelSettings
from train.shift import shifted
from train.steps import StateTensor, Tensor, state_tensor

BLOCKS = ((32, 3), (64, 3), (128, 3), (128, 4))
"""Filters of each of the `blocks`, and the size of its first convolution."""
FILES = "features"
"""The backbone of networks whose features come from files."""


def build_features(
    settings: ModelSettings, input: Input, precision: str = "float32"
) -> tuple[keras.Model, tuple[StateTensor, ...]]:
    """The features model: [frames (N, H, W, 3) uint8, *states] -> [features (N, D), *next states], and its states.

    For features from files, the frames are those features, (N, D) float32, and pass through.

    Args:
        settings: which network.
        input: what it sees.
        precision: what its layers compute in, `float32` or `bfloat16`; what goes in and comes out is float32.

    Raises:
        ConfigError: no such backbone, a weights file that is missing, does not fit or cannot be downloaded, a picture
            too small, or settings that do not go together.
    """
    _check(settings)
    if settings.backbone == FILES:
        return _from_files(settings), ()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        return _from_pictures(settings, input)
    finally:
        keras.config.set_dtype_policy(before)


def _from_pictures(settings: ModelSettings, input: Input) -> tuple[keras.Model, tuple[StateTensor, ...]]:
    frames = keras.Input((input.height, input.width, 3), dtype="uint8", name="frames")
    pixels = ops.cast(frames, "float32")
    if settings.shift:
        return _with_shift(settings, frames, pixels)
    if settings.motion == "none":
        return keras.Model([frames], [_see(settings, pixels)], name="features"), ()

    grey = ops.mean(pixels, axis=-1, keepdims=True) / 255.0
    kept = 1 if settings.motion == "difference" else 2
    previous, previous_state = state_tensor("previous", (input.height, input.width, kept))
    seen, seen_state = state_tensor("seen", (1,))
    # At reset nothing was seen yet: `seen` is 0, and what came before the first picture is that picture.
    before = ops.where(ops.reshape(seen, (-1, 1, 1, 1)) > 0.5, previous, ops.repeat(grey, kept, axis=-1))
    stack = ops.concatenate([grey, before], axis=-1)
    if settings.motion == "difference":
        features = _see(settings, pixels, grey - before)
    else:
        features = _see(settings, stack * 255.0)
    model = keras.Model([frames, previous, seen], [features, stack[..., :kept], ops.ones_like(seen)], name="features")
    return model, (previous_state, seen_state)


def _check(settings: ModelSettings) -> None:
    if settings.shift and (settings.backbone != "MobileNetV2" or settings.motion != "none"):
        raise ConfigError(
            f"[model] shift: expected backbone MobileNetV2 and no motion, got {settings.backbone} and motion "
            f"{settings.motion!r}; correct the recipe"
        )
    if settings.backbone == FILES and settings.dimension is None:
        raise ConfigError(
            "[model] backbone 'features' reads them from files, and these data have none: expected per-frame features, "
            "or a network of keras.applications that computes them; choose one with --backbone"
        )


def _from_files(settings: ModelSettings) -> keras.Model:
    features = keras.Input((settings.dimension,), name="frames")
    return keras.Model([features], [layers.Identity()(features)], name="features")


def _with_shift(settings: ModelSettings, frames: Tensor, pixels: Tensor) -> tuple[keras.Model, tuple[StateTensor, ...]]:
    backbone, preprocess = _application(settings, tuple(pixels.shape[1:]))
    backbone, states = shifted(backbone, settings.shift)
    before = [state_tensor(state.input.removesuffix("_in"), state.shape)[0] for state in states]
    last, *after = backbone([preprocess(pixels), *before])
    kept = [_float32(each) for each in after]
    return keras.Model([frames, *before], [_float32(_pooled(settings, last)), *kept], name="features"), states


def _float32(x: Tensor) -> Tensor:
    return x if x.dtype == "float32" else ops.cast(x, "float32")


def _see(settings: ModelSettings, pixels: Tensor, difference: Tensor | None = None) -> Tensor:
    """Features, float32, of `pixels` (N, H, W, 3), 0 to 255, and of their change, (N, H, W, 1), -1 to 1."""
    if settings.backbone == "compact":
        planes = pixels / 127.5 - 1.0
        return _float32(_compact(planes if difference is None else ops.concatenate([planes, difference], axis=-1)))
    shape = tuple(pixels.shape[1:])
    if settings.backbone == "blocks":
        seen = _pooled(settings, _blocks(shape)(_unit(pixels)))
    else:
        backbone, preprocess = _application(settings, shape)
        seen = _pooled(settings, backbone(preprocess(pixels)))
    return _float32(seen if difference is None else ops.concatenate([seen, _compact(difference)], axis=-1))


def _pooled(settings: ModelSettings, last: Tensor) -> Tensor:
    pool = layers.Flatten() if settings.pool == "flatten" else layers.GlobalAveragePooling2D()
    return pool(last)


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


def _blocks(shape: tuple[int, int, int]) -> keras.Model:
    """Four blocks of two same-padded ReLU convolutions and 2x2 max pooling, as the tutorials train from scratch."""
    picture = x = keras.Input(shape)
    for filters, size in BLOCKS:
        x = layers.Conv2D(filters, size, padding="same", activation="relu")(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    return keras.Model(picture, x, name="blocks")


def _unit(pixels: Tensor) -> Tensor:
    return pixels / 255.0


def _application(
    settings: ModelSettings, shape: tuple[int, int, int]
) -> tuple[keras.Model, Callable[[Tensor], Tensor]]:
    """A network of keras.applications without its classifier, and the normalisation that its pictures get."""
    make = getattr(keras.applications, settings.backbone, None)
    if not inspect.isfunction(make):
        raise ConfigError(
            f"no backbone {settings.backbone!r}: expected 'compact', 'blocks', 'features' or a network of "
            "keras.applications such as 'MobileNetV2'; correct [model] backbone"
        )
    options: dict[str, Any] = {"include_top": False, "input_shape": shape, "weights": None}
    if settings.weights == "imagenet":
        options["weights"] = "imagenet"
    if settings.alpha != 1.0:
        options["alpha"] = settings.alpha
    backbone = _made(make, options)
    if settings.weights not in (None, "imagenet"):
        _load_backbone(backbone, Path(str(settings.weights)))
    return backbone, _unit if settings.scale == "unit" else _module_of(make).preprocess_input


def _made(make: Callable[..., Any], options: dict[str, Any]) -> keras.Model:
    """What `make` makes; where it downloads weights, stdout stays clean for --json.

    Raises:
        ConfigError: the weights cannot be downloaded, or the network cannot be built for such pictures.
    """
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            # Convolutions fit any size: the weights of 224 pixels are what is wanted.
            warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")
            return make(**options)
    except (TypeError, ValueError) as error:
        shape = options["input_shape"]
        raise ConfigError(f"backbone {make.__name__} cannot be built for pictures of {shape}: {error}") from error
    except Exception as error:
        # Keras raises a bare Exception for what a server or a resolver said, and lets other failures through.
        if type(error) is not Exception and not isinstance(error, OSError):
            raise
        raise ConfigError(
            f"the imagenet weights of {make.__name__} cannot be downloaded ({error}): expected to reach the internet; "
            "or give --weights FILE (a .weights.h5 downloaded elsewhere), --weights RUN (another run's folder), or "
            "--weights none to begin from nothing"
        ) from error


def _module_of(make: Callable[..., Any]) -> Any:
    """The module of keras.applications that has the normalisation for what `make` builds; MobileNetV3 is not in its."""
    return getattr(keras.applications, make.__module__.rpartition(".")[2])


def _load_backbone(backbone: keras.Model, path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"no weights at {path}: expected a .weights.h5 file; correct [model] weights")
    try:
        backbone.load_weights(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"weights {path.name} do not fit {backbone.name}: {reason}") from error
