"""Ticks whose pictures are handed over as decoded, for a graph to bring to the model's size (stream.embedded).

A recognizer with such a graph asks for an `EmbeddedInput`, and whoever makes ticks for it heeds that. Which frames are
ticks is stream.sampling's to say, and what a model sees of them stream.geometry's; both are asked here. Their files
stay as they are: the pictures that a training keeps are named by every byte of them. No pixel is touched here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from stream.contracts import Frame, Input, Picture, Tick, Unfitted
from stream.geometry import _as_stored, _inscribed, fit, part_seen
from stream.sampling import Sampler

NO_IMAGE = np.zeros((0, 0, 3), np.uint8)
_PIXEL = Picture((np.zeros((1, 1, 3), np.uint8),), "rgb")


@dataclass(frozen=True)
class EmbeddedInput(Input):
    """What a bundle wants to see, by a recognizer whose own graph does the geometry: ticks come `unfitted`."""


def embedded_input(input: Input) -> EmbeddedInput:
    """`input`, with the geometry left to a graph."""
    return EmbeddedInput(**vars(input))


def sampler_of(input: Input) -> Sampler | UnfittedSampler:
    """Makes the ticks of one camera as `input` wants them."""
    return UnfittedSampler(input) if isinstance(input, EmbeddedInput) else Sampler(input)


def ticks(frames: Iterable[Frame], input: Input) -> Iterator[Tick]:
    """The ticks of one camera's `frames`, as they fire and as `input` wants them."""
    sampler = sampler_of(input)
    for frame in frames:
        tick = sampler.offer(frame)
        if tick is not None:
            yield tick


class UnfittedSampler:
    """Decides, as `stream.sampling.Sampler` does, which of one camera's frames are ticks; their pictures stay as is."""

    def __init__(self, input: Input) -> None:
        """Makes a sampler that has seen nothing.

        Args:
            input: what the model wants.
        """
        self._input = input
        # It fits the picture of every tick. One pixel does: which frames are ticks, their times alone decide.
        self._sampler = Sampler(Input(1, 1, "squash", input.rate, input.max_gap))

    def offer(self, frame: Frame) -> Tick | None:
        """The tick that `frame` fires, or None; fitted nonetheless where no graph could do it (`unfitted`)."""
        tick = self._sampler.offer(replace(frame, picture=_PIXEL))
        if tick is None:
            return None
        part = unfitted(frame.picture, self._input)
        if part is None:
            return replace(tick, image=fit(frame.picture, self._input))
        return replace(tick, image=NO_IMAGE, unfitted=part)


def unfitted(picture: Picture, input: Input) -> Unfitted | None:
    """What `input` shows of `picture`: views of its planes. None where no graph comes near enough to `fit`.

    That is where a plane is shrunk one way and enlarged the other: `fit` rounds in between, and twice a rounding may be
    three grey levels. It takes a picture hardly larger than the model's and of another shape, squashed.
    """
    rect = part_seen(picture.size, input)
    size = (input.height, input.width)
    if input.fit in ("letterbox", "region"):
        size = _inscribed(rect, size)
    x0, y0, x1, y1 = _as_stored(picture, rect)
    # As `fit` does: a cut at an odd pixel takes the whole of the chroma sample that it halves.
    half = (slice(y0 // 2, (y1 + 1) // 2), slice(x0 // 2, (x1 + 1) // 2))
    first, *chroma = picture.planes
    part = replace(picture, planes=(first[y0:y1, x0:x1], *(plane[half] for plane in chroma)))
    lying = size[::-1] if picture.rotation in (90, 270) else size
    if any(_goes_both_ways(plane.shape[:2], lying) for plane in part.planes):
        return None
    return Unfitted(part, size)


def _goes_both_ways(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    """True where (height, width) `shape` becomes smaller one way and larger the other, to be of `size`."""
    return (shape[0] - size[0]) * (shape[1] - size[1]) < 0
