"""Augmentation: how a clip might have looked, drawn once and applied to all of its frames alike.

Shape, place and light are what a clip betrays its class by (a tight crop, a bright lawn): they are varied here, and
what happens in the clip is not. Speed and temporal crops belong to train.rows. Pure functions on arrays and a random
generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.contracts import Input
from train.clutter import cluttered
from train.settings import AugmentSettings

Images = NDArray[np.uint8]
SURROUNDS = ("black", "plain", "edge", "blurred", "texture", "stretched", "cluttered")
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class Look:
    """One way in which a whole clip is changed.

    Attributes:
        crop: x0, y0, x1, y1, the part that is kept, as shares of the picture.
        flip: mirrored left to right.
        scale: width and height in the frame, relative to what the input's fit gives.
        place: share (0-1) of the free width and height that lies left and above.
        surround: what fills the frame around it, one of SURROUNDS.
        curve: (256, 3) uint8, the new value of each value of R, G and B.
        gray: without colours.
        blur: pixels of a Gaussian blur; 0 is none.
        noise: standard deviation of sensor noise in grey levels; 0 is none.
        seed: of the noise and the texture.
        upend: upside down.
        turn: whole turns about the middle, anticlockwise.
        zoom: size about the middle; what a turn or a smaller size leaves free mirrors the picture.
        contrast: about each colour's mean over the picture; 1 leaves it.
    """

    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    flip: bool = False
    scale: tuple[float, float] = (1.0, 1.0)
    place: tuple[float, float] = (0.5, 0.5)
    surround: str = "black"
    curve: NDArray[np.uint8] | None = None
    gray: bool = False
    blur: float = 0.0
    noise: float = 0.0
    seed: int = 0
    upend: bool = False
    turn: float = 0.0
    zoom: float = 1.0
    contrast: float = 1.0


PLAIN = Look()
"""What the input's fit alone gives."""


def draw_look(settings: AugmentSettings, rng: np.random.Generator) -> Look:
    """A random look; always the same number of draws, so that one setting does not change the others' luck."""
    keep_width, keep_height = rng.uniform(1 - settings.crop, 1, 2)
    left, top = rng.uniform(0, 1, 2) * (1 - keep_width, 1 - keep_height)
    scale, stretch = rng.uniform(*settings.scale), np.exp(rng.uniform(-settings.stretch, settings.stretch) / 2)
    place = rng.uniform(0, 1, 2)
    flip, plain, gray, blurred, noisy = rng.uniform(0, 1, 5)
    surround = SURROUNDS[rng.integers(len(SURROUNDS))]
    curve = _draw_curve(settings, rng)
    blur, noise, seed = rng.uniform(0.4, 1.0), rng.uniform(1.0, 8.0), int(rng.integers(2**31))
    kept = plain < settings.plain
    later = rng.spawn(1)[0]  # its own luck: what was drawn before these settings came is drawn as ever
    turn, zoom, contrast = later.uniform(-1, 1, 3) * (settings.turn, settings.zoom, settings.contrast)
    return Look(
        crop=(0.0, 0.0, 1.0, 1.0) if kept else (left, top, left + keep_width, top + keep_height),
        flip=bool(flip < settings.flip),
        scale=(1.0, 1.0) if kept else (scale * stretch, scale / stretch),
        place=(0.5, 0.5) if kept else (place[0], place[1]),
        surround="black" if kept else surround,
        curve=curve,
        gray=bool(gray < settings.gray),
        blur=blur if blurred < settings.noise else 0.0,
        noise=noise if noisy < settings.noise else 0.0,
        seed=seed,
        upend=bool(later.uniform() < settings.upend),
        turn=turn,
        zoom=1 + zoom,
        contrast=1 + contrast,
    )


def draw_placement(scale: tuple[float, float], rng: np.random.Generator) -> Look:
    """A look that changes only size and place in the frame, on black: how evaluation places its clips."""
    size = rng.uniform(*scale)
    across, down = rng.uniform(0, 1, 2)
    return Look(scale=(size, size), place=(across, down))


def apply_look(look: Look, images: Images, input: Input) -> Images:
    """The clip (T, H, W, 3) uint8 as the network would see it, from unbordered pictures (T, h, w, 3) uint8."""
    height, width = images.shape[1:3]
    x0, y0, x1, y1 = look.crop
    rows = slice(int(y0 * height), max(int(y0 * height) + 1, round(y1 * height)))
    columns = slice(int(x0 * width), max(int(x0 * width) + 1, round(x1 * width)))
    kept = images[:, rows, columns]
    if look.flip:
        kept = kept[:, :, ::-1]
    if look.upend:
        kept = kept[:, ::-1]
    return apply_tone(look, _turned(look, _placed(look, np.ascontiguousarray(kept), input)))


