"""Fitting when to speak on recordings that the network never learned from: of a folder, or of the folds held out.

A network is too sure of what it learned from: thresholds fitted there come out too high for it and too low for the
world. Where all recordings were learned from, the runs of the folds stand in for it, each on the recordings that it
held out. The fit itself is train.thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from stream.errors import ConfigError
from train.cache import ArrayCache
from train.datasets import Dataset, fingerprint, read_dataset
from train.forward import CachedFeatures, Forward
from train.readable import readable
from train.report import progress_bar
from train.runs import RECIPE, Run, kept_split, load_run, save_decision
from train.settings import DecisionSettings, Recipe, read_recipe
from train.splits import held_out_by, outside_test
from train.streams import Stream, annotated_streams, joined_streams, passing_streams
from train.thresholds import Scored, fit_decision, trials
from train.views import PlainViews


def calibrate(
    folder: Path,
    data: Path,
    *,
    cache: ArrayCache,
    console: Console,
    folds: Sequence[Path] = (),
    false_per_minute: float | None = None,
) -> Run:
    """The run in `folder` with its decision fitted anew, which is saved.

    Args:
        folder: of a finished run.
        data: class folders or annotated streams. Without `folds`, such as the run never learned from.
        cache: for pictures and features.
        console: for progress.
        folds: finished runs of single folds on `data`: each is asked about the recordings that it held out.
        false_per_minute: false events a minute to allow; the recipe's if None.

    Raises:
        ConfigError: no such run or data, data that the run learned from or whose labels it does not know, or a
            fold's run on other data.
    """
    run = load_run(folder)
    recipe = read_recipe(str(folder / RECIPE))
    settings = recipe.decision
    if false_per_minute is not None:
        settings = settings.model_copy(update={"false_per_minute": false_per_minute})
    same = run.provenance["data"]["folder"] == data.name  # a split is of the data that it was made for
    split = (kept_split(folder) or recipe.data.split) if same else None
    named = read_dataset(data, none=run.none, group=recipe.data.group, split=split)
    dataset = readable(named, cache, console)
    if not set(dataset.labels) <= set(run.labels):
        raise ConfigError(
            f"{data} has labels {', '.join(dataset.labels)}, {folder.name} knows {', '.join(run.labels)}: name data of "
            "its labels"
        )
    parts = [_held_out(load_run(each), dataset, recipe) for each in folds]
    if not parts and run.provenance["data"]["digest"] == fingerprint(dataset):
        raise ConfigError(
            f"{folder.name} learned from {data.name}: name data that it has not seen, or, with --fold-run, the runs of "
            "its folds"
        )
    parts = parts or [(run, outside_test(dataset))]
    if not any(members for _, members in parts):
        raise ConfigError(f"{data} is a test set alone: thresholds are fitted before one is touched; name other data")
    scored: list[Scored] = []
    with progress_bar(console) as bar:
        for asked, members in parts:
            views = PlainViews(replace(dataset, labels=run.labels), cache, run.input)
            streams = fitting_streams(views, members, recipe)
            shown = bar.add_task(f"{asked.folder.name}: streams", total=len(streams))
            scored += score(Forward(asked.network), cache, streams, recipe, partial(bar.advance, shown))
        shown = bar.add_task("thresholds", total=trials(run.labels))
        decision = fit_decision(
            scored,
            run.labels,
            run.none,
            settings,
            warmup=recipe.temporal.warmup,
            advance=lambda: bar.advance(shown),
        )
    fitted = {"data": data.name, "fold_runs": len(folds), "false_per_minute": settings.false_per_minute}
    calibrated = replace(
        run, decision=decision.model_dump(mode="json"), provenance=run.provenance | {"calibrated": fitted}
    )
    save_decision(calibrated)
    return calibrated


def judged_streams(
    views: PlainViews, members: tuple[int, ...], settings: DecisionSettings, *, seed: int
) -> list[Stream]:
    """Streams of `members` to judge: themselves where they are streams, else streams joined from them."""
    if views.dataset.untrimmed:
        return annotated_streams(views, members)
    return joined_streams(views, members, count=settings.streams, seconds=settings.seconds, seed=seed)


def fitting_streams(views: PlainViews, members: tuple[int, ...], recipe: Recipe) -> list[Stream]:
    """What a decision is fitted on: streams of `members`, and those in which people only pass, if the recipe asks."""
    streams = judged_streams(views, members, recipe.decision, seed=recipe.seed)
    return (
        streams if views.dataset.untrimmed else [*streams, *passing_streams(views, members, recipe, seed=recipe.seed)]
    )


def score(
    forward: Forward, cache: ArrayCache, streams: Sequence[Stream], recipe: Recipe, advance: Callable[[], Any]
) -> list[Scored]:
    """The streams with the logits that the network gives in the recipe's temporal mode."""
    cached, features = CachedFeatures(forward, cache), []
    for stream in streams:
        features.append(cached.of(stream))
        advance()
    temporal = recipe.temporal
    logits = forward.logits(features, window=temporal.window if temporal.mode == "window" else None)
    return [Scored(stream, each) for stream, each in zip(streams, logits, strict=True)]


def _held_out(run: Run, dataset: Dataset, recipe: Recipe) -> tuple[Run, tuple[int, ...]]:
    """A fold's run, and the numbers of the recordings that it held out."""
    described = run.provenance["data"]
    members = held_out_by(run.provenance, dataset)
    if members is None or described["fold"] is None or described.get("group", recipe.data.group) != recipe.data.group:
        raise ConfigError(
            f"{run.folder.name} held out no fold of {dataset.root.name}: expected a run of actionstream train --fold "
            "on these very data, in the same groups"
        )
    return run, members
