"""How people are drawn: limbs as shaded, tapered capsules, heads with hair and faces, soft shadows on the ground.

Everything is drawn straight into the picture with sub-pixel, anti-aliased convex polygons, far parts first. Colours
are final (the scene's light is in them). Where the camera is and what stands behind lives in scene.py, backdrop.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from samples.figure import POINT, Array, Body, Colour, Look

BITS = 4
"""Fractional bits of polygon coordinates."""
ARC = np.linspace(-np.pi / 2, np.pi / 2, 8)
ROUND = np.linspace(0, 2 * np.pi, 15)[:-1]
CIRCLE = np.stack([np.cos(ROUND), np.sin(ROUND)], axis=-1)
RGB = NDArray[np.uint8]
Layer = tuple[float, int, Callable[[RGB], None]]
"""A part of a person: its depth, the larger the nearer; its rank among parts of one depth; what draws it."""


@dataclass(frozen=True)
class Camera:
    """A perspective onto the ground plane.

    Attributes:
        x, y: pixels of the point on the ground at the world's origin.
        scale: pixels that a standing height takes up there.
        pitch: how far the camera looks down, radians.
        distance: of the camera from the origin, heights.
    """

    x: float
    y: float
    scale: float
    pitch: float
    distance: float

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixels (..., 2) and pixels a height (...) of `points` (..., 3), whose z runs towards the camera."""
        x, y, z = np.moveaxis(points, -1, 0)
        near = self.scale / np.maximum(1 - z / self.distance, 0.2)
        down = z * np.sin(self.pitch) - y * np.cos(self.pitch)
        return np.stack([self.x + near * x, self.y + near * down], axis=-1), near


def shade(colour: Colour, factor: float) -> Colour:
    """`colour`, darker (factor < 1) or lighter (factor > 1)."""
    red, green, blue = (min(max(c * factor, 0), 255) for c in colour)
    return red, green, blue


def lit(look: Look, gains: Array) -> Look:
    """`look` under a light that multiplies red, green and blue by `gains` (3,)."""

    def tint(value: object) -> object:
        if not isinstance(value, tuple):
            return value
        red, green, blue = np.clip(np.array(value) * gains, 0, 255)
        return float(red), float(green), float(blue)

    return Look(*(tint(getattr(look, field.name)) for field in fields(Look)))  # type: ignore[arg-type]


def _capsules(ends: Array, radii: Array) -> Array:
    """Outlines (N, 16, 2) of capsules between `ends` (N, 2, 2) with `radii` (N, 2), pixels."""
    axis = ends[:, 1] - ends[:, 0]
    angle = np.arctan2(axis[:, 1], axis[:, 0])[:, None] + np.concatenate([ARC + np.pi, ARC])
    spokes = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.repeat(ends, 8, axis=1) + spokes * np.repeat(radii, 8, axis=1)[..., None]


def _fill(picture: RGB, outline: Array, colour: Colour) -> None:
    points = np.rint(outline * (1 << BITS)).astype(np.int32)
    cv2.fillConvexPoly(picture, points, colour, cv2.LINE_AA, BITS)


