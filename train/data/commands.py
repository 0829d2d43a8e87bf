"""The commands `data check`, `data subset` and `data extract`. Nothing heavy is imported until one runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stream.commands.options import examples, json_option
from train.options import cache_options

if TYPE_CHECKING:
    from train.cache import ArrayCache
    from train.recordings import Dataset

FOLDER = click.Path(path_type=Path)
Function = TypeVar("Function", bound=Callable[..., Any])


@click.group(
    epilog=examples(
        "actionstream data check clips",
        "actionstream data subset clips --classes wave,clap --out two-classes",
        "actionstream data extract clips --every 1 --out pictures",
    )
)
def data() -> None:
    """Look at clips and their lists before training; make a smaller set, or one of pictures."""


def dataset_options(command: Function) -> Function:
    """`command` with the options that decide how a dataset is read: --group, --split, --none."""
    for option in (
        click.option("--none", default="none", show_default=True, help="The label of nothing in particular."),
        click.option("--split", help="Number of an official split, or a list of filename:training."),
        click.option("--group", metavar="REGEX", help="What it finds in a recording's name is its group."),
    ):
        command = option(command)
    return command


@data.command(
    short_help="What DATA is, and what is wrong with it.",
    epilog=examples(
        "actionstream data check clips",
        "actionstream data check UCF101 --split 2 --grid first-frames.png",
        "actionstream data check clips --group 'person[0-9]+' --json",
    ),
)
@click.argument("folder", metavar="DATA", type=FOLDER)
@dataset_options
@click.option("--grid", type=FOLDER, help="Draw the first frames of 20 recordings, with their labels, into this file.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what is drawn at random.")
@cache_options
@json_option
def check(
    folder: Path,
    group: str | None,
    split: str | None,
    none: str,
    grid: Path | None,
    seed: int,
    cache: ArrayCache,
    as_json: bool,
) -> None:
    """Say what DATA is and what is wrong with it: bad files, leaks between splits, numbers that betray a class."""
    import json

    from stream.commands.places import open_file
    from stream.commands.terminal import console, print_written
    from train.data.check import check as look
    from train.data.grid import draw_grid, require_picture, write_grid
    from train.data.show import as_dictionary, print_checked

    if grid is not None:
        require_picture(grid)
        open_file(grid, "--grid")
    told = console(stderr=as_json)
    dataset = _read(folder, group, split, none)
    checked = look(dataset, cache, told, seed=seed)
    if as_json:
        click.echo(json.dumps(as_dictionary(checked), indent=2))
    else:
        print_checked(checked, told)
    if grid is not None:
        write_grid(draw_grid(checked.dataset, seed), grid)
        print_written(told, [grid])


def _read(folder: Path, group: str | None, split: str | None, none: str) -> Dataset:
    from train.datasets import read_dataset
    from train.settings import DataSettings

    return read_dataset(folder, none=none, group=group or DataSettings().group, split=split)


@data.command(
    short_help="A smaller set of some classes.",
    epilog=examples(
        "actionstream data subset clips --classes wave,clap --out two-classes",
        "actionstream data subset UCF101 --classes Archery,Bowling,Fencing --out three",
    ),
)
@click.argument("folder", metavar="DATA", type=FOLDER)
@click.option("--classes", required=True, metavar="A,B", help="Labels to keep; one with a comma in quotes.")
@click.option("--out", type=FOLDER, required=True, help="A new folder.")
@dataset_options
def subset(folder: Path, classes: str, out: Path, group: str | None, split: str | None, none: str) -> None:
    """Make a smaller set of some classes of DATA, in the same format: files linked where that is possible."""
    import csv

    from stream.commands.terminal import console, steps_left
    from train.data.subset import chosen, make_subset

    told = console()
    dataset = _read(folder, group, split, none)
    (names,) = csv.reader([classes], skipinitialspace=True)
    kept = [name.strip() for name in names if name.strip()]
    with steps_left(told, "recordings", len(chosen(dataset, kept))) as advance:
        made = make_subset(folder, dataset, kept, out, advance)
    how = f"{made.linked} files linked, which take no room" if made.linked else ""
    how += f"{', ' if how and made.copied else ''}{made.copied} files copied" if made.copied else ""
    told.print(f"{made.recordings} recordings: {how}", markup=False, soft_wrap=True)
    for name in made.lists:
        told.print(f"rewritten: {name}", markup=False, soft_wrap=True)
    told.print(f"next: actionstream data check {out}", markup=False, soft_wrap=True)


@data.command(
    short_help="Pictures, every S seconds or N a clip.",
    epilog=examples(
        "actionstream data extract clips --every 1 --out pictures",
        "actionstream data extract clips --count 10 --out pictures",
    ),
)
@click.argument("folder", metavar="DATA", type=FOLDER)
@click.option("--every", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Seconds between pictures.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Pictures of each recording, evenly spaced.")
@click.option("--out", type=FOLDER, required=True, help="A new folder.")
@dataset_options
@cache_options
def extract(
    folder: Path,
    every: float | None,
    count: int | None,
    out: Path,
    group: str | None,
    split: str | None,
    none: str,
    cache: ArrayCache,
) -> None:
    """Write pictures of each recording of DATA, in folders that can be trained on as they are."""
    if (every is None) == (count is None):
        raise click.UsageError("expected one of --every S and --count N")
    from stream.commands.terminal import console, steps_left
    from train.data.extract import extract as write_pictures

    told = console()
    dataset = _read(folder, group, split, none)
    with steps_left(told, "recordings", len(dataset.recordings)) as advance:
        done = write_pictures(dataset, out, cache, every=every, count=count, advance=advance)
    for line in done.unreadable:
        told.print(f"left out: {line}", markup=False, soft_wrap=True, style="yellow")
    told.print(f"{done.pictures} pictures of {done.recordings} recordings, {len(done.unreadable)} left out")
    split_option = "" if done.split is None else f" --split {done.split}"
    told.print(f"next: actionstream data check {out}{split_option}", markup=False, soft_wrap=True)


@data.command(
    short_help="How much room kept pictures and features take.",
    epilog=examples(
        "actionstream data cache",
        "actionstream data cache --clear",
    ),
)
@click.option("--cache", "folder", type=FOLDER, help="The folder; your cache folder if left out.")
@click.option("--clear", is_flag=True, help="Remove all of it, but what a training that runs now has used.")
@json_option
def cache(folder: Path | None, clear: bool, as_json: bool) -> None:
    """Say how much room pictures and features take that are kept for the next training; --clear removes them.

    What was removed is computed again when it is needed. All commands that keep something remove what was not used for
    longest when there is more than --cache-limit.
    """
    import json
    from dataclasses import asdict

    from stream.commands.terminal import console
    from train.cache import default_folder
    from train.data.show import print_holdings
    from train.room import holdings, limit_of, make_room

    kept = folder or default_folder()
    went = make_room(kept, 0)[0] if clear else 0
    held, limit = holdings(kept), limit_of()
    if as_json:
        told = {"folder": str(kept), "limit_bytes": limit, "removed_bytes": went}
        click.echo(json.dumps(told | {name: asdict(each) for name, each in held.items()}))
    else:
        print_holdings(kept, held, limit, went if clear else None, console())
