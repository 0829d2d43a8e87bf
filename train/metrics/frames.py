"""How well scores rank single frames: average precision, calibrated, by part of the action; rejection of nothing.

A frame here is a tick. As in the literature on online action detection, the frames of all streams stand in one ranking
a class: a score has to mean the same in every stream, as one threshold serves all of them, and a class that does not
happen in a stream still has that stream's frames to be wrong about. What gave each score saw its own stream alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from train.datasets import Segment

DECILES = 10
ROUNDING = 1e-9
"""Of a tenth, so that 0.7 s of 1 s begins the eighth tenth whatever the last bit says."""


def average_precision(positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> float | None:
    """Area under the precision-recall curve of frames (T,) ranked by their scores, not interpolated.

    The per-frame AP of online action detection (De Geest et al., Online Action Detection, ECCV 2016), whose mean over
    the classes, but for nothing, is the per-frame mAP: the mean, over the positive frames, of the precision among all
    frames that rank as high. None where no frame is positive.
    """
    return float(average_precision_score(positive, scores)) if positive.any() else None


def calibrated_average_precision(positive: NDArray[np.bool_], scores: NDArray[np.float32]) -> float | None:
    """The same with precision TP / (TP + FP / w), w being the number of negative frames to a positive one.

    The calibrated AP of De Geest et al. (ECCV 2016): as if there were as many positive frames as negative
    ones, so that classes and data sets of another balance compare; chance is 0.5. It is AP with a weight of 1 / w for
    each negative frame. None where no frame is positive, or all are.
    """
    happens = int(positive.sum())
    if not 0 < happens < len(positive):
        return None
    weights = np.where(positive, 1.0, happens / (len(positive) - happens))
    return float(average_precision_score(positive, scores, sample_weight=weights))


def deciles(times: NDArray[np.float64], segments: Sequence[Segment]) -> NDArray[np.int32]:
    """In which tenth of its action each tick at media seconds `times` (T,) lies, 0 to 9; -1 outside all actions."""
    tenth = np.full(len(times), -1, np.int32)
    for segment in segments:
        inside = (times >= segment.start) & (times < segment.end)
        passed = (times[inside] - segment.start) / (segment.end - segment.start)
        tenth[inside] = (passed * DECILES + ROUNDING).astype(np.int32)
    return tenth


def decile_precisions(
    positive: NDArray[np.bool_], tenth: NDArray[np.int32], scores: NDArray[np.float32]
) -> list[float | None]:
    """Ten calibrated APs of one class: of the frames in each tenth of its actions against all that are not of it.

    De Geest et al. (ECCV 2016): how early an action is recognised. None where no frame lies in a tenth.
    """
    asked = [~positive | (tenth == number) for number in range(DECILES)]
    return [calibrated_average_precision(positive[kept], scores[kept]) for kept in asked]


def rejection_auroc(
    targets: NDArray[np.int32], scores: NDArray[np.float32], none: int, known: Sequence[int]
) -> float | None:
    """Probability that a frame of an action has a higher greatest action score than one of nothing; chance is 0.5.

    Area under the ROC curve for telling the two apart by the maximum over the actions of the scores, as the baseline
    for out-of-distribution detection has it (Hendrycks and Gimpel, ICLR 2017). None where only one of them happens.

    Args:
        targets: (T,) label numbers.
        scores: (T, K) float32.
        none: number of nothing.
        known: numbers of the actions.
    """
    acting = targets != none
    if acting.all() or not acting.any():
        return None
    return float(roc_auc_score(acting, scores[:, list(known)].max(axis=1)))


def mean_defined(values: Iterable[float | None]) -> float | None:
    """Mean of those that are not None; None if all are."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
