"""Where a command will write: tried before its work, so that an hour of measuring does not end at a closed door."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryFile

from stream.errors import SinkError


def open_folder(folder: Path, option: str) -> None:
    """Makes `folder`, which `option` named, and tries to write into it.

    Raises:
        SinkError: it cannot be made, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SinkError(
            f"{option}: cannot write into {folder} ({error.strerror}): expected a folder of one's own; name another"
        ) from error


def open_file(path: Path, option: str) -> None:
    """Makes the folder of `path`, which `option` named, and tries whether that file could be written.

    Raises:
        SinkError: its folder cannot be made or written into, or there is something that cannot be replaced.
    """
    open_folder(path.parent, option)
    if path.is_dir() or (path.exists() and not os.access(path, os.W_OK)):
        raise SinkError(f"{option}: cannot write {path}: expected a file, or nothing there yet; name another")
