"""`actionstream bench latency`: where a tick's time goes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream.commands.bench.shared import bench_options, in_units, open_bundle, table, tell
from stream.commands.embedded import demo_clip
from stream.commands.options import Size, examples, geometry_option

if TYPE_CHECKING:
    from stream.inference import Threads


@click.command(
    epilog=examples(
        "actionstream bench latency",
        "actionstream bench latency --rtsp --size 640x360",
        "actionstream bench latency --synthetic",
        "actionstream bench latency --alone --size 640x360 --threads 1",
        "actionstream bench latency --alone --device cuda --no-embed-geometry",
        "actionstream bench latency clip.mp4 --model my-bundle --json",
    )
)
@click.argument("clip", required=False, type=click.Path(path_type=Path))
@click.option("--synthetic", is_flag=True, help="Pictures out of memory in place of a clip: no decoder is needed.")
@click.option("--rtsp", is_flag=True, help="A camera on this machine plays the clip, as H.264 of --size, 25 a second.")
@click.option("--size", type=Size(), default="1280x720", show_default=True, help="Of a camera, or out of memory.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="How much of it is played."
)
@click.option("--alone", is_flag=True, help="No line, no threads: one step after the other, from pictures of --size.")
@geometry_option
@bench_options
def latency(
    clip: Path | None,
    synthetic: bool,
    rtsp: bool,
    size: tuple[int, int],
    seconds: float,
    alone: bool,
    embedded: bool | None,
    model: Path,
    device: str,
    threads: Threads,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Where a tick's time goes: CLIP, played at its own speed through the live line; the demo's clip if left out."""
    if (clip is not None or rtsp) + synthetic + alone > 1:
        raise click.UsageError("expected a CLIP (which --rtsp may play), --synthetic or --alone, not two of them")
    from stream.bench.conditions import conditions
    from stream.bench.latency import measure, measure_steps
    from stream.bench.plots import draw_bars
    from stream.commands.terminal import console, time_left

    told = console(stderr=as_json)
    opened = open_bundle(model, device, threads, embedded)
    played = None if synthetic or alone else clip or demo_clip()
    with time_left(told, "measuring", seconds) as advance:
        if alone:
            count, stages = measure_steps(opened, size=size, seconds=seconds, progress=advance)
        else:
            count, stages = measure(
                opened, played, served=rtsp, duration=seconds, size=size, progress=lambda _, media_s: advance(media_s)
            )
    rows = table("ms", "p50", "p95", "p99", "max")
    for stage in stages:
        rows.add_row(stage.name, *in_units((stage.p50, stage.p95, stage.p99, stage.max)))
    what = f"synthetic {size[0]}x{size[1]}" if played is None else played.name
    if rtsp:
        what += f" over RTSP, {size[0]}x{size[1]}"
    results = {
        "clip": what,
        "alone": alone,
        "rtsp": rtsp,
        "ticks": count,
        "stages": [asdict(stage) for stage in stages],
    }
    tell(told, as_json, "latency", conditions(opened, [1]), results, rows, f"{count} ticks of {what}")
    if plot:
        series = {name: [getattr(stage, name) for stage in stages] for name in ("p50", "p95", "p99")}
        draw_bars(plot, f"{opened.bundle.model}, {what}", [stage.name for stage in stages], series, "ms")
