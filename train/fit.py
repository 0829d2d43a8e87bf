"""Training from a folder of clips to a run folder: the order of things, and nothing else.

Read, divide, decode; the recipe's stages; thresholds; measures; pictures. A run that was killed goes on from its last
epoch when it is trained again into the same folder.
"""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from stream.errors import ConfigError
from stream.schema import Decision
from train.cache import ArrayCache, digest
from train.calibrate import fitting_streams, judged_streams, score
from train.checkpoint import CHECKPOINT, Reached, load_checkpoint
from train.clips import ClipViews
from train.datasets import Dataset, fingerprint, read_dataset
from train.evaluate import evaluate_clips, evaluate_streams, placed_clips, plain_clips
from train.formats.split_file import split_list
from train.forward import Forward
from train.judges import KerasJudge
from train.lock import LOCK, held
from train.models import FILES, Network, build
from train.plots import draw_confusion, draw_learning_curves
from train.readable import readable
from train.report import history_csv, progress_bar
from train.runs import RECIPE, RUN, SPLIT, Run, begin_from, load_run, replace_text, save_run
from train.settings import ComputeSettings, Recipe, write_recipe
from train.splits import Split, split
from train.stages import BEST, Task, run_stage, whereabouts
from train.stepper import strategy_of
from train.thresholds import fit_decision, trials
from train.views import FrameViews, PlainViews

PACKAGES = ("tensorflow", "keras", "numpy", "av", "opencv-python")


def train(
    data: Path,
    recipe: Recipe,
    out: Path,
    *,
    cache: ArrayCache,
    console: Console,
    fold: int | None = None,
    folds: int = 5,
    command: str = "",
) -> Run:
    """The finished run in `out`, trained on the recordings in `data`.

    Args:
        data: clips or untrimmed streams, in any format of train.formats.
        recipe: every setting.
        out: the run folder; one with an unfinished run of the same task is gone on with.
        cache: for pictures and features.
        console: for progress.
        fold: 0-based fold to hold out and to measure on, or None.
        folds: number of folds.
        command: as it was typed, for the run's provenance.

    Raises:
        ConfigError: bad data or settings, a finished run or something else in `out`, or somebody who trains into it.
    """
    recipe.check_mode()
    named = read_dataset(data, none=recipe.data.none, group=recipe.data.group, split=recipe.data.split)
    division = partial(split, validation=recipe.data.validation, seed=recipe.seed, fold=fold, folds=folds)
    division(named)  # what names alone forbid is said before anything is read
    dataset = readable(named, cache, console)
    recipe = _settled(recipe, dataset, cache)
    divided = division(dataset)
    described = _describe(dataset, divided, fold, folds) | {"group": recipe.data.group}
    asked = recipe.data.split
    if asked:  # a list's place on this machine is nobody's business
        described |= {"split": asked} if asked.isdecimal() else {"list": Path(asked).name}
    asked_for = digest([recipe.model_dump(mode="json"), described])
    _check_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    with held(out), _told_where(out, asked_for, recipe, console):
        _check_folder(out)  # who held it before may have finished
        reached, state = load_checkpoint(out, asked_for) or (Reached(asked_for), None)
        if state is not None:
            console.print(f"going on {whereabouts(recipe, reached)}")

        keras.utils.set_random_seed(recipe.seed)
        strategy = strategy_of(recipe.compute.devices)
        with strategy.scope():
            network = _begin(recipe, len(dataset.labels))
        plain = PlainViews(dataset, cache, recipe.input.contract())
        shown = ClipViews(dataset, cache, plain.input, recipe.clips) if recipe.clips else plain
        task = Task(recipe, plain, shown, divided, network, Forward(network), out, console, strategy)
        _decode(task)
        write_recipe(recipe, out / RECIPE)
        if "list" in described:
            replace_text(out / SPLIT, split_list(named.root, named.recordings))
        _describe_network(task)

        for number in range(reached.stage, len(recipe.stages)):
            reached = run_stage(task, number, reached, state)
            state = None
        _write_history(reached, out)
        return _finish(task, described, command)


