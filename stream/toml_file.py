"""A TOML file and what is wrong with it: checked by a pydantic model, told in one line that names the key and its line.

What the settings mean is not known here. Values of keys that may hold a secret are never shown.
"""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_left
from collections.abc import Set
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from stream.address import without_logins
from stream.errors import ConfigError

Key: TypeAlias = tuple[str | int, ...]
"""Names of tables and of a key in them; a number, from 0, in an array of tables."""
Model = TypeVar("Model", bound=BaseModel)

_PLACE = re.compile(r"line (\d+), column")
_COMPARISON = re.compile(r"expected (greater|less) than")


class TomlFile:
    """A TOML file that was read."""

    def __init__(self, path: Path, secrets: Set[str] = frozenset()) -> None:
        """Reads the file at `path`; `secrets` names the keys whose values are not to be shown.

        Raises:
            ConfigError: it cannot be read, or is no TOML.
        """
        self.path = path
        self._secrets = secrets
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}, expected a TOML file; check the name") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: expected text in UTF-8, got other bytes ({error.reason}); save it so") from None
        self._lines = text.split("\n")
        try:
            self.table: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            reason, _, place = str(error).partition(" (at ")
            found = _PLACE.match(place)
            line = found[1] if found else len(self._lines)  # "end of document"
            raise ConfigError(f"{path}, line {line}: no TOML: {reason.lower()}; correct it") from None

    def parsed(self, model: type[Model]) -> Model:
        """The file as `model` reads it.

        Raises:
            ConfigError: a key or a value that the model does not take; an unknown key before all others, for the one
                that is missing is often the same, misspelt.
        """
        try:
            # Through JSON: strict as TOML is (no "5" for 5), but an array may become a tuple.
            return model.model_validate_json(json.dumps(self.table, default=str))
        except ValidationError as error:
            faults = error.errors(include_url=False)
        fault = min(faults, key=lambda each: each["type"] != "extra_forbidden")
        key = tuple(part for part in fault["loc"] if part != "[key]")  # pydantic's mark of a table's key
        raise self.fault(key, self._told(fault, key, model))

    def fault(self, key: Key, what: str) -> ConfigError:
        """The error that says `what` is wrong at `key`, and where that stands."""
        line = self.line_of(key)
        name = ".".join(part for part in key if isinstance(part, str))
        return ConfigError(f"{self.path}{f', line {line}' if line else ''}: {f'{name}: ' if name else ''}{what}")

    def line_of(self, key: Key) -> int | None:
        """The line, from 1, at which `key` is given, or else the table that lacks it; None where that is the file.

        tomllib tells no lines, but it does tell whether a text is whole. The first lines of a TOML file are whole
        wherever a statement ends, and only there; so the shortest whole beginning that holds the key ends with it.
        """
        while key and not _holds(self.table, key):
            key = key[:-1]
        if not key:
            return None
        counts = range(len(self._lines) + 1)
        end = bisect_left(counts, True, key=lambda count: _holds(self._beginning(count)[1], key))
        return self._beginning(end - 1)[0] + 1

    def _beginning(self, count: int) -> tuple[int, dict[str, Any]]:
        """How many lines, at most `count`, make a whole text, and its table."""
        while True:
            try:
                return count, tomllib.loads("\n".join(self._lines[:count]))
            except tomllib.TOMLDecodeError:
                count -= 1

    def _told(self, fault: ErrorDetails, key: Key, model: type[BaseModel]) -> str:
        """What is wrong, what was expected and got, and what to do, in words."""
        if fault["type"] == "extra_forbidden":
            known = _keys(model, key[:-1])
            near = get_close_matches(str(key[-1]), known, n=1)
            return f"unknown key; did you mean {near[0]}?" if near else f"unknown key, expected {' or '.join(known)}"
        if fault["type"] == "missing":
            return "expected this key, got none; add it"
        if fault["type"] == "model_type":
            return "expected a table, got something else; correct it"
        if fault["type"] == "tuple_type" and isinstance(fault["input"], dict):
            return f"expected [[{key[-1]}]], got [{key[-1]}]; double the brackets"
        text = fault["msg"].removeprefix("Value error, ").replace("Input should be ", "expected ")
        text = _COMPARISON.sub(r"expected a number \1 than", text)
        text, _, got = text.partition(", got ")
        if not got or (self._is_secret(key) and got != "none"):
            got = self._shown(fault["input"], key)
        return without_logins(f"{text}, got {got}; correct it")

    def _is_secret(self, key: Key) -> bool:
        """True in whatever table the key stands: behind a header it easily comes to stand in the wrong one."""
        return not self._secrets.isdisjoint(map(str, key))

    def _shown(self, value: object, key: Key) -> str:
        if self._is_secret(key):
            return "something else"
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value)):
            return "a table" if isinstance(value, dict) else "a list of tables"
        return repr(value)


def _holds(table: Any, key: Key) -> bool:
    """True where `table` has something at `key`."""
    for part in key:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _keys(model: type[BaseModel], key: Key) -> list[str]:
    """The keys that the table at `key` of `model` may have."""
    for part in key:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = _model_in(field.annotation) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, itself or as the values of a table or an array."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)