class Figure:
    """One person, ready to be drawn.

    Args:
        body: proportions.
        look: colours, already lit.
        light: direction from which light comes, in the picture, as a unit vector (2,).
    """

    def __init__(self, body: Body, look: Look, light: Array) -> None:
        self._light = light
        self._look = look
        self._head = body.head
        skin, shirt, trousers, shoes = look.skin, look.shirt, look.trousers, look.shoes
        g, bare = body.girth, look.legs != "long"
        sleeve = shirt if look.sleeves != "none" else skin
        cuff = shirt if look.sleeves == "long" else skin
        arm = (
            ("shoulder", "elbow", 0.033 * g, 0.027 * g, sleeve),
            ("elbow", "hand", 0.026 * g, 0.02 * g, cuff),
            ("hand", "hand", 0.024, 0.024, skin),
        )
        leg = (
            ("hip", "knee", 0.052 * g, 0.038 * g, skin if look.legs == "skirt" else trousers),
            ("knee", "ankle", 0.036 * g, 0.026 * g, skin if bare else trousers),
            ("ankle", "toe", 0.027, 0.021, shoes),
        )
        bones = [(side, *bone) for side in ("left", "right") for bone in (*arm, *leg)]
        self._bones = np.array([(POINT[f"{side}_{a}"], POINT[f"{side}_{b}"]) for side, a, b, *_ in bones])
        self._radii = np.array([(wide, narrow) for *_, wide, narrow, _ in bones])
        self._colours: list[Colour] = [colour for *_, colour in bones]
        self._waist = 0.062 * g
        self._chest = 0.058 * (0.5 + 0.5 * g)

    def draw(self, picture: RGB, points: Array, camera: Camera) -> None:
        """Draws the person with `points` (P, 3) into `picture`."""
        for _, _, draw in sorted(self.layers(points, camera), key=lambda layer: layer[:2]):
            draw(picture)

    def layers(self, points: Array, camera: Camera) -> list[Layer]:
        """The parts of the person with `points` (P, 3)."""
        pixels, scale = camera.project(points)
        ends, radii = pixels[self._bones], self._radii * scale[self._bones[:, 0], None]
        offset = self._light * radii.min(axis=1)[:, None] * 0.22
        both = _capsules(np.concatenate([ends, ends + offset[:, None]]), np.concatenate([radii, radii * 0.76]))
        outer, inner = both[: len(ends)], both[len(ends) :]
        depth = points[self._bones, 2].mean(axis=1).reshape(4, 3).mean(axis=1)
        trunk = float(points[[POINT["pelvis"], POINT["neck"]], 2].mean())
        head = float(points[POINT["head"], 2])
        facing = float(points[POINT["nose"], 2]) >= head
        # Limbs hang at about the trunk's own depth: a nudge says on which side of it they are. A skirt hides the legs.
        layers: list[tuple[float, int]] = [(trunk, 4), (max(head, trunk - 0.05 * (head > trunk - 0.05)) + 0.001, 5)]
        for limb in range(4):
            hidden = self._look.legs == "skirt" and limb % 2
            layers.append((min(depth[limb], trunk - 0.01) if hidden else depth[limb] + 0.004, limb))
        if self._look.haircut == "long":
            layers.append((trunk - 0.02, 6) if facing else (max(head, trunk) + 0.002, 6))
        draws: dict[int, Callable[[RGB], None]] = {
            **{limb: partial(self._draw_limb, limb=limb, outer=outer, inner=inner) for limb in range(4)},
            4: partial(self._draw_trunk, pixels=pixels, scale=scale, facing=facing),
            5: partial(self._draw_head, points=points, pixels=pixels, scale=scale),
            6: partial(self._draw_long_hair, pixels=pixels, scale=scale),
        }
        return [(z, part, draws[part]) for z, part in layers]

    def _draw_limb(self, picture: RGB, limb: int, outer: Array, inner: Array) -> None:
        """An arm or a leg: all rims first, so that no seam shows at elbow and knee."""
        for i in range(limb * 3, limb * 3 + 3):
            _fill(picture, outer[i], shade(self._colours[i], 0.7))
        for i in range(limb * 3, limb * 3 + 3):
            _fill(picture, inner[i], self._colours[i])

    def _blob(self, picture: RGB, centres: Array, radii: Array, colour: Colour) -> None:
        """The convex hull of circles, shaded at the rim."""
        for grow, towards, tone in ((1.0, 0.0, 0.7), (0.84, 0.2, 1.0)):
            moved = centres + self._light * radii.min() * towards
            outline = (moved[:, None] + CIRCLE * (radii * grow)[:, None, None]).reshape(-1, 2)
            _fill(picture, cv2.convexHull(outline.astype(np.float32))[:, 0], shade(colour, tone))

    def _draw_trunk(self, picture: RGB, pixels: Array, scale: Array, facing: bool) -> None:
        def at(*names: str) -> list[int]:
            return [POINT[name] for name in names]

        k = float(scale[0])
        hips, shoulders = pixels[at("left_hip", "right_hip")], pixels[at("left_shoulder", "right_shoulder")]
        waist, pelvis, neck = pixels[at("waist", "pelvis", "neck")]
        look = self._look
        if look.legs == "skirt":
            knees = pixels[at("left_knee", "right_knee")] * 0.75 + hips * 0.25
            radii = np.array([self._waist, self._waist, self._waist, 0.05, 0.05]) * k
            self._blob(picture, np.stack([waist, *hips, *knees]), radii, look.trousers)
        else:
            self._blob(picture, np.stack([pelvis, *hips]), np.array([self._waist, 0.055, 0.055]) * k, look.trousers)
        _fill(
            picture, _capsules(pixels[at("neck", "head")][None], np.full((1, 2), 0.029 * k))[0], shade(look.skin, 0.8)
        )
        upper = np.stack([*shoulders, waist * 0.8 + pelvis * 0.2, neck * 0.75 + waist * 0.25])
        radii = np.array([0.036, 0.036, self._waist, self._chest]) * k
        self._blob(picture, upper, radii, look.shirt)
        if look.stripe is not None and facing:
            band = (shoulders * 0.55 + waist * 0.45) * 0.8 + (neck * 0.5 + waist * 0.5) * 0.2
            _fill(picture, _capsules(band[None], np.full((1, 2), 0.022 * k))[0], look.stripe)

    def _draw_head(self, picture: RGB, points: Array, pixels: Array, scale: Array) -> None:
        k, look = float(scale[POINT["head"]]), self._look
        head, up = pixels[POINT["head"]], pixels[POINT["crown"]] - pixels[POINT["head"]]
        nose = pixels[POINT["nose"]] - head
        towards = float(points[POINT["nose"], 2] - points[POINT["head"], 2]) / self._head
        size = self._head * k
        hair = shade(look.hair, 1.0)
        if look.haircut == "bun":
            self._blob(picture, (head + up * 0.75 - nose * 0.75)[None], np.array([0.42 * size]), hair)
        bald = look.haircut == "bald"
        if not bald:
            self._blob(picture, np.stack([head + up * 0.14 - nose * 0.16]), np.array([1.0 * size]), hair)
        if towards > -0.35:
            face = np.stack([head + nose * 0.16 - up * 0.02, head + nose * 0.2 - up * 0.3])
            self._blob(picture, face, np.array([0.86, 0.66]) * size, look.skin)
            if not bald:
                fringe = np.stack([head + up * 0.62 + nose * 0.1, head + up * 0.5 - nose * 0.45])
                self._blob(picture, fringe, np.array([0.52, 0.58]) * size, hair)
            self._draw_face(picture, head, up, nose, towards, size)
        elif bald:
            self._blob(picture, head[None], np.array([0.98 * size]), look.skin)
        if look.haircut == "cap":
            crown = np.stack([head + up * 0.42, head + up * 0.62])
            self._blob(picture, crown, np.array([0.8, 0.62]) * size, look.shoes)
            peak = np.stack([head + up * 0.35, head + up * 0.3 + nose * 1.25])
            _fill(picture, _capsules(peak[None], np.full((1, 2), 0.16 * size))[0], shade(look.shoes, 0.75))

    def _draw_long_hair(self, picture: RGB, pixels: Array, scale: Array) -> None:
        head, size = pixels[POINT["head"]], self._head * float(scale[POINT["head"]])
        up, nose = pixels[POINT["crown"]] - head, pixels[POINT["nose"]] - head
        strand = np.stack([head + up * 0.1 - nose * 0.2, head - up - nose * 0.55])
        self._blob(picture, strand, np.array([1.02, 0.78]) * size, self._look.hair)

    def _draw_face(self, picture: RGB, head: Array, up: Array, nose: Array, towards: float, size: float) -> None:
        if size < 7 or towards < -0.1:
            return
        across = np.array([-up[1], up[0]])
        dark, lips = (34.0, 26.0, 26.0), shade(self._look.skin, 0.62)
        for sign in (-1, 1):
            turned = sign * 0.34 * max(towards, 0.0)
            if abs(towards) < 0.25 and sign * float(across @ nose) < 0:
                continue
            eye = head + across * turned + nose * 0.72 + up * 0.06
            _fill(picture, eye + CIRCLE * size * 0.085, dark)
        mouth = head + nose * 0.75 - up * 0.42
        half = across * (0.16 * max(towards, 0.3))
        _fill(picture, _capsules(np.stack([mouth - half, mouth + half])[None], np.full((1, 2), 0.045 * size))[0], lips)


