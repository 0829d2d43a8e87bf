"""Watches a looped clip in a window until a person closes it; run by test_window.py in a process of its own.

OpenCV ends the process when its display goes away, so no window is opened in the process of the tests.
"""

from __future__ import annotations

import sys

from stream.engine import Engine
from stream.recognizer import Recognizer
from stream.sources import open_source
from stream.views.live import LiveSlot
from stream.views.overlay import Overlay
from stream.views.window import display_error, watch


def main(bundle: str, clip: str) -> None:
    """Prints the number of predictions when the window is gone."""
    error = display_error()
    if error is not None:
        sys.exit(error)
    recognizer = Recognizer.load(bundle, device="cpu", threads=1)
    slot = LiveSlot()
    source = open_source(clip, recognizer.input, camera="hall", loop=True)
    engine = Engine(recognizer, [source], realtime=True, on_frame=slot.frame, on_prediction=slot.told)
    summary = watch(engine, slot, Overlay(recognizer.labels, recognizer.none, recognizer.model))
    sys.stdout.write(f"{summary.predictions}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
