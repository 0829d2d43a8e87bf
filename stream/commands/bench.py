"""`actionstream bench`: measurements on this machine, one command each.

`latency` is here; others come from packages that stream does not know, through entry points of the group
`actionstream.bench`, loaded when they are called: `compare` needs Keras, and lives in export.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path

import click

from stream.commands.options import examples, json_option, model_option, runtime_options

GROUP = "actionstream.bench"
HELP = {
    "compare": "What a label costs in Keras, three ways, and here.",
    "latency": "Where a tick's time goes, stage by stage.",
}
"""What `bench --help` says of each, without loading any."""


class Benches(click.Group):
    """The commands of this file, and those of other packages, loaded by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all."""
        return sorted({*super().list_commands(ctx), *entry_points(group=GROUP).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None where there is none.

        Raises:
            ImportError: a library that it needs is not on this machine.
        """
        for entry in entry_points(group=GROUP, name=cmd_name):
            command: click.Command = entry.load()
            return command
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, HELP.get(name, "")) for name in self.list_commands(ctx)])


@click.group(cls=Benches, epilog=examples("actionstream bench latency --synthetic", "actionstream bench compare"))
def bench() -> None:
    """Measure latency, and what a label costs, on this machine."""


@bench.command(
    epilog=examples(
        "actionstream bench latency --synthetic",
        "actionstream bench latency clip.mp4 --model my-bundle --json",
    )
)
@click.argument("clip", required=False, type=click.Path(path_type=Path))
@click.option("--synthetic", is_flag=True, help="Pictures of 1280x720 made on the spot, in place of a clip.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="How much of it is played."
)
@model_option
@runtime_options
@json_option
def latency(
    clip: Path | None,
    synthetic: bool,
    seconds: float,
    model: Path,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Where a tick's time goes: CLIP, played at its own speed through the live line."""
    if (clip is None) == (not synthetic):
        raise click.UsageError("expected a CLIP or --synthetic, one of the two")
    from rich.table import Table

    from stream.bench.latency import measure, write_synthetic
    from stream.bundle import Bundle
    from stream.commands.terminal import console

    told = console(stderr=as_json)
    bundle = Bundle.load(model)
    with told.status("measuring"), tempfile.TemporaryDirectory() as folder:
        played = clip or write_synthetic(Path(folder) / "synthetic.mp4", seconds=seconds)
        count, stages = measure(bundle, played, device=device, threads=threads, duration=seconds)
    if as_json:
        document = {"model": bundle.model, "clip": played.name, "ticks": count, "stages": [asdict(s) for s in stages]}
        click.echo(json.dumps(document))
        return
    table = Table("ms", "p50", "p95", "p99", box=None, pad_edge=False)
    for stage in stages:
        table.add_row(stage.name, *(f"{value:.2f}" for value in (stage.p50, stage.p95, stage.p99)))
    told.print(table)
    told.print(f"{bundle.model}, {count} ticks of {played.name}", markup=False)
