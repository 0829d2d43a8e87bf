"""The whole of `actionstream evaluate`: a model, data, and everything that can be measured with the two.

Data are clips or streams in any of the formats of train.formats, or one video in which nothing happens.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from rich.console import Console

from stream.errors import ConfigError
from train.cache import ArrayCache
from train.clip_measures import measure_clips
from train.datasets import Dataset, Recording, read_dataset
from train.evaluate import placed_clips, plain_clips, with_labels
from train.formats.files import is_video
from train.judges import Judge, Judgement, load_judge
from train.readable import readable
from train.report import progress_bar
from train.runs import kept_split
from train.settings import DataSettings
from train.splits import fold_of, held_out_by, measured
from train.stream_measures import measure_streams
from train.streams import Stream, annotated_streams, joined_streams
from train.views import PlainViews

Place: TypeAlias = tuple[object, ...]


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
    named = with_labels(_dataset(data, judge, group, split), judge)
    dataset = readable(named, cache, console)
    members = measured(dataset) if fold is None else fold_of(dataset, fold, folds, seed)
    views = PlainViews(dataset, cache, judge.input)
    results: dict[str, Any] = {
        "model": judge.name,
        "data": data.name,
        "recordings": len(members),
        "reset_each_tick": reset,
        "learned_from": unlisted
        or _learned_from(
            judge,
            data,
            [dataset.recordings[i] for i in members],
            unreadable=set(map(_place, named.recordings)) - set(map(_place, dataset.recordings)),
            split=kept_split(model) or split,
        ),
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


def _learned_from(
    judge: Judge, data: Path, asked: Sequence[Recording], *, unreadable: Set[Place], split: str | None
) -> bool:
    """Whether the judge learned from any of the recordings that it is asked about, however they are divided now.

    Args:
        judge: with its provenance.
        data: where they were read from.
        asked: what is measured.
        unreadable: what was left out, as it was for training.
        split: the list that the judge was trained by, where it was trained by one.
    """
    trained = judge.provenance.get("data", {})
    try:
        dataset = _dataset(data, judge, trained.get("group"), split if "list" in trained else trained.get("split"))
    except ConfigError:  # no such split or list: these are other data
        return False
    dataset = replace(dataset, recordings=tuple(r for r in dataset.recordings if _place(r) not in unreadable))
    held_out = held_out_by(judge.provenance, dataset)
    if held_out is None:
        return False
    learned = {_place(each) for i, each in enumerate(dataset.recordings) if i not in held_out}
    return any(_place(recording) in learned for recording in asked)


def _place(recording: Recording) -> Place:
    """Which one it is, in whichever part or group: others may be of the same file."""
    return recording.path, recording.span, recording.features and recording.features.row


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
