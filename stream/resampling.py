"""stream.geometry in numbers: what brings a plane to the model's size, and what makes colours of it. No graph is run.

`fit` halves a plane while it is four times as large, and then shrinks it by averaging areas, or enlarges it by
interpolation. Halving is exact in whole numbers. The rest is linear and goes along one axis at a time, so that it is,
with the turning and the place in the model's picture, two matrices:

    rows (H, h) @ plane (h, w) @ columns (w, W)

Weights are multiples of 2 ** -16: beside them the 8 bits of a pixel fit into the 24 that float32 keeps, and every sum
of products is exact. What a picture becomes depends on no order of summation, and so on no batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stream.contracts import Picture, Unfitted
from stream.geometry import _GRAY, _yuv_to_rgb

BITS = 16
COLOUR_UNITS = 1024
HALVINGS = 3
"""That a graph can do one after the other: of 4K to a model's 96 lines. More, and those of odd sizes, are averaged."""
# How `fit` comes to whole numbers when it has resized a plane: by how much its results lie above the exact ones on
# average, and how far from there they may be. OpenCV 5 rounds the mean of four pixels up where it can, which counts for
# halvings that are averaged, and cuts off bits when it interpolates.
HALVING_LEAN, ENLARGING_LEAN = 1 / 8, -1 / 8
SHRUNK_DOUBT, HALVED_DOUBT, ENLARGED_DOUBT = 1 / 128, 3 / 8, 1 / 5

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Place:
    """All that the matrices of a picture depend on.

    Attributes:
        shapes: (h, w) of the luma plane and of a chroma plane; of R and of G; (1, 1) for the chroma of gray.
        size: (height, width) that they become, before they are turned.
        canvas: (H, W) of the model's picture, turned back likewise.
        rotation: degrees clockwise by which the result is turned then.
    """

    shapes: tuple[tuple[int, int], tuple[int, int]]
    size: tuple[int, int]
    canvas: tuple[int, int]
    rotation: int

    @property
    def is_lying(self) -> bool:
        """True where height and width change places at the end; all else of a rotation is in the matrices."""
        return self.rotation in (90, 270)


@dataclass(frozen=True, eq=False)
class PlaneWeights:
    """What resizes one plane.

    Attributes:
        halvings: (HALVINGS, 4) float32: 1, 1 and twice the half, or 1, by which height and width are multiplied, each
            time with the means of four pixels rounded up.
        rows: (H, h) float32; zero where the picture does not reach.
        columns: (w, W) float32; likewise.
        bounds: (2,) float32, added before rounding: where the two round alike, `fit` rounds so too; the mean of both
            is right by half a level where it is not sure.
    """

    halvings: Floats
    rows: Floats
    columns: Floats
    bounds: Floats


def place_of(part: Unfitted, canvas: tuple[int, int]) -> Place:
    """Where `part` goes in a model's picture of `canvas` (height, width)."""
    picture, (height, width) = part.picture, part.size
    first = picture.planes[0].shape
    chroma = {"yuv420": picture.planes[-1].shape, "gray": (1, 1)}.get(picture.layout, first)
    if picture.rotation in (90, 270):
        height, width, canvas = width, height, canvas[::-1]
    return Place(((first[0], first[1]), (chroma[0], chroma[1])), (height, width), canvas, picture.rotation)


def weights_of(place: Place) -> tuple[PlaneWeights, PlaneWeights]:
    """What resizes the luma plane, or R, and what resizes the others."""
    first, other = (_plane_weights(shape, place) for shape in place.shapes)
    return first, other


