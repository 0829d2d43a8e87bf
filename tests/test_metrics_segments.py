"""Segmental F1, edit score and flicker on rows of labels that are short enough to draw."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from train.metrics.segments import Run, SegmentCounts, changes, count_segments, edit_score, runs


def row(text: str) -> NDArray[np.int32]:
    """Label numbers, one a letter; a dot is nothing, 0."""
    return np.array([0 if letter == "." else ord(letter) for letter in text], np.int32)


def told_and_true(told: str, true: str) -> tuple[list[Run], list[Run]]:
    return runs(row(told), 0), runs(row(true), 0)


def test_runs_of_nothing_are_no_segments() -> None:
    assert runs(row(".aab.b"), 0) == [Run(ord("a"), 1, 3), Run(ord("b"), 3, 4), Run(ord("b"), 5, 6)]
    assert runs(row("..."), 0) == []
    assert runs(row(""), 0) == []


def test_segments_are_right_by_their_overlap_and_once() -> None:
    told, true = told_and_true(
        ".aaa.a...b",
        "..aaaa..bb",
    )
    # Overlaps: aaa has 2 of 5 ticks in common with aaaa, a has 1 of 4, b has 1 of 2 with bb.
    at_10, at_25, at_50 = (count_segments(told, true, overlap) for overlap in (0.1, 0.25, 0.5))
    # At 10 and 25 %: aaa and b are right, a answers to what aaa has taken. 2 * 2 / (3 + 2).
    assert at_10 == at_25 == SegmentCounts(right=2, told=3, true=2)
    assert at_25.f1 == pytest.approx(0.8)
    # At 50 % only b is: 2 * 1 / (3 + 2).
    assert at_50.f1 == pytest.approx(0.4)


def test_counts_of_streams_are_added_not_averaged() -> None:
    # A stream of one wrong segment and one of three right ones: 2 * 3 / (4 + 4), not (0 + 1) / 2.
    assert (SegmentCounts(0, 1, 1) + SegmentCounts(3, 3, 3)).f1 == pytest.approx(0.75)


def test_a_wrong_label_overlaps_nothing() -> None:
    assert count_segments(*told_and_true("bbbb", "aaaa"), 0.1) == SegmentCounts(0, 1, 1)


@pytest.mark.parametrize(
    ("told", "true", "score"),
    [
        ("kitten", "sitting", 1 - 3 / 7),  # the textbook's distance of 3: k to s, e to i, and a g more
        ("aa.a..bb", "aaaa..bb", 1 - 1 / 3),  # told a a b, true a b: one too many
        ("aabb", "a..b", 1.0),  # when they come does not matter
        ("....", "aabb", 0.0),
    ],
)
def test_edit_score_counts_labels_out_of_order(told: str, true: str, score: float) -> None:
    # Doubled letters would be one run: between them stands nothing.
    spaced = [".".join(text) if text in ("kitten", "sitting") else text for text in (told, true)]
    assert edit_score(*told_and_true(*spaced)) == pytest.approx(score)


@pytest.mark.parametrize("told", ["....", ".aa."])
def test_where_nothing_happens_there_is_no_score(told: str) -> None:
    assert edit_score(*told_and_true(told, "....")) is None
    counts = count_segments(*told_and_true(told, "...."), 0.1)
    assert counts.f1 is None
    # What is told there counts once it is added to streams in which something happens: 2 * 1 / (1 + told + 1).
    assert (counts + SegmentCounts(1, 1, 1)).f1 == pytest.approx(2 / (2 + counts.told))


def test_flicker_is_counted_in_changes() -> None:
    assert changes(row("..aab.")) == 3
    assert changes(row("aaaa")) == 0
