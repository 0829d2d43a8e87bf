"""Backdrops under the sky, and those that are no place at all; drawn on the canvas of backdrop.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from samples.backdrop import FINE, Canvas, gym, room
from samples.drawing import RGB, Camera, shade
from samples.figure import Colour
from samples.ground import ground


def _sky(canvas: Canvas) -> Colour:
    """Draws sky and clouds down to the horizon; returns the colour of the haze there."""
    zenith, haze = [
        ((96, 152, 214), (206, 224, 238)),
        ((138, 160, 184), (214, 216, 216)),
        ((84, 110, 164), (250, 206, 160)),
        ((120, 180, 226), (232, 240, 240)),
    ][canvas.rng.integers(4)]
    horizon = canvas.horizon()
    canvas.gradient(0, max(horizon, 2) + 2, (zenith, haze))
    for _ in range(canvas.rng.integers(0, 6)):
        x, y = canvas.rng.uniform(0, canvas.width), canvas.rng.uniform(0, max(horizon, 4) * 0.7)
        size = canvas.rng.uniform(0.02, 0.05) * canvas.width
        for _ in range(7):
            angle = np.linspace(0, 2 * np.pi, 24)
            centre = np.array([x + canvas.rng.normal(0, size * 1.6), y + canvas.rng.normal(0, size * 0.28)])
            disc = centre + size * canvas.rng.uniform(0.5, 1.1) * np.stack([np.cos(angle), 0.55 * np.sin(angle)], -1)
            canvas.fill(disc, (250, 250, 250), 0.3)
    return haze


def _ridge(canvas: Canvas, base: float, height: float, colour: Colour, rough: float) -> None:
    """A hill or tree line that rises `height` pixels over row `base`."""
    x = np.linspace(0, canvas.width, 160)
    y = np.zeros_like(x)
    for octave in range(1, 6):
        phase, rate = canvas.rng.uniform(0, 6.3), canvas.rng.uniform(0.6, 1.4) * 2**octave
        y += np.sin(x / canvas.width * rate * 2 + phase) * rough**octave
    y = base - height * (0.6 + 0.4 * y / max(float(np.abs(y).max()), 1e-6))
    corners = np.array([[canvas.width, base + 4], [0, base + 4]])
    canvas.fill(np.concatenate([np.stack([x, y], -1), corners]), colour)


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    red, green, blue = np.array(a) * (1 - share) + np.array(b) * share
    return float(red), float(green), float(blue)


def _tree(canvas: Canvas, x: float, z: float, haze: Colour) -> None:
    fade = min(0.65, -z / 40)
    rng, high = canvas.rng, canvas.rng.uniform(1.5, 2.6)
    bark = _mix(canvas.pick((96, 72, 52), (120, 100, 82)), haze, fade)
    canvas.flat(x - 0.5, x + 0.7, z - 0.25, z + 0.25, (20, 30, 20), 0.25)
    canvas.polygon([(x - 0.09, 0, z), (x + 0.09, 0, z), (x + 0.05, high * 0.6, z), (x - 0.05, high * 0.6, z)], bark)
    leaf = _mix(canvas.pick((70, 118, 60), (96, 136, 62), (58, 100, 70), (172, 130, 56)), haze, fade)
    for tone, drop in ((0.72, -0.12), (0.92, 0.0), (1.14, 0.12)):
        for _ in range(12):
            angle, out = rng.uniform(0, 6.3), rng.uniform(0, 0.42) * (1.1 - drop)
            y = high * 0.82 + np.sin(angle) * out * 0.9 + drop
            canvas.ball(
                x + np.cos(angle) * out - drop * 0.4,
                y,
                z,
                rng.uniform(0.14, 0.26),
                shade(leaf, tone * rng.uniform(0.95, 1.05)),
            )


def lawn(canvas: Canvas) -> None:
    """A park: sky, hills, trees in several depths, mown grass, a path or a fence."""
    rng, haze, horizon = canvas.rng, _sky(canvas), canvas.horizon()
    for share in (0.6, 0.35):
        colour = _mix(canvas.pick((90, 126, 96), (110, 130, 84)), haze, share)
        _ridge(canvas, horizon, canvas.height * rng.uniform(0.03, 0.14), colour, 0.55)
    grass = canvas.pick((112, 150, 70), (92, 136, 76), (140, 152, 82), (84, 120, 60))
    canvas.gradient(horizon, canvas.height, (_mix(grass, haze, 0.3), shade(grass, 0.96)))
    near, far = canvas.bottom(), -canvas.camera.distance * 3
    if rng.random() < 0.5:
        for i in np.arange(-14, 14, 2):
            canvas.flat(i * 0.7, i * 0.7 + 0.7, far, near, shade(grass, 1.1), 0.4)
    if rng.random() < 0.4:
        x, bend = rng.uniform(-3, 3), rng.uniform(-4, 4)
        canvas.polygon([(x, 0, near), (x + 1, 0, near), (x + bend + 1, 0, far), (x + bend, 0, far)], (206, 190, 156))
    canvas.noise(0.06, 4, (max(int(horizon), 0), canvas.height))
    canvas.noise(0.05, 40, (max(int(horizon), 0), canvas.height))
    for z in sorted(rng.uniform(-16, -1.6, rng.integers(3, 9))):
        x = rng.uniform(-1.1, 1.1) * canvas.span * (1 - z / canvas.camera.distance)
        _tree(canvas, float(x), float(z), haze)
    if rng.random() < 0.35:
        z, wide = -1.3, canvas.span * (1 + 1.3 / canvas.camera.distance) + 1
        for y in (0.15, 0.33):
            canvas.upright(-wide, wide, y, y + 0.035, z, (226, 222, 212))
        for x in np.arange(-wide, wide, 0.3):
            canvas.upright(float(x), float(x) + 0.05, 0, 0.45, z, (236, 232, 224))


def street(canvas: Canvas) -> None:
    """A street: sky, a skyline, house fronts, road, pavement, lamps, cars and a tree."""
    rng, haze, horizon = canvas.rng, _sky(canvas), canvas.horizon()
    x = 0.0
    while x < canvas.width:
        wide, high = rng.uniform(0.03, 0.09) * canvas.width, rng.uniform(0.05, 0.3) * canvas.height
        tower = np.array([[x, horizon], [x, horizon - high], [x + wide, horizon - high], [x + wide, horizon]])
        canvas.fill(tower, _mix(canvas.pick((110, 116, 130)), haze, 0.55))
        x += wide * rng.uniform(0.7, 1.3)
    pave = canvas.pick((176, 170, 162), (150, 148, 150), (190, 176, 158))
    canvas.gradient(horizon, canvas.height, (_mix(pave, haze, 0.4), pave))
    near, house, kerb = canvas.bottom(), -float(rng.uniform(3.2, 5.5)), -float(rng.uniform(0.9, 1.3))
    half = canvas.span * (1 - house / canvas.camera.distance) + 1
    left = -half
    while left < half:
        wide = float(rng.uniform(1.6, 3.2))
        _house(canvas, left, left + wide, house, float(rng.uniform(2.2, 4.5)))
        left += wide
    road = canvas.pick((92, 92, 98), (112, 110, 112))
    canvas.flat(-half * 2, half * 2, house + 0.9, kerb, road)
    canvas.flat(-half * 2, half * 2, kerb - 0.04, kerb + 0.05, shade(pave, 1.15))
    middle = (house + 0.9 + kerb) / 2
    for dash in np.arange(-half, half, 0.9):
        canvas.flat(float(dash), float(dash) + 0.5, middle - 0.03, middle + 0.03, (226, 222, 206), 0.9)
    for tile in np.arange(-half, half, 0.45):
        canvas.flat(float(tile), float(tile) + 0.014, kerb + 0.05, near, shade(pave, 0.85))
    for row in np.arange(kerb + 0.4, near, 0.45):
        canvas.flat(-half, half, float(row), float(row) + 0.014, shade(pave, 0.85))
    for place in rng.uniform(-half * 0.8, half * 0.8, rng.integers(1, 4)):
        _car(canvas, float(place), middle - 0.4)
    for place in rng.uniform(-0.9, 0.9, rng.integers(1, 3)) * canvas.span:
        if rng.random() < 0.5:
            canvas.upright(float(place) - 0.02, float(place) + 0.02, 0, 2.2, kerb + 0.15, (58, 62, 66))
            canvas.box(float(place), kerb + 0.15, (0.12, 0.2, 0.1), (54, 58, 62))
        else:
            _tree(canvas, float(place), kerb + 0.1, haze)


def _house(canvas: Canvas, left: float, right: float, z: float, high: float) -> None:
    wall = canvas.pick(
        (196, 150, 120), (214, 196, 166), (170, 110, 92), (186, 186, 190), (150, 160, 164), (222, 208, 190)
    )
    canvas.upright(left, right, 0, high, z, wall)
    canvas.upright(left, right, high - 0.12, high, z, shade(wall, 0.75))
    canvas.upright(left, right, 0, 0.3, z, shade(wall, 0.8))
    pane = canvas.pick((120, 146, 166), (84, 100, 120), (238, 214, 150))
    columns = max(2, int((right - left) / 0.6))
    for column in np.linspace(left + 0.35, right - 0.35, columns):
        for y in np.arange(0.55, high - 0.6, 0.85):
            canvas.upright(column - 0.17, column + 0.17, y - 0.03, y + 0.47, z, (232, 228, 218))
            canvas.upright(column - 0.14, column + 0.14, y, y + 0.44, z, shade(pane, canvas.rng.uniform(0.75, 1.15)))
    door = float(canvas.rng.uniform(left + 0.3, right - 0.3))
    canvas.upright(door - 0.18, door + 0.18, 0, 0.95, z, canvas.pick((120, 60, 50), (50, 80, 90), (80, 64, 50)))


def _car(canvas: Canvas, x: float, z: float) -> None:
    paint = canvas.pick((180, 50, 46), (60, 90, 150), (220, 220, 222), (50, 52, 58), (210, 170, 60))
    canvas.flat(x - 1.25, x + 1.25, z - 0.5, z + 0.12, (16, 16, 20), 0.4)
    cabin = [(x - 0.75, 0.5, z), (x + 0.7, 0.5, z), (x + 0.42, 0.82, z), (x - 0.45, 0.82, z)]
    canvas.polygon(cabin, shade(paint, 0.9))
    canvas.polygon([(x - 0.62, 0.51, z), (x + 0.56, 0.51, z), (x + 0.36, 0.77, z), (x - 0.38, 0.77, z)], (96, 116, 132))
    canvas.upright(x - 0.06, x, 0.5, 0.8, z, shade(paint, 0.9))
    body = [
        (x - 1.2, 0.18, z),
        (x + 1.2, 0.18, z),
        (x + 1.18, 0.44, z),
        (x + 0.75, 0.53, z),
        (x - 1.0, 0.53, z),
        (x - 1.2, 0.46, z),
    ]
    canvas.polygon(body, paint)
    canvas.upright(x - 1.2, x + 1.2, 0.18, 0.26, z, shade(paint, 0.7))
    for wheel in (-0.75, 0.75):
        canvas.ball(x + wheel, 0.19, z, 0.19, (28, 28, 30))
        canvas.ball(x + wheel, 0.19, z, 0.1, (170, 172, 176))


def studio(canvas: Canvas) -> None:
    """A paper backdrop: one colour that curves from wall to floor."""
    paper = canvas.pick(
        (214, 206, 198), (120, 140, 160), (186, 150, 130), (90, 94, 104), (160, 176, 150), (230, 226, 220)
    )
    seam = canvas.at(0, 0, -float(canvas.rng.uniform(0.6, 1.2)))[1]
    canvas.gradient(0, seam, (shade(paper, 0.72), shade(paper, 0.96)))
    canvas.gradient(seam, canvas.height, (shade(paper, 0.96), shade(paper, 1.1)))


def texture(canvas: Canvas) -> None:
    """Coloured noise in several octaves, with straight and round shapes strewn over it; no place at all."""
    rng, ground = canvas.rng, canvas.at(0, 0, -1)[1]
    canvas.gradient(0, ground, (canvas.pick((150, 150, 150)), canvas.pick((120, 130, 120))))
    tint = rng.uniform(60, 220, (2, 3))
    canvas.rgb[: int(ground)] = tint[0]
    canvas.rgb[int(ground) :] = tint[1]
    for _ in range(rng.integers(0, 14)):
        corner, size = rng.uniform(0, 1, 2) * (canvas.width, ground), rng.uniform(0.03, 0.3, 2) * canvas.height
        angle = np.arange(4) * np.pi / 2 + 0.8 if rng.random() < 0.6 else np.linspace(0, 6.28, 20)
        red, green, blue = rng.uniform(30, 240, 3)
        shape = corner + size * np.stack([np.cos(angle), np.sin(angle)], -1)
        canvas.fill(shape, (float(red), float(green), float(blue)), float(rng.uniform(0.3, 0.9)))
    for coarse in (96, 32, 10, 4):
        canvas.noise(float(rng.uniform(0.02, 0.12)), coarse * FINE // 2)


KINDS: dict[str, Callable[[Canvas], None]] = {
    "room": room, "gym": gym, "street": street, "lawn": lawn, "studio": studio, "texture": texture,
    "ground": ground,
}  # fmt: skip


def draw_backdrop(rng: np.random.Generator, kind: str, camera: Camera, width: int, height: int) -> Canvas:
    """A finished backdrop of `kind`, still at `FINE` times its size."""
    canvas = Canvas(rng, camera, width, height)
    KINDS[kind](canvas)
    return canvas


__all__ = ["KINDS", "RGB", "draw_backdrop"]
