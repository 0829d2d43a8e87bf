"""A look is one for the whole clip; the plain one is what stream's own geometry gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.contracts import Input, Picture
from stream.geometry import fit
from train.augment import PLAIN, SURROUNDS, Look, apply_look, draw_look, draw_placement
from train.cache import unbordered
from train.settings import AugmentSettings

INPUT = Input(height=48, width=64)


def still(count: int, height: int = 60, width: int = 60) -> NDArray[np.uint8]:
    """A picture that changes smoothly over its area, `count` times."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([50 + 2 * x, 40 + 2 * y, 200 - x - y], axis=-1).astype(np.uint8)
    return np.repeat(picture[None], count, axis=0)


@pytest.mark.parametrize("fitting", ["letterbox", "center", "squash"])
@pytest.mark.parametrize("size", [(60, 60), (50, 100), (100, 50)])
def test_the_plain_look_is_what_a_camera_gives(fitting: str, size: tuple[int, int]) -> None:
    input = replace(INPUT, fit=fitting)  # type: ignore[arg-type]  # pytest's parameters are strings
    (image,) = still(1, *size)
    whole = Picture((image,), "rgb")
    detailed = fit(whole, unbordered(input, size, 1.25))
    got = apply_look(PLAIN, detailed[None], input)[0].astype(int)
    wanted = fit(whole, input).astype(int)
    assert got.shape == wanted.shape == (48, 64, 3)
    # A border may lie one pixel elsewhere; all else is the same to a few grey levels.
    assert np.mean(np.abs(got - wanted).max(axis=-1) > 6) < 0.06


def test_every_frame_of_a_still_clip_is_changed_alike() -> None:
    for seed in range(30):
        look = replace(draw_look(AugmentSettings(), np.random.default_rng(seed)), noise=0.0)
        seen = apply_look(look, still(4), INPUT)
        assert seen.shape == (4, 48, 64, 3)
        assert seen.dtype == np.uint8
        assert (seen == seen[:1]).all()


def test_looks_differ_by_seed_and_repeat_by_it() -> None:
    def seen(seed: int) -> NDArray[np.uint8]:
        return apply_look(draw_look(AugmentSettings(), np.random.default_rng(seed)), still(2), INPUT)

    assert np.array_equal(seen(1), seen(1))
    assert len({seen(seed).tobytes() for seed in range(20)}) == 20


def test_a_flip_mirrors_and_nothing_else() -> None:
    square = replace(INPUT, width=48)
    plain, flipped = (apply_look(Look(flip=flip), still(1), square) for flip in (False, True))
    np.testing.assert_allclose(flipped[:, :, ::-1].astype(int), plain.astype(int), atol=2)


@pytest.mark.parametrize("surround", SURROUNDS)
def test_a_small_clip_lies_where_it_was_placed(surround: str) -> None:
    white = np.full((1, 60, 60, 3), 255, np.uint8)
    white[0, :30] = 200
    (seen,) = apply_look(Look(scale=(0.5, 0.5), place=(1.0, 0.0), surround=surround), white, INPUT)
    assert (seen[12:24, 40:] == 255).all()
    assert (seen[:12, 40:] == 200).all()
    if surround == "black":
        assert (seen[24:] == 0).all()
        assert (seen[:, :40] == 0).all()


def test_no_light_leaves_the_values() -> None:
    off = AugmentSettings(light=0, color=0, gray=0, noise=0)
    assert all(draw_look(off, np.random.default_rng(seed)).curve is None for seed in range(5))


def test_placement_keeps_size_within_its_range() -> None:
    sizes = [draw_placement((0.5, 1.0), np.random.default_rng(seed)).scale for seed in range(50)]
    assert all(width == height and 0.5 <= width <= 1 for width, height in sizes)


def test_turns_and_upends_move_pixels_and_nothing_else() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), np.uint8)
    square = Input(height=48, width=48)
    np.testing.assert_array_equal(apply_look(Look(upend=True), images, square), images[:, ::-1])
    np.testing.assert_array_equal(apply_look(Look(turn=0.5), images, square), images[:, ::-1, ::-1])
    quarter = apply_look(Look(turn=0.25), images, square)
    np.testing.assert_array_equal(quarter, np.rot90(images, axes=(1, 2)))


def test_zoom_is_about_the_middle() -> None:
    images = np.zeros((1, 48, 48, 3), np.uint8)
    images[:, 20:28, 20:28] = 255
    wide = apply_look(Look(zoom=1.5), images, Input(height=48, width=48))
    assert 1.9 < (wide > 127).mean() / (images > 127).mean() < 2.6
    assert (wide > 127)[0, 23:25, 23:25].all()


def test_contrast_is_about_each_colours_mean() -> None:
    images = np.stack([np.full((48, 64, 3), grey, np.uint8) for grey in (50, 150)])
    images[:, :24] += 40
    less = apply_look(Look(contrast=0.5), images, INPUT).astype(int)
    assert (less[:, :24] - less[:, 24:]).tolist() == np.full((2, 24, 64, 3), 20).tolist()
    np.testing.assert_allclose(less.mean(axis=(1, 2, 3)), images.mean(axis=(1, 2, 3)), atol=1)


def test_what_was_drawn_before_these_settings_came_is_drawn_as_ever() -> None:
    before = AugmentSettings()
    after = AugmentSettings(turn=0.4, zoom=0.2, contrast=0.2, upend=0.5)
    names = ("crop", "flip", "scale", "place", "surround", "gray", "blur", "noise", "seed")
    for seed in range(20):
        rngs = np.random.default_rng(seed), np.random.default_rng(seed)
        looks = draw_look(before, rngs[0]), draw_look(after, rngs[1])
        assert all(getattr(looks[0], name) == getattr(looks[1], name) for name in names)
        assert rngs[0].random() == rngs[1].random()
        assert (looks[0].turn, looks[0].zoom, looks[0].contrast, looks[0].upend) == (0, 1, 1, False)
        assert looks[1].turn != 0
