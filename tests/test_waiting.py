"""When a step waits for a few more ticks: never alone, never where batching does not pay, only where it gains."""

from __future__ import annotations

import pytest

from stream.waiting import SLACK_S, StepCosts, worth_waiting


def gpu(ticks: int) -> float:
    """A step that costs little more for more ticks."""
    return 0.010 + 0.0001 * ticks


def cpu(ticks: int) -> float:
    """A step that costs what its ticks cost."""
    return 0.005 * ticks


def test_one_camera_never_waits() -> None:
    assert worth_waiting(0.0, 1, [], gpu, 16) == (0, 0.0)


def test_a_full_batch_never_waits() -> None:
    assert worth_waiting(0.0, 4, [0.0001] * 8, gpu, 4) == (0, 0.0)


@pytest.mark.parametrize("ready", [1, 2, 4])
@pytest.mark.parametrize("due", [[0.0], [0.001] * 7, [0.001 * k for k in range(8)]])
def test_where_a_row_costs_what_it_costs_nothing_waits(ready: int, due: list[float]) -> None:
    assert worth_waiting(0.0, ready, due, cpu, 16) == (0, 0.0)


def test_ticks_that_come_at_once_are_waited_for_on_a_gpu() -> None:
    more, wait = worth_waiting(0.0, 1, [0.001] * 7, gpu, 16)
    assert more == 7 and wait == pytest.approx(0.001 + SLACK_S)


def test_what_comes_late_is_not_waited_for() -> None:
    assert worth_waiting(0.0, 4, [0.050] * 4, gpu, 16) == (0, 0.0)
    assert worth_waiting(0.0, 1, [0.001, 0.001, 0.150], gpu, 16)[0] == 2


def test_what_is_overdue_is_not_waited_for() -> None:
    assert worth_waiting(10.0, 1, [9.9, 0.0], gpu, 16) == (0, 0.0)


def test_no_more_are_waited_for_than_there_is_room() -> None:
    assert worth_waiting(0.0, 2, [0.0005] * 14, gpu, 4)[0] == 2


@pytest.mark.parametrize("ready", [1, 3])
def test_the_sum_of_delays_gets_smaller(ready: int) -> None:
    """Counted out: both ways of doing it, tick by tick."""
    due = [0.0, 0.001, 0.001, 0.002, 0.1]
    more, wait = worth_waiting(0.0, ready, due, gpu, 16)
    assert more > 0
    end = wait + gpu(ready + more)
    waited = ready * end + sum(end - time for time in due[:more])
    first = gpu(ready)
    second = max(first, due[more - 1]) + gpu(more)
    at_once = ready * first + sum(second - time for time in due[:more])
    assert waited < at_once


def test_costs_are_learnt_and_follow_changes() -> None:
    costs = StepCosts()
    assert costs.of(4) == 0.0
    costs.took(4, 0.008)
    assert costs.of(4) == 0.008
    assert costs.of(1) == 0.002 and costs.of(8) == 0.016, "of a size that never ran nothing better than so is assumed"
    for _ in range(100):
        costs.took(4, 0.020)
    assert costs.of(4) == pytest.approx(0.020, rel=1e-3)
