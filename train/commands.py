"""The commands `train`, `calibrate` and `evaluate`. Nothing heavy is imported until one runs: `--help` is instant."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from stream.commands.options import examples

FOLDER = click.Path(path_type=Path)


@click.command(
    epilog=examples(
        "actionstream train clips --out runs/first",
        "actionstream train clips --out runs/fold0 --fold 0 --weights mobilenet_v2.weights.h5",
        "actionstream train clips --out runs/quick --set stages.0.epochs=5",
    )
)
@click.argument("data", type=FOLDER)
@click.option("--out", type=FOLDER, required=True, help="Run folder; an unfinished run in it is gone on with.")
@click.option("--recipe", default="streaming-gru", show_default=True, help="A recipe's name, or a TOML file.")
@click.option("--weights", type=FOLDER, help="The backbone's first weights, a file or another run.")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="A setting, as in stages.0.epochs=5.")
@click.option("--seed", type=click.IntRange(min=0), help="Overrides the recipe's seed.")
@click.option("--fold", type=click.IntRange(min=0), help="Hold this fold out, from 0, and measure on it.")
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Number of folds.")
@click.option("--cache", type=FOLDER, help="Where pictures and features are kept; your cache folder if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print what was measured as JSON.")
def train(
    data: Path,
    out: Path,
    recipe: str,
    weights: Path | None,
    changes: tuple[str, ...],
    seed: int | None,
    fold: int | None,
    folds: int,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Train a recogniser on DATA: class folders of clips, or streams with annotations.json."""
    from train.quiet import quiet_tensorflow

    quiet_tensorflow()
    from stream.commands.terminal import console
    from train import fit
    from train.cache import ArrayCache, default_folder
    from train.report import print_results
    from train.settings import read_recipe

    changed = dict(_setting(change) for change in changes)
    if weights is not None:
        changed["model.weights"] = str(weights)
    if seed is not None:
        changed["seed"] = seed
    told = console(stderr=as_json)
    fit.train(
        data,
        read_recipe(recipe, changed),
        out,
        cache=ArrayCache(cache or default_folder()),
        console=told,
        fold=fold,
        folds=folds,
        command=" ".join(["actionstream train", *(_without_folders(word) for word in sys.argv[2:])]),
    )
    results = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    if as_json:
        click.echo(json.dumps(results))
        return
    if results["recordings"]:
        print_results(results, told)
    told.print(f"trained: {out}; next: actionstream export {out} --out BUNDLE")


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
@click.option("--cache", type=FOLDER, help="Where pictures and features are kept; your cache folder if left out.")
def calibrate(
    run: Path, data: Path, folds: tuple[Path, ...], false_per_minute: float | None, cache: Path | None
) -> None:
    """Fit anew when RUN speaks, on DATA that it never learned from, or on what the runs of its folds held out."""
    from train.quiet import quiet_tensorflow

    quiet_tensorflow()
    from stream.commands.terminal import console
    from train.cache import ArrayCache, default_folder
    from train.calibrate import calibrate as fit

    told = console()
    calibrated = fit(
        run,
        data,
        cache=ArrayCache(cache or default_folder()),
        console=told,
        folds=folds,
        false_per_minute=false_per_minute,
    )
    rules = calibrated.decision["labels"].items()
    told.print(f"temperature {calibrated.decision['temperature']}")
    for label, rule in rules:
        told.print(f"{label}: starts at {rule['enter']}, ends under {rule['exit']}, after {rule['min']} s")
    told.print(f"calibrated: {run}; next: actionstream export {run} --out BUNDLE")


@click.command(
    epilog=examples(
        "actionstream evaluate runs/first clips",
        "actionstream evaluate runs/fold0 clips --fold 0",
        "actionstream evaluate models/first streams --reset-each-tick",
    )
)
@click.argument("model", type=FOLDER)
@click.argument("data", type=FOLDER)
@click.option("--fold", type=click.IntRange(min=0), help="Only this fold's recordings, from 0.")
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Number of folds.")
@click.option(
    "--seed", type=click.IntRange(min=0), help="Of folds, places and joined streams; the model's if left out."
)
@click.option("--streams", type=click.IntRange(min=1), default=20, show_default=True, help="Streams joined from clips.")
@click.option("--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Length of each.")
@click.option("--reset-each-tick", is_flag=True, help="Forget everything before each tick: what is memory worth?")
@click.option("--cache", type=FOLDER, help="Where pictures are kept; your cache folder if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(
    model: Path,
    data: Path,
    fold: int | None,
    folds: int,
    seed: int | None,
    streams: int,
    seconds: float,
    reset_each_tick: bool,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Measure MODEL, a run or a bundle, on DATA: clips, annotated streams, or one video in which nothing happens."""
    from train.quiet import quiet_tensorflow

    quiet_tensorflow()
    from stream.commands.terminal import console
    from train.cache import ArrayCache, default_folder
    from train.measure import measure
    from train.report import print_results

    told = console(stderr=as_json)
    results = measure(
        model,
        data,
        cache=ArrayCache(cache or default_folder()),
        console=told,
        fold=fold,
        folds=folds,
        seed=seed,
        count=streams,
        seconds=seconds,
        reset=reset_each_tick,
    )
    if as_json:
        click.echo(json.dumps(results))
    else:
        print_results(results, told)


def _setting(text: str) -> tuple[str, Any]:
    """`name=value` as a name and a number, a truth, a list or, failing that, a text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"expected NAME=VALUE, got {text!r}", param_hint="--set")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _without_folders(word: str) -> str:
    """`word` of a command line for a bundle's provenance: where a file lay on this machine is nobody's business."""
    return Path(word).name if Path(word).is_absolute() else word
