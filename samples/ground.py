"""The ground alone, as a camera sees it that looks down from a mast or a window: a car park or trodden grass.

Drawn on the canvas of backdrop.py; what stands under the sky lives in outdoors.py.
"""

from __future__ import annotations

import cv2
import numpy as np

from samples.backdrop import FINE, Canvas
from samples.drawing import shade
from samples.figure import Colour


def ground(canvas: Canvas) -> None:
    """Asphalt with joints and paint, or grass with bare earth, up to the picture's upper edge or nearly so."""
    if canvas.rng.random() < 0.5:
        _car_park(canvas)
    else:
        _grass(canvas)


def _car_park(canvas: Canvas) -> None:
    rng = canvas.rng
    asphalt = canvas.pick((134, 132, 122), (112, 112, 112), (150, 144, 130), (92, 94, 98))
    canvas.gradient(0, canvas.height, (shade(asphalt, rng.uniform(0.9, 1.05)), asphalt))
    for coarse, strength in ((120, 0.05), (24, 0.03), (FINE, 0.05)):
        canvas.noise(strength, coarse)
    for _ in range(rng.integers(0, 4)):
        _crack(canvas, shade(asphalt, rng.uniform(0.4, 0.7)))
    if rng.random() < 0.5:
        _parking_bays(canvas)


def _crack(canvas: Canvas, colour: Colour) -> None:
    """A joint that runs across the picture, all but straight."""
    rng = canvas.rng
    ends = rng.uniform(0, canvas.height, 2) if rng.random() < 0.7 else rng.uniform(0, canvas.width, 2)
    x = np.linspace(0, canvas.width, 14)
    y = np.linspace(ends[0], ends[1], 14) + rng.normal(0, 0.006 * canvas.height, 14)
    if rng.random() < 0.3:  # runs towards the camera
        x, y = y * canvas.width / canvas.height, np.linspace(0, canvas.height, 14)
    wide = int(max(1, rng.uniform(0.002, 0.008) * canvas.height))
    cv2.polylines(canvas.rgb, [np.rint(np.stack([x, y], -1)).astype(np.int32)], False, colour, wide, cv2.LINE_AA)


def _parking_bays(canvas: Canvas) -> None:
    """White lines side by side, seen at an angle."""
    rng, near = canvas.rng, canvas.bottom()
    start, slant, gap = rng.uniform(-2, 2), rng.uniform(-0.8, 0.8), rng.uniform(1.4, 2.2)
    for x in start + np.arange(-4, 5) * gap:
        strip = [(x, 0, near - 2.5), (x + 0.06, 0, near - 2.5), (x + 0.06 + slant, 0, near), (x + slant, 0, near)]
        canvas.polygon([(float(a), b, float(c)) for a, b, c in strip], (224, 224, 218), 0.8)


def _grass(canvas: Canvas) -> None:
    rng = canvas.rng
    green = np.array(canvas.pick((88, 100, 68), (102, 116, 74), (72, 86, 60), (120, 124, 88)))
    earth = np.array(canvas.pick((106, 94, 82), (124, 110, 94), (90, 82, 70)))
    shape = (canvas.height, canvas.width)
    bare = np.zeros(shape, np.float32)
    for cells, strength in ((3, 0.5), (9, 0.35), (40, 0.3)):
        grain = rng.normal(0, strength, (cells, int(cells * 1.5))).astype(np.float32)
        bare += cv2.resize(grain, shape[::-1], interpolation=cv2.INTER_CUBIC)
    share = np.clip(bare + rng.uniform(-0.3, 0.8), 0, 1)[..., None]
    canvas.rgb[:] = np.clip(green * (1 - share) + earth * share, 0, 255)
    for coarse, strength in ((8, 0.08), (FINE, 0.14)):
        canvas.noise(strength, coarse)
    for _ in range(rng.integers(0, 40)):
        x, z = float(rng.uniform(-1.5, 1.5) * canvas.span), float(rng.uniform(-3, canvas.bottom()))
        size = float(rng.uniform(0.008, 0.02))
        canvas.ball(x, 0.0, z, size, canvas.pick((176, 160, 120), (90, 70, 50)))
    if rng.random() < 0.35:
        x, z = rng.choice((-1, 1)) * rng.uniform(0.6, 1.1) * canvas.span, -rng.uniform(0.3, 1.5)
        wide, bark = rng.uniform(0.08, 0.16), canvas.pick((84, 68, 56), (102, 86, 72))
        canvas.upright(float(x - wide), float(x + wide), 0, 3, float(z), bark)
        canvas.upright(float(x), float(x + wide), 0, 3, float(z), shade(bark, 0.75))
