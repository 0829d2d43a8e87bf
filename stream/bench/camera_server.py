"""The cameras that a bench measures with, in a process of their own: what they cost is not the line's.

    python -m stream.bench.camera_server clip.mp4

plays the clip without end, and prints where. Every client begins at the first picture, as if it had a camera of its
own that is switched on for it. With `--tell` there is one camera, always on, and for every picture that it sends a line
is printed: its number, and the time on the monotonic clock, which all processes of a machine share. The process ends
with its standard input.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from stream.bench.process import allow_many_files
from stream.bench.rtp import Clip, Unit
from stream.bench.rtsp_server import RtspServer

PATH = "/camera"
TELL = "--tell"


class _TellingServer(RtspServer):
    """Plays one clip to all and prints the number of each picture as it leaves, and the time."""

    def __init__(self, clip: Clip) -> None:
        super().__init__({PATH: clip}, loop=True, per_client=False)
        self._numbers = {unit.timestamp: number for number, unit in enumerate(clip.units)}
        self._told: int | None = None

    def leaves(self, unit: Unit) -> None:
        """Prints one line for a picture, when the first client gets it."""
        number = self._numbers[unit.timestamp]
        if number != self._told:
            self._told = number
            print(number, time.monotonic(), flush=True)  # noqa: T201  the caller reads it


def main() -> None:
    """Plays until standard input ends."""
    allow_many_files()
    clip = Clip.load(Path(sys.argv[1]))
    with _TellingServer(clip) if TELL in sys.argv else RtspServer({PATH: clip}, loop=True) as server:
        print(server.url(PATH), flush=True)  # noqa: T201  the caller reads it
        sys.stdin.read()


if __name__ == "__main__":
    main()
