"""`actionstream bench`: measurements on this machine, one command each.

`latency` and `age` are here; others come from packages that stream does not know, through entry points of the group
`actionstream.bench`, loaded when they are called: `compare` needs Keras, and lives in export.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path

import click

from stream.commands.options import Size, examples, json_option, model_option, runtime_options, with_debug

GROUP = "actionstream.bench"
HELP = {
    "age": "How old a picture is when its label is told, over RTSP.",
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
            return with_debug(entry.load())
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, HELP.get(name, "")) for name in self.list_commands(ctx)])


@click.group(
    cls=Benches,
    epilog=examples("actionstream bench latency --synthetic", "actionstream bench age", "actionstream bench compare"),
)
def bench() -> None:
    """Measure latency, age, and what a label costs, on this machine."""


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
    from stream.commands.terminal import console, time_left

    told = console(stderr=as_json)
    bundle = Bundle.load(model)
    with tempfile.TemporaryDirectory() as folder, time_left(told, "measuring", seconds) as advance:
        played = clip or write_synthetic(Path(folder) / "synthetic.mp4", seconds=seconds)
        count, stages = measure(
            bundle,
            played,
            device=device,
            threads=threads,
            duration=seconds,
            progress=lambda _, media_s: advance(media_s),
        )
    if as_json:
        document = {"model": bundle.model, "clip": played.name, "ticks": count, "stages": [asdict(s) for s in stages]}
        click.echo(json.dumps(document))
        return
    table = Table("ms", "p50", "p95", "p99", box=None, pad_edge=False)
    for stage in stages:
        table.add_row(stage.name, *(f"{value:.2f}" for value in (stage.p50, stage.p95, stage.p99)))
    told.print(table)
    told.print(f"{bundle.model}, {count} ticks of {played.name}", markup=False)


@bench.command(
    epilog=examples(
        "actionstream bench age",
        "actionstream bench age --seconds 3600 --model my-bundle --json",
    )
)
@click.option(
    "--seconds", type=click.FloatRange(min=2), default=30.0, show_default=True, help="How long; hours are fine."
)
@click.option("--size", type=Size(), default="640x360", show_default=True, help="Of the camera's pictures.")
@click.option("--fps", type=click.IntRange(1, 120), default=25, show_default=True, help="Of the camera.")
@model_option
@runtime_options
@json_option
def age(
    seconds: float,
    size: tuple[int, int],
    fps: int,
    model: Path,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """How old a picture is when its label is told, and whether that grows.

    A camera on this machine sends numbered pictures over RTSP and says when; labels are matched to them by number.
    """
    from rich.table import Table

    from stream.bench.age import measure_age
    from stream.commands.terminal import console, time_left
    from stream.recognizer import Recognizer

    told = console(stderr=as_json)
    recognizer = Recognizer.load(model, device=device, threads=threads)
    with time_left(told, "measuring", seconds) as advance:
        ages = measure_age(recognizer, seconds=seconds, size=size, fps=fps, progress=advance)
    if as_json:
        click.echo(json.dumps({"model": recognizer.model, "size": size, "fps": fps, **asdict(ages)}))
        return
    slope, error = ages.slope_ms
    table = Table.grid(padding=(0, 2))
    table.add_row("age", f"p50 {ages.p50_ms:.1f} ms, p95 {ages.p95_ms:.1f} ms, at most {ages.max_ms:.1f} ms")
    table.add_row("growth", "unknown" if error is None else f"{slope:+.2f} ms a minute, standard error {error:.2f}")
    table.add_row(
        "labels", f"{ages.labels} in {ages.seconds:.0f} s, {ages.unmatched} not matched, {ages.dropped} dropped"
    )
    told.print(table)
    told.print(f"{recognizer.model}, {size[0]}x{size[1]} at {fps} a second over RTSP (TCP, H.264)", markup=False)
