"""What was measured, as pictures. matplotlib is imported when one is drawn, and no window is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEIGHT, WIDTH, DPI = 3.2, 8.0, 120
GOOD, BAD, PLAIN, LINE = "#2a7f62", "#b3412f", "#3b6ea5", "#444444"


@dataclass(frozen=True)
class Panel:
    """Points of one quantity over another, and straight lines over them.

    Attributes:
        title: over it.
        x, y: the points.
        good: of each point, whether it is as it should be; None where that is not judged.
        trend: offset and slope of a line through the points.
        limit: a horizontal line that is not to be passed.
    """

    title: str
    x: Sequence[float]
    y: Sequence[float]
    good: Sequence[bool] | None = None
    trend: tuple[float, float] | None = None
    limit: float | None = None


def require() -> None:
    """Does nothing where pictures can be drawn.

    Raises:
        ImportError: matplotlib is not installed: better known before hours of measuring than after.
    """
    import matplotlib  # noqa: F401


def draw_bars(
    path: Path, title: str, names: Sequence[str], series: Mapping[str, Sequence[float]], unit: str, *, log: bool = False
) -> None:
    """Draws a group of horizontal bars for each of `names`, one a series, the first name on top.

    Args:
        path: of the picture; its suffix says the format.
        title: over it.
        names: of the groups.
        series: name -> a value for each group.
        unit: of the values.
        log: make equal ratios equal lengths.
    """
    figure, (axes,) = _figure(1, max(HEIGHT, 0.9 + 0.32 * len(names) * max(1, len(series) / 2)))
    thick = 0.8 / len(series)
    for number, (label, values) in enumerate(series.items()):
        places = [group + (number - (len(series) - 1) / 2) * thick for group in range(len(names))]
        bars = axes.barh(places, values, thick, label=label)
        axes.bar_label(bars, fmt="%.3g", padding=3, fontsize=7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(unit)
    axes.set_title(title, fontsize=9)
    if log:
        axes.set_xscale("log")
    if len(series) > 1:
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=DPI)


def draw_panels(path: Path, title: str, panels: Sequence[Panel], x: str) -> None:
    """Draws `panels` one below the other; `x` is what all of them stand over."""
    figure, every = _figure(len(panels), HEIGHT if len(panels) == 1 else 1.5 * len(panels) + 0.8)
    for axes, panel in zip(every, panels, strict=True):
        colors = PLAIN if panel.good is None else [GOOD if good else BAD for good in panel.good]
        axes.scatter(panel.x, panel.y, s=9, c=colors)
        if panel.trend is not None:
            offset, slope = panel.trend
            ends = [min(panel.x), max(panel.x)]
            axes.plot(ends, [offset + slope * end for end in ends], color=LINE, linewidth=1)
        if panel.limit is not None:
            axes.axhline(panel.limit, color=BAD, linewidth=1, linestyle="--")
        axes.set_title(panel.title, fontsize=8, loc="left")
        axes.grid(alpha=0.3)
    every[-1].set_xlabel(x)
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=DPI)


def _figure(rows: int, height: float) -> tuple[Any, list[Any]]:
    """A figure with `rows` axes over one x axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