def cast_shadow(picture: RGB, points: Array, camera: Camera, slant: Array, strength: float) -> None:
    """Darkens the ground where a person with `points` (P, 3) keeps the light off it.

    Args:
        picture: is drawn into.
        points: the person.
        camera: projects.
        slant: how far shadows run along x and z for each height, (2,).
        strength: 0 (none) to 1 (black).
    """
    flat = points * np.array([1, 0, 1])
    flat[:, 0] += points[:, 1] * slant[0]
    flat[:, 2] += points[:, 1] * slant[1]
    pixels, scale = camera.project(flat)
    k = float(scale[0])
    pad = 0.12 * k
    low = np.floor(np.maximum(pixels.min(axis=0) - pad, 0)).astype(int)
    high = np.ceil(np.minimum(pixels.max(axis=0) + pad, (picture.shape[1], picture.shape[0]))).astype(int)
    if (high - low < 4).any():
        return
    # Drawn on a grid of about 40 pixels a height: the blur is what makes it soft, not the resolution.
    step = max(1, round(k / 45))
    grid = np.zeros(tuple((high - low)[::-1] // step + 1), np.uint8)
    local = (pixels - low) / step
    for outline in _capsules(local[_SHADOW_BONES], _SHADOW_RADII * k / step):
        _fill(grid, outline, (255.0, 255.0, 255.0))
    blur = 2 * int(0.035 * k / step + 0.5) + 1
    soft = cv2.blur(grid, (blur + 2, blur))
    x, y = low
    part = picture[y : y + (high - low)[1], x : x + (high - low)[0]]
    keep = cv2.resize(cv2.LUT(soft, _KEEP[round(strength * 20)]), part.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    part[:] = cv2.multiply(part, cv2.cvtColor(keep, cv2.COLOR_GRAY2RGB), scale=1 / 255)


_KEEP = [(255 - np.arange(256) * strength / 20).astype(np.uint8) for strength in range(21)]
_SHADOW = [
    (POINT[a], POINT[b], radius)
    for a, b, radius in [("pelvis", "neck", 0.075), ("head", "head", 0.065)]
    + [
        (f"{side}_{a}", f"{side}_{b}", radius)
        for side in ("left", "right")
        for a, b, radius in (
            ("shoulder", "elbow", 0.03),
            ("elbow", "hand", 0.025),
            ("hip", "knee", 0.045),
            ("knee", "ankle", 0.033),
            ("ankle", "toe", 0.03),
        )
    ]
]
_SHADOW_BONES = np.array([bone[:2] for bone in _SHADOW])
_SHADOW_RADII = np.array([bone[2:] * 2 for bone in _SHADOW])
