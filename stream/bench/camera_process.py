"""Starts and ends the process of `camera_server`, and hears from it. Nothing is measured here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from stream.errors import SourceError


class CameraProcess:
    """Cameras that play one clip without end, between `__enter__` and `__exit__`.

    Args:
        clip: H.264.
        sent: makes all clients see one camera that is always on; it is called, in a thread of its own, with the number
            of each of its pictures as it leaves and the time on the monotonic clock. None: every client has a camera to
            itself, which is switched on when it comes.

    Attributes:
        url: of the camera, or of all of them.
        pid: of the process.
    """

    def __init__(self, clip: Path, sent: Callable[[int, float], None] | None = None) -> None:
        tell = ["--tell"] if sent else []
        self._command = [sys.executable, "-m", "stream.bench.camera_server", str(clip), *tell]
        self._sent = sent
        self.url, self.pid = "", 0

    def __enter__(self) -> Self:
        """Starts it.

        Raises:
            SourceError: it does not start.
        """
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.pid, self.url = self._process.pid, self._process.stdout.readline().strip()
        self._listener = Thread(target=self._listen, name="sent", daemon=True)
        self._listener.start()
        if not self.url:
            self.__exit__(None, None, None)
            raise SourceError("the camera that is measured with did not start; run the command with --debug")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._listener.join()  # before its file is closed
        self._process.communicate()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, at = line.split()
            if self._sent is not None:
                self._sent(int(number), float(at))
