"""`actionstream bench cameras`: how many real-time cameras this machine holds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from stream.commands.bench.shared import bench_options, graphs_option, in_units, open_bundle, table, tell
from stream.commands.embedded import demo_clip
from stream.commands.options import Size, examples

if TYPE_CHECKING:
    from rich.table import Table

    from stream.bench.cameras import Floor, Trial
    from stream.contracts import Input, Source
    from stream.inference import Threads

FLOOR_S = 5.0  # for which all cameras are decoded and nothing else is done
CLIP_S = 10.0  # of the clip that the cameras play again and again

Open: TypeAlias = "Callable[[int], Sequence[Source]]"
"""Opens that many cameras."""


@click.command(
    epilog=examples(
        "actionstream bench cameras",
        "actionstream bench cameras --at 48 --seconds 60",
        "actionstream bench cameras --synthetic --fps 5 --start 256 --most 1024 --device cuda",
    )
)
@click.option("--synthetic", is_flag=True, help="Pictures out of memory in place of RTSP: no decoder is needed.")
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=10.0, show_default=True, help="That each trial measures."
)
@click.option("--rate", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Labels a second, each.")
@click.option("--limit-ms", type=float, default=250.0, show_default=True, help="Of the latency's 95th percentile.")
@click.option("--size", type=Size(), default="640x360", show_default=True, help="Of a camera's pictures.")
@click.option("--fps", type=click.IntRange(1, 120), default=25, show_default=True, help="Of a camera.")
@click.option("--clip", type=click.Path(path_type=Path), help="What the cameras show; the demo's clip if left out.")
@click.option("--start", type=click.IntRange(min=1), default=8, show_default=True, help="Cameras to begin with.")
@click.option("--most", type=click.IntRange(min=1), default=512, show_default=True, help="Cameras to end at.")
@click.option("--at", type=click.IntRange(min=1), help="Try this number alone, without a search.")
@graphs_option
@bench_options
def cameras(
    synthetic: bool,
    seconds: float,
    rate: float,
    limit_ms: float,
    size: tuple[int, int],
    fps: int,
    clip: Path | None,
    start: int,
    most: int,
    at: int | None,
    graphs: bool | None,
    model: Path,
    device: str,
    threads: Threads,
    as_json: bool,
    plot: Path | None,
) -> None:
    """How many real-time cameras this machine holds, and the floor: how many it could hold at the very most.

    The cameras are real RTSP streams of a server in a process of its own, on this machine. A number of them is held
    when no label that was due is missing and the latency's 95th percentile is under the limit.
    """
    from stream.bench.cameras import floor, largest, trial
    from stream.bench.conditions import conditions
    from stream.bench.plots import Panel, draw_panels
    from stream.bench.process import allow_many_files
    from stream.commands.cameras import batch_sizes
    from stream.commands.terminal import console

    allow_many_files()
    told = console(stderr=as_json)
    opened = open_bundle(model, device, threads, graphs=graphs)
    seen = replace(opened.input, rate=rate)
    trials: list[Trial] = []
    with _source_of(synthetic, clip or demo_clip(), size, fps, seen) as (open_cameras, server):

        def is_held(count: int) -> bool:
            recognizer = opened.recognizer(batch_sizes(count, device, opened.bundle.spec.max_batch))
            found = trial(recognizer, open_cameras(count), rate=rate, seconds=seconds, limit_ms=limit_ms, server=server)
            trials.append(found)
            told.print(_in_words(found), markup=False)
            return found.held

        held = largest(is_held, start, most) if at is None else at * is_held(at)
        alone = [] if synthetic else open_cameras(held or at or start)
        sizes = batch_sizes(held or at or start, device, opened.bundle.spec.max_batch)
        least = floor(opened, alone, rate=rate, batch_size=sizes[-1], seconds=min(seconds, FLOOR_S))
    results = {
        "cameras": held,
        "asked": {"rate": rate, "limit_ms": limit_ms, "size": size, "fps": fps, "seconds": seconds},
        "synthetic": synthetic,
        "floor": asdict(least),
        "trials": [asdict(each) for each in trials],
    }
    lines = [
        f"{held} cameras held at {rate:g} labels a second, p95 under {limit_ms:g} ms",
        _floor_in_words(least),
    ]
    tell(told, as_json, "cameras", conditions(opened, sizes), results, _table(trials), *lines)
    if plot:
        ordered = sorted(trials, key=lambda each: each.cameras)
        counts, good = [each.cameras for each in ordered], [each.held for each in ordered]
        panels = [
            Panel("p95 from arrival to label, ms", counts, [each.p95_ms for each in ordered], good, limit=limit_ms),
            Panel("labels missed", counts, [each.missed for each in ordered], good),
            Panel("cores used by the line", counts, [each.cores for each in ordered], good),
        ]
        draw_panels(plot, f"{held} cameras held; {_floor_in_words(least)}", panels, "cameras")


@contextmanager
def _source_of(
    synthetic: bool, clip: Path, size: tuple[int, int], fps: int, seen: Input
) -> Iterator[tuple[Open, int | None]]:
    """What opens cameras, and the id of the process that plays them, while the block runs."""
    if synthetic:
        from stream.bench.synthetic import open_synthetic

        yield lambda count: open_synthetic(seen, count, size=size, fps=fps), None
        return
    from stream.bench.camera_process import CameraProcess
    from stream.bench.clips import write_as_camera
    from stream.bench.rtsp_cameras import open_cameras

    with tempfile.TemporaryDirectory() as folder:
        played = write_as_camera(Path(folder) / "camera.mp4", clip, seconds=CLIP_S, size=size, fps=fps)
        with CameraProcess(played) as server:
            yield lambda count: open_cameras(server.url, seen, count), server.pid


def _in_words(trial: Trial) -> str:
    verdict = "held" if trial.held else "not held" if trial.seconds else "not held: not all of them came"
    return f"{trial.cameras} cameras: {verdict}, p95 {trial.p95_ms:.0f} ms, {trial.missed} labels missed"


def _floor_in_words(least: Floor) -> str:
    decoding = f"a camera's second of decoding {least.decode_ms:.1f} ms, " if least.decode_ms else ""
    return f"floor: {decoding}a label of the graphs alone {least.model_ms:.2f} ms of CPU: {least.cameras:.0f} cameras"


def _table(trials: Sequence[Trial]) -> Table:
    rows = table("cameras", "held", "labels", "missed", "p50 ms", "p95 ms", "max ms", "cores", "server's cores")
    for each in sorted(trials, key=lambda each: each.cameras):
        times = in_units((each.p50_ms, each.p95_ms, each.max_ms), 1)
        server = "" if each.server_cores is None else f"{each.server_cores:.2f}"
        counts = str(each.cameras), "yes" if each.held else "no", str(each.labels), str(each.missed)
        rows.add_row(*counts, *times, f"{each.cores:.2f}", server)
    return rows
