"""One colour a label, the same wherever people see it: overlay, window, saved video. Nothing is drawn here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

Colour: TypeAlias = tuple[int, int, int]
"""Blue, green, red, 0-255."""

# Okabe and Ito, "Color Universal Design" (2008), without black and with the dark blue lifted so that it reads on dark
# panels; then Paul Tol's "light" scheme (2021) for bundles with more labels. Both stay apart for colour-blind eyes.
_HUES = "E69F00 56B4E9 009E73 F0E442 4C8FD6 D55E00 CC79A7 77AADD EE8866 44BB99 BBCC33 FFAABB AAAA00 99DDFF EEDD88"
ACCENTS: tuple[Colour, ...] = tuple((int(h[4:], 16), int(h[2:4], 16), int(h[:2], 16)) for h in _HUES.split())
GREY: Colour = (150, 146, 142)
"""The colour of nothing happening."""

_FIRST = 7  # Okabe and Ito's share of ACCENTS: a label falls there unless they are all taken


def colours_of(labels: Sequence[str], none: str) -> tuple[Colour, ...]:
    """One colour for each of `labels`, in their order; `none` is grey.

    A label's place is found by its name's hash, and where that is taken by the next free one, so that neither the
    order of the labels nor the run changes a colour. Past the palette's end colours repeat.
    """
    taken: dict[str, int] = {}
    for label in sorted(set(labels) - {none}):
        place = hashlib.sha256(label.encode()).digest()[0] % _FIRST
        free = [*range(place, _FIRST), *range(place), *range(_FIRST, len(ACCENTS))]
        taken[label] = next((p for p in free if p not in taken.values()), place)
    return tuple(GREY if label == none else ACCENTS[taken[label]] for label in labels)


def ink_on(colour: Colour) -> Colour:
    """Near-black or white, whichever reads better as text on `colour`."""
    blue, green, red = colour
    return (24, 22, 20) if 0.114 * blue + 0.587 * green + 0.299 * red > 125 else (255, 255, 255)