def _finish(task: Task, described: dict[str, Any], command: str) -> Run:
    """The run of a trained network, with its thresholds and what it reaches, written."""
    recipe, dataset, out = task.recipe, task.dataset, task.folder
    task = _as_it_runs(task)
    decision = _decide(task)
    run = Run(
        network=task.network,
        labels=dataset.labels,
        none=dataset.none,
        input=recipe.input.contract(),
        temporal={**recipe.temporal.model_dump(), "max_gap": recipe.input.max_gap},
        decision=decision.model_dump(mode="json"),
        provenance={
            "recipe": recipe.name,
            "data": described,
            "seed": recipe.seed,
            "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
            "command": command,
            "metrics": {},
        },
        folder=out,
    )
    run.provenance["metrics"] = _measure(task, run)
    save_run(run, recipe)
    (out / CHECKPOINT).unlink(missing_ok=True)
    for number in range(len(recipe.stages)):
        (out / BEST.format(number)).unlink(missing_ok=True)
    return run


def _settled(recipe: Recipe, dataset: Dataset, cache: ArrayCache) -> Recipe:
    """The recipe with what only the data can say: the live rate of `uniform` clips, and all about ready features.

    Raises:
        ConfigError: features from files for a network that wants pictures.
    """
    first = dataset.recordings[0]
    if first.features is not None:
        if recipe.model.backbone != FILES:
            raise ConfigError(
                f"{dataset.root} holds ready-made features, no pictures: expected a recipe that takes them, such as "
                f"miniroad, or --backbone {FILES}; got backbone {recipe.model.backbone}"
            )
        model = recipe.model.model_copy(update={"dimension": dataset.features(first)[0].shape[1]})
        input = recipe.input.model_copy(update={"rate": first.fps or recipe.input.rate})
        unchanged = recipe.augment.model_copy(update={"enabled": False})
        return recipe.model_copy(update={"model": model, "input": input, "augment": unchanged, "clips": None})
    if recipe.clips is None or recipe.clips.take != "uniform":
        return recipe
    rate = round(ClipViews(dataset, cache, recipe.input.contract(), recipe.clips).median_rate(), 4)
    return recipe.model_copy(update={"input": recipe.input.model_copy(update={"rate": rate})})


def _begin(recipe: Recipe, classes: int) -> Network:
    """The network before the first stage; its backbone that of another run where the recipe's weights name one."""
    weights = recipe.model.weights
    input, precision = recipe.input.contract(), recipe.compute.precision
    if weights is None or not Path(weights).is_dir():
        return build(recipe.model, input, classes, precision=precision)
    network = build(recipe.model.model_copy(update={"weights": None}), input, classes, precision=precision)
    begin_from(network, load_run(weights))
    return network


def _as_it_runs(task: Task) -> Task:
    """The task with its network as it will be loaded: in float32, and on one device, whatever it was trained in."""
    compute, trained = task.recipe.compute, task.network
    if compute == ComputeSettings():
        return task
    settings = task.recipe.model.model_copy(update={"weights": None})
    network = build(settings, task.plain.input, len(task.dataset.labels))
    network.features.set_weights(trained.features.get_weights())
    network.head.set_weights(trained.head.get_weights())
    return replace(task, network=network, forward=Forward(network))


def _check_folder(out: Path) -> None:
    """Raises ConfigError where `out` holds a finished run, or something that is no run."""
    if (out / RUN).is_file():
        raise ConfigError(f"{out} holds a finished run: choose another --out, or remove the folder to train it again")
    others = out.is_dir() and any(path.name != LOCK for path in out.iterdir())
    if others and not (out / RECIPE).is_file():
        raise ConfigError(f"{out} is not empty and holds no run: expected a new folder; choose another --out")


@contextmanager
def _told_where(out: Path, asked_for: str, recipe: Recipe, console: Console) -> Iterator[None]:
    """Says, where the block is interrupted, how far training came."""
    try:
        yield
    except KeyboardInterrupt:
        saved = load_checkpoint(out, asked_for)
        on = f"goes on {whereabouts(recipe, saved[0])}" if saved else "begins anew, for no epoch was done"
        console.print(f"interrupted; the same command {on}")
        raise


def _decode(task: Task) -> None:
    """Reads every recording once, so that a file that is no video is named before any training."""
    recipe, dataset, split = task.recipe, task.dataset, task.split
    finer = recipe.augment.enabled and recipe.clips is None
    judged = {*(split.validation or split.training), *split.held_out}
    with progress_bar(task.console) as bar:
        for i in bar.track(range(len(dataset.recordings)), description="pictures"):
            task.shown.whole(i)
            if i in judged:
                task.plain.plain(i)
            if finer:
                FrameViews(task.plain, recipe).detailed(i)


