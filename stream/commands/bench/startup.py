"""`actionstream bench startup`: from starting the program to its first label."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click

from stream.commands.bench.shared import bench_options, open_bundle, table, tell
from stream.commands.embedded import demo_clip
from stream.commands.options import examples

if TYPE_CHECKING:
    from stream.inference import Threads


@click.command(epilog=examples("actionstream bench startup", "actionstream bench startup clip.mp4 --repeats 10 --json"))
@click.argument("clip", required=False, type=click.Path(path_type=Path))
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Starts, after one that warms caches."
)
@bench_options
def startup(
    clip: Path | None,
    repeats: int,
    model: Path,
    device: str,
    threads: Threads,
    as_json: bool,
    plot: Path | None,
) -> None:
    """From starting the program to the first label line of CLIP, in new processes; the demo's clip if left out."""
    from stream.bench.conditions import conditions
    from stream.bench.plots import draw_bars
    from stream.bench.startup import WANTED_S, first_label_s
    from stream.commands.terminal import console, steps_left

    told = console(stderr=as_json)
    opened = open_bundle(model, device, threads)
    played, seconds = clip or demo_clip(), []
    with steps_left(told, "starting", repeats) as advance:
        first_label_s(played, model, device=device, threads=threads)
        for _ in range(repeats):
            seconds.append(first_label_s(played, model, device=device, threads=threads))
            advance()
    rows = table("s", "median", "least", "most", "wanted")
    rows.add_row("first label", *(f"{each:.2f}" for each in (median(seconds), min(seconds), max(seconds), WANTED_S)))
    results = {"clip": played.name, "median_s": median(seconds), "wanted_s": WANTED_S, "seconds": seconds}
    tell(told, as_json, "startup", conditions(opened, [1]), results, rows)
    if plot:
        names = [f"start {number + 1}" for number in range(repeats)]
        draw_bars(plot, f"to the first label of {played.name}", names, {"start": seconds}, "s")
