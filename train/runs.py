"""Run folders: what training leaves behind, and how to get the trained network back. No training here.

recipe.toml          every setting, defaults spelt out
run.json             labels, input, temporal, decision, provenance
weights.weights.h5   of both models; the best epoch's, or the last's
checkpoint.npz       only while training is unfinished
split.txt            which recording was in which part, where a list of one's own said so
history.json, .csv   one row an epoch
metrics.json         what it reached, on what
summary.txt, architecture.json, learning-curves.png, confusion-matrix.png
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from stream.contracts import Input
from stream.errors import ConfigError
from train.models import Network, build
from train.settings import Recipe, read_recipe, write_recipe

RECIPE = "recipe.toml"
RUN = "run.json"
WEIGHTS = "weights.weights.h5"
SPLIT = "split.txt"


@dataclass(frozen=True, eq=False)
class Run:
    """A trained network and how it is to be run.

    Attributes:
        network: the two models, with their trained weights.
        labels: K names in the order of the logits.
        none: the name of nothing.
        input: what the network sees.
        temporal: mode, window, warmup, max_gap, as in bundle.json.
        decision: temperature, smoothing, labels, as in bundle.json.
        provenance: recipe, data, seed, versions, metrics, command.
        folder: where it was loaded from.
    """

    network: Network
    labels: tuple[str, ...]
    none: str
    input: Input
    temporal: dict[str, Any]
    decision: dict[str, Any]
    provenance: dict[str, Any]
    folder: Path


def kept_split(folder: Path) -> str | None:
    """The list of one's own by which the run in `folder` was divided; None where there was none."""
    return str(folder / SPLIT) if (folder / SPLIT).is_file() else None


def save_run(run: Run, recipe: Recipe) -> None:
    """Writes `run` into its folder; run.json comes last, and with it the run is whole."""
    run.folder.mkdir(parents=True, exist_ok=True)
    write_recipe(recipe, run.folder / RECIPE)
    save_weights(run.network, run.folder / WEIGHTS)
    save_decision(run)


def save_decision(run: Run) -> None:
    """Writes all of `run` but its recipe and its weights, which are in its folder already."""
    described = {
        "labels": run.labels,
        "none": run.none,
        "temporal": run.temporal,
        "decision": run.decision,
        "provenance": run.provenance,
    }
    replace_text(run.folder / RUN, json.dumps(described, indent=2))


def load_run(folder: Path | str) -> Run:
    """The finished run in `folder`.

    Raises:
        ConfigError: no run there, one that is unfinished, or files that do not fit each other.
    """
    folder = Path(folder)
    if not (folder / RECIPE).is_file():
        raise ConfigError(
            f"no run in {folder}: expected {RECIPE}, {RUN} and {WEIGHTS}; train one with actionstream train"
        )
    if not (folder / RUN).is_file():
        raise ConfigError(f"run {folder} is unfinished (no {RUN}): train again with the same --out to go on")
    recipe = read_recipe(str(folder / RECIPE))
    input = recipe.input.contract()
    try:
        described = json.loads((folder / RUN).read_text(encoding="utf-8"))
        labels = tuple(described["labels"])
        # Its own weights follow: whatever the backbone started from need not be on this machine.
        network = build(recipe.model.model_copy(update={"weights": None}), input, len(labels))
        load_weights(network, folder / WEIGHTS)
        return Run(
            network=network,
            labels=labels,
            none=described["none"],
            input=input,
            temporal=described["temporal"],
            decision=described["decision"],
            provenance=described["provenance"],
            folder=folder,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = str(error).splitlines()[0]
        raise ConfigError(f"run {folder} is damaged ({reason}): train it again") from error


def save_weights(network: Network, path: Path) -> None:
    """Writes the weights of both models into one .weights.h5 file, whole or not at all."""
    partial = path.with_name(f"partial-{path.name}")
    _Pair(network).save_weights(partial)
    partial.replace(path)


def load_weights(network: Network, path: Path) -> None:
    """Sets the weights of both models from a file of `save_weights`."""
    _Pair(network).load_weights(path)


def begin_from(network: Network, run: Run) -> None:
    """Gives the backbone of `network` the weights of the backbone of `run`; the size of their pictures may differ.

    Raises:
        ConfigError: they are not of one kind.
    """
    ours, theirs = network.backbone, run.network.backbone
    shapes = [None if each is None else [tuple(weight.shape) for weight in each.weights] for each in (ours, theirs)]
    if ours is None or theirs is None or shapes[0] != shapes[1]:
        raise ConfigError(
            f"run {run.folder.name} has another backbone than the recipe: expected the same network of "
            "keras.applications; correct [model] backbone or weights"
        )
    ours.set_weights(theirs.get_weights())


def replace_text(path: Path, text: str) -> None:
    """Writes `text`, whole or not at all."""
    partial = path.with_name(f"partial-{path.name}")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)


class _Pair(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Both models under one roof, for Keras to name their weights in one file."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.features = network.features
        self.head = network.head
        self.built = True
