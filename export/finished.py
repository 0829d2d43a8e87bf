"""What was found out about a finished run, kept in its folder until it may come out otherwise.

It depends on the run's weights and its run.json, on all code of this project, on the versions of the libraries below,
and on whatever the caller says. To find something out again all the same, remove its file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream.bench.conditions import versions
from train.cache import digest
from train.runs import RUN, WEIGHTS, Run, load_run, replace_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PACKAGES = ("stream", "train", "export")


class Finished:
    """A finished run; its network is loaded only where something about it is not known yet."""

    def __init__(self, folder: Path, run: Run | None = None) -> None:
        """Takes the run in `folder`, which may be at hand already as `run`."""
        self._folder, self._run = folder, run
        self._made_from = [_digest_of(folder / WEIGHTS), _digest_of(folder / RUN), _code(), versions()]

    def known(self, name: str, depends: Any, find: Callable[[Run], DataclassInstance]) -> dict[str, Any]:
        """The fields of what `find` gives, from file `name` of the run's folder where they lie there already.

        Args:
            name: of the file.
            depends: what it depends on beside the run, as JSON values.
            find: asked where the file is missing or damaged, or was made from something else.

        Raises:
            ConfigError: the run is damaged; and whatever `find` raises.
        """
        key, file = digest([self._made_from, depends]), self._folder / name
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(file.read_text(encoding="utf-8"))
            if kept["made_from"] == key:
                return dict(kept["found"])
        if self._run is None:
            self._run = load_run(self._folder)
        found = asdict(find(self._run))
        replace_text(file, json.dumps({"made_from": key, "found": found}))
        return found


def _digest_of(file: Path) -> str:
    """Hex sha256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@cache
def _code() -> str:
    """Hex digest of the code of this project."""
    root = Path(__file__).parent.parent
    files = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
    return digest([[file.relative_to(root).as_posix(), _digest_of(file)] for file in files])
