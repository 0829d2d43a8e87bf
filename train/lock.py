"""A folder that one process writes: a lock for as long as it lives, which the system lets go of however it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream.errors import ConfigError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK = "training.lock"
"""The file that is locked; gone when whoever held it is done, left behind, without a lock, by who was killed."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps other processes, and other calls in this one, from holding `folder` while the block runs.

    Raises:
        ConfigError: somebody else holds it.
        OSError: the folder cannot be written to.
    """
    path = folder / LOCK
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not locked(file):
            os.close(file)
            raise ConfigError(
                f"{folder} is being trained into by another process: expected a run folder of one's own; wait for it, "
                "stop it, or choose another --out"
            )
        if _is_there(path, file):
            break
        os.close(file)  # who held it took it away just now
    try:
        yield
    finally:
        if sys.platform != "win32":
            path.unlink(missing_ok=True)
        os.close(file)
        if sys.platform == "win32":  # what is open cannot be removed there
            path.unlink(missing_ok=True)


def _is_there(path: Path, file: int) -> bool:
    """Whether the open `file` is the one at `path`."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def locked(file: int) -> bool:
    """Whether the open file could be locked: nobody else holds it."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
