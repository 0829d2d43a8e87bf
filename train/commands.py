"""The commands `train`, `calibrate` and `evaluate`. Nothing heavy is imported until one runs: `--help` is instant."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream.commands.options import examples
from train.options import cache_options, changes_of, recipe_options, without_folders

if TYPE_CHECKING:
    from train.cache import ArrayCache

FOLDER = click.Path(path_type=Path)


@click.command(
    epilog=examples(
        "actionstream train clips --out runs/first",
        "actionstream train clips --out runs/fold0 --fold 0 --weights mobilenet_v2.weights.h5",
        "actionstream train clips --out runs/lstm --recipe mobilenet-lstm --epochs 5",
        "actionstream train clips --out runs/vgg --recipe keras-cnn-rnn --backbone VGG16 --weights none --finetune 4",
    )
)
@click.argument("data", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="Run folder; an unfinished run in it is gone on with.")
@click.option("--recipe", default="streaming-gru", show_default=True, help="A recipe's name, or a TOML file.")
@recipe_options
@click.option("--fold", type=click.IntRange(min=0), help="Hold this fold out, from 0, and measure on it.")
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Number of folds.")
@cache_options
@click.option("--json", "as_json", is_flag=True, help="Print what was measured as JSON.")
def train(
    data: Path,
    out: Path,
    recipe: str,
    fold: int | None,
    folds: int,
    cache: ArrayCache,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a recogniser on DATA: clips or streams in any of the formats that `data check` knows."""
    from train.quiet import quiet_tensorflow

    quiet_tensorflow()
    from stream.commands.terminal import console
    from train import fit
    from train.report import print_results
    from train.settings import read_recipe

    told = console(stderr=as_json)
    fit.train(
        data,
        read_recipe(recipe, changes_of(**options)),
        out,
        cache=cache,
        console=told,
        fold=fold,
        folds=folds,
        command=" ".join(["actionstream train", *(without_folders(word) for word in sys.argv[2:])]),
    )
    results = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    if as_json:
        click.echo(json.dumps(results))
        return
    if results["recordings"]:
        print_results(results, told)
    told.print(f"trained: {out}; next: actionstream export {out} --out BUNDLE", markup=False, soft_wrap=True)


@click.command(
    epilog=examples(
        "actionstream calibrate runs/first more-streams",
        "actionstream calibrate runs/all clips --fold-run runs/fold0 --fold-run runs/fold1",
    )
)
@click.argument("run", type=FOLDER)
@click.argument("data", type=FOLDER)
@click.option("--fold-run", "folds", type=FOLDER, multiple=True, help="A fold's run, asked about what it held out.")
@click.option(
    "--false-per-minute", type=click.FloatRange(min=0, min_open=True), help="False events to allow; the recipe's."
)
@cache_options
def calibrate(
    run: Path, data: Path, folds: tuple[Path, ...], false_per_minute: float | None, cache: ArrayCache
) -> None:
    """Fit anew when RUN speaks, on DATA that it never learned from, or on what the runs of its folds held out."""
    from train.quiet import quiet_tensorflow

    quiet_tensorflow()
    from stream.commands.terminal import console
    from train.calibrate import calibrate as fit

    told = console()
    calibrated = fit(
        run,
        data,
        cache=cache,
        console=told,
        folds=folds,
        false_per_minute=false_per_minute,
    )
    rules = calibrated.decision["labels"].items()
    told.print(f"temperature {calibrated.decision['temperature']}")
    for label, rule in rules:
        told.print(f"{label}: starts at {rule['enter']}, ends under {rule['exit']}, after {rule['min']} s")
    told.print(f"calibrated: {run}; next: actionstream export {run} --out BUNDLE", markup=False, soft_wrap=True)


@click.command(
    epilog=examples(
        "actionstream evaluate runs/first clips",
        "actionstream evaluate runs/fold0 clips --fold 0",
        "actionstream evaluate models/first streams --reset-each-tick",
        "actionstream evaluate runs/first streams --report out/first",
    )
)
@click.argument("model", type=FOLDER)
@click.argument("data", type=FOLDER)
@click.option("--fold", type=click.IntRange(min=0), help="Only this fold's recordings, from 0.")
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Number of folds.")
@click.option("--split", help="Number of an official split, or a list of filename:training; the model's if left out.")
@click.option("--group", metavar="REGEX", help="What it finds in a recording's name is its group; the model's.")
@click.option(
    "--seed", type=click.IntRange(min=0), help="Of folds, places and joined streams; the model's if left out."
)
@click.option("--streams", type=click.IntRange(min=1), default=20, show_default=True, help="Streams joined from clips.")
@click.option("--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Length of each.")
@click.option("--reset-each-tick", is_flag=True, help="Forget everything before each tick: what is memory worth?")
@click.option("--report", type=FOLDER, help="Folder to write report.html to: one page with all of it, and pictures.")
@cache_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(
    model: Path,
    data: Path,
    fold: int | None,
    folds: int,
    split: str | None,
    group: str | None,
    seed: int | None,
    streams: int,
    seconds: float,
    reset_each_tick: bool,
    report: Path | None,
    cache: ArrayCache,
    as_json: bool,
) -> None:
    """Measure MODEL, a run or a bundle, on DATA: clips, annotated streams, or one video in which nothing happens."""
    from train.quiet import quiet_tensorflow

    quiet_tensorflow()
    from stream.commands.places import open_folder
    from stream.commands.terminal import console
    from train.measure import measure
    from train.report import print_results, progress_bar

    if report is not None:
        open_folder(report, "--report")
    told = console(stderr=as_json)
    measured = measure(
        model,
        data,
        cache=cache,
        console=told,
        fold=fold,
        folds=folds,
        group=group,
        split=split,
        seed=seed,
        count=streams,
        seconds=seconds,
        reset=reset_each_tick,
    )
    if as_json:
        click.echo(json.dumps(measured.results))
    else:
        print_results(measured.results, told)
    if report is not None:
        from train.report_page import STEPS, write_page

        with progress_bar(told) as bar:
            shown = bar.add_task("report", total=STEPS)
            page = write_page(measured, model, report, advance=lambda: bar.advance(shown))
        told.print(f"report: {page}")
