"""The error tree: complete, sorted, catchable as a whole and as what Python calls such faults."""

from __future__ import annotations

import inspect

import pytest

from stream import errors


def test_all_is_exact_and_sorted() -> None:
    defined = [
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    ]
    assert errors.__all__ == sorted(defined)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_a_stream_error_and_stands_in_the_tree(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.StreamError)
    assert errors.__doc__ is not None and f"  {name}" in errors.__doc__


@pytest.mark.parametrize(
    ("name", "also"),
    [
        ("ConfigError", ValueError),
        ("BundleError", ValueError),
        ("DeviceError", RuntimeError),
        ("SourceError", OSError),
        ("SourceOpenError", errors.SourceError),
        ("SourceLost", errors.SourceError),
        ("SinkError", OSError),
    ],
)
def test_errors_are_also_what_python_calls_them(name: str, also: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), also)
