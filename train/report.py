"""What training and measuring leave for people to look at: tables in the terminal, pictures in the run's folder.

Nothing is computed here but what a picture needs. matplotlib draws into files only, without a display.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

matplotlib.use("Agg")

from matplotlib import pyplot as plt

INK, QUIET, FIRST, SECOND = "#1f2933", "#9aa5b1", "#2563eb", "#ea580c"
STYLE = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#e4e7eb",
    "figure.dpi": 130,
}

Result = dict[str, Any]


def progress_bar(console: Console) -> Progress:
    """A bar with the time left, which disappears when done; nothing where there is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def history_csv(history: Sequence[Result]) -> str:
    """The history as CSV: one row an epoch, under the names of all columns."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue().rstrip("\n")


def draw_learning_curves(history: Sequence[Result], path: Path) -> None:
    """Draws loss and accuracy over all epochs, with the stages and each one's best epoch marked, into a PNG."""
    epochs = np.arange(1, len(history) + 1)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
        for axis, measure in zip(axes, ("loss", "accuracy"), strict=True):
            for prefix, color in (("", FIRST), ("validation_", SECOND)):
                values = [row.get(prefix + measure, np.nan) for row in history]
                if not np.isnan(values).all():
                    axis.plot(epochs, values, color=color, marker=".", label="validation" if prefix else "training")
            axis.set_title(measure, pad=20)
            axis.set_xlabel("epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.grid(axis="y")
            _mark_stages(axis, history)
            axis.legend(frameon=False)
        axes[1].set_ylim(0, 1.02)
        figure.savefig(path)
        plt.close(figure)


def draw_confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str], title: str, path: Path) -> None:
    """Draws counts (K, K), true labels down and guesses across, coloured by each row's shares, into a PNG."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.6 + 0.62 * len(labels)
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(side + 0.6, side), layout="constrained")
        image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere(counts > 0):
            color = "white" if shares[row, column] > 0.55 else INK
            axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=color)
        axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(labels)), labels)
        axis.set(xlabel="taken for", ylabel="is")
        axis.set_title(title)
        axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set_visible(False)
        bar = figure.colorbar(image, ax=axis, fraction=0.046, label="share of the row")
        bar.outline.set_visible(False)
        figure.savefig(path)
        plt.close(figure)


def print_results(results: Result, console: Console) -> None:
    """Prints what was measured: one table for all, and one a label where streams were judged."""
    table = Table("measured on", "what", "value", title=results.get("model"), title_justify="left")
    for name, result in results.items():
        if isinstance(result, dict):
            for row, (what, value) in enumerate(_rows(result)):
                table.add_row(name if row == 0 else "", what, value)
    console.print(table)
    if "streams" in results:
        _print_labels(results["streams"], console)


def _rows(result: Result) -> list[tuple[str, str]]:
    if "clips" in result:
        return [
            (f"all {result['clips']} clips, at the last tick", f"{result['accuracy']:.1%}"),
            (f"{result['actions']} clips of actions, over the actions", f"{result['actions_accuracy']:.1%}"),
        ]
    found = [(f"of {result['actions']} actions found", f"{result['found']:.1%}")] if result["actions"] else []
    return [
        ("decided ticks right", f"{result['decided_accuracy']:.1%}"),
        ("ticks right by highest score", f"{result['argmax_accuracy']:.1%}"),
        *found,
        (f"false events a minute, in {result['minutes']:.1f} minutes", f"{result['false_per_minute']:.2f}"),
    ]


def _print_labels(result: Result, console: Console) -> None:
    table = Table("label", "ticks right", "actions", "found", "false")
    for label in result["labels"]:
        recall, found = result["argmax_recall"].get(label), result["found_by_label"].get(label, {})
        counts = [str(found.get(column, "")) for column in ("actions", "found", "false")]
        table.add_row(label, "" if recall is None else f"{recall:.1%}", *counts)
    console.print(table)


def _mark_stages(axis: Any, history: Sequence[Result]) -> None:
    """A line where a stage begins, and a ring at each stage's best epoch."""
    for stage in sorted({row["stage"] for row in history}):
        rows = [i for i, row in enumerate(history) if row["stage"] == stage]
        if rows[0]:
            axis.axvline(rows[0] + 0.5, color=QUIET, linestyle=":", linewidth=1)
        name = history[rows[0]]["kind"]
        axis.annotate(name, (rows[0] + 1, 1), xycoords=("data", "axes fraction"), color=QUIET, va="bottom", fontsize=8)
        losses = [history[i].get("validation_loss", np.nan) for i in rows]
        if not np.isnan(losses).all():
            axis.axvline(rows[int(np.nanargmin(losses))] + 1, color=SECOND, alpha=0.25, linewidth=3)
