"""Point-level average precision of action starts, matched by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stream.contracts import Event
from train.metrics.starts import Detection, point_average_precision, starts_by_event, starts_by_score

STARTS = [[10.0, 20.0], [5.0]]
DETECTIONS = [Detection(0, 20.0, 0.6), Detection(0, 11.0, 0.9), Detection(1, 9.0, 0.7), Detection(0, 11.5, 0.8)]


def test_a_start_is_claimed_once_in_its_own_stream_within_the_offset() -> None:
    # By score: 11.0, 11.5, then 9.0 of the other stream, then 20.0.
    # Within 1 s: right, wrong (10 is taken), wrong (4 s off), right: (1 / 1 + 2 / 4) over three starts.
    assert point_average_precision(DETECTIONS, STARTS, 1) == pytest.approx(1.5 / 3)
    # Within 4 s: right, wrong, right, right: (1 / 1 + 2 / 3 + 3 / 4) / 3.
    assert point_average_precision(DETECTIONS, STARTS, 4) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    # Within 10 s 11.5 claims 20, and nothing is left for the last: (1 + 1 + 1) / 3.
    assert point_average_precision(DETECTIONS, STARTS, 10) == pytest.approx(1)


def test_the_nearest_free_start_is_claimed() -> None:
    # 12 takes 13, not 10, so that 9 still finds 10.
    assert point_average_precision([Detection(0, 12.0, 0.9), Detection(0, 9.0, 0.8)], [[10.0, 13.0]], 2) == 1


def test_starts_that_nobody_claims_are_lost_recall() -> None:
    assert point_average_precision([Detection(0, 10.0, 0.9)], STARTS, 1) == pytest.approx(1 / 3)
    assert point_average_precision([], STARTS, 1) == 0
    assert point_average_precision([Detection(0, 50.0, 0.9)], STARTS, 1) == 0
    assert point_average_precision(DETECTIONS, [[], []], 1) is None


def test_a_raw_start_is_where_a_label_becomes_the_highest() -> None:
    scores = np.array([[0.4, 0.6], [0.3, 0.7], [0.9, 0.1], [0.2, 0.8]], np.float32)
    times = np.array([0.0, 0.5, 1.0, 1.5])
    found = starts_by_score(3, times, scores, 1)
    assert [(each.stream, each.time) for each in found] == [(3, 0.0), (3, 1.5)]
    assert [each.score for each in found] == pytest.approx([0.6, 0.8])
    assert [each.time for each in starts_by_score(0, times, scores, 0)] == [1.0]


def test_a_decided_start_is_when_it_was_told() -> None:
    event = Event("0" * 16, "yard", "wave", "started", 3.0, None, 0.7, 0.4, "m@00000000")
    over = Event("0" * 16, "yard", "wave", "ended", 3.0, 5.0, 0.9, 0.4, "m@00000000")
    assert starts_by_event(1, [event, over], "wave") == [Detection(1, 3.4, 0.7)]
    assert starts_by_event(1, [event, over], "jump") == []
