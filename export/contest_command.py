"""The command `compare`: which recipe is worth running live, and how much of it is owed to the order of pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream.commands.bench.shared import plot_option
from stream.commands.options import examples, json_option
from train.options import cache_options, changes_of, recipe_options

if TYPE_CHECKING:
    from rich.table import Table

    from export.contest import Standing
    from train.cache import ArrayCache

PATH = click.Path(path_type=Path)
ORDERS = ("ordered", "shuffled", "placed")
"""How clips are shown, as `export.contest.Trial` names it."""


class Words(click.ParamType[tuple[Any, ...]]):
    """Words with commas between them, one at least, each made something of."""

    name = "a,b,..."

    def __init__(self, make: Callable[[str], Any], expected: str) -> None:
        """Takes what is made of a word, which raises ValueError for a bad one, and how good ones are described."""
        self._make, self._expected = make, expected

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """The words of `value`."""
        if isinstance(value, tuple):
            return value
        words = [word.strip() for word in value.split(",") if word.strip()]
        try:
            made = tuple(self._make(word) for word in words)
        except ValueError:
            made = ()
        return made or self.fail(f"expected {self._expected} with commas between them; got {value!r}", param, ctx)


def _length(word: str) -> int:
    """A number of pictures."""
    length = int(word)
    if length < 1:
        raise ValueError(f"{length} pictures")
    return length


@click.command(
    epilog=examples(
        "actionstream compare clips --recipes keras-cnn-rnn,streaming-gru --out runs/compared",
        "actionstream compare clips --recipes uniform-gru --lengths 5,10,20,40 --out runs/lengths --plot lengths.png",
        "actionstream compare clips --recipes uniform-gru,cnn-lstm --out runs/small --folds 2 --seeds 1 --epochs 3",
    )
)
@click.argument("data", type=PATH)
@click.option("--recipes", type=Words(str, "names or files"), required=True, help="Names, or TOML files.")
@click.option("--out", type=PATH, required=True, help="Folder of all runs; what is finished in it is not done again.")
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Each is held out in turn.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How often, with other folds.")
@click.option(
    "--lengths",
    type=Words(_length, "whole numbers above 0, as 5,10,20,"),
    default=(),
    help="Judge by so many pictures, each number in turn.",
)
@cache_options
@recipe_options
@json_option
@plot_option
def compare(
    data: Path,
    recipes: tuple[str, ...],
    out: Path,
    folds: int,
    seeds: int,
    lengths: tuple[int, ...],
    cache: ArrayCache,
    as_json: bool,
    plot: Path | None,
    **options: Any,
) -> None:
    """Train recipes on DATA alike, and say what each gets right, what order is worth to it, and what a label costs.

    Every recipe is trained for every fold and seed, and asked about clips of the fold that it never saw: as they are,
    with their pictures shuffled, and placed at random in a larger frame. Other options change all recipes alike.
    """
    from train.quiet import quiet_tensorflow

    quiet_tensorflow()
    from export.contest import clips_in, compete, entries
    from stream.bench.conditions import machine, versions
    from stream.commands.terminal import console, steps_left
    from train.settings import read_recipe

    told = console(stderr=as_json)
    changed = changes_of(**options)
    taking_part = entries([read_recipe(name, changed) for name in recipes], lengths)
    dataset = clips_in(data, taking_part[0].recipe, cache, told)
    with steps_left(told, "comparing", len(taking_part) * folds * seeds) as advance:
        standings = [
            compete(entry, data, out, folds=folds, seeds=seeds, cache=cache, advance=advance) for entry in taking_part
        ]
    classes = len(dataset.labels) - 1
    if as_json:
        facts = {"data": data.name, "classes": classes, "folds": folds, "seeds": seeds}
        facts |= {"machine": machine(), "versions": versions()}
        click.echo(json.dumps({**facts, "recipes": [_facts(standing) for standing in standings]}))
    else:
        told.print(_table(standings))
        told.print(
            f"percent of held-out clips of the {classes} actions that are known, over these ({100 / classes:.0f} by "
            f"chance): mean and standard deviation of {folds * seeds} runs; GFLOPs a picture; milliseconds a label on "
            "this machine's CPU",
            markup=False,
        )
    if plot:
        from stream.bench.plots import draw_bars

        series = {name: [standing.spread(name)[0] * 100 for standing in standings] for name in ORDERS}
        draw_bars(plot, f"{data.name}, {folds * seeds} runs each", [s.entry.name for s in standings], series, "% right")


def _facts(standing: Standing) -> dict[str, Any]:
    """A standing for JSON."""
    spreads = {name: dict(zip(("mean", "sd"), standing.spread(name), strict=True)) for name in ORDERS}
    trials = [asdict(trial) for trial in standing.trials]
    facts = {"name": standing.entry.name, "frames": standing.entry.frames}
    return {**facts, **spreads, **asdict(standing.cost), "trials": trials}


def _table(standings: Sequence[Standing]) -> Table:
    """A row a recipe; within 80 columns only its name is ever broken."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("recipe", overflow="fold")
    for name in ("sees", "in order", "shuffled", "placed", "params", "GFLOPs", "ms", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for standing in standings:
        rights = ("{:.1f} ± {:.1f}".format(*(100 * share for share in standing.spread(name))) for name in ORDERS)
        cost = standing.cost
        frames = "carried" if standing.entry.frames is None else str(standing.entry.frames)
        table.add_row(
            standing.entry.name,
            frames,
            *rights,
            f"{cost.parameters / 1e6:.2f} M",
            f"{cost.gflops:.2f}",
            f"{cost.label_ms:.1f}",
            f"{cost.megabytes:.1f}",
        )
    return table
