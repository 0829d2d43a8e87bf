"""Recipes held against one another on the same clips: what each gets right over folds and seeds.

Clips are shown as they are, with their pictures shuffled, and placed in a larger frame. Every trial is a run of
train.fit in a folder of its own, so that a comparison that was killed goes on, and its numbers can be looked into; what
it gets right is kept with it (export.finished). What a model costs is export.price. Nothing is printed or drawn here.
"""

from __future__ import annotations

import io
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from export.finished import Finished
from export.price import Cost, price
from stream.bench.conditions import machine
from stream.errors import ConfigError
from train.cache import ArrayCache, digest
from train.clips import taken
from train.datasets import Dataset, fingerprint, read_dataset
from train.evaluate import evaluate_clips, placed_clips, plain_clips
from train.fit import train
from train.forward import Forward
from train.judges import KerasJudge
from train.readable import readable
from train.runs import RUN, Run
from train.settings import ClipSettings, Recipe
from train.splits import fold_of
from train.streams import Stream
from train.views import PlainViews

BRIEF_S = 10.0
"""Of the streams that a trial's thresholds are fitted on."""
JUDGED, PRICED = "judged.json", "priced.json"
"""Beside each run, its trial; beside the first of an entry, what the model costs."""


@dataclass(frozen=True)
class Entry:
    """A recipe as it takes part.

    Attributes:
        name: of the recipe, with the number of its pictures where that is varied.
        recipe: its settings.
        frames: how many pictures it judges by; None where a state is carried.
    """

    name: str
    recipe: Recipe
    frames: int | None


@dataclass(frozen=True)
class Trial:
    """What one run gets right of the fold that it never saw: shares of the clips of actions, over the actions.

    Attributes:
        fold, seed: of the run.
        ordered: the pictures of a clip as it shows them.
        shuffled: the same pictures in random order.
        placed: the clip at a random size and place in one 4:3 frame; its shape and scale tell nothing.
    """

    fold: int
    seed: int
    ordered: float
    shuffled: float
    placed: float


@dataclass(frozen=True)
class Standing:
    """How an entry came out of it."""

    entry: Entry
    trials: tuple[Trial, ...]
    cost: Cost

    def spread(self, which: str) -> tuple[float, float]:
        """Mean and standard deviation over the trials of `ordered`, `shuffled` or `placed`."""
        values = [getattr(trial, which) for trial in self.trials]
        return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def entries(recipes: Iterable[Recipe], lengths: Sequence[int]) -> list[Entry]:
    """The recipes as they are, or each judging by every number of pictures in `lengths`.

    Raises:
        ConfigError: one of them could not be run as it would be trained.
    """
    if lengths:
        found = [
            Entry(f"{recipe.name}, {length}", _of_length(recipe, length), length)
            for recipe in recipes
            for length in lengths
        ]
    else:
        found = [Entry(recipe.name, recipe, recipe.temporal.window) for recipe in recipes]
    for entry in found:  # before the first of them is trained
        entry.recipe.check_mode()
    return found


def compete(
    entry: Entry,
    data: Path,
    folder: Path,
    *,
    folds: int,
    seeds: int,
    cache: ArrayCache,
    advance: Callable[[], None] = lambda: None,
) -> Standing:
    """Trains `entry` for each fold and seed, and measures it.

    Args:
        entry: what takes part.
        data: clips, in any format of train.formats.
        folder: of all runs; those that are finished, of these very settings and data, are neither trained nor judged
            again.
        folds: number of folds.
        seeds: how often each is trained, from another seed; the seed divides the folds too.
        cache: for pictures and features.
        advance: called after each trial.

    Raises:
        ConfigError: bad data or settings.
    """
    unheard = Console(file=io.StringIO())
    dataset = clips_in(data, entry.recipe, cache, unheard)
    made_of = digest([entry.recipe.model_dump(mode="json"), fingerprint(dataset), folds])[:8]
    # When to speak is not compared: fitting thresholds on an hour of joined clips would take most of a trial's time.
    brief = entry.recipe.decision.model_copy(update={"streams": 1, "seconds": BRIEF_S})
    trials, cost = [], None
    for seed in range(entry.recipe.seed, entry.recipe.seed + seeds):
        recipe = entry.recipe.model_copy(update={"seed": seed, "decision": brief})
        for fold in range(folds):
            place = folder / f"{entry.name.replace(', ', '-')}-{made_of}" / f"fold{fold}-seed{seed}"
            trained = (
                None
                if (place / RUN).is_file()
                else train(data, recipe, place, cache=cache, console=unheard, fold=fold, folds=folds)
            )
            finished = Finished(place, trained)
            cost = cost or Cost(**finished.known(PRICED, machine(), price))
            tried = partial(_tried, dataset=dataset, recipe=recipe, fold=fold, folds=folds, cache=cache)
            trials.append(Trial(**finished.known(JUDGED, [made_of, seed, fold], tried)))
            keras.utils.clear_session()  # a process would grow with every network
            advance()
    assert cost is not None  # there is a fold, and a seed
    return Standing(entry, tuple(trials), cost)


