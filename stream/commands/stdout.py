"""Labels and events on stdout, line by line, as the file sinks write them: for pipes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

from stream.contracts import Event, Prediction, Status
from stream.sinks.jsonl import event_record, label_record, status_record


class StdoutSink:
    """Writes labels, events or both. A reader that went away raises BrokenPipeError, which ends the run."""

    def __init__(self, labels: Sequence[str], *, with_labels: bool, with_events: bool) -> None:
        """Makes the sink; `labels` are the bundle's, in the order of `Prediction.scores`."""
        self._labels = tuple(labels)
        self._with_labels = with_labels
        self._with_events = with_events

    def prediction(self, prediction: Prediction) -> None:
        """Writes one label, if labels were asked for."""
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
