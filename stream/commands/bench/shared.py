"""What all benches have in common: their options, and that each tells its numbers as a table, as JSON, as a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stream.commands.options import json_option, model_option, runtime_options

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from stream.bench.conditions import OpenBundle
    from stream.inference import Threads

Function = TypeVar("Function", bound=Callable[..., Any])


def _check_plot(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """`path`, where one is given and a picture can be drawn."""
    if path is not None:
        from stream.bench.plots import require

        require()
    return path


plot_option = click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_check_plot,
    metavar="FILE.png",
    help="Draw it, too (needs matplotlib: pip install matplotlib).",
)


def bench_options(command: Function) -> Function:
    """Adds --model, --device, --threads, --json and --plot."""
    for option in (plot_option, json_option, runtime_options, model_option):
        command = option(command)
    return command


def tell(
    console: Console, as_json: bool, name: str, told: Mapping[str, Any], results: Mapping[str, Any], *shown: Table | str
) -> None:
    """Prints a bench's document on stdout, or what people read of it on `console`.

    Args:
        console: as the command made it.
        as_json: whether the document was asked for.
        name: of the bench.
        told: its conditions; none of a run that is merely read again.
        results: what was measured.
        shown: tables and lines.
    """
    if as_json:
        click.echo(json.dumps({"bench": name, **told, **results}))
        return
    for part in shown:
        console.print(part, markup=False)
    if told:
        from stream.bench.conditions import in_words

        console.print(in_words(told), markup=False, style="dim")


def table(*columns: str) -> Table:
    """An empty table; all columns but the first hold numbers."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    return made


graphs_option = click.option(
    "--cuda-graphs/--no-cuda-graphs",
    "graphs",
    default=None,
    help="Runs are captured as CUDA graphs. Default: where they run on CUDA and can be.",
)


def open_bundle(
    model: Path, device: str, threads: Threads, embedded: bool | None = None, graphs: bool | None = None
) -> OpenBundle:
    """What is measured, open."""
    from stream.bench.conditions import OpenBundle

    return OpenBundle.load(model, device=device, threads=threads, embedded=embedded, graphs=graphs)


def in_units(values: Sequence[float], digits: int = 2) -> list[str]:
    """Numbers as text."""
    return [f"{value:.{digits}f}" for value in values]
