"""The bank of states: gather and scatter are inverses, rows are copies, tracks come and go."""

from __future__ import annotations

import numpy as np

from stream.contracts import State
from stream.state import StateBank


def zeros(n: int) -> State:
    return {"h": np.zeros((n, 3), np.float32), "steps": np.zeros((n, 2, 2), np.int64)}


def filled(values: list[int]) -> State:
    return {
        "h": np.array([[v, v + 1, v + 2] for v in values], np.float32),
        "steps": np.array([[[v, 1], [2, v]] for v in values], np.int64),
    }


def same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and (a[k] == b[k]).all() for k in a)


def test_new_tracks_are_fresh() -> None:
    assert same(StateBank(zeros).gather(["a", "b", "c"]), zeros(3))


def test_scatter_and_gather_are_inverses_in_any_order() -> None:
    bank = StateBank(zeros)
    bank.scatter(["a", "b", "c"], filled([10, 20, 30]))
    assert same(bank.gather(["c", "a"]), filled([30, 10]))
    bank.scatter(["b"], filled([99]))
    assert same(bank.gather(["a", "b", "c"]), filled([10, 99, 30]))


def test_what_is_gathered_and_scattered_is_a_value() -> None:
    bank = StateBank(zeros)
    given = filled([1])
    bank.scatter(["a"], given)
    held = bank.gather(["a"])
    given["h"][:] = 50
    bank.scatter(["a"], filled([7]))
    assert same(held, filled([1]))
    held["h"][:] = 60
    assert same(bank.gather(["a"]), filled([7]))


def test_a_reset_track_is_fresh_and_the_others_are_not() -> None:
    bank = StateBank(zeros)
    bank.scatter(["a", "b"], filled([1, 2]))
    bank.reset("a")
    bank.reset("new")
    assert same(bank.gather(["a", "new"]), zeros(2))
    assert same(bank.gather(["b"]), filled([2]))


def test_growing_keeps_every_row() -> None:
    bank = StateBank(zeros)
    for track in range(100):
        bank.scatter([track], filled([track]))
    assert len(bank) == 100
    assert same(bank.gather(range(100)), filled(list(range(100))))


def test_dropped_rows_serve_new_tracks_fresh() -> None:
    bank = StateBank(zeros)
    bank.scatter(["a", "b"], filled([1, 2]))
    for round_ in range(1000):
        bank.drop(f"camera {round_ - 1}")
        assert same(bank.gather([f"camera {round_}"]), zeros(1))
        bank.scatter([f"camera {round_}"], filled([round_]))
    assert len(bank) == 3
    assert same(bank.gather(["a", "b"]), filled([1, 2]))


def test_a_model_without_state_has_an_empty_one() -> None:
    bank = StateBank(lambda n: {})
    bank.scatter(["a"], {})
    assert bank.gather(["a", "b"]) == {}
