"""The page that `evaluate --report` writes: one HTML file with all numbers, plots, timelines and pictures in it.

What is on it and in which words is report_page.html.jinja; here its parts are gathered. Nothing is measured here but
the sweep over thresholds, which only this page shows. The page loads nothing from anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from stream.views.palette import colours_of
from train.judges import Judge
from train.measure import Judged, Measured
from train.metrics.segments import Run, runs
from train.mistakes import MOST, false_alarms, missed_actions, wrong_clips
from train.plots import early_svg, learning_curves_svg, reliability_svg, starts_svg, sweep_svg
from train.report import LEARNED, number, share
from train.runs import replace_text
from train.streams import Stream
from train.sweep import FACTORS, Operating, sweep

PAGE = "report.html"
TEMPLATE = "report_page.html.jinja"
HISTORY = "history.json"
AMBIGUOUS = "ambiguous, not asked"
STEPS = len(FACTORS) + 1
"""How often `write_page` says that it got on."""


@dataclass(frozen=True)
class Span:
    """A run of one label on a timeline: media seconds, and its place in percent of the stream."""

    label: str
    start: float
    end: float
    left: float
    width: float


@dataclass(frozen=True)
class Timeline:
    """One stream: what truly happened, was decided and scored highest, by those names; and spans that do not count."""

    name: str
    seconds: float
    rows: dict[str, list[Span]]
    ambiguous: list[Span]


def write_page(measured: Measured, model: Path, out: Path, *, advance: Callable[[], object]) -> Path:
    """The page, written into the folder `out`, which is made if need be.

    Args:
        measured: the numbers, and the answers that they were made of.
        model: folder of the run or bundle; a run's learning curves are shown.
        out: folder.
        advance: called STEPS times.
    """
    judge, judged, results = measured.judge, measured.judged, measured.results
    points = sweep(judge, *judged["streams"], advance=advance)
    mistakes = {"clips taken for something else": wrong_clips(judge, *judged["clips"])} if "clips" in judged else {}
    mistakes["actions missed"] = missed_actions(judge, *judged["streams"])
    mistakes["false alarms"] = false_alarms(judge, *judged["streams"])
    page = (
        _environment()
        .get_template(TEMPLATE)
        .render(
            results=results,
            clips={name: results[name] for name in ("clips", "placed") if name in results},
            streams=results["streams"],
            judge=judge,
            headline=_headline(results),
            colours=_colours(judge),
            points=points,
            plots=_plots(results["streams"], points, model),
            timelines=_timelines(judge, judged["streams"]),
            mistakes=mistakes,
            most=MOST,
        )
    )
    advance()
    out.mkdir(parents=True, exist_ok=True)
    replace_text(out / PAGE, page)
    return out / PAGE


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(share=share, number=number)
    environment.globals.update(learned=LEARNED, shares_of=_shares_of)
    return environment


def _plots(numbers: dict[str, Any], points: Sequence[Operating], model: Path) -> dict[str, str]:
    """SVG by name; those that need actions only where there are some, learning curves only of a run."""
    plots = {"reliability": reliability_svg(numbers["reliability_before"], numbers["reliability_after"])}
    if numbers["actions"]:
        plots["sweep"] = sweep_svg(points)
        plots["early"] = early_svg(numbers["decile_mcap"])
        plots["starts"] = starts_svg(numbers["start_offsets_s"], numbers["argmax_p_map"], numbers["decided_p_map"])
    if (model / HISTORY).is_file():
        plots["curves"] = learning_curves_svg(json.loads((model / HISTORY).read_text(encoding="utf-8")))
    return plots


def _headline(results: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and remark of the numbers to look at first."""
    found = results["streams"]
    alarms = ("False alarms an hour", f"{found['false_per_hour']:.1f}", f"in {found['minutes']:.1f} minutes")
    ticks = ("Ticks right", share(found["decided_accuracy"]), f"decided; {share(found['argmax_accuracy'])} raw")
    ece = ("Calibration error", share(found["ece_after"]), f"{share(found['ece_before'])} before the temperature")
    if not found["actions"]:
        return [alarms, ticks, ece]
    late = number(found["detect_p90_s"], " s")
    first = [
        ("Actions found", share(found["found"]), f"{found['missed']} of {found['actions']} missed"),
        ("Time to detect", number(found["detect_median_s"], " s"), f"median; 90% within {late}"),
        alarms,
        ticks,
        ("Per-frame mAP", share(found["frame_map"]), f"calibrated {share(found['frame_mcap'])}, chance 50%"),
        ("Segmental F1@25", share(found["decided_f1_25"]), f"decided; {share(found['argmax_f1_25'])} raw"),
        ece,
    ]
    if "clips" not in results:
        return [*first, ("Rejection AUROC", share(found["rejection_auroc"]), "actions against nothing, chance 50%")]
    clips = results["clips"]
    return [("Clips right", share(clips["accuracy"]), f"{share(clips['accuracy_half'])} at half of the clip"), *first]


def _colours(judge: Judge) -> dict[str, str]:
    """The labels' colours, those that live viewers show."""
    colours = colours_of(judge.labels, judge.none)
    return {label: f"rgb({r} {g} {b})" for label, (b, g, r) in zip(judge.labels, colours, strict=True)}


def _timelines(judge: Judge, judged: Judged) -> list[Timeline]:
    none = judge.labels.index(judge.none)
    timelines = []
    for stream, judgement in zip(judged.streams, judged.judgements, strict=True):
        highest = judgement.scores.argmax(axis=1).astype(np.int32)
        rows = {"truth": stream.targets, "decided": judgement.decided, "highest score": highest}
        spans = {
            name: [_span(judge.labels[run.label], stream, run) for run in runs(labels, none)]
            for name, labels in rows.items()
        }
        ambiguous = [_span(AMBIGUOUS, stream, run) for run in runs((~stream.asked).astype(np.int32), 0)]
        timelines.append(Timeline(stream.name, float(stream.times[-1]), spans, ambiguous))
    return timelines


def _span(label: str, stream: Stream, run: Run) -> Span:
    """Where a run of ticks lies: from its first to the next run's first, or to the end."""
    start, end = (float(stream.times[min(i, len(stream.times) - 1)]) for i in (run.first, run.last))
    whole = max(float(stream.times[-1]), 1e-9)
    return Span(label, start, end, 100 * start / whole, 100 * (end - start) / whole)


def _shares_of(matrix: Sequence[Sequence[int]]) -> list[list[tuple[int, float]]]:
    """Each count with its share of its row."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return [list(zip(*row, strict=True)) for row in zip(counts.tolist(), shares.tolist(), strict=True)]
