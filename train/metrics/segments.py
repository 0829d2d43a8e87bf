"""Labels in a row as segments: do they overlap the true ones, come in the right order, and stay?

A segment is a run of ticks of one label; runs of nothing are no segments. These numbers punish what accuracy overlooks:
an action that is told in five pieces, and flicker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

OVERLAPS = (0.10, 0.25, 0.50)
"""Intersection over union from which on a segment is right; the literature's F1@10, 25, 50."""


@dataclass(frozen=True)
class Run:
    """Ticks `first` to `last`, the latter no longer in it, of label number `label`."""

    label: int
    first: int
    last: int


@dataclass(frozen=True)
class SegmentCounts:
    """Segments that were right, that were told and that truly are."""

    right: int
    told: int
    true: int

    def __add__(self, other: SegmentCounts) -> SegmentCounts:
        """Both together."""
        return SegmentCounts(self.right + other.right, self.told + other.told, self.true + other.true)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where there is no true segment, and so no recall."""
        return 2 * self.right / (self.told + self.true) if self.true else None


def runs(labels: NDArray[np.int32], none: int) -> list[Run]:
    """The runs of equal labels (T,), those of nothing left out."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    found = [Run(int(labels[first]), first, last) for first, last in pairwise(edges) if last > first]
    return [run for run in found if run.label != none]


def count_segments(told: Sequence[Run], true: Sequence[Run], overlap: float) -> SegmentCounts:
    """How many segments of one stream are right: of a true one's label, and of at least `overlap` with it.

    The counts behind the segmental F1@k of Lea et al. (Temporal Convolutional Networks for Action Segmentation and
    Detection, CVPR 2017): overlap is intersection over union; each told segment answers to the true one of
    its label that it overlaps most, and the second to answer to the same one is wrong. Counts of streams are added,
    since a stream with few segments would otherwise weigh as much as one with many.
    """
    taken: set[Run] = set()
    for run in told:
        best = max(
            (each for each in true if each.label == run.label), key=lambda each: _overlap(run, each), default=None
        )
        if best is not None and best not in taken and _overlap(run, best) >= overlap:
            taken.add(best)
    return SegmentCounts(len(taken), len(told), len(true))


def edit_score(told: Sequence[Run], true: Sequence[Run]) -> float | None:
    """1 - d / n: d edits (insert, remove, replace) turn the told labels into the true ones; n, the longer's length.

    The segmental edit score of Lea et al. (Learning Convolutional Action Primitives for Fine-grained Action
    Recognition, ICRA 2016; as in CVPR 2017): right labels in the right order, whenever they come. It is the mean over
    streams, since an order is an order within one; over those in which something happens, as it is None where there is
    no true segment to be in order.
    """
    if not true:
        return None
    # Wagner and Fischer, 1974: `row[j]` edits turn the labels so far into the first j of the true ones.
    row = list(range(len(true) + 1))
    for i, run in enumerate(told, start=1):
        above, row = row, [i]
        for j, each in enumerate(true, start=1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (run.label != each.label)))
    return 1 - row[-1] / max(len(told), len(true))


def changes(labels: NDArray[np.int32]) -> int:
    """How often the label changes along (T,): over the minutes, flicker, to be held against that of the truth."""
    return int(np.count_nonzero(np.diff(labels)))


def _overlap(one: Run, other: Run) -> float:
    """Intersection over union."""
    common = min(one.last, other.last) - max(one.first, other.first)
    return max(0, common) / (max(one.last, other.last) - min(one.first, other.first))
