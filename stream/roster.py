"""Who is there: the readers of a run by name, which come and go. Nothing is judged here, and nothing told.

Any thread may add and remove; the engine's thread takes note when it has time, in the order in which that was asked.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from threading import Lock, Thread

from stream.errors import ConfigError
from stream.readers import Reader
from stream.summary import CameraSummary


class Roster:
    """The readers of a run.

    Attributes:
        readers: that the engine took note of and that were not removed since, whether or not they have ended.
        changed: those that it did not take note of yet, and whether they came.
    """

    def __init__(self, attach: Callable[[Reader], None]) -> None:
        """Begins without readers.

        Args:
            attach: called with each reader before its first frame; may raise, which keeps the reader out.
        """
        self.readers: list[Reader] = []
        self._attach = attach
        self._changing = Lock()  # guards what follows up to the blank line, which any thread changes
        self._named: dict[str, Reader] = {}
        self.changed: deque[tuple[Reader, bool]] = deque()
        self._is_open = self._is_over = False

        self._leaving: list[Reader] = []
        self._past: dict[str, tuple[CameraSummary, frozenset[str]]] = {}

    def open(self) -> None:
        """Attaches the readers that were added so far; from here on each is attached as it is added.

        Raises:
            Exception: what `attach` raises.
        """
        with self._changing:
            for reader in self._named.values():
                self._attach(reader)
            self._is_open = True

    def add(self, reader: Reader) -> None:
        """Adds `reader`.

        Raises:
            ConfigError: its name, or that of a track, is taken, or the run is over.
            Exception: what `attach` raises.
        """
        camera = reader.source.camera
        with self._changing:
            if self._is_over:
                raise ConfigError(f"{camera}: expected a run that goes on, got one that is over; make another engine")
            if camera in self._named:
                raise ConfigError(f"expected sources of different names, got {camera!r} twice; name them apart")
            names = {track.name for each in self._named.values() for track in each.tracks}
            for track in reader.tracks:
                if track.name in names:
                    raise ConfigError(f"expected tracks of different names, got {track.name!r} twice; name them apart")
            if self._is_open:
                self._attach(reader)
            self._named[camera] = reader
            self.changed.append((reader, True))

    def remove(self, camera: str) -> None:
        """Removes a reader, and closes it; that never blocks.

        Raises:
            ConfigError: there is none of that name.
        """
        with self._changing:
            reader = self._named.pop(camera, None)
            if reader is None:
                raise ConfigError(
                    f"{camera}: expected one of {', '.join(self._named) or 'no sources'}; name one of them"
                )
            self.changed.append((reader, False))
        reader.close()

    def changes(self) -> Iterator[tuple[Reader, bool]]:
        """The readers that came (True) or went (False) since the last call, in order; in the engine's thread."""
        while self.changed:
            reader, came = self.changed.popleft()
            if came:
                self.readers.append(reader)
            else:
                self.readers.remove(reader)
                self._leaving = [each for each in self._leaving if each.is_alive()] + [reader]
                self._past[reader.source.camera] = self._with_past(reader)
            yield reader, came

    def close(self) -> None:
        """Closes all readers; nothing can be added any more."""
        with self._changing:
            self._is_over = True
            for reader in self._named.values():
                reader.close()

    def join(self, until: float) -> list[Thread]:
        """The threads that have not ended at the time `until`, all others having ended."""
        alive = [reader for reader in (*self.readers, *self._leaving) if reader.is_alive()]
        for reader in alive:
            reader.join(max(0.0, until - time.monotonic()))
        return [reader for reader in alive if reader.is_alive()]

    def summaries(self, faults: Mapping[str, int]) -> dict[str, CameraSummary]:
        """What became of each camera, removed ones too, `faults` being those of the run, by track."""
        became = self._past | {reader.source.camera: self._with_past(reader) for reader in self.readers}
        return {
            camera: replace(summary, faults=sum(faults.get(track, 0) for track in tracks))
            for camera, (summary, tracks) in became.items()
        }

    def _with_past(self, reader: Reader) -> tuple[CameraSummary, frozenset[str]]:
        """What became of `reader`, and of others before it that had its name, but for faults; and its tracks."""
        summary, tracks = reader.summary(0), frozenset(track.name for track in reader.tracks)
        if reader.source.camera not in self._past:
            return summary, tracks
        earlier, before = self._past[reader.source.camera]
        return summary.after(earlier), tracks | before
