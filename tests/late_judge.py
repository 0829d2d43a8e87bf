"""A judge without a network: it knows the truth, and says it some ticks late; its measures can be worked out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stream.contracts import Input
from stream.decision import Settings
from stream.schema import Decision, LabelRule
from train.datasets import Segment
from train.judges import Judgement
from train.streams import Stream
from train.thresholds import Scored, run_decision

LABELS = ("none", "jump", "wave")
SURE = 0.9
"""Its score for what it says; the other labels share the rest."""


class LateJudge:
    """Says with `SURE` what was true `late` ticks ago, and decides by stream.decision."""

    def __init__(self, late: int, *, enter: float = 0.5, labels: tuple[str, ...] = LABELS) -> None:
        """Makes a judge whose labels start at `enter` after 0.2 s."""
        self.labels, self.none, self.input, self.name = labels, labels[0], Input(8, 8, rate=10.0), f"late by {late}"
        self.provenance: dict[str, Any] = {}
        rule = LabelRule(enter=enter, exit=0.3, min=0.2)
        self.decision, self.warmup = Decision(labels=dict.fromkeys(labels[1:], rule)), 1
        self._late = late

    def judge(
        self, streams: Sequence[Stream], *, reset: bool = False, advance: Callable[[], object] = lambda: None
    ) -> list[Judgement]:
        """As in `train.judges.Judge`."""
        settings = Settings(self.labels, self.none, self.decision.labels, self.decision.smoothing)
        judgements = []
        for stream in streams:
            said = np.concatenate([np.zeros(self._late, np.int32), stream.targets])[: len(stream.times)]
            scores = np.full((len(said), len(self.labels)), (1 - SURE) / (len(self.labels) - 1), np.float32)
            scores[np.arange(len(said)), said] = SURE
            judgements.append(Judgement(scores, *run_decision(settings, Scored(stream, scores), self.warmup)))
            advance()
        return judgements


def waving(name: str = "yard", *, ticks: int = 100) -> Stream:
    """A stream of ten ticks a second; from 2 to 4 s, in ticks 20 to 39, somebody waves."""
    segment = Segment("wave", 2.0, 4.0)
    times = np.arange(ticks) / 10
    targets = np.zeros(ticks, np.int32)
    targets[20:40] = LABELS.index("wave")
    images = np.random.default_rng(0).integers(0, 256, (ticks, 8, 8, 3), np.uint8)
    return Stream(name, times, images, targets, (segment,), name)


def idle(*, ticks: int = 100) -> Stream:
    """A stream of ten ticks a second in which nothing happens."""
    return Stream(
        "idle", np.arange(ticks) / 10, np.zeros((ticks, 8, 8, 3), np.uint8), np.zeros(ticks, np.int32), (), "idle"
    )
