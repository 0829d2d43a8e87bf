"""Labels and events as lines of JSON: one write to the operating system a line, so that a kill -9 loses nothing told.

Lines are added to what a file holds: a run that fails, or is started again, costs no line of an earlier one.

Keys come in the order of the documentation, floats rounded to 6 places. Of what is written here only a label's
`latency_ms` differs between two runs over the same file; events of live cameras say when they were known, too, and how
such a camera is stands among them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from stream.contracts import Event, Prediction, Status
from stream.errors import SinkError

if sys.platform != "win32":
    import fcntl

BLOCK = 65536
"""Bytes in which the end of a file is looked through for where its last line begins."""


class JsonLines:
    """A file that grows by whole lines, whoever else adds to it meanwhile."""

    def __init__(self, path: Path | str, *, fresh: bool = False) -> None:
        """Opens the file, which is made where it is missing, as its folder is; nothing in it changes before a `write`.

        Args:
            path: where to write.
            fresh: what the file held is gone, at once.

        Raises:
            SinkError: the file cannot be written.
        """
        self.path = Path(path)
        self._is_begun = fresh
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb" if fresh else "ab", buffering=0)
        except OSError as error:
            raise SinkError(f"cannot write {self.path}: {error.strerror}; name a file in a writable folder") from error

    def write(self, record: Mapping[str, object]) -> None:
        """Adds `record` as one line.

        Raises:
            SinkError: the line could not be written as a whole.
        """
        line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        try:
            if self._is_begun:
                written = self._file.write(line)
            else:
                with _alone(self._file.fileno()):
                    self._end_last_line()
                    written = self._file.write(line)
                self._is_begun = True
        except OSError as error:
            raise SinkError(f"cannot write {self.path}: {error.strerror}") from error
        if written != len(line):
            raise SinkError(f"wrote {written} of {len(line)} bytes to {self.path}; is the disk full?")

    def close(self) -> None:
        """Closes the file; idempotent."""
        self._file.close()

    def _end_last_line(self) -> None:
        """Cuts off the half of a record that a killed run left; what else has no end of its line gets one."""
        if not self.path.is_file():  # a pipe or a device holds nothing
            return
        with self.path.open("rb") as file:
            start, tail = file.seek(0, os.SEEK_END), b""
            while start and b"\n" not in tail:
                size = min(start, max(BLOCK, len(tail)))
                start = file.seek(start - size)
                tail = file.read(size) + tail
        last = tail.rpartition(b"\n")[2]
        if last.startswith(b"{") and not _is_json(last):
            self._file.truncate(start + len(tail) - len(last))
        elif last:
            self._file.write(b"\n")


@contextmanager
def _alone(file: int) -> Iterator[None]:
    """Keeps other processes from the same block on the same file; on Windows it does not."""
    if sys.platform == "win32":
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class LabelsSink:
    """Writes every prediction as a line of JSON."""

    def __init__(self, path: Path | str, labels: Sequence[str], *, fresh: bool = False) -> None:
        """Opens the file; `labels` are the bundle's, in the order of `Prediction.scores`; `fresh` as in `JsonLines`.

        Raises:
            SinkError: the file cannot be written.
        """
        self._labels = tuple(labels)
        self._lines = JsonLines(path, fresh=fresh)

    def prediction(self, prediction: Prediction) -> None:
        """Writes one label.

        Raises:
            SinkError: it could not be written.
        """
        self._lines.write(label_record(prediction, self._labels))

    def event(self, event: Event) -> None:
        """Leaves events to `EventsSink`."""

    def status(self, status: Status) -> None:
        """Leaves how cameras are to `EventsSink`."""

    def close(self) -> None:
        """Closes the file; idempotent."""
        self._lines.close()


class EventsSink:
    """Writes every event, and every change of how a camera is, as a line of JSON."""

    def __init__(self, path: Path | str, *, fresh: bool = False) -> None:
        """Opens the file; `fresh` as in `JsonLines`.

        Raises:
            SinkError: the file cannot be written.
        """
        self._lines = JsonLines(path, fresh=fresh)

    def prediction(self, prediction: Prediction) -> None:
        """Leaves labels to `LabelsSink`."""

    def event(self, event: Event) -> None:
        """Writes one event.

        Raises:
            SinkError: it could not be written.
        """
        self._lines.write(event_record(event))

    def status(self, status: Status) -> None:
        """Writes how a camera is.

        Raises:
            SinkError: it could not be written.
        """
        self._lines.write(status_record(status))

    def close(self) -> None:
        """Closes the file; idempotent."""
        self._lines.close()


def label_record(prediction: Prediction, labels: Sequence[str]) -> dict[str, object]:
    """A prediction as JSON has it: keys in the documented order, scores by label."""
    return {
        "camera": prediction.camera,
        "session": prediction.session,
        "index": prediction.index,
        "time": _rounded(prediction.time),
        "label": prediction.label,
        "score": _rounded(prediction.score),
        "scores": {label: _rounded(score) for label, score in zip(labels, prediction.scores, strict=True)},
        "warm": prediction.warm,
        "dt": _rounded(prediction.dt),
        "latency_ms": _rounded(prediction.latency_ms),
    }


def event_record(event: Event) -> dict[str, object]:
    """An event as JSON has it: keys in the documented order; `end` is null while it is on; of a file without `at`."""
    record: dict[str, object] = {
        "id": event.id,
        "camera": event.camera,
        "label": event.label,
        "kind": event.kind,
        "start": _rounded(event.start),
        "end": _rounded(event.end),
        "peak": _rounded(event.peak),
        "delay": _rounded(event.delay),
        "model": event.model,
    }
    return record if event.at is None else record | {"session": event.session, "at": _utc(event.at)}


def status_record(status: Status) -> dict[str, object]:
    """How a camera is as JSON has it, in a line among the events, told apart by its `kind`."""
    record: dict[str, object] = {
        "camera": status.camera,
        "kind": "camera",
        "status": status.health,
        "reason": status.reason,
        "session": status.session,
        "away": _rounded(status.away),
    }
    return record if status.at is None else record | {"at": _utc(status.at)}


def _utc(at: datetime) -> str:
    """`2026-03-09T14:02:11.482Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(value: float | None) -> float | None:
    """A plain float of 6 places at most; None stays None."""
    return None if value is None else round(float(value), 6)
