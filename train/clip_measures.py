"""What a judge's answers on clips come to: labels half-way, at the end and on average, and a table of the classes.

A clip is a short stream of one label, judged from zero state; clips are counted, each once. Raw labels are those of the
highest score (`accuracy` and all names without a word before them), decided ones those that live viewers see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from train.judges import Judge, Judgement
from train.metrics.labels import accuracy, class_table, confusion
from train.streams import Stream

Result = dict[str, Any]


def measure_clips(judge: Judge, clips: Sequence[Stream], judgements: Sequence[Judgement]) -> Result:
    """Accuracy, confusion and a table of the classes, ready for JSON.

    `accuracy` is over all labels at each clip's last tick, `accuracy_half` at its half (what is told when half of it
    was seen: observation ratio 0.5 of Ryoo, Human Activity Prediction, ICCV 2011), `accuracy_mean` by the mean of all
    its scores (what offline models report). `actions_accuracy` is over the actions alone, for clips of an action.
    """
    none, classes = judge.labels.index(judge.none), len(judge.labels)
    targets = np.array([clip.targets[-1] for clip in clips], np.int32)
    halves = [_half(clip) for clip in clips]
    last = np.stack([each.scores[-1] for each in judgements])
    half = np.stack([each.scores[i] for each, i in zip(judgements, halves, strict=True)])
    mean = np.stack([each.scores.mean(axis=0) for each in judgements])
    decided = np.array([each.decided[-1] for each in judgements], np.int32)
    decided_half = np.array([each.decided[i] for each, i in zip(judgements, halves, strict=True)], np.int32)

    highest, by_half, by_mean = (
        confusion(targets, scores.argmax(1).astype(np.int32), classes) for scores in (last, half, mean)
    )
    at_last, at_half = (confusion(targets, guesses, classes) for guesses in (decided, decided_half))
    acting = targets != none
    forced = last[acting].copy()
    forced[:, none] = -1
    actions = confusion(targets[acting], forced.argmax(1).astype(np.int32), classes)
    return {
        "clips": len(clips),
        "accuracy": accuracy(highest),
        "accuracy_half": accuracy(by_half),
        "accuracy_mean": accuracy(by_mean),
        "decided_accuracy": accuracy(at_last),
        "decided_accuracy_half": accuracy(at_half),
        "actions": int(acting.sum()),
        "actions_accuracy": accuracy(actions),
        "labels": list(judge.labels),
        "confusion": highest.tolist(),
        "actions_confusion": actions.tolist(),
        "decided_confusion": at_last.tolist(),
        "table": class_table(judge.labels, highest),
        "decided_table": class_table(judge.labels, at_last),
    }


def _half(clip: Stream) -> int:
    """The last tick of the first half."""
    return int(np.searchsorted(clip.times, clip.times[-1] / 2, side="right")) - 1
