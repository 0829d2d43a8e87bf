"""A stage of training from its first epoch to its last: rows drawn, stepped on, validated, checkpointed.

A batch depends on the seed, the stage, the epoch and its number alone, so a run that was killed draws the same ones
when it goes on. What a step does is train.stepper; what follows the last stage is train.fit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich.console import Console

from stream.errors import ConfigError
from train.cache import Pictures
from train.checkpoint import Reached, save_checkpoint
from train.clips import ClipViews
from train.datasets import Dataset
from train.forward import CachedFeatures, Forward
from train.models import Network
from train.report import progress_bar
from train.rows import Piece, Row, RowDrawer, Views
from train.runs import load_weights, save_weights
from train.schedule import is_better, is_over, rate_share
from train.settings import Recipe, StageSettings
from train.splits import Split
from train.stepper import Batch, Stepper
from train.views import FeatureViews, FrameViews, PictureViews, PlainViews, WholeViews

BEST = "best-{}.weights.h5"
"""Of each stage by its number, until the run is whole."""
HISTORY_TICKS = 2
"""Ticks before each one that stands apart that are loaded with it, for features that keep state: all that motion looks
back on, and most of what a shifting backbone does."""
VALIDATION_DRAWS = 3
"""Rows drawn from each validation recording."""
AHEAD = 4
"""Batches made while the network steps on another."""


@dataclass(frozen=True, eq=False)
class Task:
    """What every stage of a run shares.

    Attributes:
        recipe: every setting.
        plain: recordings as a live camera shows them.
        shown: recordings as rows are cut from them, not augmented: the same, or a fixed number of pictures of each.
        split: which recordings train, and which validate.
        network, forward: what is trained, and the same over time.
        folder: of the run.
        console: for progress.
        strategy: how devices share a batch.
    """

    recipe: Recipe
    plain: PlainViews
    shown: WholeViews
    split: Split
    network: Network
    forward: Forward
    folder: Path
    console: Console
    strategy: Any = field(default_factory=tf.distribute.get_strategy)

    @property
    def dataset(self) -> Dataset:
        """What the views show."""
        return self.plain.dataset


def run_stage(task: Task, number: int, reached: Reached, state: dict[str, NDArray[Any]] | None) -> Reached:
    """Trains stage `number` to its end, and leaves its best weights (its last, without validation) in the network.

    Args:
        task: what is trained, on what.
        number: of the stage in the recipe.
        reached: how far it had come.
        state: the stepper's, from the checkpoint, or None at the stage's start.

    Returns:
        The progress with which the next stage begins.

    Raises:
        ConfigError: a stage that waits for validation without any, or a batch that its devices cannot share.
    """
    stage, stepper = task.recipe.stages[number], _stepper(task, number)
    if state is not None:
        stepper.restore(state)  # before the rows: their features are those of the restored backbone
    rows = _Rows(task, number)
    validation = _Validation(task, stage, stepper) if task.split.validation else None
    best = task.folder / BEST.format(number)

    past = [row for row in reached.history if row["stage"] == number]
    with progress_bar(task.console) as bar:
        total, name = rows.steps * stage.epochs, f"stage {number + 1}: {stage.kind}"
        shown = bar.add_task(name, total=total, completed=rows.steps * reached.epoch)
        for epoch in range(reached.epoch, stage.epochs):
            if is_over(stage, past):
                task.console.print(f"{name}: ends early, no better epoch in {stage.patience}", soft_wrap=True)
                break
            began, results = time.monotonic(), []
            for step, batch in enumerate(rows.batches(epoch), start=epoch * rows.steps):
                results.append(stepper.step(batch, rate_share(stage, step, total, past)))
                bar.advance(shown)
            loss, accuracy = np.mean(results, axis=0).tolist()
            row = {"stage": number, "kind": stage.kind, "epoch": epoch + 1, "loss": loss, "accuracy": accuracy}
            if validation is not None:
                row |= validation.measure()
                if is_better(stage, row[stage.monitor], reached.best):
                    reached = replace(reached, best=row[stage.monitor])
                    save_weights(task.network, best)
            row["seconds"] = round(time.monotonic() - began, 2)
            past.append(row)
            reached = replace(reached, epoch=epoch + 1, history=[*reached.history, row])
            save_checkpoint(task.folder, reached, stepper.state())
            bar.update(shown, description=f"{name}, loss {row.get('validation_loss', loss):.3f}")
            if not task.console.is_terminal:  # where no bar is shown, a log grows by a line an epoch
                task.console.print(f"{name}: {_told(row, stage.epochs)}", soft_wrap=True)
    if validation is not None:
        load_weights(task.network, best)
    return Reached(reached.task, number + 1, 0, None, reached.history)


def whereabouts(recipe: Recipe, reached: Reached) -> str:
    """Where training goes on from what a checkpoint says, in words."""
    number, epoch = reached.stage, reached.epoch
    stage, past = recipe.stages[number], [row for row in reached.history if row["stage"] == number]
    if epoch == stage.epochs or is_over(stage, past):
        number, epoch = number + 1, 0
    return f"at stage {number + 1}, epoch {epoch + 1}" if number < len(recipe.stages) else "after the last epoch"


def _stepper(task: Task, number: int) -> Stepper:
    """What steps through stage `number`."""
    stage = task.recipe.stages[number]
    if not task.split.validation and (stage.patience or stage.schedule == "plateau"):
        raise ConfigError(
            f"stage {number} has a patience or a plateau, and nothing to validate on: expected [data] validation over "
            "0; correct the recipe"
        )
    return Stepper(
        task.network,
        stage,
        classes=len(task.dataset.labels),
        seed=task.recipe.seed * 100 + number,
        label_weights=_label_weights(task) if stage.class_weights else None,
        strategy=task.strategy,
    )


def _told(row: dict[str, Any], epochs: int) -> str:
    """An epoch's row of the history in words, and how long the stage's other epochs will take."""
    measures = [name for name in row if name.endswith(("loss", "accuracy"))]
    told = [f"epoch {row['epoch']} of {epochs}", *(f"{m.replace('_', ' ')} {row[m]:.3f}" for m in measures)]
    if left := (epochs - row["epoch"]) * row["seconds"]:
        length = f"{left:.0f} s" if left < 60 else f"{left / 60:.0f} min"
        told.append(f"about {length} left of this stage")
    return ", ".join(told)


def _views(task: Task, stage: StageSettings) -> tuple[Views, Callable[[Piece], NDArray[Any]]]:
    """Where the stage's rows come from, and what shows a piece of one."""
    changed = _changed(task)
    if stage.kind == "finetune":
        history = HISTORY_TICKS if task.network.features_state else 0
        return changed, (lambda piece: _with_history(changed, piece, history)) if stage.apart else changed.load
    features = FeatureViews(
        task.shown,
        changed,
        seed=task.recipe.seed,
        variants=stage.variants if task.recipe.augment.enabled else 0,
        features=CachedFeatures(task.forward, task.plain.cache),
    )
    with progress_bar(task.console) as bar:
        for recording in bar.track(task.split.training, description="features"):
            features.prepare(recording)
    return features, features.load


