"""Average precision, calibrated, by decile, and rejection: cases worked by hand, and one in print."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from train.datasets import Segment
from train.metrics.frames import (
    average_precision,
    calibrated_average_precision,
    decile_precisions,
    deciles,
    mean_defined,
    rejection_auroc,
)

RANKED = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], np.float32)
POSITIVE = np.array([True, False, False, True, False, False])


def rows(*scores: float) -> NDArray[np.float32]:
    return np.array(scores, np.float32)


def test_average_precision_is_the_mean_precision_at_the_positive_frames() -> None:
    # One of the first one, then two of the first four: (1 / 1 + 2 / 4) / 2.
    assert average_precision(POSITIVE, RANKED) == pytest.approx(0.75)
    # The worked example of scikit-learn's documentation: (1 / 1 + 2 / 3) / 2, printed as 0.83.
    assert average_precision(np.array([False, False, True, True]), rows(0.1, 0.4, 0.35, 0.8)) == pytest.approx(5 / 6)


def test_calibrated_average_precision_divides_false_positives_by_the_ratio() -> None:
    # w = 4 / 2. At the first positive 1 / (1 + 0 / 2), at the second 2 / (2 + 2 / 2): (1 + 2 / 3) / 2.
    assert calibrated_average_precision(POSITIVE, RANKED) == pytest.approx(5 / 6)


def test_calibration_makes_the_number_of_negative_frames_immaterial() -> None:
    # Every negative frame three times: w triples too. AP falls to (1 / 1 + 2 / 8) / 2, cAP stays 5 / 6.
    times = np.where(POSITIVE, 1, 3)
    positive, scores = np.repeat(POSITIVE, times), np.repeat(RANKED, times)
    assert average_precision(positive, scores) == pytest.approx(5 / 8)
    assert calibrated_average_precision(positive, scores) == pytest.approx(5 / 6)


def test_chance_is_the_share_of_positives_for_ap_and_a_half_for_cap() -> None:
    rng = np.random.default_rng(0)
    positive, scores = rng.random(200_000) < 0.1, rng.random(200_000).astype(np.float32)
    assert average_precision(positive, scores) == pytest.approx(0.1, abs=0.005)
    assert calibrated_average_precision(positive, scores) == pytest.approx(0.5, abs=0.01)


def test_where_nothing_or_all_is_positive_there_is_no_precision() -> None:
    assert average_precision(np.zeros(6, bool), RANKED) is None
    assert calibrated_average_precision(np.zeros(6, bool), RANKED) is None
    assert calibrated_average_precision(np.ones(6, bool), RANKED) is None
    assert mean_defined([None, 0.5, 1.0]) == 0.75
    assert mean_defined([None]) is None


def test_a_tick_lies_in_a_tenth_of_its_action() -> None:
    times = np.array([1.9, 2.0, 2.19, 2.2, 3.4, 3.99, 4.0])
    assert deciles(times, [Segment("wave", 2.0, 4.0)]).tolist() == [-1, 0, 0, 1, 7, 9, -1]
    # At ten ticks a second an action of one second has one tick in each tenth, whatever floats make of 0.7.
    assert deciles(np.arange(30) / 10, [Segment("wave", 1.0, 2.0)])[10:20].tolist() == list(range(10))


def test_each_tenth_is_ranked_against_all_that_is_not_the_action() -> None:
    # A tick in each of three tenths, scored 0.2, 0.4 and 0.9; negatives at 0.3 and 0.5, so w = 2 / 1 in each.
    positive = np.array([True, True, True, False, False])
    tenth = np.array([0, 4, 9, -1, -1], np.int32)
    found = decile_precisions(positive, tenth, rows(0.2, 0.4, 0.9, 0.3, 0.5))
    assert found[0] == pytest.approx(1 / (1 + 2 / 2))
    assert found[4] == pytest.approx(1 / (1 + 1 / 2))
    assert found[9] == pytest.approx(1)
    assert found[1:4] == [None] * 3


def test_rejection_asks_whether_actions_score_higher_than_nothing() -> None:
    # Greatest action scores: of actions 0.9 and 0.4, of nothing 0.5 and 0.1; three of the four pairs are in order.
    scores = np.array([[0.1, 0.9, 0.0], [0.6, 0.0, 0.4], [0.5, 0.5, 0.0], [0.9, 0.0, 0.1]], np.float32)
    assert rejection_auroc(np.array([1, 2, 0, 0], np.int32), scores, 0, [1, 2]) == pytest.approx(0.75)
    assert rejection_auroc(np.array([1, 2, 1, 1], np.int32), scores, 0, [1, 2]) is None
    assert rejection_auroc(np.zeros(4, np.int32), scores, 0, [1, 2]) is None