def _decide(task: Task) -> Decision:
    """Thresholds, fitted on validation recordings, or on training ones where there are no others."""
    recipe, dataset = task.recipe, task.dataset
    members = task.split.validation or task.split.training
    streams = fitting_streams(task.plain, members, recipe)
    with progress_bar(task.console) as bar:
        seen, shown = (
            bar.add_task("streams", total=len(streams)),
            bar.add_task("thresholds", total=trials(dataset.labels)),
        )
        scored = score(task.forward, task.plain.cache, streams, recipe, lambda: bar.advance(seen))
        return fit_decision(
            scored,
            dataset.labels,
            dataset.none,
            recipe.decision,
            warmup=recipe.temporal.warmup,
            advance=lambda: bar.advance(shown),
        )


def _measure(task: Task, run: Run) -> dict[str, Any]:
    """What the run reaches on recordings that did not train it, written and drawn; nothing where there are none."""
    members = task.split.held_out or task.split.validation
    on = "held-out fold" if task.split.held_out else "validation"
    if any(task.dataset.recordings[i].part == "test" for i in task.split.held_out):
        on = "test set"
    measured: dict[str, Any] = {"on": on, "recordings": len(members)}
    if members:
        judge, seed = KerasJudge(run, task.forward, task.plain.cache), task.recipe.seed
        with progress_bar(task.console) as bar:
            shown = bar.add_task("measuring", total=None)

            def advance() -> None:
                bar.advance(shown)

            if not task.dataset.untrimmed:
                clips = plain_clips(task.plain, members)
                placed = placed_clips(task.plain, members, seed)
                measured["clips"] = evaluate_clips(judge, clips, reset=False, advance=advance)
                if placed:
                    measured["placed"] = evaluate_clips(judge, placed, reset=False, advance=advance)
            streams = judged_streams(task.plain, members, task.recipe.decision, seed=seed + 1)
            measured["streams"] = evaluate_streams(judge, streams, reset=False, advance=advance)
        matrix = measured["clips" if "clips" in measured else "streams"]["confusion"]
        what = "clips at their last tick" if "clips" in measured else "decided ticks of streams"
        title = f"{on}: {what}"
        draw_confusion(matrix, run.labels, title, task.folder / "confusion-matrix.png")
    replace_text(task.folder / "metrics.json", json.dumps(measured, indent=2))
    return _brief(measured)


def _brief(measured: dict[str, Any]) -> dict[str, Any]:
    """The measures without matrices, to 4 significant digits, for a bundle's provenance."""
    brief = {}
    for name, value in measured.items():
        numbers = value.items() if isinstance(value, dict) else ()
        brief[name] = {key: _rounded(each) for key, each in numbers if isinstance(each, int | float)} or value
    return brief


def _rounded(number: float) -> float:
    """`number`; to 4 significant digits where it is no whole number, such as a count."""
    return float(f"{number:.4g}") if isinstance(number, float) else number


def _describe(dataset: Dataset, divided: Split, fold: int | None, folds: int) -> dict[str, Any]:
    """The data, without the folder's place on this machine: what a checkpoint must be for, and a bundle came from."""
    parts = vars(divided).items()
    groups = {name: sorted({dataset.recordings[i].group for i in members}) for name, members in parts if members}
    return {
        "folder": dataset.root.name,
        "digest": fingerprint(dataset),
        "recordings": {name: len(members) for name, members in parts},
        "labels": list(dataset.labels),
        "fold": None if fold is None else f"{fold} of {folds}",
        "groups": groups if sum(map(len, groups.values())) <= 200 else {},
    }


def _describe_network(task: Task) -> None:
    text = io.StringIO()
    for model in (task.network.features, task.network.head):
        model.summary(line_length=110, print_fn=lambda line, **_: text.write(f"{line}\n"))
    replace_text(task.folder / "summary.txt", text.getvalue())
    both = {name: json.loads(getattr(task.network, name).to_json()) for name in ("features", "head")}
    replace_text(task.folder / "architecture.json", json.dumps(both, indent=1))


def _write_history(reached: Reached, out: Path) -> None:
    replace_text(out / "history.json", json.dumps(reached.history, indent=1))
    replace_text(out / "history.csv", history_csv(reached.history))
    draw_learning_curves(reached.history, out / "learning-curves.png")
