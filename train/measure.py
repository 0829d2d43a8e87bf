"""The whole of `actionstream evaluate`: a model, data, and everything that can be measured with the two.

Data are class folders of clips, streams with annotations, or one video in which nothing happens.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from stream.errors import ConfigError
from train.cache import ArrayCache
from train.datasets import Dataset, Recording, read_dataset
from train.evaluate import evaluate_clips, evaluate_streams, placed_clips, plain_clips, with_labels
from train.judges import Judge, load_judge
from train.report import progress_bar
from train.settings import DataSettings
from train.splits import divide
from train.streams import Stream, annotated_streams, joined_streams
from train.views import PlainViews


def measure(
    model: Path,
    data: Path,
    *,
    cache: ArrayCache,
    console: Console,
    fold: int | None = None,
    folds: int = 5,
    seed: int | None = None,
    count: int = 20,
    seconds: float = 60.0,
    reset: bool = False,
) -> dict[str, Any]:
    """What `model` reaches on `data`, ready for JSON and for `print_results`.

    Args:
        model: folder of a run or of a bundle.
        data: class folders, streams with annotations.json, or one video in which nothing happens.
        cache: for pictures.
        console: for progress.
        fold: only this fold's recordings, divided as training with the same seed divides them.
        folds: number of folds.
        seed: of folds, places and joined streams; the model's own if None.
        count: streams that are joined from clips.
        seconds: length of each.
        reset: forget everything before each tick.

    Raises:
        ConfigError: data that cannot be read, or labels that the model does not know.
        BundleError: a bundle that cannot be loaded.
    """
    judge = load_judge(model, cache)
    seed = int(judge.provenance.get("seed", 0)) if seed is None else seed
    dataset = with_labels(_dataset(data, judge), judge)
    members = tuple(range(len(dataset.recordings)))
    if fold is not None:
        if fold >= folds:
            raise ConfigError(f"no fold {fold} of {folds}: expected a fold from 0 to {folds - 1}")
        members = divide(dataset, members, folds, seed)[fold]
    views = PlainViews(dataset, cache, judge.input)
    results: dict[str, Any] = {
        "model": judge.name,
        "data": data.name,
        "recordings": len(members),
        "reset_each_tick": reset,
    }

    with progress_bar(console) as bar:
        for recording in bar.track(members, description="pictures"):
            views.plain(recording)
        sets = _sets(views, members, seed=seed, count=count, seconds=seconds)
        for name, streams in sets.items():
            shown = bar.add_task(name, total=len(streams))
            run = evaluate_streams if name == "streams" else evaluate_clips
            results[name] = run(judge, streams, reset=reset, advance=partial(bar.advance, shown))
    return results


def _dataset(data: Path, judge: Judge) -> Dataset:
    if data.is_file():
        return Dataset(data.parent, judge.labels, judge.none, (Recording(data, data.name, None),), untrimmed=True)
    group = judge.provenance.get("data", {}).get("group", DataSettings().group)
    return read_dataset(data, none=judge.none, group=group)


def _sets(
    views: PlainViews, members: tuple[int, ...], *, seed: int, count: int, seconds: float
) -> dict[str, list[Stream]]:
    """What there is to judge, by name: clips in two forms and streams joined from them, or the streams themselves."""
    if views.dataset.untrimmed:
        return {"streams": annotated_streams(views, members)}
    return {
        "clips": plain_clips(views, members),
        "placed": placed_clips(views, members, seed),
        "streams": joined_streams(views, members, count=count, seconds=seconds, seed=seed + 1),
    }
