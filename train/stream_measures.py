"""What a judge's answers on streams come to: by the literature's measures, and by those of whoever watches it live.

Streams are judged each by itself. How they are put together is said with every measure (train.metrics): ticks of all
streams in one ranking (average precisions, calibration), counts that are added (events, segments, labels), or a mean
over streams (edit score). `argmax_` is the raw label of the highest score, `decided_` the one that live viewers see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.contracts import Event
from train.judges import Judge, Judgement
from train.metrics.calibration import Reliability, reliability, uncalibrated
from train.metrics.events import EventCounts, count_events, delays
from train.metrics.frames import (
    average_precision,
    calibrated_average_precision,
    decile_precisions,
    deciles,
    mean_defined,
    rejection_auroc,
)
from train.metrics.labels import accuracy, class_table, confusion, settled
from train.metrics.segments import OVERLAPS, SegmentCounts, changes, count_segments, edit_score, runs
from train.metrics.starts import OFFSETS, Detection, point_average_precision, starts_by_event, starts_by_score
from train.streams import Stream

MARGIN = 0.6
"""Seconds after each true boundary whose ticks are not asked for a label: nobody can know yet."""

Result = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Answers:
    """One stream's truth and what a judge made of it, without the ticks that do not count.

    Attributes:
        stream: with all of its ticks.
        times, targets: (T,) of the ticks that count.
        scores: (T, K) float32.
        highest, decided: (T,) int32 label numbers, raw and decided.
        sure: (T,) which ticks lie MARGIN after each boundary.
        events: those that were told at ticks that count.
    """

    stream: Stream
    times: NDArray[np.float64]
    targets: NDArray[np.int32]
    scores: NDArray[np.float32]
    highest: NDArray[np.int32]
    decided: NDArray[np.int32]
    sure: NDArray[np.bool_]
    events: tuple[Event, ...]


def measure_streams(judge: Judge, streams: Sequence[Stream], judgements: Sequence[Judgement]) -> Result:
    """All numbers on streams, ready for JSON; one that is not defined on these streams is None."""
    answers = [answers_of(stream, judgement) for stream, judgement in zip(streams, judgements, strict=True)]
    minutes = sum(stream.minutes for stream in streams)
    return {
        "streams": len(streams),
        "minutes": minutes,
        **_labels(judge, answers),
        **_events(judge, answers),
        **_frames(judge, answers),
        **_starts(judge, answers),
        **_segments(judge, answers, minutes),
        **_calibration(judge, answers),
    }


def answers_of(stream: Stream, judgement: Judgement) -> Answers:
    """`stream` and what was made of it, ready to be measured."""
    counted = stream.asked
    sure = settled(stream.targets, stream.times, MARGIN)
    highest = judgement.scores.argmax(axis=1).astype(np.int32)
    return Answers(
        stream,
        stream.times[counted],
        stream.targets[counted],
        judgement.scores[counted],
        highest[counted],
        judgement.decided[counted],
        sure[counted],
        tuple(event for event in judgement.events if stream.asks_about(event)),
    )


def count_answers(answers: Sequence[Answers], label: str | None = None) -> EventCounts:
    """What was told against what happened, of one label or of all, over all streams."""
    counts = EventCounts(0, 0, 0, 0.0)
    for each in answers:
        events = [event for event in each.events if label in (None, event.label)]
        segments = [segment for segment in each.stream.segments if label in (None, segment.label)]
        counts += count_events(events, segments, each.stream.minutes)
    return counts


def detection_delays(answers: Sequence[Answers]) -> list[float]:
    """Seconds to detect each action that was found, of all streams."""
    return [delay for each in answers for delay in delays(each.events, each.stream.segments)]


def _labels(judge: Judge, answers: Sequence[Answers]) -> Result:
    """Ticks that are right MARGIN after each boundary, counted over all streams."""
    classes = len(judge.labels)
    decided, highest = np.zeros((2, classes, classes), np.int64)
    for each in answers:
        decided += confusion(each.targets[each.sure], each.decided[each.sure], classes)
        highest += confusion(each.targets[each.sure], each.highest[each.sure], classes)
    table = class_table(judge.labels, highest)
    return {
        "ticks": int(decided.sum()),
        "decided_accuracy": accuracy(decided),
        "argmax_accuracy": accuracy(highest),
        "argmax_recall": {label: row["recall"] for label, row in table.items() if row["count"]},
        "labels": list(judge.labels),
        "confusion": decided.tolist(),
        "argmax_confusion": highest.tolist(),
        "decided_table": class_table(judge.labels, decided),
        "argmax_table": table,
    }


def _events(judge: Judge, answers: Sequence[Answers]) -> Result:
    """Actions found, how soon, and false alarms, counted over all streams."""
    counts = count_answers(answers)
    late = detection_delays(answers)
    by_label = {label: count_answers(answers, label) for label in judge.labels}
    return {
        "actions": counts.actions,
        "found": counts.recall,
        "missed": counts.actions - counts.found,
        "found_by_label": {
            label: {"actions": each.actions, "found": each.found, "false": each.false}
            for label, each in by_label.items()
            if each.actions or each.false
        },
        "false_per_minute": counts.false_per_minute,
        "false_per_hour": 60 * counts.false_per_minute,
        "detect_median_s": float(np.median(late)) if late else None,
        "detect_p90_s": float(np.quantile(late, 0.9)) if late else None,
    }


def _frames(judge: Judge, answers: Sequence[Answers]) -> Result:
    """Average precisions of the actions, and rejection of nothing, over the ticks of all streams."""
    targets = np.concatenate([each.targets for each in answers])
    scores = np.concatenate([each.scores for each in answers])
    tenth = np.concatenate([deciles(each.times, each.stream.segments) for each in answers])
    by_label: dict[str, Result] = {}
    parts = []
    for k, label in _actions(judge):
        is_it, score = targets == k, scores[:, k]
        if is_it.any():
            by_label[label] = {
                "ap": average_precision(is_it, score),
                "cap": calibrated_average_precision(is_it, score),
                "ticks": int(is_it.sum()),
            }
            parts.append(decile_precisions(is_it, tenth, score))
    return {
        "frame_map": mean_defined(each["ap"] for each in by_label.values()),
        "frame_mcap": mean_defined(each["cap"] for each in by_label.values()),
        "decile_mcap": [mean_defined(each) for each in zip(*parts, strict=True)] or [None] * 10,
        "ap_by_label": by_label,
        "rejection_auroc": rejection_auroc(
            targets, scores, judge.labels.index(judge.none), [k for k, _ in _actions(judge)]
        ),
    }


def _starts(judge: Judge, answers: Sequence[Answers]) -> Result:
    """p-mAP at each of OFFSETS, raw and decided."""

    def raw(label: int, _: str) -> list[Detection]:
        return [hit for i, each in enumerate(answers) for hit in starts_by_score(i, each.times, each.scores, label)]

    def decided(_: int, label: str) -> list[Detection]:
        return [hit for i, each in enumerate(answers) for hit in starts_by_event(i, each.events, label)]

    return {
        "start_offsets_s": list(OFFSETS),
        "argmax_p_map": _point_maps(judge, answers, raw),
        "decided_p_map": _point_maps(judge, answers, decided),
    }


def _point_maps(
    judge: Judge, answers: Sequence[Answers], detect: Callable[[int, str], list[Detection]]
) -> list[float | None]:
    by_offset: dict[int, list[float | None]] = {offset: [] for offset in OFFSETS}
    for k, label in _actions(judge):
        starts = [[segment.start for segment in each.stream.segments if segment.label == label] for each in answers]
        detections = detect(k, label)
        for offset, found in by_offset.items():
            found.append(point_average_precision(detections, starts, offset))
    return [mean_defined(found) for found in by_offset.values()]


def _segments(judge: Judge, answers: Sequence[Answers], minutes: float) -> Result:
    """F1 of segments, edit score and changes of label, raw and decided."""
    none = judge.labels.index(judge.none)
    true = [runs(each.targets, none) for each in answers]
    found: Result = {"true_changes_per_minute": _rate(sum(changes(each.targets) for each in answers), minutes)}
    for kind, labels in (
        ("argmax", [each.highest for each in answers]),
        ("decided", [each.decided for each in answers]),
    ):
        pairs = list(zip([runs(each, none) for each in labels], true, strict=True))
        for overlap in OVERLAPS:
            counts = sum((count_segments(*pair, overlap) for pair in pairs), SegmentCounts(0, 0, 0))
            found[f"{kind}_f1_{overlap * 100:.0f}"] = counts.f1
        found[f"{kind}_edit"] = mean_defined(edit_score(*pair) for pair in pairs)
        found[f"{kind}_changes_per_minute"] = _rate(sum(map(changes, labels)), minutes)
    return found


def _calibration(judge: Judge, answers: Sequence[Answers]) -> Result:
    """Calibration error before and after the temperature, over the ticks on which a label can be known."""
    targets = np.concatenate([each.targets[each.sure] for each in answers])
    scores = np.concatenate([each.scores[each.sure] for each in answers])
    before = reliability(uncalibrated(scores, judge.decision.temperature), targets)
    after = reliability(scores, targets)
    return {
        "temperature": judge.decision.temperature,
        "ece_before": before.ece,
        "ece_after": after.ece,
        "reliability_before": _diagram(before),
        "reliability_after": _diagram(after),
    }


def _diagram(found: Reliability) -> Result:
    return {
        "counts": found.counts.tolist(),
        "confidence": found.confidence.tolist(),
        "accuracy": found.accuracy.tolist(),
    }


def _actions(judge: Judge) -> list[tuple[int, str]]:
    """Number and name of every label but that of nothing."""
    return [(k, label) for k, label in enumerate(judge.labels) if label != judge.none]


def _rate(count: int, minutes: float) -> float | None:
    return count / minutes if minutes else None
