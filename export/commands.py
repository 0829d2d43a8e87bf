"""The commands `export`, `quantize`, `verify`, `bench compare` and `backbones`. What they print is in export/report.py.

Nothing heavy is imported until one of them runs, so that `--help` is instant; and TensorFlow only where Keras runs.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream.commands.bench.shared import plot_option
from stream.commands.embedded import demo_clip
from stream.commands.options import DEVICES, MODES, examples, json_option

if TYPE_CHECKING:
    from export.quantize import Lowered, Measured
    from stream.contracts import Mode
    from stream.schema import Precision
    from train.runs import Run

PATH = click.Path(path_type=Path)
"""What is wrong with it is told by whoever opens it, in one line and with status 1."""

data_option = click.option(
    "--data",
    type=PATH,
    multiple=True,
    metavar="CLIPS",
    help="A clip, or a folder of clips, that int8 takes its ranges from, beside the golden one. Clips in folders that "
    "are named as labels are the truth that the loss is measured by. Repeatable.",
)

loss_option = click.option(
    "--max-loss",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="POINTS",
    help="Below fp32: write nothing where more accuracy is lost, on average over the labels; by the truth where --data "
    "holds labelled clips, else by how many ticks change their label.",
)

range_option = click.option(
    "--reduce-range/--no-reduce-range",
    default=True,
    show_default=True,
    help="Of int8: weights of 7 bits, for CPUs without VNNI, whose sums of 8-bit products overflow.",
)


@click.command(
    epilog=examples(
        "actionstream export runs/first --out models/first",
        "actionstream export runs/first --out models/first --mode window --window 20 --clip clips/wave/001.mp4",
        "actionstream export runs/first --out models/first-int8 --precision int8 --data clips",
    )
)
@click.argument("run", type=PATH)
@click.option("--out", type=PATH, required=True, help="Bundle folder; a bundle that is there is replaced.")
@click.option("--mode", type=click.Choice(MODES), help="How the past is carried; what the run says if left out.")
@click.option("--window", type=click.IntRange(min=1), metavar="T", help="Ticks, for --mode window and staggered.")
@click.option("--clip", type=PATH, help="Its first 2 s become the golden clip; the demo's clip if left out.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "int8", "fp16"]),
    default="fp32",
    show_default=True,
    help="What the backbone computes in: int8 for CPUs, with ranges from the golden clip and --data; fp16 for GPUs.",
)
@data_option
@loss_option
@range_option
@click.option("--name", help="Of the bundle; the folder's name if left out.")
@click.option(
    "--person",
    type=click.IntRange(min=1),
    metavar="LINES",
    help="How many lines of the model's picture the smallest person fills whom it learned from: what tells "
    "`actionstream config check` how large somebody must stand in a camera's picture.",
)
@click.option(
    "--embed-geometry",
    is_flag=True,
    help="Add a graph that cuts, resizes and colours decoded pictures: for GPUs that serve many cameras.",
)
@click.option(
    "--fuse",
    is_flag=True,
    help="Add both graphs as one, which is run in their place where it can be: one run a tick, for mode carry.",
)
@click.option(
    "--max-batch",
    type=click.IntRange(1, 4096),
    metavar="N",
    help="The most rows that a run may have: verify proves that many, no run is larger. No limit if left out.",
)
@click.option("--card", type=PATH, help="Markdown for CARD.md: where it fails, how large a person must be.")
@json_option
def export(
    run: Path,
    out: Path,
    mode: Mode | None,
    window: int | None,
    clip: Path | None,
    precision: Precision,
    data: tuple[Path, ...],
    max_loss: float,
    reduce_range: bool,
    name: str | None,
    person: int | None,
    embed_geometry: bool,
    fuse: bool,
    max_batch: int | None,
    card: Path | None,
    as_json: bool,
) -> None:
    """Turn a trained RUN into a bundle that runs without TensorFlow."""
    from stream.commands.terminal import console, steps_left

    told = console(stderr=as_json)
    name = name or out.resolve().name
    measured: Measured | None = None
    with (
        steps_left(told, f"exporting {run}", 4 if precision == "fp32" else 7) as advance,
        nullcontext() if precision == "fp32" else tempfile.TemporaryDirectory() as folder,
    ):
        loaded = _load_run(run)
        advance()
        from export.pack import pack
        from export.report import bundle_facts, print_bundle, print_measured

        text = card.read_text(encoding="utf-8") if card else None
        bundle = pack(
            loaded,
            Path(folder) / "fp32" if folder else out,
            clip=clip or demo_clip(),
            name=name,
            mode=mode,
            window=window,
            text=text,
            person=person,
            embed_geometry=embed_geometry,
            fuse=fuse,
            max_batch=max_batch,
            advance=advance,
        )
        if precision != "fp32":
            from export.quantize import clips_in
            from export.quantize import quantize as lower

            bundle, measured = lower(
                bundle,
                out,
                clips_in(data),
                precision=precision,
                max_loss=max_loss,
                reduce_range=reduce_range,
                advance=advance,
            )
    described = bundle_facts(bundle)
    if as_json:
        click.echo(json.dumps(described))
        return
    print_bundle(described, told)
    if measured is not None:
        print_measured(measured, told)
    told.print(f"exported: {out}; next: actionstream verify {out} --run {run}", markup=False, soft_wrap=True)


@click.command(
    epilog=examples(
        "actionstream quantize models/first --out models/first-int8 --data clips",
        "actionstream quantize models/first --out models/first-fp16 --precision fp16",
    )
)
@click.argument("bundle", type=PATH)
@click.option("--out", type=PATH, required=True, help="Bundle folder; a bundle that is there is replaced.")
@click.option(
    "--precision",
    type=click.Choice(["int8", "fp16"]),
    default="int8",
    show_default=True,
    help="What the backbone computes in: int8 for CPUs, fp16 for GPUs.",
)
@data_option
@loss_option
@range_option
@json_option
def quantize(
    bundle: Path,
    out: Path,
    precision: Lowered,
    data: tuple[Path, ...],
    max_loss: float,
    reduce_range: bool,
    as_json: bool,
) -> None:
    """Make an int8 or fp16 bundle of an fp32 BUNDLE, and say how far it is from it.

    Only the backbone is lowered; the head computes in fp32. Ranges for int8 come from the golden clip and from --data,
    which should show what the cameras will show; on them is measured what is lost, label by label. No TensorFlow is
    needed.
    """
    from export.quantize import clips_in
    from export.quantize import quantize as lower
    from export.report import bundle_facts, print_bundle, print_measured
    from stream.bundle import Bundle
    from stream.commands.terminal import console, steps_left

    told = console(stderr=as_json)
    with steps_left(told, f"quantizing {bundle}", 3) as advance:
        clips = clips_in(data)
        made, measured = lower(
            Bundle.load(bundle),
            out,
            clips,
            precision=precision,
            max_loss=max_loss,
            reduce_range=reduce_range,
            advance=advance,
        )
    described = bundle_facts(made)
    if as_json:
        click.echo(
            json.dumps(
                {**described, "measured": {**asdict(measured), "loss": measured.loss, "by_truth": measured.by_truth}}
            )
        )
        return
    print_bundle(described, told)
    print_measured(measured, told)


@click.command(
    epilog=examples(
        "actionstream verify models/first",
        "actionstream verify models/first --run runs/first --video clips/wave/001.mp4",
        "actionstream verify models/first --rtsp rtsp://camera/stream --report proof.json",
    )
)
@click.argument("bundle", type=PATH)
@click.option("--run", type=PATH, help="The run that it came from: Keras computes everything anew.")
@click.option("--video", type=PATH, help="A clip to use in place of the golden one.")
@click.option("--device", type=click.Choice(DEVICES), default="cpu", show_default=True, help="Where the graphs run.")
@click.option("--rtsp", metavar="URL", help="A camera to judge live as well, for as many ticks as the clip has.")
@click.option("--report", "written", type=PATH, metavar="FILE", help="Write the report there, too, as JSON.")
@json_option
def verify(
    bundle: Path,
    run: Path | None,
    video: Path | None,
    device: str,
    rtsp: str | None,
    written: Path | None,
    as_json: bool,
) -> None:
    """Prove that a bundle computes what Keras computed.

    Without --run, the golden clip is held against the arrays that Keras computed when the bundle was made: no
    TensorFlow is needed. With --run, Keras computes them anew, on that clip or on --video.

    The graphs are run step by step, alone and in a full batch, and the live line on the clip; with --rtsp on a camera
    too, whose pictures are those of the clip where a server plays it, and are judged by the reference in any case.
    """
    loaded = _load_run(run) if run else None
    from export.report import print_report, report_facts
    from export.verify import verify as prove
    from stream.bundle import Bundle
    from stream.commands.cameras import GPU_SIZES, batch_sizes
    from stream.commands.places import open_file
    from stream.commands.terminal import console, steps_left

    told = console(stderr=as_json)
    if written:
        open_file(written, "--report")
    with steps_left(told, f"verifying {bundle}", 4) as advance:
        found = Bundle.load(bundle)
        rows = found.spec.max_batch or batch_sizes(GPU_SIZES[-1], device)[-1]
        report = prove(found, run=loaded, video=video, device=device, rows=rows, rtsp=rtsp, advance=advance)
    if written:
        written.write_text(json.dumps(report_facts(report), indent=2) + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps(report_facts(report)))
    else:
        print_report(report, told)
    report.require()


@click.command(
    epilog=examples(
        "actionstream bench compare",
        "actionstream bench compare --run runs/first --json",
    )
)
@click.option("--run", type=PATH, help="A run whose features keep no state; MobileNetV2 at 224 if left out.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="For TensorFlow and ONNX Runtime alike; all cores if left out."
)
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Labels of each way; the median counts."
)
@json_option
@plot_option
def compare(run: Path | None, threads: int | None, repeats: int, as_json: bool, plot: Path | None) -> None:
    """What a label costs in Keras, in plain loops, and here: fp32, same ticks, same window of 20, same threads."""
    from train.quiet import quiet_tensorflow

    quiet_tensorflow()
    import tensorflow

    from stream.commands.terminal import console, steps_left
    from stream.threads import available_cores

    cores = threads or available_cores()
    tensorflow.config.threading.set_intra_op_parallelism_threads(cores)
    tensorflow.config.threading.set_inter_op_parallelism_threads(cores)
    from export.compare import WINDOW, default_run
    from export.compare import compare as measure
    from export.report import print_costs
    from stream.bench.conditions import machine, versions
    from stream.bench.plots import draw_bars

    told = console(stderr=as_json)
    with tempfile.TemporaryDirectory() as folder, steps_left(told, "measuring", repeats) as advance:
        network = _load_run(run) if run else default_run(Path(folder))
        costs = measure(network, Path(folder), threads=cores, repeats=repeats, advance=advance)
    if as_json:
        facts = {"bench": "compare", "machine": machine(), "versions": versions(), "precision": "fp32"}
        ways = [asdict(cost) for cost in costs]
        click.echo(json.dumps({**facts, "window": WINDOW, "threads": cores, "ways": ways}))
    else:
        print_costs(costs, cores, told)
    if plot:
        title = f"one label by the last {WINDOW} frames, {cores} threads"
        names, values = [cost.name for cost in costs], [cost.ms for cost in costs]
        draw_bars(plot, title, names, {"cost": values}, "ms a label", log=True)


@click.command(
    epilog=examples(
        "actionstream bench backbones",
        "actionstream bench backbones MobileNetV2 EfficientNetB0 --size 160 --json",
    )
)
@click.argument("names", nargs=-1)
@click.option("--size", type=click.IntRange(32, 1024), default=224, show_default=True, help="Height and width.")
@click.option("--threads", type=click.IntRange(min=1), help="Of ONNX Runtime; all cores if left out.")
@json_option
def backbones(names: tuple[str, ...], size: int, threads: int | None, as_json: bool) -> None:
    """Which networks of keras.applications export, how near to Keras, how large, and what a picture costs.

    One of each family, or those of the NAMES given; each in a process of its own, with weights that are random but
    rescaled, on pieces of two photographs. Prints Markdown: docs/export.md has it.
    """
    from export.backbones import NAMES, measure_each, table
    from stream.commands.terminal import console, steps_left
    from stream.threads import available_cores

    chosen, cores = names or NAMES, threads or available_cores()
    with steps_left(console(stderr=True), "measuring", len(chosen)) as advance:
        rows = []
        for row in measure_each(chosen, size, cores):
            rows.append(row)
            advance()
    if as_json:
        from stream.bench.conditions import machine, versions

        facts = {"bench": "backbones", "machine": machine(), "versions": versions(), "size": size, "threads": cores}
        click.echo(json.dumps({**facts, "networks": [{**asdict(row), "passed": row.passed} for row in rows]}))
    else:
        click.echo(table(rows))


def _load_run(folder: Path) -> Run:
    """The run in `folder`, TensorFlow imported for it."""
    from train.quiet import quiet_tensorflow

    quiet_tensorflow()
    from train.runs import load_run

    return load_run(folder)
