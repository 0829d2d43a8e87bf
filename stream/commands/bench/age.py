"""`actionstream bench age`: how old a picture is when its label is told."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream.commands.bench.shared import bench_options, open_bundle, table, tell
from stream.commands.options import Size, examples

if TYPE_CHECKING:
    from stream.inference import Threads


@click.command(
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
@bench_options
def age(
    seconds: float,
    size: tuple[int, int],
    fps: int,
    model: Path,
    device: str,
    threads: Threads,
    as_json: bool,
    plot: Path | None,
) -> None:
    """How old a picture is when its label is told, and whether that grows.

    A camera on this machine sends numbered pictures over RTSP and says when; labels are matched to them by number.
    """
    from stream.bench.age import measure_age
    from stream.bench.conditions import conditions
    from stream.bench.plots import draw_bars
    from stream.commands.terminal import console, time_left

    told = console(stderr=as_json)
    opened = open_bundle(model, device, threads)
    with time_left(told, "measuring", seconds) as advance:
        ages = measure_age(opened.recognizer(), seconds=seconds, size=size, fps=fps, progress=advance)
    slope, error = ages.slope_ms
    rows = table("", "")
    rows.show_header = False
    rows.columns[1].justify = "left"
    rows.add_row("age", f"p50 {ages.p50_ms:.1f} ms, p95 {ages.p95_ms:.1f} ms, at most {ages.max_ms:.1f} ms")
    rows.add_row("growth", "unknown" if error is None else f"{slope:+.2f} ms a minute, standard error {error:.2f}")
    rows.add_row(
        "labels", f"{ages.labels} in {ages.seconds:.0f} s, {ages.unmatched} not matched, {ages.dropped} dropped"
    )
    camera = f"{size[0]}x{size[1]} at {fps} a second over RTSP (TCP, H.264)"
    results = {"size": size, "fps": fps, **asdict(ages)}
    tell(told, as_json, "age", conditions(opened, [1]), results, rows, camera)
    if plot:
        values = [ages.p50_ms, ages.p95_ms, ages.max_ms]
        draw_bars(plot, f"age of a picture at its label, {camera}", ["p50", "p95", "max"], {"age": values}, "ms")
