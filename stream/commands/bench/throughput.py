"""`actionstream bench throughput`: the line's core against the bare loop."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream.commands.bench.shared import bench_options, graphs_option, open_bundle, table, tell
from stream.commands.options import examples

if TYPE_CHECKING:
    from stream.inference import Threads


@click.command(
    epilog=examples(
        "actionstream bench throughput",
        "actionstream bench throughput --tracks 64 --device cuda --json",
    )
)
@click.option(
    "--tracks",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 16),
    show_default=True,
    help="Stepped together in one batch; may be given several times.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="For each number of tracks.",
)
@graphs_option
@bench_options
def throughput(
    tracks: tuple[int, ...],
    seconds: float,
    graphs: bool | None,
    model: Path,
    device: str,
    threads: Threads,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Ticks a second out of memory, and what of the bare ONNX Runtime loop's speed is left: the engine's efficiency.

    Both run the same sessions on the same pictures in the same batch, in turns. No decoder is needed. Where a bundle
    has a fused graph (export --fuse), the line through its two graphs takes turns as well: what the one saves is told.
    """
    from stream.bench.conditions import conditions
    from stream.bench.plots import draw_bars
    from stream.bench.throughput import measure
    from stream.commands.terminal import console, time_left

    told = console(stderr=as_json)
    opened = open_bundle(model, device, threads, graphs=graphs)
    found = []
    for number in tracks:
        with time_left(told, f"{number} tracks", seconds) as advance:
            found.append(measure(opened, tracks=number, seconds=seconds, progress=advance))
    fused = ("two graphs", "fused saves") if opened.whole else ()
    rows = table("tracks", "ticks a second", "bare loop", "efficiency", "wanted", "turns", *fused)
    for each in found:
        wanted = "" if each.wanted is None else f"{each.wanted:.2f}"
        speeds = f"{each.ticks_per_s:.1f}", f"{each.bare_per_s:.1f}"
        saved = () if each.saved is None else (f"{each.apart_per_s:.1f}", f"{each.saved:.1%}")
        rows.add_row(str(each.tracks), *speeds, f"{each.efficiency:.3f}", wanted, str(each.turns), *saved)
    results = {"efficiencies": [asdict(each) for each in found]}
    tell(told, as_json, "throughput", conditions(opened, tracks), results, rows)
    if plot:
        series = {
            "actionstream": [each.ticks_per_s for each in found],
            "bare ONNX Runtime": [each.bare_per_s for each in found],
        }
        names = [f"{each.tracks} tracks" for each in found]
        draw_bars(plot, f"{opened.bundle.model}: ticks out of memory", names, series, "ticks a second")
