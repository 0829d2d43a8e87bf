"""Quantiles of latency against numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from stream.latency import LatencyHistogram

FRAMES = 75


def test_latency_quantiles_are_within_a_percent_in_fixed_memory() -> None:
    values = np.random.default_rng(0).lognormal(2, 1, 20_000)
    histogram = LatencyHistogram()
    assert histogram.quantile(0.5) == 0.0
    for value in values:
        histogram.add(float(value))
    for share in (0.01, 0.5, 0.95, 0.999):
        assert histogram.quantile(share) == pytest.approx(np.quantile(values, share, method="inverted_cdf"), rel=0.011)
    assert histogram.quantile(1.0) <= histogram.max_ms == values.max()
    assert len(histogram) == len(values)


def test_a_cleared_histogram_is_as_new() -> None:
    histogram = LatencyHistogram()
    histogram.add(30.0)
    histogram.clear()
    assert (len(histogram), histogram.max_ms, histogram.quantile(0.5)) == (0, 0.0, 0.0)
    histogram.add(2.0)
    assert histogram.quantile(1.0) == pytest.approx(2.0, rel=0.01)
