"""The README's picture: the demo as people see it, at one moment of its clip. `make picture` takes it again.

    python -m tests.overlay_picture [SECONDS]

What it shows is the embedded bundle's own: take it again when the bundle is another.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2

from stream.commands.embedded import default_bundle, demo_clip
from stream.engine import Engine
from stream.recognizer import Recognizer
from stream.sinks.video import VideoSink
from stream.sources import open_source
from stream.views.drawing import Image
from stream.views.overlay import Overlay
from stream.views.timeline import Timeline

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "overlay.png"
MOMENT = 20.9
"""Media seconds: the fifth action is on, and the strip shows all that were."""


class Camera(Overlay):
    """An overlay that keeps the first canvas at or after a moment."""

    def __init__(self, recognizer: Recognizer, moment: float) -> None:
        super().__init__(recognizer.labels, recognizer.none, recognizer.model)
        self._moment = moment
        self.kept: Image | None = None

    def draw(self, bgr: Image, timeline: Timeline, camera: str, time: float) -> Image:
        """Draws, and keeps it where it is time."""
        canvas = super().draw(bgr, timeline, camera, time)
        if self.kept is None and time >= self._moment:
            self.kept = canvas
        return canvas


def take(moment: float, path: Path) -> None:
    """Writes the demo's canvas at `moment` to `path`: what `actionstream demo` draws, before it is encoded."""
    recognizer = Recognizer.load(default_bundle(), device="cpu")
    overlay = Camera(recognizer, moment)
    source = open_source(demo_clip(), recognizer.input)
    with tempfile.TemporaryDirectory() as folder:
        video = VideoSink(Path(folder) / "demo.mp4", overlay)
        Engine(recognizer, [source], [video], capacity=1, duration=moment + 1).run()
    if overlay.kept is None:
        raise SystemExit(f"expected a moment within {demo_clip()}, got {moment:g} s")
    cv2.imwrite(str(path), overlay.kept, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    take(float(sys.argv[1]) if len(sys.argv) > 1 else MOMENT, PICTURE)
