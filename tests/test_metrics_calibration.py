"""Reliability and expected calibration error worked by hand; what a temperature did is undone."""

from __future__ import annotations

import numpy as np
import pytest

from stream.decision import scores_of
from train.metrics.calibration import log_loss, reliability, uncalibrated

# Highest scores 0.55 (right), 0.65 (wrong), 0.85 and 0.95 (both right).
SCORES = np.array([[0.55, 0.45], [0.65, 0.35], [0.15, 0.85], [0.05, 0.95]], np.float32)
TARGETS = np.array([0, 1, 1, 1], np.int32)


def test_a_bin_holds_confidence_and_accuracy() -> None:
    found = reliability(SCORES, TARGETS, bins=4)
    assert found.counts.tolist() == [0, 0, 2, 2]
    assert found.confidence.tolist() == pytest.approx([0, 0, 0.6, 0.9])
    assert found.accuracy.tolist() == pytest.approx([0, 0, 0.5, 1.0])


def test_ece_is_the_mean_gap() -> None:
    # Half of the ticks are 0.1 too sure, half 0.1 not sure enough: 0.1.
    assert reliability(SCORES, TARGETS, bins=4).ece == pytest.approx(0.1)
    # In one bin they make up for each other: |3 / 4 - 3 / 4|.
    assert reliability(SCORES, TARGETS, bins=1).ece == pytest.approx(0.0)


def test_a_score_of_one_lies_in_the_last_bin() -> None:
    found = reliability(np.array([[0.0, 1.0]], np.float32), np.array([1], np.int32), bins=15)
    assert found.counts[-1] == 1
    assert found.ece == 0


def test_without_ticks_there_is_no_error() -> None:
    assert reliability(np.zeros((0, 2), np.float32), np.zeros(0, np.int32)).ece is None


def test_what_the_temperature_did_is_undone() -> None:
    # Odds of 9 : 1; the square root of them, 3 : 1, at a temperature of 2.
    logits = np.log(np.array([[9.0, 1.0]], np.float32))
    calibrated = scores_of(logits, 2.0)
    assert calibrated[0].tolist() == pytest.approx([0.75, 0.25])
    assert uncalibrated(calibrated, 2.0)[0].tolist() == pytest.approx([0.9, 0.1])
    assert uncalibrated(np.array([[1.0, 0.0]], np.float32), 0.7)[0].tolist() == [1.0, 0.0]


def test_log_loss_is_the_mean_surprise() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]], np.float32))
    assert log_loss(logits, np.array([0, 1], np.int32), 1.0) == pytest.approx(
        -(np.log(0.5) + np.log(0.8)) / 2, abs=1e-6
    )