def apply_tone(look: Look, seen: Images) -> Images:
    """Light, colours, blur and noise alone; sizes and places stay."""
    if look.curve is not None:
        seen = np.stack([look.curve[:, channel][seen[..., channel]] for channel in range(3)], axis=-1)
    if look.contrast != 1:
        mean = seen.mean(axis=(1, 2), keepdims=True)
        seen = ((seen - mean) * look.contrast + mean).clip(0, 255).astype(np.uint8)
    if look.gray:
        seen = np.repeat((seen @ LUMA).astype(np.uint8)[..., None], 3, axis=-1)
    if look.blur:
        seen = np.stack([cv2.GaussianBlur(image, (0, 0), look.blur) for image in seen])
    if look.noise:
        noise = np.random.default_rng(look.seed).normal(0, look.noise, seen.shape)
        seen = (seen + noise).clip(0, 255).astype(np.uint8)
    return seen


def _placed(look: Look, images: Images, input: Input) -> Images:
    """The pictures resized, and put into frames of the network's size."""
    size = _base_size(images.shape[1:3], input)
    height, width = (max(8, round(edge * scale)) for edge, scale in zip(size, look.scale[::-1], strict=True))
    placed = np.stack([resized(image, height, width) for image in images])
    placed, top = _cut(placed, 1, input.height, look.place[1])
    placed, left = _cut(placed, 2, input.width, look.place[0])
    height, width = placed.shape[1:3]
    if (height, width) == (input.height, input.width):
        return placed
    frames = np.repeat(surround(look, placed[0], (top, left), input)[None], len(placed), axis=0)
    frames[:, top : top + height, left : left + width] = placed
    return frames


def _turned(look: Look, images: Images) -> Images:
    """The pictures (T, H, W, 3) turned and zoomed about their middle."""
    if look.turn == 0 and look.zoom == 1:
        return images
    height, width = images.shape[1:3]
    change = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 360 * look.turn, look.zoom)
    turned = [cv2.warpAffine(image, change, (width, height), borderMode=cv2.BORDER_REFLECT) for image in images]
    return np.stack(turned).astype(np.uint8)


def _base_size(size: tuple[int, int], input: Input) -> tuple[float, float]:
    """Height and width that the input's fit gives a picture of `size`."""
    if input.fit == "squash":
        return input.height, input.width
    bound = max if input.fit == "center" else min
    scale = bound(input.height / size[0], input.width / size[1])
    return size[0] * scale, size[1] * scale


def _cut(images: Images, axis: int, length: int, place: float) -> tuple[Images, int]:
    """The pictures cut to at most `length` along `axis`, and where in the frame they begin."""
    free = length - images.shape[axis]
    if free >= 0:
        return images, round(free * place)
    start = round(-free * place)
    return images.take(range(start, start + length), axis=axis), 0


def surround(look: Look, first: Images, corner: tuple[int, int], input: Input) -> Images:
    """What lies around a clip whose first picture has its corner (top, left) there, (H, W, 3) uint8."""
    height, width = first.shape[:2]
    top, left = corner
    shape = (input.height, input.width, 3)
    if look.surround == "cluttered":
        return cluttered(look.seed, input.height, input.width)
    if look.surround == "plain":
        return np.full(shape, first.reshape(-1, 3).mean(0).astype(np.uint8))
    if look.surround == "stretched":
        return resized(first, input.height, input.width)
    if look.surround in ("edge", "blurred"):
        borders = (top, input.height - height - top, left, input.width - width - left)
        edge = np.asarray(cv2.copyMakeBorder(first, *borders, cv2.BORDER_REPLICATE), np.uint8)
        return edge if look.surround == "edge" else np.asarray(cv2.GaussianBlur(edge, (0, 0), 4), np.uint8)
    if look.surround == "texture":
        rng = np.random.default_rng(look.seed)
        grain = (int(rng.integers(3, 48)), int(rng.integers(4, 64)), 3)
        coarse = rng.normal(first.reshape(-1, 3).mean(0), rng.uniform(3, 40), grain).clip(0, 255).astype(np.uint8)
        return np.asarray(cv2.resize(coarse, (input.width, input.height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.zeros(shape, np.uint8)


def resized(image: Images, height: int, width: int) -> Images:
    """One picture at another size; pixels are averaged where it becomes smaller."""
    smaller = height < image.shape[0] or width < image.shape[1]
    interpolation = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)


def _draw_curve(settings: AugmentSettings, rng: np.random.Generator) -> NDArray[np.uint8] | None:
    """Gamma, then contrast about mid-grey, then gain, then a gain of each colour."""
    gamma, contrast, gain, colored = *rng.uniform(-1, 1, 3), rng.uniform()
    tint = np.exp(rng.uniform(-0.2, 0.2, 3) * (colored < settings.color))
    if settings.light == 0 and settings.color == 0:
        return None
    values = (np.arange(256) / 255) ** np.exp(0.4 * settings.light * gamma)
    values = (values - 0.5) * (1 + 0.4 * settings.light * contrast) + 0.5
    values = values[:, None] * np.exp(0.35 * settings.light * gain) * tint
    return np.asarray((values * 255).clip(0, 255).round(), np.uint8)
