"""People who pass through the picture while nothing happens, made of the people in a recording of nothing.

Trimmed clips of nothing show people who stand: a network that saw only those takes whoever walks by for somebody who
acts. Here a strip of such a clip, with a person in it, slides through a still scene, to and from the viewer or
across, stops, goes on and leaves; some scenes stay empty. Pure functions on arrays and a random generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.contracts import Input
from train.augment import Look, resized, surround

Images = NDArray[np.uint8]
SCENES = ("plain", "stretched", "blurred", "texture", "cluttered", "cluttered")
PAUSED = 0.5
"""Share of people who stop on their way."""
ALONG = 0.4
"""Share of people who walk towards the viewer, or away."""
SIZES = (0.2, 2.5)
"""Least and greatest height of a strip in the frame, however far somebody walks."""


@dataclass(frozen=True)
class Passer:
    """One who passes; lengths are shares of the frame's height (up) and width (across).

    Attributes:
        strip: which of the clip's places with people (0-1, left to right), and the strip's width as a share of its own.
        flip: mirrored left to right.
        height: of the strip in the frame.
        place: of the strip's middle across and of its top, at time 0.
        pace: across and down, a second.
        pause: seconds at which they stop and for how long.
        bob: height and cycles a second of their steps.
        contrast: grey levels by which they differ from what lies behind them.
        nearing: growth of the height a second, as a logarithm: over 0 they come nearer.
        met: seconds at which they are as high as `height` says.
        horizon: the viewer's eyes, as a share of the frame's height from its top.
    """

    strip: tuple[float, float]
    flip: bool
    height: float
    place: tuple[float, float]
    pace: tuple[float, float]
    pause: tuple[float, float]
    bob: tuple[float, float]
    contrast: float
    nearing: float
    met: float
    horizon: float


def draw_passers(rng: np.random.Generator, seconds: float) -> tuple[Passer, ...]:
    """One or two people who are in the picture at some time of the `seconds`, or nobody."""
    return tuple(_draw(rng, max(1.0, seconds)) for _ in range(rng.choice([0, 1, 1, 1, 2])))


def show_passers(
    people: tuple[Passer, ...], images: Images, times: NDArray[np.float64], look: Look, input: Input
) -> Images:
    """The people before a still scene, (T, H, W, 3) uint8.

    Args:
        people: from `draw_passers`.
        images: (T, h, w, 3) uint8, the clip that they are cut from.
        times: (T,) media seconds of its pictures.
        look: its seed chooses the scene; its light and noise are not applied here.
        input: size of the frame.
    """
    scene = _scene(look, images, input)
    frames = np.repeat(scene[None], len(images), axis=0).astype(np.float32)
    for person in people:
        strip, mask = _cut_out(person, images)
        for frame, picture, cover, time in zip(frames, strip, mask, times.tolist(), strict=True):
            _paint(frame, picture, cover, corner(person, time, strip.shape[1:3], input))
    return frames.clip(0, 255).astype(np.uint8)


def _draw(rng: np.random.Generator, seconds: float) -> Passer:
    along = rng.uniform() < ALONG
    across = rng.uniform(0.0, 0.2) if along else rng.uniform(0.1, 0.9)
    across *= rng.choice([-1, 1])
    middle, met = rng.uniform(-0.1, 1.1), rng.uniform(0, seconds)
    stops = rng.uniform() < PAUSED
    height = rng.uniform(0.35, 1.3)
    return Passer(
        strip=(rng.uniform(), rng.uniform(0.25, 0.5)),
        flip=bool(rng.uniform() < 0.5),
        height=height,
        place=(middle - across * met, (1 - height) / 2 + rng.normal(0, 0.15)),
        pace=(across, rng.normal(0, 0.05)),
        pause=(rng.uniform(0, seconds), rng.uniform(0.5, seconds) if stops else 0.0),
        bob=(rng.uniform(0, 0.03), rng.uniform(1.3, 2.2)),
        contrast=rng.uniform(9, 20),
        nearing=rng.uniform(0.1, 0.8) * rng.choice([-1, 1]) if along else 0.0,
        met=met,
        horizon=rng.uniform(-0.3, 0.3),
    )


def _scene(look: Look, images: Images, input: Input) -> Images:
    kind = SCENES[look.seed % len(SCENES)]
    if kind != "blurred":
        return surround(Look(surround=kind, seed=look.seed), images[0], (0, 0), input)
    return np.asarray(cv2.GaussianBlur(resized(images[0], input.height, input.width), (0, 0), 6), np.uint8)


def _cut_out(person: Passer, images: Images) -> tuple[Images, NDArray[np.float32]]:
    """The person's strip (T, h, w, 3), and how much each of its pixels covers what is behind it, (T, h, w)."""
    # What lies behind people who stand in the open is, row by row, of one colour: grass, tarmac, sky.
    behind = np.median(images[:: max(1, len(images) // 8)], axis=(0, 2)).astype(np.float32)[:, None]
    far = np.abs(images.astype(np.float32) - behind).max(axis=-1)
    grown = [
        cv2.dilate((cv2.GaussianBlur(one, (0, 0), 1.5) > person.contrast).astype(np.float32), np.ones((3, 3), np.uint8))
        for one in far
    ]
    mask = np.stack([cv2.GaussianBlur(one, (0, 0), 1.2) for one in grown]).astype(np.float32)
    width = max(4, int(person.strip[1] * images.shape[2]))
    held = np.convolve(mask.mean(axis=(0, 1)), np.ones(width), "valid")
    good = np.flatnonzero(held >= 0.8 * held.max())
    first = int(good[int(person.strip[0] * len(good))])
    strip, mask = images[:, :, first : first + width], mask[:, :, first : first + width]
    return (strip[:, :, ::-1], mask[:, :, ::-1]) if person.flip else (strip, mask)


def corner(person: Passer, time: float, size: tuple[int, int], input: Input) -> tuple[float, float, float]:
    """Left and top of the strip in the frame in pixels, and its scale."""
    walked = time - float(np.clip(time - person.pause[0], 0, person.pause[1]))
    height = float(np.clip(person.height * np.exp(person.nearing * (walked - person.met)), *SIZES))
    scale = height * input.height / size[0]
    middle = (person.place[0] + person.pace[0] * walked) * input.width
    # Straight lines through the horizon: whoever comes nearer grows away from it.
    top = person.horizon + (person.place[1] - person.horizon) * height / person.height
    top += person.pace[1] * walked + person.bob[0] * np.sin(2 * np.pi * person.bob[1] * walked)
    return middle - scale * size[1] / 2, float(top * input.height), scale


def _paint(frame: NDArray[np.float32], picture: Images, cover: NDArray[np.float32], at: tuple[float, ...]) -> None:
    """Blends the picture into the frame (H, W, 3), in place."""
    left, top, scale = at
    if scale < 1:  # averaged first: a warp would skip pixels
        height, width = max(4, round(picture.shape[0] * scale)), max(2, round(picture.shape[1] * scale))
        picture = resized(picture, height, width)
        cover = np.asarray(cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA), np.float32)
        scale = 1.0
    place = np.array([[scale, 0, left], [0, scale, top]], np.float32)
    size = frame.shape[1::-1]
    shown = cv2.warpAffine(np.ascontiguousarray(picture), place, size).astype(np.float32)
    weight = cv2.warpAffine(np.ascontiguousarray(cover), place, size)[..., None]
    frame += (shown - frame) * weight
