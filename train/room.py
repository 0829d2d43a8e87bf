"""How much room the cache takes: what is kept in it, who uses it, and what goes when it grows over its limit.

Entries are folders two levels below the cache's, as train.cache writes them; nothing else there is touched. An entry's
last use is the time of its folder. Whoever uses a cache holds a lock on a file in it, which the system lets go of
however a process ends; what was used since the first of them came is in use, and is never removed.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stream.errors import ConfigError
from train.lock import locked

LIMIT = "20GB"
"""What a cache may take where nobody says otherwise: the features and pictures of some ten thousand short clips."""
VARIABLE = "ACTIONSTREAM_CACHE_LIMIT"
UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
ENTRY = re.compile(r"[0-9a-f]{64}")
PARTIAL = "partial-"
"""How folders begin that are being written, or removed."""
USERS = "users"
LEFT = 0.9
"""Share of the limit that stays when it was passed, so that not every new entry removes an old one."""
DAY = 86400.0


@dataclass(frozen=True)
class Kept:
    """An entry: its folder, the names of its arrays, its size, and when (seconds since 1970) it was last used."""

    folder: Path
    arrays: tuple[str, ...]
    size: int
    used: float


def limit_of(text: str | None = None) -> int | None:
    """Bytes of a size such as `20GB` or `500 MB`; None, without a limit, for `none`.

    Args:
        text: as it was typed; None for what the environment says, or else `LIMIT`.

    Raises:
        ConfigError: it is no size.
    """
    said = text if text is not None else os.environ.get(VARIABLE) or LIMIT
    if said.strip().lower() == "none":
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", said.lower())
    if not found:
        where = "--cache-limit" if text is not None else VARIABLE
        raise ConfigError(
            f"{said!r} is no size for the cache: expected one such as 20GB, 500MB or none; correct {where}"
        )
    return int(float(found[1]) * UNITS[found[2]])


def entries(folder: Path) -> Iterator[Kept]:
    """All that is kept in the cache in `folder`; what others remove meanwhile, or keep to themselves, is left out."""
    for place in _folders(folder):
        if ENTRY.fullmatch(place.name):
            with suppress(OSError):
                files = list(place.iterdir())
                size = sum(file.stat().st_size for file in files)
                yield Kept(place, tuple(sorted(file.stem for file in files)), size, place.stat().st_mtime)


@dataclass(frozen=True)
class Held:
    """What a cache holds of one kind: entries, their bytes, and the bytes of those in use."""

    entries: int
    size: int
    in_use: int


def holdings(folder: Path) -> dict[str, Held]:
    """What the cache in `folder` holds: `pictures`, `features`, and `facts` such as the length of a video."""
    since = in_use_since(folder)
    sizes: dict[str, list[tuple[int, int]]] = {"pictures": [], "features": [], "facts": []}
    for each in entries(folder):
        kind = "pictures" if "images" in each.arrays else "features" if "features" in each.arrays else "facts"
        sizes[kind].append((each.size, each.size if each.used >= since else 0))
    return {kind: Held(len(each), sum(a for a, _ in each), sum(b for _, b in each)) for kind, each in sizes.items()}


def make_room(folder: Path, most: int) -> tuple[int, int]:
    """Removes what was not used for longest until the cache in `folder` is well below `most` bytes; nothing below that.

    Args:
        folder: of the cache.
        most: bytes; 0 removes all that nobody uses.

    Returns:
        How many bytes went, and how many are left, which are over `most` where all of them are in use.
    """
    _clear_remnants(folder)
    since = in_use_since(folder)
    found = sorted(entries(folder), key=lambda each: each.used)
    left = sum(each.size for each in found)
    went = 0
    for each in found if left > most else ():
        if left <= most * LEFT or each.used >= since:
            break
        if _remove(each):
            went += each.size
            left -= each.size
    return went, left


class Presence:
    """A user of a cache: what it uses from now on stays until it leaves, or its process ends."""

    def __init__(self, folder: Path) -> None:
        """Comes to the cache in `folder`."""
        users = folder / USERS
        users.mkdir(parents=True, exist_ok=True)
        while True:
            self._path = users / f"{os.getpid()}-{secrets.token_hex(4)}"
            # Not tempfile's, which is closed to others: where people share a cache, all look who is there.
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            if locked(self._file) and self._path.exists():  # else somebody took it for one who is gone
                return
            os.close(self._file)

    def leave(self) -> None:
        """Goes; nothing is held any more."""
        with suppress(OSError):
            self._path.unlink()
        os.close(self._file)


def in_use_since(folder: Path) -> float:
    """When the first of those who use the cache now came, in seconds since 1970; infinity where there is nobody."""
    if sys.platform == "win32":
        return time.time() - DAY  # there is no telling who is there
    first = float("inf")
    for path in (folder / USERS).glob("*"):
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        except PermissionError:  # somebody else's, of whom it cannot be told whether they are gone
            with suppress(FileNotFoundError):
                first = min(first, path.stat().st_mtime)
            continue
        try:
            if locked(file):
                with suppress(OSError):  # theirs to remove, if not ours
                    path.unlink()
            else:
                first = min(first, os.fstat(file).st_mtime)
        finally:
            os.close(file)
    return first


def _folders(folder: Path) -> Iterator[Path]:
    """The folders in which train.cache keeps, or writes, entries."""
    for shelf in sorted(folder.glob("[0-9a-f][0-9a-f]")):
        yield from shelf.iterdir()


def _remove(entry: Kept) -> bool:
    """Takes an entry away whole, or not at all; False where the system still holds it."""
    aside = entry.folder.with_name(f"{PARTIAL}{entry.folder.name}-{os.getpid()}")
    try:
        if entry.folder.stat().st_mtime > entry.used:  # somebody came for it meanwhile
            return False
        entry.folder.rename(aside)
    except OSError:
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return True


def _clear_remnants(folder: Path) -> None:
    """Removes what processes that were killed had begun to write, once it is a day old."""
    for place in _folders(folder):
        with suppress(FileNotFoundError):
            if place.name.startswith(PARTIAL) and time.time() - place.stat().st_mtime > DAY:
                shutil.rmtree(place, ignore_errors=True)
