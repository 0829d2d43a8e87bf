"""Labels against labels, tick by tick: confusion, accuracy, and precision, recall and F1 of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def confusion(targets: NDArray[np.int32], guesses: NDArray[np.int32], classes: int) -> NDArray[np.int64]:
    """Counts (K, K): how often what is `targets` was taken for `guesses`; true labels down, guesses across."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (targets, guesses), 1)
    return matrix


def accuracy(matrix: NDArray[np.int64]) -> float | None:
    """Share of a confusion matrix that lies on its diagonal; None where it is empty."""
    return _share(np.trace(matrix), matrix.sum())


def class_table(labels: Sequence[str], matrix: NDArray[np.int64]) -> dict[str, dict[str, Any]]:
    """Of each label its `precision`, `recall`, `f1` and `count` by a confusion matrix (K, K).

    Precision is the share of its guesses that are right, recall the share of its `count` that is found, and F1 their
    harmonic mean, 2 right / (guessed + count) (van Rijsbergen, Information Retrieval, 1979). Precision of a label that
    was never guessed is None, and so is recall of one that does not happen, and F1 of one of which both is true.
    """
    right, count, guessed = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    return {
        label: {
            "precision": _share(right[k], guessed[k]),
            "recall": _share(right[k], count[k]),
            "f1": _share(2 * right[k], guessed[k] + count[k]),
            "count": int(count[k]),
        }
        for k, label in enumerate(labels)
    }


def settled(targets: NDArray[np.int32], times: NDArray[np.float64], margin: float) -> NDArray[np.bool_]:
    """Which ticks (T,) lie at least `margin` seconds after the last change of the true label."""
    changes = np.flatnonzero(np.diff(targets)) + 1
    since = np.full(len(times), np.inf)
    for change in changes:
        since[change:] = times[change:] - times[change]
    return since >= margin


def _share(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None