def _changed(task: Task) -> PictureViews:
    """The recordings augmented, where the recipe augments."""
    recipe, plain = task.recipe, task.plain
    if not recipe.augment.enabled:
        return task.shown
    if recipe.clips is None:
        return FrameViews(plain, recipe)
    return ClipViews(task.dataset, plain.cache, plain.input, recipe.clips, recipe.augment)


def _label_weights(task: Task) -> NDArray[np.float32]:
    """(K,) by which each label's ticks weigh as much as any other's: all ticks over K times its own."""
    counts = np.zeros(len(task.dataset.labels))
    for i in task.split.training:
        recording = task.dataset.recordings[i]
        if recording.label is not None:
            counts += task.dataset.counts(recording)
        else:
            targets = task.dataset.targets(recording, task.plain.plain(i).times)
            counts += np.bincount(targets, minlength=len(counts))
    happens = np.maximum(counts, 1)
    return np.where(counts > 0, counts.sum() / np.count_nonzero(counts) / happens, 1).astype(np.float32)


def _with_history(frames: PictureViews, piece: Piece, history: int) -> NDArray[np.uint8]:
    """Each tick of a piece whose ticks stand apart after the ticks just before it, (n, M, H, W, 3)."""
    positions = piece.positions[:, None] - np.arange(history, -1, -1)
    images = frames.load(replace(piece, positions=positions.clip(0).ravel()))
    return images.reshape(*positions.shape, *images.shape[1:])


