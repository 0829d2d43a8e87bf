"""Pictures made on the spot, and a camera that shows them from memory. No PyAV: a bare GPU machine measures with these.

What such a camera leaves out is demuxing and decoding; from geometry on, its pictures walk the line as any.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from threading import Event as Flag

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.contracts import Frame, Input, Picture, Tick
from stream.errors import ConfigError
from stream.unfitted import ticks


def moving_pictures(width: int, height: int, count: int) -> Iterator[NDArray[np.uint8]]:
    """`count` pictures (height, width, 3) uint8 of a texture that moves."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
    picture = np.kron(blocks, np.ones((16, 16, 1), np.uint8))[:height, :width]
    for index in range(count):
        yield np.roll(picture, (2 * index, 5 * index), axis=(0, 1))


def decoded_pictures(size: tuple[int, int], count: int = 25) -> list[Picture]:
    """`count` moving pictures of `size` (width, height), in planes as a decoder leaves them.

    Raises:
        ConfigError: the size is odd, which such planes cannot be.
    """
    width, height = size
    if width % 2 or height % 2:
        raise ConfigError(f"size: expected even numbers of pixels, got {width}x{height}; add one")
    return [_planar(picture) for picture in moving_pictures(width, height, count)]


def _planar(rgb: NDArray[np.uint8]) -> Picture:
    """`rgb` (h, w, 3) as planar 4:2:0."""
    height, width = rgb.shape[:2]
    stacked = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)
    chroma = stacked[height:].reshape(2, height // 2, width // 2)
    return Picture((stacked[:height], chroma[0], chroma[1]), "yuv420")


class SyntheticSource:
    """A live camera whose pictures lie in memory. Satisfies `stream.contracts.Source`.

    A picture arrives when it is due, also where its reader comes late: being late is what is measured.

    Args:
        camera: its name.
        input: what the bundle wants to see.
        pictures: shown in turn, without end.
        fps: of them a second.
        delay: seconds before the first; cameras that do not begin together do not ask for labels together.
    """

    live = True
    corrupt = 0
    timed_by_arrival = False
    skipped = 0

    def __init__(
        self, camera: str, input: Input, pictures: Sequence[Picture], *, fps: float, delay: float = 0.0
    ) -> None:
        self.camera, self.input, self.url = camera, input, f"synthetic:{camera}"
        self._pictures, self._fps, self._delay = pictures, fps, delay
        self._closed = Flag()

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """Pictures, each when it is due, until closed."""
        began = time.monotonic() + self._delay
        for index in itertools.count():
            due = began + index / self._fps
            if self._closed.wait(max(0.0, due - time.monotonic())):
                return
            picture = self._pictures[index % len(self._pictures)]
            yield Frame(self.camera, index, session, index / self._fps, due, picture)

    def __iter__(self) -> Iterator[Tick]:
        """The sampled ticks."""
        return ticks(self.frames(), self.input)

    def close(self) -> None:
        """Ends the pictures."""
        self._closed.set()


def open_synthetic(input: Input, count: int, *, size: tuple[int, int], fps: float) -> list[SyntheticSource]:
    """`count` cameras of (width, height) `size`, whose ticks are spread evenly over the time between two.

    Raises:
        ConfigError: the size is odd.
    """
    pictures = decoded_pictures(size)
    period = 1 / (input.rate or fps)
    return [SyntheticSource(f"camera {n}", input, pictures, fps=fps, delay=n * period / count) for n in range(count)]
