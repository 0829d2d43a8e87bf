"""Decoded picture to model picture, against a plain float reference: layouts, fits, ranges, rotations, odd sizes."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal, get_args

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contracts import FITS, Fit, Input, Layout, Picture
from stream.geometry import fit, to_bgr

Floats = NDArray[np.floating[Any]]
Matrix = Literal["bt601", "bt709"]


def smooth_rgb(height: int, width: int, seed: int = 0) -> Floats:
    """A colourful picture (height, width, 3) in 70-185 without edges, where geometry shows and rounding does not."""
    coarse = np.random.default_rng(seed).uniform(70, 185, (3, 4, 3))
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float64)


def yuv_of(rgb: Floats, matrix: Matrix, full_range: bool) -> Floats:
    """Y, U, V (h, w, 3) as floats: the standards' definition, written from E'Y, E'PB and E'PR."""
    kr, kb = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    red, green, blue = np.moveaxis(rgb, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    planes = [luma, (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))]
    if not full_range:
        planes = [16 + planes[0] * 219 / 255, planes[1] * 224 / 255, planes[2] * 224 / 255]
    return np.stack([planes[0], planes[1] + 128, planes[2] + 128], axis=-1)


def picture_of(
    upright: Floats, layout: Layout, *, matrix: Matrix = "bt601", full_range: bool = False, rotation: int = 0
) -> Picture:
    """`upright` RGB as a decoder would have left it, stored so that `rotation` turns it upright; rows are padded."""
    rgb = np.rot90(upright, rotation // 90)
    height, width = rgb.shape[:2]
    if layout in ("rgb", "bgr"):
        planes = [rgb if layout == "rgb" else rgb[..., ::-1]]
    else:
        yuv = yuv_of(rgb, matrix, full_range)
        even = np.pad(yuv, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        half = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3).mean(axis=(1, 3))
        planes = [yuv[..., 0], half[..., 1], half[..., 2]] if layout == "yuv420" else [yuv[..., 0]]
    return Picture(tuple(strided(plane) for plane in planes), layout, full_range, matrix, rotation)


def strided(plane: Floats) -> NDArray[np.uint8]:
    """`plane` rounded to uint8, as a read-only view whose rows are padded, like the decoder's memory."""
    pixels = np.round(plane).clip(0, 255).astype(np.uint8)
    rows = np.full((pixels.shape[0], pixels.shape[1] + 13, *pixels.shape[2:]), 77, np.uint8)
    rows[:, : pixels.shape[1]] = pixels
    view = rows[:, : pixels.shape[1]]
    view.flags.writeable = False
    return view


def rgb_from(yuv: Floats, picture: Picture) -> Floats:
    """RGB (h, w, 3) of Y, U, V (h, w, 3) in the picture's matrix and range, by inverting `yuv_of`."""
    black, *axes = yuv_of(np.vstack([np.zeros(3), np.eye(3)]), picture.matrix, picture.full_range)
    return np.linalg.solve(np.array(axes - black).T, (yuv - black)[..., None])[..., 0].clip(0, 255)


def rgb_of(picture: Picture) -> Floats:
    """The picture as floats (h, w, 3) RGB, from what is stored: each chroma sample serves its four pixels."""
    first = picture.planes[0].astype(np.float64)
    if picture.layout in ("rgb", "bgr"):
        return first if picture.layout == "rgb" else first[..., ::-1]
    height, width = first.shape
    chroma = [np.kron(plane, np.ones((2, 2)))[:height, :width] for plane in picture.planes[1:]]
    return rgb_from(np.stack([first, *chroma], axis=-1), picture)


def reference(upright: Floats, input: Input) -> Floats:
    """What `fit` must give: cut, resized by area or interpolation and padded, all in float on the upright RGB."""
    height, width = upright.shape[:2]
    x0, y0, x1, y1 = 0, 0, width, height
    if input.fit == "region":
        assert input.region is not None
        x0, y0 = int(input.region[0] * width), int(input.region[1] * height)
        x1, y1 = round(input.region[2] * width), round(input.region[3] * height)
    if input.fit == "center":
        wide = width * input.height > height * input.width
        cut_width = round(height * input.width / input.height) if wide else width
        cut_height = height if wide else round(width * input.height / input.width)
        x0, y0 = (width - cut_width) // 2, (height - cut_height) // 2
        x1, y1 = x0 + cut_width, y0 + cut_height
    part = upright[y0:y1, x0:x1]
    size = (input.height, input.width)
    if input.fit in ("letterbox", "region"):
        scale = min(input.height / part.shape[0], input.width / part.shape[1])
        size = (round(part.shape[0] * scale), round(part.shape[1] * scale))
    shrinks = part.shape[0] > size[0]
    small = cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    canvas = np.zeros((input.height, input.width, 3))
    top, left = (input.height - size[0]) // 2, (input.width - size[1]) // 2
    canvas[top : top + size[0], left : left + size[1]] = small
    return canvas


def input_of(how: Fit, height: int = 48, width: int = 64) -> Input:
    return Input(height, width, how, region=(0.25, 0.125, 0.75, 0.875) if how == "region" else None)


def apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(np.float64) - b).max())


