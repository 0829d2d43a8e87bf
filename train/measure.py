"""The whole of `actionstream evaluate`: a model, data, and everything that can be measured with the two.

Data are clips or streams in any of the formats of train.formats, or one video in which nothing happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from train.cache import ArrayCache
from train.clip_measures import measure_clips
from train.datasets import Dataset, Recording, fingerprint, read_dataset
from train.evaluate import placed_clips, plain_clips, with_labels
from train.formats.files import is_video
from train.judges import Judge, Judgement, load_judge
from train.readable import readable
from train.report import progress_bar
from train.runs import kept_split
from train.settings import DataSettings
from train.splits import fold_of, measured
from train.stream_measures import measure_streams
from train.streams import Stream, annotated_streams, joined_streams
from train.views import PlainViews


class Judged(NamedTuple):
    """Clips or streams, and what was made of each."""

    streams: Sequence[Stream]
    judgements: Sequence[Judgement]


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model reached, and the answers that the numbers were made of.

    Attributes:
        results: ready for JSON and for `print_results`.
        judge: who answered.
        judged: by the name of what was judged: `clips`, `placed`, `streams`.
    """

    results: dict[str, Any]
    judge: Judge
    judged: dict[str, Judged]


def measure(
    model: Path,
    data: Path,
    *,
    cache: ArrayCache,
    console: Console,
    fold: int | None = None,
    folds: int = 5,
    group: str | None = None,
    split: str | None = None,
    seed: int | None = None,
    count: int = 20,
    seconds: float = 60.0,
    reset: bool = False,
) -> Measured:
    """What `model` reaches on `data`.

    Args:
        model: folder of a run or of a bundle.
        data: clips or streams, in any format of train.formats, or one video in which nothing happens.
        cache: for pictures.
        console: for progress.
        fold: only this fold's recordings, divided as training with the same seed divides them.
        folds: number of folds.
        group: regular expression of a recording's group; the model's own if None.
        split: number of an official split, or a list of filename:training; the model's own if None (a run keeps its
            list, a bundle does not). Without a fold, an official test set is all that is measured on.
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
    trained = judge.provenance.get("data", {})
    same = trained.get("folder") == data.name
    if split is None and same:
        split = trained.get("split") or kept_split(model)
    unlisted = split is None and same and "list" in trained
    if unlisted:
        console.print(
            f"{judge.name} was trained by a list ({trained['list']}) that it does not hold: all of {data.name} is "
            "measured, what it learned from as well; name the list with --split",
            markup=False,
            soft_wrap=True,
        )
    named = _dataset(data, judge, group, split)
    dataset = readable(with_labels(named, judge), cache, console)
    members = measured(dataset) if fold is None else fold_of(dataset, fold, folds, seed)
    views = PlainViews(dataset, cache, judge.input)
    results: dict[str, Any] = {
        "model": judge.name,
        "data": data.name,
        "recordings": len(members),
        "reset_each_tick": reset,
        "learned_from": unlisted
        or _learned_from(judge, dataset, members, None if fold is None else f"{fold} of {folds}"),
    }

    with progress_bar(console) as bar:
        for recording in bar.track(members, description="pictures"):
            views.plain(recording)
        sets = _sets(views, members, seed=seed, count=count, seconds=seconds)
        judged = {}
        for name, streams in sets.items():
            shown = bar.add_task(name, total=len(streams))
            judgements = judge.judge(streams, reset=reset, advance=partial(bar.advance, shown))
            run = measure_streams if name == "streams" else measure_clips
            results[name] = run(judge, streams, judgements)
            judged[name] = Judged(streams, judgements)
    return Measured(results, judge, judged)


def _dataset(data: Path, judge: Judge, group: str | None, split: str | None) -> Dataset:
    if data.is_file() and is_video(data):
        return Dataset(data.parent, judge.labels, judge.none, (Recording(data, data.name, None),), untrimmed=True)
    group = group or judge.provenance.get("data", {}).get("group", DataSettings().group)
    return read_dataset(data, none=judge.none, group=group, split=split)


def _learned_from(judge: Judge, dataset: Dataset, members: tuple[int, ...], fold: str | None) -> bool:
    """Whether the judge was trained on these very data, and held out neither this fold nor an official test set."""
    trained = judge.provenance.get("data", {})
    if trained.get("digest") != fingerprint(dataset):
        return False
    held_out = fold is not None and trained.get("fold") == fold
    return not held_out and any(dataset.recordings[i].part != "test" for i in members)


def _sets(
    views: PlainViews, members: tuple[int, ...], *, seed: int, count: int, seconds: float
) -> dict[str, list[Stream]]:
    """What there is to judge, by name: clips in two forms and streams joined from them, or the streams themselves."""
    if views.dataset.untrimmed:
        return {"streams": annotated_streams(views, members)}
    sets = {
        "clips": plain_clips(views, members),
        "placed": placed_clips(views, members, seed),
        "streams": joined_streams(views, members, count=count, seconds=seconds, seed=seed + 1),
    }
    return {name: streams for name, streams in sets.items() if streams}
