"""The few strokes that the overlay is made of: text, blocks, rounded bars. They draw on the picture given."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.views.palette import Colour

Image: TypeAlias = NDArray[np.uint8]
Align: TypeAlias = Literal["left", "centre", "right"]

REGULAR, SEMIBOLD, BOLD = 400, 560, 650
"""Weights of the variable font inside OpenCV 5."""
CAP = 0.72
"""Height of that font's capitals, as a share of the text size."""


class Pen:
    """Writes Unicode text in OpenCV's own font. Not for several threads at once."""

    def __init__(self) -> None:
        self._font = cv2.FontFace("sans")
        self._widths = lru_cache(maxsize=1024)(self._measure)

    def width(self, text: str, size: int, weight: int = REGULAR) -> int:
        """Pixels that `text` is wide at `size`."""
        return self._widths(text, size, weight)

    def fitting(self, text: str, size: int, weight: int, room: int) -> int:
        """The largest text size, at most `size`, at which `text` is no wider than `room` pixels."""
        return min(size, max(1, size * room // max(1, self.width(text, size, weight))))

    def write(
        self,
        img: Image,
        text: str,
        x: int,
        baseline: int,
        size: int,
        weight: int,
        colour: Colour,
        align: Align = "left",
    ) -> None:
        """Draws `text` on `img`, `x` being its left end, centre or right end."""
        if align != "left":
            x -= self.width(text, size, weight) // (2 if align == "centre" else 1)
        cv2.putText(img, text, (x, baseline), colour, self._font, size, weight)

    def write_within(
        self,
        img: Image,
        text: str,
        x: int,
        baseline: int,
        size: int,
        weight: int,
        colour: Colour,
        room: int,
        least: int,
    ) -> None:
        """Draws `text` from `x` on, no wider than `room` pixels: as `cut` does it."""
        fitted, fitting = self.cut(text, size, weight, room, least)
        self.write(img, fitted, x, baseline, fitting, weight, colour)

    def cut(self, text: str, size: int, weight: int, room: int, least: int) -> tuple[str, int]:
        """`text` and its size, so that it is no wider than `room`: smaller, down to `least`, and then cut with `…`."""
        fitting = max(self.fitting(text, size, weight, room), least)
        if self.width(text, fitting, weight) <= room:
            return text, fitting
        kept = next((k for k in range(len(text) - 1, 0, -1) if self._ends(text, k, fitting, weight) <= room), 0)
        return (f"{text[:kept].rstrip()}…" if kept else ""), fitting

    def lines(self, text: str, size: int, weight: int, room: int) -> list[str]:
        """`text` in lines no wider than `room`, broken between words where they allow it."""
        lines: list[str] = []
        for word in text.split():
            joined = f"{lines[-1]} {word}" if lines else word
            if lines and self.width(joined, size, weight) <= room:
                lines[-1] = joined
                continue
            while self.width(word, size, weight) > room and len(word) > 1:  # an address, perhaps
                kept = next((k for k in range(len(word) - 1, 1, -1) if self.width(word[:k], size, weight) <= room), 1)
                lines.append(word[:kept])
                word = word[kept:]
            lines.append(word)
        return lines

    def _ends(self, text: str, kept: int, size: int, weight: int) -> int:
        return self.width(f"{text[:kept].rstrip()}…", size, weight)

    def _measure(self, text: str, size: int, weight: int) -> int:
        room = (20 * size * (len(text) + 1), 4 * size)  # no wrapping: wider than any text could be
        return cv2.getTextSize(room, text, (0, 0), self._font, size, weight)[2]


def bar(img: Image, x0: int, x1: int, middle: int, thick: int, colour: Colour) -> None:
    """Draws a horizontal bar with round ends from x0 to x1 around the row `middle`."""
    cap = thick // 2  # OpenCV's thick lines end in half discs
    cv2.line(img, (x0 + cap, middle), (max(x0 + cap, x1 - cap), middle), colour, thick, cv2.LINE_AA)


def block(img: Image, box: tuple[int, int, int, int], colour: Colour) -> None:
    """Fills (x0, y0, x1, y1) with `colour`; the right and lower edges are outside, as in a slice."""
    x0, y0, x1, y1 = box
    if x1 > x0 and y1 > y0:
        cv2.rectangle(img, (x0, y0), (x1 - 1, y1 - 1), colour, -1)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`share` of `colour`, the rest of `other`."""
    blue, green, red = (round(share * a + (1 - share) * b) for a, b in zip(colour, other, strict=True))
    return blue, green, red
