"""Labels and events on stdout, line by line, as the file sinks write them: for pipes; and whether anybody reads one."""

from __future__ import annotations

import json
import os
import select
import stat
import sys
from collections.abc import Mapping, Sequence
from typing import IO

from stream.contracts import Event, Prediction, Status
from stream.errors import SinkError
from stream.sinks.jsonl import event_record, label_record, status_record


class StdoutSink:
    """Writes labels, events or both. A reader that went away raises BrokenPipeError, which ends the run."""

    def __init__(self, labels: Sequence[str], *, with_labels: bool, with_events: bool) -> None:
        """Makes the sink; `labels` are the bundle's, in the order of `Prediction.scores`.

        Raises:
            SinkError: stdout is closed.
        """
        if sys.stdout is None:
            raise SinkError("stdout is closed, expected a file or a pipe for lines; leave out >&-, or name a file")
        self._labels = tuple(labels)
        self._with_labels = with_labels
        self._with_events = with_events

    def prediction(self, prediction: Prediction) -> None:
        """Writes one label, if labels were asked for; notices in any case whether somebody still reads."""
        raise_if_unread(sys.stdout)
        if self._with_labels:
            _write(label_record(prediction, self._labels))

    def event(self, event: Event) -> None:
        """Writes one event, if events were asked for."""
        if self._with_events:
            _write(event_record(event))

    def status(self, status: Status) -> None:
        """Writes how a camera is, if events were asked for."""
        if self._with_events:
            _write(status_record(status))

    def close(self) -> None:
        """Nothing is held back."""


def _write(record: Mapping[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n")
    sys.stdout.buffer.flush()


def raise_if_unread(stream: IO[str]) -> None:
    """Raises BrokenPipeError where `stream` is a pipe that nobody reads any more; costs a call of the system.

    Only a write would say so otherwise, and of a quiet camera nothing may be written for hours.
    """
    if sys.platform == "win32":  # which has no poll; there the next write notices
        return
    try:
        number = stream.fileno()
        is_pipe = stat.S_ISFIFO(os.fstat(number).st_mode)
    except (OSError, ValueError):  # no file of the system: in memory, or closed
        return
    if not is_pipe:
        return
    poll = select.poll()
    poll.register(number, 0)
    if any(told & (select.POLLERR | select.POLLHUP) for _, told in poll.poll(0)):
        raise BrokenPipeError(f"nobody reads {stream.name} any more")