def colour_of(picture: Picture) -> Floats:
    """(4, 3) float32: what a level of the first plane adds to R, G and B, one of the second, of the third; the rest.

    The sum is to be cut off to whole levels: half a level is in the rest.
    """
    if picture.layout in ("rgb", "bgr"):
        order = [0, 1, 2] if picture.layout == "rgb" else [2, 1, 0]
        return np.vstack([np.eye(3)[order], np.full(3, 0.5)]).astype(np.float32)
    to_rgb = _yuv_to_rgb(picture)
    if picture.layout == "gray":
        luma, rest = (to_rgb[:1] @ _GRAY)[0]
        return np.outer([luma, 0, 0, rest + 0.5], np.ones(3)).astype(np.float32)
    shares = to_rgb.T + np.array([[0], [0], [0], [0.5]])
    return np.asarray(np.round(shares * COLOUR_UNITS) / COLOUR_UNITS, np.float32)  # as cv2.transform has them


def _plane_weights(shape: tuple[int, int], place: Place) -> PlaneWeights:
    """What resizes a plane of `shape`."""
    size = place.size
    halvings = np.ones((HALVINGS, 4), np.float32)
    for halving in halvings:
        if not _is_halved(shape, size) or shape[0] % 2 or shape[1] % 2:
            break
        halving[2:] = 0.5
        shape = shape[0] // 2, shape[1] // 2
    averaged, lean, (height, width) = 0, 0.0, shape
    while height >= 4 * size[0] and width >= 4 * size[1]:
        lean += HALVING_LEAN * (height % 2 == width % 2 == 0)
        averaged, height, width = averaged + 1, height // 2, width // 2
    doubt = HALVED_DOUBT if averaged else SHRUNK_DOUBT
    if height < size[0] or width < size[1]:
        lean, doubt = ENLARGING_LEAN, ENLARGED_DOUBT
    flips = place.rotation in (90, 180), place.rotation in (180, 270)
    rows, columns = (
        _placed(_exact(_axis(shape[axis], size[axis], averaged)), place.canvas[axis], flips[axis]) for axis in (0, 1)
    )
    bounds = np.array([lean - doubt, lean + doubt], np.float32)
    return PlaneWeights(halvings, rows, np.ascontiguousarray(columns.T), bounds)


def _is_halved(shape: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether `fit` takes the mean of each four pixels of a plane of `shape`, on its way to `size`."""
    return (shape[0] >= 4 * size[0] and shape[1] >= 4 * size[1]) or shape == (2 * size[0], 2 * size[1])


def _axis(length: int, size: int, averaged: int) -> NDArray[np.float64]:
    """(size, length): how much of each pixel is in each of those that they become, after so many halvings."""
    lengths = [length]
    for _ in range(averaged):
        lengths.append(lengths[-1] // 2)
    lengths.append(min(size, lengths[-1]))
    weights = _linear(lengths[-1], size)
    for longer, shorter in reversed(list(pairwise(lengths))):
        weights = weights @ _area(longer, shorter)
    return weights


def _area(length: int, size: int) -> NDArray[np.float64]:
    """(size, length): the share of each pixel that lies within each of the fewer, larger ones."""
    edges, pixels = np.arange(size + 1) * length / size, np.arange(length)
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(shared.clip(0) * size / length)


def _linear(length: int, size: int) -> NDArray[np.float64]:
    """(size, length): the two pixels between which the centre of each of the more, smaller ones lies, by nearness."""
    centres = ((np.arange(size) + 0.5) * length / size - 0.5).clip(0, length - 1)
    return np.asarray((1 - np.abs(centres[:, None] - np.arange(length))).clip(0))


def _exact(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """`weights`, each row of which sums to 1, as multiples of 2 ** -BITS that still do: sums are rounded."""
    sums = np.round(np.cumsum(weights, axis=1) * 2**BITS) / 2**BITS
    return np.asarray(np.diff(sums, axis=1, prepend=0))


def _placed(weights: NDArray[np.float64], canvas: int, flips: bool) -> Floats:
    """(canvas, length) float32: `weights`, from the last to the first where it `flips`, amid zeros."""
    placed = np.zeros((canvas, weights.shape[1]), np.float32)
    start = (canvas - len(weights)) // 2
    placed[start : start + len(weights)] = weights[::-1] if flips else weights
    return placed
