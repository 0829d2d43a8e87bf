"""THE definition of decoded picture to model picture: training and serving both come through `fit`.

A picture is cut and resized plane by plane, as the decoder left it, and only the small result is coloured, turned
and padded: a 1080p frame costs about as much as reading it once. Shrinking averages areas, enlarging interpolates.
Nothing here decodes, samples or draws.
"""

from __future__ import annotations

from typing import TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.contracts import Input, Picture

Image: TypeAlias = NDArray[np.uint8]
Rect: TypeAlias = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels; the second corner lies outside."""

_KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
_GRAY = np.array([[1, 0], [0, 128], [0, 128], [0, 1]])  # Y and 1 to Y, U, V and 1, without colour
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def fit(picture: Picture, input: Input) -> Image:
    """The picture as the model sees it: (H, W, 3) uint8 RGB, upright, sharing no memory with `picture`.

    `squash` ignores the picture's shape; `center` cuts the largest centred part of the model's shape; `letterbox`
    keeps everything and fills the rest with black (0, 0, 0); `region` letterboxes a part of the upright picture.
    """
    rect = part_seen(picture.size, input)
    size = (input.height, input.width)
    if input.fit in ("letterbox", "region"):
        size = _inscribed(rect, size)
    return _padded(_upright_rgb(picture, rect, size), input)


def vertical_scale(size: tuple[int, int], input: Input) -> float:
    """The model's lines for each line of an upright picture of `size` (height, width), where it is not cut away."""
    _, y0, _, y1 = rect = part_seen(size, input)
    height = input.height
    if input.fit in ("letterbox", "region"):
        height, _ = _inscribed(rect, (input.height, input.width))
    return height / (y1 - y0)


def to_bgr(picture: Picture) -> Image:
    """The whole picture for people to look at: (h, w, 3) uint8 BGR, upright, sharing no memory with `picture`."""
    height, width = picture.size
    return cast(Image, cv2.cvtColor(_upright_rgb(picture, (0, 0, width, height), (height, width)), cv2.COLOR_RGB2BGR))


def part_seen(size: tuple[int, int], input: Input) -> Rect:
    """The part of an upright picture of `size` (height, width) that the model gets to see."""
    height, width = size
    if input.region is not None:
        x0, y0, x1, y1 = input.region
        left, top = min(int(x0 * width), width - 1), min(int(y0 * height), height - 1)
        return left, top, max(left + 1, round(x1 * width)), max(top + 1, round(y1 * height))
    if input.fit == "center":
        cut_height = max(1, min(height, round(width * input.height / input.width)))
        cut_width = max(1, min(width, round(height * input.width / input.height)))
        left, top = (width - cut_width) // 2, (height - cut_height) // 2
        return left, top, left + cut_width, top + cut_height
    return 0, 0, width, height


def _inscribed(rect: Rect, size: tuple[int, int]) -> tuple[int, int]:
    """The largest (height, width) of the rectangle's shape within `size`."""
    x0, y0, x1, y1 = rect
    height, width = size
    scale = min(height / (y1 - y0), width / (x1 - x0))
    return max(1, round((y1 - y0) * scale)), max(1, round((x1 - x0) * scale))


def _padded(image: Image, input: Input) -> Image:
    """`image` in the middle of a black picture of the model's size."""
    height, width = image.shape[:2]
    if (height, width) == (input.height, input.width):
        return image
    canvas = np.zeros((input.height, input.width, 3), np.uint8)
    top, left = (input.height - height) // 2, (input.width - width) // 2
    canvas[top : top + height, left : left + width] = image
    return canvas


def _upright_rgb(picture: Picture, rect: Rect, size: tuple[int, int]) -> Image:
    """The part `rect` of the upright picture, at `size` (height, width): RGB, upright."""
    lying = picture.rotation in (90, 270)
    rgb = _rgb(picture, _as_stored(picture, rect), size[::-1] if lying else size)
    return cast(Image, cv2.rotate(rgb, _TURNS[picture.rotation])) if picture.rotation else rgb


def _as_stored(picture: Picture, rect: Rect) -> Rect:
    """`rect` of the upright picture in the coordinates of its planes."""
    height, width = picture.planes[0].shape[:2]
    x0, y0, x1, y1 = rect
    if picture.rotation == 90:
        return y0, height - x1, y1, height - x0
    if picture.rotation == 180:
        return width - x1, height - y1, width - x0, height - y0
    if picture.rotation == 270:
        return width - y1, x0, width - y0, x1
    return rect


def _rgb(picture: Picture, rect: Rect, size: tuple[int, int]) -> Image:
    """The part `rect` of the planes at `size` (height, width), in RGB, not turned."""
    x0, y0, x1, y1 = rect
    first = _resized(picture.planes[0][y0:y1, x0:x1], size)
    if picture.layout == "rgb":
        return first
    if picture.layout == "bgr":
        return cast(Image, cv2.cvtColor(first, cv2.COLOR_BGR2RGB))
    to_rgb = _yuv_to_rgb(picture)
    if picture.layout == "gray":
        return cast(Image, cv2.cvtColor(cv2.transform(first, to_rgb[:1] @ _GRAY), cv2.COLOR_GRAY2RGB))
    # A cut at an odd pixel takes the whole of the chroma sample that it halves: colour moves by half a pixel at most.
    half = (slice(y0 // 2, (y1 + 1) // 2), slice(x0 // 2, (x1 + 1) // 2))
    chroma = [_resized(plane[half], size) for plane in picture.planes[1:]]
    return cast(Image, cv2.transform(cv2.merge([first, *chroma]), to_rgb))


def _resized(plane: Image, size: tuple[int, int]) -> Image:
    """A resized copy of `plane`: first shrunk by averaging areas, then enlarged by interpolation.

    Each axis does one of the two; a step that changes nothing costs nothing worth measuring. A plane four times as
    large or more is halved first, which OpenCV does 10 times faster than it averages areas of any other size: 1920x1080
    to 128x96 takes 0.4 ms and not 5, and comes out 0.3 grey levels from the other on real footage, on average.
    """
    height, width = size
    while plane.shape[0] >= 4 * height and plane.shape[1] >= 4 * width:
        halved = (plane.shape[1] // 2, plane.shape[0] // 2)
        plane = cast(Image, cv2.resize(plane, halved, interpolation=cv2.INTER_AREA))
    smaller = (min(width, plane.shape[1]), min(height, plane.shape[0]))
    shrunk = cv2.resize(plane, smaller, interpolation=cv2.INTER_AREA)
    return cast(Image, cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR))


def _yuv_to_rgb(picture: Picture) -> NDArray[np.float64]:
    """The (3, 4) matrix from Y, U, V and 1, as 0-255, to R, G, B (ITU-R BT.601-7 and BT.709-6, section 3)."""
    kr, kb = _KR_KB[picture.matrix]
    kg = 1 - kr - kb
    rgb = np.array(
        [[1, 0, 2 * (1 - kr)], [1, -2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg], [1, 2 * (1 - kb), 0]],
    )
    if not picture.full_range:
        rgb *= [255 / 219, 255 / 224, 255 / 224]
    black = [0 if picture.full_range else 16, 128, 128]
    return np.column_stack([rgb, -rgb @ black])
