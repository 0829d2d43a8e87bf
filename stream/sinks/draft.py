"""A file that has another name until it is whole: a run that fails, or is killed, costs nothing that was there."""

from __future__ import annotations

import errno
import os
from itertools import count
from pathlib import Path

from stream.errors import SinkError


class Draft:
    """What is to become the file at a path: begun beside it as `name.part.mp4`, moved there when it is finished.

    A name that is taken is passed over (`name.part2.mp4`): there lies what a killed run left. What is no file, such as
    a device, is written to directly.
    """

    def __init__(self, path: Path) -> None:
        """Looks whether `path` can be written, and makes its folder where that is missing; changes nothing else.

        Raises:
            SinkError: it cannot be.
        """
        self.path = path
        self._begun: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._final = path.resolve()  # a link stays one: it is what it leads to that is written
            self._is_special = self._final.exists() and not self._final.is_file()
            if self._final.is_dir():
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
            for place in (self._final,) if self._is_special else (self._final.parent, self._final):
                if place.exists() and not os.access(place, os.W_OK):
                    raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise SinkError(f"cannot write {path}: {error.strerror}; name a file in a writable folder") from error

    def begin(self) -> Path:
        """The file to write into, which is there now.

        Raises:
            OSError: it cannot be made.
        """
        if self._is_special:
            return self._final
        for number in count(1):
            part = self._final.with_name(f"{self._final.stem}.part{number if number > 1 else ''}{self._final.suffix}")
            try:
                part.touch(exist_ok=False)
            except FileExistsError:
                continue
            self._begun = part
            return part
        raise AssertionError("numbers do not end")

    def finish(self) -> None:
        """Gives the file its name, in place of what had it.

        Raises:
            OSError: it cannot have it.
        """
        if self._begun is not None:
            self._begun.replace(self._final)
            self._begun = None

    def left(self) -> str:
        """Where what was written until a failure lies, in words for the end of an error; an empty file is removed."""
        if self._begun is None:
            return ""
        if self._begun.stat().st_size == 0:
            self._begun.unlink()
            return ""
        return f"; what came before is in {self._begun}"
