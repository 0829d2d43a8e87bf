"""Ticks that are handed over as decoded: the same ticks as ever, and no pixel of them touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream import sampling
from stream.contracts import Frame, Input, Picture
from stream.geometry import fit
from stream.unfitted import EmbeddedInput, embedded_input, ticks, unfitted

SEEN = Input(24, 32, rate=10.0)


def picture(height: int, width: int, *, rotation: int = 0) -> Picture:
    """Noise as planar 4:2:0."""
    half = ((height + 1) // 2, (width + 1) // 2)
    rng = np.random.default_rng(height + width)
    planes = tuple(rng.integers(0, 256, shape, np.uint8) for shape in ((height, width), half, half))
    return Picture(planes, "yuv420", rotation=rotation)


def frames(count: int, shown: Picture) -> list[Frame]:
    """Frames at uneven times, with a gap, a step back and a reconnect."""
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.01, 0.2, count))
    times[count // 2 :] += 5
    times[3 * count // 4 :] -= 8
    return [Frame("a", n, int(n > count - 5), float(time), 1.0, shown) for n, time in enumerate(times)]


@pytest.mark.parametrize("rate", [10.0, 3.3, None])
def test_which_frames_are_ticks_is_the_samplers_to_say(rate: float | None) -> None:
    seen = replace(SEEN, rate=rate)
    shown = frames(60, picture(90, 120))
    expected = list(sampling.ticks(shown, seen))
    got = list(ticks(shown, embedded_input(seen)))
    assert len({tick.session for tick in expected}) == 4
    facts = [
        [(each.camera, each.index, each.session, each.time, each.dt) for each in found] for found in (expected, got)
    ]
    assert facts[0] == facts[1]
    assert all(tick.unfitted is not None and tick.image.size == 0 for tick in got)
    plain = list(ticks(shown, seen))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(plain, expected, strict=True))


def test_planes_are_the_decoders_own_memory() -> None:
    shown = picture(90, 121)
    part = unfitted(shown, replace(SEEN, fit="region", region=(0.5, 0.1, 1.0, 0.8)))
    assert part is not None and part.picture.size == (63, 61) and part.size == (24, 23)
    assert all(np.shares_memory(a, b) for a, b in zip(part.picture.planes, shown.planes, strict=True))
    assert np.array_equal(part.picture.planes[1], shown.planes[1][4:36, 30:61])


def test_a_turned_picture_is_cut_where_it_is_stored() -> None:
    part = unfitted(picture(80, 100, rotation=90), replace(SEEN, fit="region", region=(0.0, 0.0, 0.5, 0.25)))
    assert part is not None and part.picture.size == (25, 40)
    assert np.array_equal(part.picture.planes[0], picture(80, 100).planes[0][40:80, 0:25])


def test_what_no_graph_comes_near_to_is_fitted() -> None:
    shown, seen = picture(90, 56), replace(SEEN, height=48, width=32, fit="squash")  # chroma: 45 to 48, 28 to 32
    assert unfitted(shown, seen) is not None
    wide = picture(90, 70)  # chroma: 45 to 48, but 35 to 32
    assert unfitted(wide, seen) is None
    (tick,) = ticks([Frame("a", 0, 0, 0.0, 0.0, wide)], embedded_input(seen))
    assert tick.unfitted is None and np.array_equal(tick.image, fit(wide, seen))


def test_an_input_that_is_changed_stays_what_it_is() -> None:
    seen = replace(embedded_input(SEEN), fit="region", region=(0.0, 0.0, 0.5, 0.5))
    assert isinstance(seen, EmbeddedInput)
    assert [tick.unfitted is None for tick in ticks(frames(3, picture(90, 120)), seen)] == [False] * 3