def clips_in(data: Path, recipe: Recipe, cache: ArrayCache, console: Console) -> Dataset:
    """The clips in `data` as `recipe` reads them; those that cannot be read are told to `console`, and left out.

    Raises:
        ConfigError: they are no clips, or cannot be told apart.
    """
    asked = recipe.data
    dataset = readable(read_dataset(data, none=asked.none, group=asked.group, split=asked.split), cache, console)
    if dataset.untrimmed:
        raise ConfigError(f"{data} holds untrimmed streams: expected clips, of which some can be held out and counted")
    return dataset


def _of_length(recipe: Recipe, length: int) -> Recipe:
    """`recipe`, which judges by `length` pictures: it learns from rows of so many, and they are its window.

    A transformer attends to just as many: with a longer context its first ones would stay empty, with a shorter one it
    would judge by fewer pictures than the table says.
    """
    temporal = recipe.temporal.model_copy(
        update={"mode": "window", "window": length, "warmup": min(recipe.temporal.warmup, length)}
    )
    stages = tuple(stage.model_copy(update={"window": length}) for stage in recipe.stages)
    clips = recipe.clips and recipe.clips.model_copy(update={"frames": length})
    context = {"context": length} if recipe.model.head == "transformer" else {}
    model = recipe.model.model_copy(update=context)
    return recipe.model_copy(update={"temporal": temporal, "stages": stages, "clips": clips, "model": model})


def _tried(run: Run, dataset: Dataset, recipe: Recipe, fold: int, folds: int, cache: ArrayCache) -> Trial:
    """What `run` makes of the fold that it never saw."""
    members = [i for i in fold_of(dataset, fold, folds, recipe.seed) if dataset.recordings[i].label != dataset.none]
    every_frame = recipe.clips is not None and recipe.clips.take == "uniform"
    views = PlainViews(dataset, cache, replace(run.input, rate=None) if every_frame else run.input)
    judge = KerasJudge(run, Forward(run.network), cache)

    def right(clips: Sequence[Stream]) -> float:
        return float(evaluate_clips(judge, clips, reset=False, advance=lambda: None)["actions_accuracy"])

    ordered, placed = (
        [_taken(clip, recipe.clips) for clip in clips]
        for clips in (plain_clips(views, members), placed_clips(views, members, recipe.seed))
    )
    rngs = [np.random.default_rng([recipe.seed, i]) for i in members]
    shuffled = [_shuffled(clip, rng) for clip, rng in zip(ordered, rngs, strict=True)]
    return Trial(fold, recipe.seed, right(ordered), right(shuffled), right(placed))


def _taken(clip: Stream, clips: ClipSettings | None) -> Stream:
    """The pictures of `clip` that a recipe with `clips` judges it by; all of them without."""
    return clip if clips is None else _only(clip, np.array(taken(len(clip.times), clips)))


def _shuffled(clip: Stream, rng: np.random.Generator) -> Stream:
    """The pictures of `clip` in random order, at the times of the others."""
    return replace(_only(clip, rng.permutation(len(clip.times))), times=clip.times)


def _only(clip: Stream, chosen: NDArray[np.int64]) -> Stream:
    """The pictures of `clip` with the numbers `chosen`, in that order; a clip is of one label throughout."""
    return replace(
        clip,
        times=clip.times[chosen],
        images=clip.images[chosen],
        targets=clip.targets[chosen],
        key=digest([clip.key, chosen.tolist()]),
    )
