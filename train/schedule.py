"""How fast a stage learns, and when it has learned enough: pure functions of the step and of the epochs so far.

They know nothing but the history, so a run that was killed goes on as it would have gone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from train.settings import StageSettings

Rows = Sequence[dict[str, Any]]
"""A stage's epochs so far, as in history.json."""
LEAST_GAIN = 1e-4
"""By which a validation loss must sink, so that a plateau is over (Keras' ReduceLROnPlateau)."""


def rate_share(stage: StageSettings, step: int, steps: int, rows: Rows) -> float:
    """Share (0-1) of the peak learning rates at a step.

    Args:
        stage: its schedule.
        step: its number in the stage.
        steps: how many there are.
        rows: the epochs before it.
    """
    if stage.schedule == "cosine":
        return cosine(step, steps, stage.warmup)
    return plateau(stage, rows) if stage.schedule == "plateau" else 1.0


def cosine(step: int, steps: int, warmup: float) -> float:
    """A linear rise, then a cosine down to 1 % (Loshchilov and Hutter, 2017)."""
    rise = round(steps * warmup)
    if step < rise:
        return (step + 1) / (rise + 1)
    done = (step - rise) / max(1, steps - rise)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def plateau(stage: StageSettings, rows: Rows) -> float:
    """The peak, lowered each time that the validation loss has not sunk for so many epochs; as Keras does it."""
    share, best, waited = 1.0, math.inf, 0
    for row in rows:
        if row["validation_loss"] < best - LEAST_GAIN:
            best, waited = row["validation_loss"], 0
            continue
        waited += 1
        if waited == stage.plateau_patience:
            share, waited = max(share * stage.plateau_factor, stage.least_rate / stage.learning_rate), 0
    return share


def is_better(stage: StageSettings, value: float, best: float | None) -> bool:
    """Whether `value` of what the stage monitors is better than the `best` so far."""
    if best is None:
        return True
    return value < best if stage.monitor == "validation_loss" else value > best


def is_over(stage: StageSettings, rows: Rows) -> bool:
    """Whether the stage has waited as long as it may for a better epoch."""
    if not stage.patience:
        return False
    best, waited = None, 0
    for row in rows:
        waited += 1
        if is_better(stage, row[stage.monitor], best):
            best, waited = row[stage.monitor], 0
        if waited == stage.patience:
            return True
    return False
