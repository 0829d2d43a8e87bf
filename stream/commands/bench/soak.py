"""`actionstream bench soak`: whether anything grows over hours."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream.commands.bench.shared import bench_options, open_bundle, table, tell
from stream.commands.options import Size, examples

if TYPE_CHECKING:
    from rich.console import Console

    from stream.bench.age_meter import AgeMeter
    from stream.bench.conditions import OpenBundle
    from stream.bench.soak import Growth, Look
    from stream.contracts import Input, Source
    from stream.inference import Threads

LOOKS = 360  # of a run, unless told otherwise
BYTES = 2**20


@click.command(
    epilog=examples(
        "actionstream bench soak --seconds 3600 --out soak.jsonl --plot soak.png",
        "actionstream bench soak --synthetic --cameras 16 --seconds 600",
        "actionstream bench soak --of soak.jsonl --plot soak.png",
    )
)
@click.option("--synthetic", is_flag=True, help="Pictures out of memory in place of RTSP: no decoder is needed.")
@click.option("--seconds", type=click.FloatRange(min=1), default=3600.0, show_default=True, help="How long.")
@click.option("--every", type=click.FloatRange(min=0.1), help="Seconds between two looks; 360 looks if left out.")
@click.option("--cameras", type=click.IntRange(min=1), default=1, show_default=True, help="How many, all together.")
@click.option("--size", type=Size(), default="640x360", show_default=True, help="Of a camera's pictures.")
@click.option("--fps", type=click.IntRange(1, 120), default=25, show_default=True, help="Of a camera.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("soak.jsonl"),
    show_default=True,
    help="Every look is a line of JSON in it, written at once.",
)
@click.option(
    "--of", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Judge the --out file of an earlier run."
)
@bench_options
def soak(
    synthetic: bool,
    seconds: float,
    every: float | None,
    cameras: int,
    size: tuple[int, int],
    fps: int,
    out: Path,
    of: Path | None,
    model: Path,
    device: str,
    threads: Threads,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Whether memory, open files, threads, the state, the latency or the age of pictures grow over hours.

    A run that was killed leaves its looks in --out; --of judges them.
    """
    from stream.bench.conditions import conditions
    from stream.bench.soak import growth, read
    from stream.commands.cameras import batch_sizes
    from stream.commands.terminal import console

    screen = console(stderr=as_json)
    if of is not None:
        looks = read(of)
        told: dict[str, Any] = {}
    else:
        opened = open_bundle(model, device, threads)
        watched, sizes = _Cameras(cameras, size, fps, synthetic), batch_sizes(cameras, device)
        looks = _measure(opened, watched, sizes, out, seconds, every or max(0.1, seconds / LOOKS), screen)
        told = conditions(opened, sizes)
    found = growth(looks)
    rows = table("", "first", "last", "highest", "an hour", "standard error")
    for each in found:
        rows.add_row(each.name, *_in_words(each))
    results: dict[str, Any] = {
        "looks": len(looks),
        "seconds": looks[-1].t if looks else 0.0,
        "labels": sum(look.labels for look in looks),
        "growth": [asdict(each) for each in found],
    }
    what = f"{len(looks)} looks in {results['seconds']:.0f} s, {results['labels']} labels; {of or out}"
    tell(screen, as_json, "soak", told, results, rows, what)
    if plot:
        _draw(plot, looks, found)


@dataclass(frozen=True)
class _Cameras:
    """How many cameras there are, and what they are."""

    count: int
    size: tuple[int, int]
    fps: int
    synthetic: bool


def _measure(
    opened: OpenBundle,
    cameras: _Cameras,
    sizes: Sequence[int],
    out: Path,
    seconds: float,
    every: float,
    screen: Console,
) -> list[Look]:
    """What was seen of the run."""
    from stream.bench.soak import run
    from stream.commands.terminal import time_left

    with ExitStack() as stack:
        sources, meter = _opened(cameras, opened.input, stack)
        advance = stack.enter_context(time_left(screen, "soaking", seconds))
        return run(opened, sources, out, seconds=seconds, every=every, batch_sizes=sizes, meter=meter, progress=advance)


def _opened(cameras: _Cameras, input: Input, stack: ExitStack) -> tuple[Sequence[Source], AgeMeter | None]:
    """The cameras, and what knows how old their pictures are; what must end with them is put on `stack`."""
    if cameras.synthetic:
        from stream.bench.synthetic import open_synthetic

        return open_synthetic(input, cameras.count, size=cameras.size, fps=cameras.fps), None
    from stream.bench.age import LOOP_S
    from stream.bench.age_meter import AgeMeter
    from stream.bench.camera_process import CameraProcess
    from stream.bench.clips import write_counted
    from stream.bench.rtsp_cameras import open_cameras

    meter = AgeMeter()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    clip = write_counted(folder / "counted.mp4", seconds=LOOP_S, size=cameras.size, fps=cameras.fps)
    server = stack.enter_context(CameraProcess(clip, meter.sent))
    return open_cameras(server.url, input, cameras.count), meter


def _in_words(growth: Growth) -> list[str]:
    """First, last and highest value, growth an hour and its error; memory in MiB."""
    unit = BYTES if growth.name.endswith("_bytes") else 1
    values = [growth.first, growth.last, growth.highest, growth.per_hour]
    told = [f"{value / unit:.2f}" for value in values]
    return [*told, "unknown" if growth.error is None else f"{growth.error / unit:.2f}"]


def _draw(path: Path, looks: Sequence[Look], found: Sequence[Growth]) -> None:
    """One panel a quantity, over hours."""
    from stream.bench.plots import Panel, draw_panels
    from stream.bench.soak import HOUR_S

    panels = []
    for each in found:
        points = [(look.t / HOUR_S, getattr(look, each.name)) for look in looks]
        x, y = zip(*((at, float(value)) for at, value in points if value is not None), strict=True)
        error = "" if each.error is None else f" +- {each.error:.3g}"
        panels.append(
            Panel(f"{each.name}: {each.per_hour:+.3g}{error} an hour", x, y, trend=(each.offset, each.per_hour))
        )
    draw_panels(path, f"{len(looks)} looks", panels, "hours")
