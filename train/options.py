"""Options that several commands of training share: those that change a recipe, and where its cache is.

Which settings each of them stands for is told here. No TensorFlow here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

HIDDEN_UNITS = 256
"""Width of the layers that --head-layers puts before the last one."""

Changes = dict[str, Any]
"""Values by dotted name, as `train.settings.read_recipe` takes them."""


def cache_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command`, which is given an open `cache`, with the options that say where it is and how large it may grow."""

    @click.option(
        "--cache",
        "cache_folder",
        type=click.Path(path_type=Path),
        help="Where pictures and features are kept; your cache folder if left out.",
    )
    @click.option(
        "--cache-limit",
        metavar="SIZE",
        help="Beyond it what was not used for longest is removed, as 20GB (what it is if left out), or none.",
    )
    @wraps(command)
    def with_cache(*args: Any, cache_folder: Path | None, cache_limit: str | None, **named: Any) -> Any:
        from train.cache import ArrayCache, default_folder
        from train.room import limit_of

        return command(*args, cache=ArrayCache(cache_folder or default_folder(), limit_of(cache_limit)), **named)

    return with_cache


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command` with the options that change single settings of its recipe; `changes_of` reads them."""
    options = [
        click.option("--backbone", metavar="NAME", help="A network of keras.applications, or compact or blocks."),
        click.option("--weights", metavar="imagenet|FILE|RUN|none", help="The backbone's first weights."),
        click.option(
            "--finetune",
            type=click.IntRange(min=0),
            metavar="N",
            help="Train the backbone's last N layers; 0: none.",
        ),
        click.option("--epochs", type=click.IntRange(min=1), help="Of every stage."),
        click.option(
            "--every", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Pictures S seconds apart."
        ),
        click.option(
            "--frames", type=click.IntRange(min=1), metavar="N", help="N pictures spread evenly over each clip."
        ),
        click.option(
            "--head-layers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Dense layers of the head, with the last.",
        ),
        click.option("--seed", type=click.IntRange(min=0), help="Overrides the recipe's seed."),
        click.option("--split", help="Number of an official split, or a list of filename:training."),
        click.option("--group", metavar="REGEX", help="What it finds in a recording's name is its group."),
        click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting: stages.0.epochs=5."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def changes_of(
    *,
    backbone: str | None,
    weights: str | None,
    finetune: int | None,
    epochs: int | None,
    every: float | None,
    frames: int | None,
    head_layers: int | None,
    seed: int | None,
    split: str | None,
    group: str | None,
    settings: tuple[str, ...],
) -> Changes:
    """The settings that the options of `recipe_options` stand for; --set comes last, and so has the last word.

    Raises:
        click.UsageError: options that exclude each other, or a setting without a value.
    """
    if every is not None and frames is not None:
        raise click.UsageError("--every and --frames exclude each other: pictures are so far apart, or so many")
    changed: Changes = {
        "model.backbone": backbone,
        "seed": seed,
        "data.split": split,
        "data.group": group,
        "stages.*.epochs": epochs,
    }
    if head_layers is not None:
        changed["model.dense"] = [HIDDEN_UNITS] * (head_layers - 1)
    if every is not None:
        # Pictures that are spread evenly would have a rate of their own.
        changed |= {"input.rate": 1 / every, "clips?.take": "first"}
    if frames is not None:
        changed |= {"clips.take": "uniform", "clips.frames": frames}
    if finetune is not None:
        changed |= {"stages.-1.kind": "finetune", "model.finetune": finetune} if finetune else {"stages.*.kind": "head"}
    changed = {name: value for name, value in changed.items() if value is not None}
    if weights is not None:
        changed["model.weights"] = None if weights == "none" else weights
    return changed | dict(_setting(text) for text in settings)


def without_folders(word: str) -> str:
    """`word` of a command line for a bundle's provenance: where a file lay on this machine is nobody's business."""
    return Path(word).name if Path(word).is_absolute() else word


def _setting(text: str) -> tuple[str, Any]:
    """`name=value` as a name and a number, a truth, a list or, failing that, a text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"expected NAME=VALUE, got {text!r}", param_hint="--set")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
