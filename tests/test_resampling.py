"""Resizing as matrices: weights that lose nothing and sums that are exact in float32."""

from __future__ import annotations

import numpy as np
import pytest

from stream.contracts import Picture, Unfitted
from stream.resampling import BITS, HALVINGS, Place, colour_of, place_of, weights_of


def place(shape: tuple[int, int], size: tuple[int, int] = (24, 32), *, rotation: int = 0) -> Place:
    """Of a picture whose planes all are of `shape`, in the middle of a canvas of 40 x 50."""
    picture = Picture((np.zeros((*shape, 3), np.uint8),), "rgb", rotation=rotation)
    return place_of(Unfitted(picture, size), (40, 50))


@pytest.mark.parametrize("shape", [(24, 32), (48, 64), (37, 50), (960, 1280), (18, 24), (101, 133), (4000, 5000)])
def test_every_pixel_is_made_of_whole_ones(shape: tuple[int, int]) -> None:
    weights, _ = weights_of(place(shape))
    for axis, size in ((weights.rows, 24), (weights.columns.T, 32)):
        start = (len(axis) - size) // 2
        inside = np.zeros(len(axis))
        inside[start : start + size] = 1
        assert np.array_equal(axis.sum(axis=1, dtype=np.float64), inside)
        assert np.array_equal(axis * 2**BITS, np.round(axis * 2**BITS)) and (axis >= 0).all()


@pytest.mark.parametrize("shape", [(61, 90), (23, 31), (300, 90)])
def test_no_order_of_summation_changes_a_sum(shape: tuple[int, int]) -> None:
    weights, _ = weights_of(place(shape))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (weights.rows.shape[1], 9)).astype(np.float32)
    order = rng.permutation(len(pixels))
    exact = weights.rows.astype(np.float64) @ pixels
    for product in (weights.rows @ pixels, weights.rows[:, order] @ pixels[order]):
        assert product.dtype == np.float32 and np.array_equal(product, exact)


@pytest.mark.parametrize(
    ("shape", "halvings"),
    [((95, 127), 0), ((96, 128), 2), ((48, 64), 1), ((48, 65), 0), ((768, 1024), HALVINGS), ((97, 128), 0)],
)
def test_a_plane_is_halved_where_the_geometry_does(shape: tuple[int, int], halvings: int) -> None:
    weights, _ = weights_of(place(shape))
    assert [tuple(scales) for scales in weights.halvings[:halvings]] == [(1, 1, 0.5, 0.5)] * halvings
    assert (weights.halvings[halvings:] == 1).all()
    assert weights.rows.shape[1] == shape[0] >> halvings


def test_what_is_turned_is_placed_lying() -> None:
    lying = place((64, 48), (24, 32), rotation=90)
    assert (lying.size, lying.canvas, lying.is_lying) == ((32, 24), (50, 40), True)
    upright, turned = weights_of(place((48, 64)))[0], weights_of(place((48, 64), rotation=180))[0]
    assert np.array_equal(upright.rows[::-1], turned.rows) and np.array_equal(upright.columns[:, ::-1], turned.columns)


def test_white_and_black_are_white_and_black() -> None:
    picture = Picture((np.zeros((2, 2), np.uint8),) * 3, "yuv420", matrix="bt709")
    for luma, level in ((16, 0), (235, 255)):
        assert np.array_equal(np.floor([luma, 128, 128, 1] @ colour_of(picture)), [level] * 3)