@pytest.mark.parametrize("how", FITS)
@pytest.mark.parametrize("layout", ["yuv420", "rgb", "bgr"])
@pytest.mark.parametrize("size", [(240, 320), (192, 320), (352, 208), (544, 960)])
def test_every_fit_and_layout_is_the_float_reference(how: Fit, layout: Layout, size: tuple[int, int]) -> None:
    """Within 2 grey levels; 3 from 8-bit chroma, half a level of which is a level of blue."""
    picture = picture_of(smooth_rgb(*size), layout)
    got = fit(picture, input_of(how))
    assert got.dtype == np.uint8 and got.flags.c_contiguous
    assert apart(got, reference(rgb_of(picture), input_of(how))) <= (3 if layout == "yuv420" else 2)


@pytest.mark.parametrize("how", FITS)
def test_small_pictures_are_enlarged_by_interpolation(how: Fit) -> None:
    picture = picture_of(smooth_rgb(32, 48), "rgb")
    assert apart(fit(picture, input_of(how)), reference(rgb_of(picture), input_of(how))) <= 1
    yuv = picture_of(smooth_rgb(32, 48), "yuv420")
    large = [cv2.resize(plane.astype(np.float64), (64, 48)) for plane in yuv.planes]
    assert apart(fit(yuv, input_of("squash")), rgb_from(np.stack(large, axis=-1), yuv)) <= 3


@pytest.mark.parametrize(("matrix", "full_range"), [*product(get_args(Matrix), [False, True])])
def test_matrix_and_range_are_the_pictures_own(matrix: Matrix, full_range: bool) -> None:
    upright = smooth_rgb(120, 160)
    wanted = reference(upright, input_of("letterbox"))
    picture = picture_of(upright, "yuv420", matrix=matrix, full_range=full_range)
    assert apart(fit(picture, input_of("letterbox")), wanted) <= 3
    mislabelled = Picture(picture.planes, "yuv420", not full_range, matrix)
    assert apart(fit(mislabelled, input_of("letterbox")), wanted) > 5


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("how", FITS)
def test_rotated_pictures_come_out_upright(rotation: int, how: Fit) -> None:
    upright = smooth_rgb(180, 320)
    picture = picture_of(upright, "yuv420", rotation=rotation)
    assert picture.size == (180, 320)
    assert apart(fit(picture, input_of(how)), reference(upright, input_of(how))) <= 3
    assert apart(to_bgr(picture)[..., ::-1], upright) <= 4


@pytest.mark.parametrize("full_range", [False, True])
def test_gray_is_gray(full_range: bool) -> None:
    upright = np.repeat(smooth_rgb(90, 160)[..., :1], 3, axis=2)
    got = fit(picture_of(upright, "gray", full_range=full_range), input_of("squash"))
    assert (got[..., 0] == got[..., 1]).all() and (got[..., 0] == got[..., 2]).all()
    assert apart(got, reference(upright, input_of("squash"))) <= 2


def test_letterbox_bars_are_black_and_in_the_middle() -> None:
    white = picture_of(np.full((90, 160, 3), 255.0), "yuv420")
    got = fit(white, Input(64, 64, "letterbox"))
    assert (got[:14] == 0).all() and (got[50:] == 0).all()
    assert (got[14:50] >= 254).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (3, 5), (37, 53), (481, 641)])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("how", FITS)
def test_one_pixel_and_odd_sizes(size: tuple[int, int], rotation: int, how: Fit) -> None:
    flat = np.broadcast_to(np.array([180.0, 60.0, 120.0]), (*size, 3))
    for layout in get_args(Layout):
        picture = picture_of(flat, layout, rotation=rotation)
        got = fit(picture, input_of(how))
        assert got.shape == (48, 64, 3)
        inside = got[got.any(axis=2)]
        wanted = [180, 60, 120] if layout != "gray" else [round(0.299 * 180 + 0.587 * 60 + 0.114 * 120)] * 3
        assert apart(inside, np.broadcast_to(wanted, inside.shape)) <= 2
        assert to_bgr(picture).shape == (*size, 3)


def test_the_same_picture_gives_the_same_result_however_it_is_stored() -> None:
    upright = smooth_rgb(299, 533)
    for how in FITS:
        rgb, bgr = (fit(picture_of(upright, layout), input_of(how)) for layout in ("rgb", "bgr"))
        assert (rgb == bgr).all()
        assert apart(fit(picture_of(upright, "yuv420"), input_of(how)), rgb) <= 4


def test_shrinking_averages_and_does_not_pick() -> None:
    stripes = np.zeros((480, 640, 3))
    stripes[:, ::2] = 255
    got = fit(picture_of(stripes, "rgb"), input_of("squash"))
    assert apart(got, np.full(got.shape, 127.5)) <= 2


@pytest.mark.parametrize("layout", get_args(Layout))
def test_results_share_no_memory_with_the_decoder(layout: Layout) -> None:
    picture = picture_of(smooth_rgb(48, 64), layout, full_range=True)
    for got in (fit(picture, input_of("squash")), to_bgr(picture)):
        assert not any(np.shares_memory(got, plane) for plane in picture.planes)
        got[:] = 0  # and it may be drawn on
