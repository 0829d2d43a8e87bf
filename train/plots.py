"""Figures of what training and measuring found, as PNG files and as SVG text that takes its page's colours.

Nothing is computed here but what a picture needs. matplotlib draws without a display.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from train.sweep import Operating

INK, QUIET, GRID, FIRST, SECOND = "#1f2933", "#9aa5b1", "#e4e7eb", "#2563eb", "#ea580c"
VARIABLES = {INK: "--ink", QUIET: "--quiet", GRID: "--line", FIRST: "--first", SECOND: "--second"}
"""The CSS variables that stand for these colours on a page, which has others by night."""
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
    "grid.color": GRID,
    "figure.dpi": 130,
    "svg.fonttype": "none",
    "svg.hashsalt": "actionstream",  # the same numbers give the same text
}

Figure = Any
"""matplotlib has no types here."""
Result = Mapping[str, Any]


def draw_learning_curves(history: Sequence[Result], path: Path) -> None:
    """Draws loss and accuracy over all epochs, with the stages and each one's best epoch marked, into a PNG."""
    with plt.rc_context(STYLE):
        figure = _learning_curves(history)
        figure.savefig(path)
        plt.close(figure)


def learning_curves_svg(history: Sequence[Result]) -> str:
    """The same as SVG."""
    with plt.rc_context(STYLE):
        return _svg(_learning_curves(history))


def _learning_curves(history: Sequence[Result]) -> Figure:
    epochs = np.arange(1, len(history) + 1)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for axis, measure in zip(axes, ("loss", "accuracy"), strict=True):
        for prefix, color in (("", FIRST), ("validation_", SECOND)):
            values = [row.get(prefix + measure, np.nan) for row in history]
            if not np.isnan(values).all():
                axis.plot(epochs, values, color=color, marker=".", label="validation" if prefix else "training")
        axis.set_title(measure, pad=20)
        axis.set_xlabel("epoch")
        axis.set_xlim(0.5, len(history) + 0.5)
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.grid(axis="y")
        _mark_stages(axis, history)
        axis.legend(frameon=False)
    axes[1].set_ylim(0, 1.02)
    return figure


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


def early_svg(deciles: Sequence[float | None]) -> str:
    """Calibrated AP of each tenth of an action: how early it is recognised."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(5.2, 3.2), layout="constrained")
        axis.plot(np.arange(5, 100, 10), _gaps(deciles), color=FIRST, marker="o", markersize=4)
        axis.axhline(0.5, color=QUIET, linestyle=":", linewidth=1)
        axis.annotate("chance", (100, 0.5), color=QUIET, ha="right", va="bottom", fontsize=8)
        axis.set(xlabel="% of the action that has passed", ylabel="mcAP", xlim=(0, 100), ylim=(0, 1.02))
        axis.grid(axis="y")
        return _svg(figure)


def starts_svg(offsets: Sequence[float], raw: Sequence[float | None], decided: Sequence[float | None]) -> str:
    """p-mAP of starts over the seconds by which they may be off."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(5.2, 3.2), layout="constrained")
        for values, name, color in ((decided, "events told", FIRST), (raw, "highest score", SECOND)):
            axis.plot(offsets, _gaps(values), color=color, marker="o", markersize=4, label=name)
        axis.set(xlabel="seconds off at most", ylabel="p-mAP", ylim=(0, 1.02))
        axis.set_xticks(offsets)
        axis.grid(axis="y")
        axis.legend(frameon=False, loc="lower right")
        return _svg(figure)


def reliability_svg(before: Result, after: Result) -> str:
    """A reliability diagram: how often each confidence is right, and how often it is uttered."""
    with plt.rc_context(STYLE):
        figure, (axis, below) = plt.subplots(
            2, 1, figsize=(5.2, 4.4), sharex=True, height_ratios=(3, 1), layout="constrained"
        )
        axis.plot([0, 1], [0, 1], color=QUIET, linestyle=":", linewidth=1)
        width = 1 / len(after["counts"])
        edges = np.arange(len(after["counts"])) * width
        for diagram, name, color in ((before, "before the temperature", SECOND), (after, "after", FIRST)):
            counts = np.asarray(diagram["counts"])
            said, right = (np.asarray(diagram[key])[counts > 0] for key in ("confidence", "accuracy"))
            sizes = 12 + 110 * np.sqrt(counts[counts > 0] / max(1, counts.max()))
            axis.plot(said, right, color=color, linewidth=1, alpha=0.4)
            axis.scatter(said, right, s=sizes, color=color, linewidth=0, label=name, clip_on=False, zorder=3)
        below.bar(edges, after["counts"], width=width * 0.9, align="edge", color=FIRST)
        axis.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
        below.set(xlabel="highest score", ylabel="ticks", yscale="symlog")
        axis.grid(axis="y")
        axis.legend(frameon=False)
        return _svg(figure)


def sweep_svg(points: Sequence[Operating]) -> str:
    """Misses and delay over false alarms an hour, with the thresholds as they are ringed."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
        for axis, values, name, color in (
            (axes[0], [point.missed for point in points], "share of the actions missed", FIRST),
            (axes[1], [point.delay for point in points], "median seconds to detect", SECOND),
        ):
            alarms, heights = [point.false_per_hour for point in points], _gaps(values)
            axis.plot(alarms, heights, color=color, marker="o", markersize=4, clip_on=False)
            for point, height in zip(points, heights, strict=True):
                if point.factor == 1 and not np.isnan(height):
                    place = (point.false_per_hour, height)
                    axis.plot(*place, color=INK, marker="o", markersize=11, fillstyle="none", clip_on=False)
                    axis.annotate("as they are", place, (9, 7), textcoords="offset points", color=INK, fontsize=9)
            axis.set(xlabel="false alarms an hour", ylabel=name)
            axis.set_xlim(0, 1.2 * max(alarms, default=0) or 1)
            axis.set_ylim(bottom=0)
            axis.grid()
        return _svg(figure)


def _svg(figure: Figure) -> str:
    """The figure as SVG without a size of its own, in the page's colours; the figure is closed."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    drawn = text.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawn))
    for color, variable in VARIABLES.items():
        drawn = drawn.replace(color, f"var({variable})")
    return drawn


def _gaps(values: Sequence[float | None]) -> list[float]:
    """What is not defined is not drawn."""
    return [np.nan if value is None else value for value in values]


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
