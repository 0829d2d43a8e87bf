"""Spans of a week: what they say, what lies in them, and every minute of a week against the plain meaning."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from stream.errors import ConfigError
from stream.schedule import DAYS, Span, is_awake, parse_span

MONDAY = datetime(2026, 11, 16)  # midnight
WEEK = [MONDAY + timedelta(minutes=minute) for minute in range(7 * 24 * 60)]


def at(day: str, time: str) -> datetime:
    """That day and time of the week of `MONDAY`."""
    hour, minute = map(int, time.split(":"))
    return MONDAY + timedelta(days=DAYS.index(day), hours=hour, minutes=minute)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (
            "mon-fri 08:00-18:00",
            ["mon 08:00", "fri 17:59"],
            ["mon 07:59", "fri 18:00", "sat 12:00", "sun 08:00"],
        ),
        (
            "sat 22:00-02:00",
            ["sat 22:00", "sat 23:59", "sun 00:00", "sun 01:59"],
            ["sat 21:59", "sun 02:00", "sat 00:30", "sun 22:30", "mon 01:00"],
        ),
        ("sun 23:00-01:00", ["sun 23:30", "mon 00:59"], ["mon 01:00", "mon 23:30", "sun 00:30"]),
        ("08:00-09:00", ["mon 08:30", "sun 08:30"], ["wed 09:00"]),
        ("00:00-24:00", ["mon 00:00", "sun 23:59"], []),
        ("fri-mon,wed 12:00-13:00", ["fri 12:00", "sun 12:00", "mon 12:00", "wed 12:30"], ["tue 12:00", "thu 12:00"]),
        ("tue 18:00-00:00", ["tue 23:59"], ["wed 00:00"]),
    ],
)
def test_a_span_covers_what_it_says(text: str, inside: list[str], outside: list[str]) -> None:
    span = parse_span(text)
    assert [moment for moment in inside if not span.covers(at(*moment.split()))] == []
    assert [moment for moment in outside if span.covers(at(*moment.split()))] == []


@pytest.mark.parametrize(("text", "hours"), [("mon-fri 08:00-18:00", 50), ("sat 22:00-02:00", 4), ("22:00-06:00", 56)])
def test_a_week_holds_as_many_minutes_as_the_span_says(text: str, hours: int) -> None:
    span = parse_span(text)
    assert sum(span.covers(moment) for moment in WEEK) == hours * 60


def test_seconds_do_not_matter() -> None:
    span = parse_span("mon 08:00-09:00")
    assert span.covers(at("mon", "08:59") + timedelta(seconds=59.9))
    assert not span.covers(at("mon", "07:59") + timedelta(seconds=59.9))


def test_one_span_of_several_is_enough() -> None:
    spans = [parse_span("mon 08:00-09:00"), parse_span("mon 20:00-21:00")]
    assert is_awake(spans, at("mon", "08:30")) and is_awake(spans, at("mon", "20:30"))
    assert not is_awake(spans, at("mon", "12:00"))
    assert not is_awake([], at("mon", "12:00"))


def test_a_span_is_a_value() -> None:
    assert parse_span("mon-wed 22:00-02:00") == Span(frozenset({0, 1, 2}), 22 * 60, 26 * 60)


NO_SPANS = [
    *("", "always", "mon", "mon-fri", "8:00-9:00", "08:00", "08:00-25:00", "08:00-08:60", "24:00-02:00"),
    *("08:00-24:30", "monday 08:00-09:00", "mon 08:00-09:00\n", "mon  08:00-09:00", "mon, tue 08:00-09:00"),
    *("mon 08:00-08:00", "Mon 08:00-09:00"),
]


@pytest.mark.parametrize("text", NO_SPANS)
def test_what_is_no_span_is_told_as_it_was_written(text: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse_span(text)
    assert "expected" in str(told.value) and repr(text) in str(told.value)