def _drawer(task: Task, stage: StageSettings, members: tuple[int, ...], views: Views) -> RowDrawer:
    recipe = task.recipe
    keep = recipe.augment.keep if recipe.augment.enabled and recipe.clips is None else 1.0
    return RowDrawer(task.dataset, members, views, stage, rate=recipe.input.ticks_a_second, keep=keep)


def _rng(task: Task, *place: int) -> np.random.Generator:
    return np.random.default_rng([task.recipe.seed, *place])


def _shown(row: Row, show: Callable[[Piece], NDArray[Any]], length: int) -> NDArray[Any]:
    """A row's pieces one after the other, the last tick repeated up to `length`."""
    joined = np.concatenate([show(piece) for piece in row.pieces])
    return np.concatenate([joined, np.repeat(joined[-1:], length - len(joined), axis=0)])


def _made_ahead(make: Callable[[int], Batch], count: int) -> Iterator[Batch]:
    """`make(0)` to `make(count - 1)`, made by a thread while the caller works on earlier ones."""
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        for step in range(count):
            waiting.append(pool.submit(make, step))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Rows:
    """The rows that a stage steps on, in batches."""

    def __init__(self, task: Task, number: int) -> None:
        self._task, self._number, self._stage = task, number, task.recipe.stages[number]
        views, self._show = _views(task, self._stage)
        self._drawer = _drawer(task, self._stage, task.split.training, views)
        self.steps = -(-len(self._drawer.order(_rng(task, number, 0))) // self._stage.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """All batches of an epoch, made a few ahead of the one that is asked for."""
        order = self._drawer.order(_rng(self._task, self._number, epoch))
        return _made_ahead(
            lambda step: self._batch(order, step, _rng(self._task, self._number, epoch, step)), self.steps
        )

    def _batch(self, order: list[int], step: int, rng: np.random.Generator) -> Batch:
        """Batch `step` of an epoch; the last one is filled up from the epoch's first recordings."""
        size = self._stage.batch
        rows = [self._drawer.draw(order[i % len(order)], rng) for i in range(step * size, (step + 1) * size)]
        return Batch(
            shown=np.stack([_shown(row, self._show, self._stage.window) for row in rows]),
            targets=np.stack([row.targets for row in rows]),
            weights=np.stack([row.weights for row in rows]),
            partners=rng.permutation(size).astype(np.int32),
            carried=(rng.random(size) < self._stage.carried).astype(np.float32),
        )


class _Validation:
    """The same rows of the validation recordings, as they are, judged after every epoch."""

    def __init__(self, task: Task, stage: StageSettings, stepper: Stepper) -> None:
        self._task, self._stepper, self._window = task, stepper, stage.window
        # A backbone that is not trained sees them once for all.
        self._cached = CachedFeatures(task.forward, task.plain.cache) if stage.kind == "head" else None
        self._features: dict[int, NDArray[np.float32]] = {}
        drawer = _drawer(task, stage, task.split.validation, task.shown)
        rng = _rng(task, len(task.recipe.stages))
        draws = 1 if task.recipe.clips else VALIDATION_DRAWS  # a clip's pictures are always the same
        self._rows = [drawer.draw(recording, rng) for recording in task.split.validation for _ in range(draws)]

    def measure(self) -> dict[str, float]:
        """Validation loss and accuracy of the network as it is now."""
        self._features = {i: self._see(self._task.shown.whole(i)) for i in self._task.split.validation}
        shown = np.stack([_shown(row, self._show, self._window) for row in self._rows])
        targets, weights = (np.stack([getattr(row, name) for row in self._rows]) for name in ("targets", "weights"))
        loss, accuracy = self._stepper.judge(shown, targets, weights)
        return {"validation_loss": float(loss), "validation_accuracy": float(accuracy)}

    def _see(self, pictures: Pictures) -> NDArray[np.float32]:
        if self._cached is None:
            return self._task.forward.features(pictures.images)
        return self._cached.of(pictures)

    def _show(self, piece: Piece) -> NDArray[np.float32]:
        return self._features[piece.view.recording][piece.positions.round().astype(np.int64)]
