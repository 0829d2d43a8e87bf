"""The few strokes that the overlay is made of: text, darkened panels, rounded bars. They draw on the picture given."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias, cast

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

    def _measure(self, text: str, size: int, weight: int) -> int:
        room = (20 * size * (len(text) + 1), 4 * size)  # no wrapping: wider than any text could be
        return cv2.getTextSize(room, text, (0, 0), self._font, size, weight)[2]


def shade(img: Image, x0: int, y0: int, x1: int, y1: int, radius: int) -> None:
    """Darkens a rounded rectangle of `img`, so that text reads on any picture; corners may lie outside."""
    x0, y0, x1, y1 = max(0, x0), max(0, y0), min(img.shape[1], x1), min(img.shape[0], y1)
    if x1 > x0 and y1 > y0:
        part = img[y0:y1, x0:x1]
        cv2.multiply(part, _shadow(x1 - x0, y1 - y0, radius), dst=part, scale=1 / 255)


@lru_cache(maxsize=32)
def _shadow(width: int, height: int, radius: int) -> Image:
    """What a panel leaves of the light: (height, width, 3), 255 outside its round corners."""
    fine = 4  # drawn larger and shrunk: smooth corners
    mask = np.full((height * fine, width * fine), 255, np.uint8)
    radius = min(radius * fine, width * fine // 2, height * fine // 2)
    x1, y1 = width * fine - 1, height * fine - 1
    cv2.rectangle(mask, (radius, 0), (x1 - radius, y1), 76, -1)
    cv2.rectangle(mask, (0, radius), (x1, y1 - radius), 76, -1)
    for centre in ((radius, radius), (x1 - radius, radius), (radius, y1 - radius), (x1 - radius, y1 - radius)):
        cv2.circle(mask, centre, radius, 76, -1)
    return cast(
        Image, cv2.cvtColor(cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    )


def bar(img: Image, x0: int, x1: int, middle: int, thick: int, colour: Colour) -> None:
    """Draws a horizontal bar with round ends from x0 to x1 around the row `middle`."""
    cap = thick // 2  # OpenCV's thick lines end in half discs
    cv2.line(img, (x0 + cap, middle), (max(x0 + cap, x1 - cap), middle), colour, thick, cv2.LINE_AA)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`share` of `colour`, the rest of `other`."""
    blue, green, red = (round(share * a + (1 - share) * b) for a, b in zip(colour, other, strict=True))
    return blue, green, red
