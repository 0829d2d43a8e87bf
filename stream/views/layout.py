"""Where everything stands around a picture: pure numbers. Nothing is drawn here, and nothing stands on the picture.

The canvas is larger than the picture: the scores get a column beside it, the recent past a strip below it. A wide
picture leaves the column the canvas's whole height; under a tall one, which is narrow, the strip is as wide as the
canvas. Every length follows from one text size, and that from the picture's, so that 640x360 and 4K look alike.

    wide  +---------------+--------+    tall  +-------+--------+
          |    picture    | column |          |       | column |
          |               |        |          |picture|        |
          +---------------+        |          |       |        |
          |     strip     |        |          +-------+--------+
          +---------------+--------+          |      strip     |
                                              +----------------+
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

TEXT = 12
"""Pixels of ordinary text on a small picture: smaller letters of OpenCV's font run together."""
LEAST = (120, 160)
"""Height and width that any picture is given; a smaller one stands in the middle of it, or there were no room to tell
anything beside it."""


class Box(NamedTuple):
    """A part of the canvas, in pixels: from (x0, y0) up to, not including, (x1, y1)."""

    x0: int
    y0: int
    x1: int
    y1: int


@dataclass(frozen=True)
class Layout:
    """A canvas and its parts, which do not overlap.

    Attributes:
        height: the canvas's; even, as is its width: 4:2:0 video has no other sizes.
        width: the canvas's.
        size: pixels of ordinary text.
        small: pixels of the smallest text there is.
        picture: as large as the picture; its corner is even, so that video keeps the picture's own colour pixels.
        column: for the label, its scores, the camera.
        strip: for the recent past.
    """

    height: int
    width: int
    size: int
    small: int
    picture: Box
    column: Box
    strip: Box


@lru_cache(maxsize=32)
def layout(height: int, width: int) -> Layout:
    """The canvas for a picture of `height` x `width`."""
    size = text_size(height, width)
    below, beside = max(height, LEAST[0]), max(width, LEAST[1])  # where the strip and the column begin
    canvas_height = even(below + round(5.4 * size))
    canvas_width = even(beside + 15 * size)
    x, y = (beside - width) // 4 * 2, (below - height) // 4 * 2
    tall = below > beside
    return Layout(
        canvas_height,
        canvas_width,
        size,
        round(0.85 * size),
        Box(x, y, x + width, y + height),
        Box(beside, 0, canvas_width, below if tall else canvas_height),
        Box(0, below, canvas_width if tall else beside, canvas_height),
    )


def text_size(height: int, width: int) -> int:
    """The size in pixels of ordinary text around a picture of `height` x `width`; `TEXT` at least."""
    return max(TEXT, round(0.033 * min(height, 0.8 * width)))


def even(length: int) -> int:
    """`length`, or one more."""
    return length + length % 2
