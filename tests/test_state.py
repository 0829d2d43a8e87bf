"""The bank of states: gather and scatter are inverses, rows are values, tracks come and go."""

from __future__ import annotations

import numpy as np
import pytest

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
    bank.scatter(["a"], filled([7]))
    assert same(held, filled([1]))
    for value in (given, held, bank.gather(["a"]), bank.gather(["a", "b"])):
        with pytest.raises(ValueError, match="read-only"):
            value["h"][:] = 50


def test_tracks_that_step_together_are_not_copied() -> None:
    bank = StateBank(zeros)
    given = filled([1, 2])
    bank.scatter(["a", "b"], given)
    assert bank.gather(("a", "b"))["h"] is given["h"]
    assert same(bank.gather(["b", "a"]), filled([2, 1]))
    assert same(bank.gather(["a", "b"]), given)


def test_rows_that_wait_to_be_copied_can_be_reset_and_dropped() -> None:
    bank = StateBank(zeros)
    bank.scatter(["a", "b"], filled([1, 2]))
    bank.reset("a")
    bank.drop("b")
    assert same(bank.gather(["a", "b"]), zeros(2))
    bank.scatter(["a"], filled([3]))
    bank.reset("a")
    assert same(bank.gather(["a"]), zeros(1))


def test_any_order_of_calls_is_that_of_a_plain_dictionary() -> None:
    """What waits to be copied is never seen: 2000 random calls, against a bank that cannot be wrong."""
    rng = np.random.default_rng(0)
    bank, plain = StateBank(zeros), dict[str, int]()
    for value in range(2000):
        tracks = [str(track) for track in rng.permutation(5)[: rng.integers(1, 5)]]
        match rng.integers(4):
            case 0:
                bank.scatter(tracks, filled([value + n for n in range(len(tracks))]))
                plain |= {track: value + n for n, track in enumerate(tracks)}
            case 1:
                bank.drop(tracks[0])
                plain.pop(tracks[0], None)
            case 2:
                bank.reset(tracks[0])
                plain.pop(tracks[0], None)
            case _:
                got = bank.gather(tracks)
                for n, track in enumerate(tracks):
                    expected = filled([plain[track]]) if track in plain else zeros(1)
                    assert all((got[name][n] == expected[name][0]).all() for name in got)


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
