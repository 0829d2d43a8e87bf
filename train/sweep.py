"""What other thresholds would have given: all `enter` thresholds scaled together, decided again from the kept scores.

No network runs; stream.decision decides, as it does live. The trade is the one that whoever watches has to make: fewer
false alarms for more delay and more misses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stream.decision import Settings
from stream.schema import LabelRule
from train.judges import Judge, Judgement
from train.stream_measures import answers_of, count_answers, detection_delays
from train.streams import Stream
from train.thresholds import Scored, run_decision

FACTORS: tuple[float, ...] = tuple(np.geomspace(1 / 3, 3, 17).round(4).tolist())
"""Of the `enter` thresholds; 1, the bundle's own, is the middle one."""
HIGHEST = 0.999
"""No threshold is scaled past it: a score of 1 is never reached."""


@dataclass(frozen=True)
class Operating:
    """What the thresholds times `factor` give on all streams together.

    Attributes:
        factor: of every `enter`, and of every `exit`.
        false_per_hour: false alarms.
        missed: share of the actions; None where nothing happens.
        delay: median seconds to detect those that were found; None where none was.
    """

    factor: float
    false_per_hour: float
    missed: float | None
    delay: float | None


def sweep(
    judge: Judge, streams: Sequence[Stream], judgements: Sequence[Judgement], *, advance: Callable[[], object]
) -> list[Operating]:
    """An operating point for each of FACTORS; `advance` is called after each."""
    points = []
    for factor in FACTORS:
        rules = {label: scaled(rule, factor) for label, rule in judge.decision.labels.items()}
        settings = Settings(judge.labels, judge.none, rules, judge.decision.smoothing)
        answers = []
        for stream, judgement in zip(streams, judgements, strict=True):
            decided, events = run_decision(settings, Scored(stream, judgement.scores), judge.warmup)
            answers.append(answers_of(stream, replace(judgement, decided=decided, events=events)))
        counts, late = count_answers(answers), detection_delays(answers)
        points.append(
            Operating(
                factor,
                60 * counts.false_per_minute,
                None if counts.recall is None else 1 - counts.recall,
                float(np.median(late)) if late else None,
            )
        )
        advance()
    return points


def scaled(rule: LabelRule, factor: float) -> LabelRule:
    """`rule` with its thresholds times `factor`, at most HIGHEST (or its own); exit keeps its share of enter."""
    enter = min(max(HIGHEST, rule.enter), rule.enter * factor)
    return rule.model_copy(update={"enter": enter, "exit": enter * rule.exit / rule.enter})
