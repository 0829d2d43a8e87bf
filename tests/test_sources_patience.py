"""How long a silence must be to count: the camera's own rhythm, what is learnt of it, and for how long."""

from __future__ import annotations

import math

import pytest

from stream.sources.patience import LONGEST_S, RHYTHM, Patience


def connection(patience: Patience, packets: int, interval: float, start: float = 1000.0) -> None:
    """A connection that brings that many packets, so far apart."""
    patience.connected()
    for index in range(packets):
        patience.packet(start + index * interval)


@pytest.mark.parametrize(("interval", "expected"), [(0.04, 2.8), (0.5, 2.8), (1.0, 5.0), (4.0, 20.0), (10.0, 50.0)])
def test_five_intervals_or_the_least(interval: float, expected: float) -> None:
    patience = Patience(2.8)
    assert patience.seconds == 2.8
    connection(patience, RHYTHM, interval)
    assert patience.seconds == pytest.approx(expected)


def test_a_hiccup_is_no_rhythm() -> None:
    patience = Patience(2.8)
    connection(patience, 100, 0.04)
    patience.packet(1000 + 99 * 0.04 + 2.0)
    assert patience.seconds == 2.8


def test_time_between_connections_is_no_interval() -> None:
    patience = Patience(2.8)
    connection(patience, RHYTHM - 1, 0.04, start=1000)
    connection(patience, RHYTHM - 1, 0.04, start=5000)
    assert patience.seconds == 2.8


def test_it_grows_for_a_camera_that_may_be_slow_and_then_fits() -> None:
    patience = Patience(2.8)
    tried = []
    while patience.seconds < 5.0:  # the camera sends every 5 s
        tried.append(patience.seconds)
        connection(patience, 1, 5.0)
        patience.ran_out()
    assert tried == [2.8]
    connection(patience, RHYTHM, 5.0)
    assert patience.seconds == 25.0
    for _ in range(20):
        connection(patience, 0, 0)
        patience.ran_out()
    assert patience.seconds == LONGEST_S


def test_what_is_slower_than_the_longest_growth_keeps_its_patience() -> None:
    patience = Patience(2.8)
    connection(patience, RHYTHM, 10.0)
    connection(patience, 1, 10.0)
    patience.ran_out()
    assert patience.seconds == 50.0


def test_a_camera_that_stalls_in_its_stride_is_met_with_the_same_patience() -> None:
    patience = Patience(2.8)
    connection(patience, 100, 0.04)
    patience.ran_out()
    assert patience.seconds == 2.8


def test_what_is_waited_for_without_a_limit() -> None:
    patience = Patience(math.inf)
    connection(patience, 100, 0.04)
    patience.ran_out()
    assert patience.seconds == math.inf
