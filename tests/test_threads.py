"""Threads by measurement: what is chosen for which times, and that it is remembered, where, and until when."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stream.threads import ROUNDS, cache_file, candidates, fastest, measured


class Timer:
    """Times that are given, not taken; counts how often it was asked."""

    def __init__(self, **seconds: float) -> None:
        self._seconds = {int(count.removeprefix("of_")): time for count, time in seconds.items()}
        self.runs = 0

    def __call__(self, count: int) -> Callable[[], float]:
        """A run with so many threads that takes the given time."""

        def run() -> float:
            self.runs += 1
            return self._seconds[count]

        return run


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_file()


@pytest.mark.parametrize(
    ("cores", "expected"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4, 6]), (16, [1, 2, 4, 8, 16])]
)
def test_candidates(cores: int, expected: list[int]) -> None:
    assert candidates(cores) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({"of_1": 10, "of_2": 5, "of_4": 3}, 4),
        ({"of_1": 10, "of_2": 5, "of_4": 4.9}, 2),  # not worth two more cores
        ({"of_1": 10, "of_2": 9.5, "of_4": 8}, 4),
        ({"of_1": 10, "of_2": 12, "of_4": 15}, 1),
    ],
)
def test_more_threads_must_be_worth_it(seconds: dict[str, float], expected: int) -> None:
    assert measured([1, 2, 4], Timer(**seconds)) == expected


def test_one_measurement_is_remembered(cache: Path) -> None:
    timer = Timer(of_1=2, of_2=1)
    assert fastest("graph", [1, 2], timer) == 2
    assert timer.runs == 2 * (1 + ROUNDS)
    assert fastest("graph", [1, 2], Timer(of_1=1, of_2=2)) == 2
    assert fastest("another", [1, 2], Timer(of_1=1, of_2=2)) == 1
    assert [path.name for path in cache.parent.iterdir()] == ["threads.json"]


def test_an_answer_for_other_cores_is_measured_again() -> None:
    assert fastest("graph", [1, 2, 4], Timer(of_1=3, of_2=2, of_4=1)) == 4
    assert fastest("graph", [1, 2], Timer(of_1=3, of_2=2)) == 2


@pytest.mark.parametrize("content", ["", "[1]", '{"graph": ', "\x00"])
def test_a_damaged_file_is_measured_again_and_mended(cache: Path, content: str) -> None:
    cache.parent.mkdir()
    cache.write_text(content)
    assert fastest("graph", [1, 2], Timer(of_1=1, of_2=2)) == 1
    assert fastest("graph", [1, 2], Timer(of_1=2, of_2=1)) == 1


def test_where_nothing_can_be_written_it_is_measured_each_time(cache: Path) -> None:
    cache.parent.write_text("a file where the folder would be")
    assert fastest("graph", [1, 2], Timer(of_1=2, of_2=1)) == 2
    assert fastest("graph", [1, 2], Timer(of_1=1, of_2=2)) == 1
