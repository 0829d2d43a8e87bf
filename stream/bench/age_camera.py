"""The camera that ages are measured with: it plays pictures that are numbered, and says when it sent each.

    python -m stream.bench.age_camera counted.mp4

prints its address, then a line for every picture: its number and the time on the monotonic clock, which all processes
of a machine share. It ends with its standard input.
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from stream.bench.latency import moving_pictures
from stream.bench.rtp import Unit
from stream.bench.rtsp_server import RtspServer

BITS, CELL = 16, 16  # the counter's bits, from the left in the lowest rows, and a bit's edge in pixels
WHITE = 235


def write_counted(path: Path, *, seconds: float, size: tuple[int, int], fps: int) -> Path:
    """`path`, an H.264 clip as a camera makes it (no B-frames, a keyframe a second) whose pictures are numbered."""
    width, height = size
    with av.open(path, "w") as container:
        options = {"preset": "veryfast", "tune": "zerolatency"}
        stream = container.add_stream("libx264", rate=Fraction(fps), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = fps
        for number, picture in enumerate(moving_pictures(width, height, round(seconds * fps))):
            shown = picture.copy()
            bits = (number >> np.arange(BITS)) & 1
            shown[height - CELL :, : BITS * CELL] = np.repeat(bits, CELL)[None, :, None] * WHITE
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode())
    return path


def read_counter(luma: NDArray[np.uint8]) -> int | None:
    """The number drawn into a picture (h, w) of luma; None where a bit is neither black nor white."""
    rows = luma[-CELL + 4 : -4, : BITS * CELL].reshape(CELL - 8, BITS, CELL)
    cells = rows[:, :, 4:-4].mean(axis=(0, 2))
    if ((cells > 80) & (cells < 170)).any():
        return None
    return int((cells > 128) @ (1 << np.arange(BITS)))


class _TellingServer(RtspServer):
    """Plays one clip and prints the number of each picture as it leaves, and the time."""

    def __init__(self, clip: Path) -> None:
        super().__init__({"/camera": clip}, loop=True, per_client=False)
        self._numbers = {unit.timestamp: number for number, unit in enumerate(self.clips["/camera"].units)}

    def leaves(self, unit: Unit) -> None:
        """Prints one line."""
        print(self._numbers[unit.timestamp], time.monotonic(), flush=True)  # noqa: T201  the caller reads it


def main() -> None:
    """Plays until standard input ends."""
    with _TellingServer(Path(sys.argv[1])) as server:
        print(server.url("/camera"), flush=True)  # noqa: T201  the caller reads it
        sys.stdin.read()


if __name__ == "__main__":
    main()
