"""What stands behind people: rooms, gyms, streets, lawns, studios, and plain noise, each drawn once for a scene.

Everything stands on the same ground plane as the people and goes through the same camera, so sizes and perspective fit.
Lengths are in standing heights; z runs towards the camera, so what is far has a negative z. Two picture pixels are
drawn for one that is kept, which makes the edges smooth.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from samples.drawing import RGB, Camera, shade
from samples.figure import Array, Colour

FINE = 2


class Canvas:
    """A picture in the making, addressed in the world's lengths."""

    def __init__(self, rng: np.random.Generator, camera: Camera, width: int, height: int) -> None:
        self.rng = rng
        self.width, self.height = width * FINE, height * FINE
        self.camera = Camera(camera.x * FINE, camera.y * FINE, camera.scale * FINE, camera.pitch, camera.distance)
        self.rgb: RGB = np.zeros((self.height, self.width, 3), np.uint8)

    def pick(self, *colours: Colour) -> Colour:
        """One of `colours`, slightly changed."""
        red, green, blue = np.clip(
            np.array(colours[self.rng.integers(len(colours))]) + self.rng.normal(0, 8, 3), 0, 255
        )
        return float(red), float(green), float(blue)

    def at(self, x: float, y: float, z: float) -> Array:
        """Pixel (2,) of a point."""
        return self.camera.project(np.array([x, y, z]))[0]

    def polygon(self, points: list[tuple[float, float, float]], colour: Colour, alpha: float = 1.0) -> None:
        """Fills the polygon through `points`."""
        self.fill(np.stack([self.at(*point) for point in points]), colour, alpha)

    def fill(self, pixels: Array, colour: Colour, alpha: float = 1.0) -> None:
        """Fills the polygon through `pixels` (N, 2)."""
        outline = [np.rint(np.clip(pixels, -9000, 9000) * 8).astype(np.int32)]
        if alpha == 1:
            cv2.fillPoly(self.rgb, outline, colour, cv2.LINE_AA, 3)
        else:
            over = self.rgb.copy()
            cv2.fillPoly(over, outline, colour, cv2.LINE_AA, 3)
            cv2.addWeighted(over, alpha, self.rgb, 1 - alpha, 0, self.rgb)

    def upright(self, x0: float, x1: float, y0: float, y1: float, z: float, colour: Colour, alpha: float = 1.0) -> None:
        """A rectangle that faces the camera."""
        self.polygon([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)], colour, alpha)

    def flat(
        self, x0: float, x1: float, z0: float, z1: float, colour: Colour, alpha: float = 1.0, y: float = 0.0
    ) -> None:
        """A rectangle that lies on the ground, or at height `y`."""
        self.polygon([(x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)], colour, alpha)

    def box(self, x: float, z: float, size: tuple[float, float, float], colour: Colour, y: float = 0.0) -> None:
        """A box of `size` (width, height, depth) centred on x whose front stands at z."""
        wide, high, deep = size
        if y == 0:
            self.flat(x - wide / 2 - 0.05, x + wide / 2 + 0.09, z - deep, z + 0.06, (20, 18, 24), 0.3)
        for side in (-1, 1):
            edge = x + side * wide / 2
            if (self.at(edge, 0, z - deep)[0] - self.at(edge, 0, z)[0]) * side > 0:
                self.polygon(
                    [(edge, y, z), (edge, y, z - deep), (edge, y + high, z - deep), (edge, y + high, z)],
                    shade(colour, 0.68),
                )
        self.flat(x - wide / 2, x + wide / 2, z - deep, z, shade(colour, 1.16), y=y + high)
        self.upright(x - wide / 2, x + wide / 2, y, y + high, z, colour)

    def ball(self, x: float, y: float, z: float, radius: float, colour: Colour) -> None:
        """A disc that faces the camera."""
        centre, scale = self.camera.project(np.array([x, y, z]))
        point = np.rint(np.clip(centre, -9000, 9000) * 8).astype(int)
        cv2.circle(
            self.rgb, (int(point[0]), int(point[1])), max(int(radius * scale * 8), 1), colour, -1, cv2.LINE_AA, 3
        )

    def gradient(self, top: float, bottom: float, colours: tuple[Colour, Colour]) -> None:
        """Rows from pixel `top` to `bottom` in one colour that becomes another."""
        low, high = max(int(top), 0), min(int(np.ceil(bottom)), self.height)
        share = ((np.arange(low, high) - top) / max(bottom - top, 1))[:, None, None]
        self.rgb[low:high] = np.array(colours[0]) * (1 - share) + np.array(colours[1]) * share

    def noise(self, strength: float, coarse: int, box: tuple[int, int] | None = None) -> None:
        """Multiplies rows `box` (all) by smooth noise of cells `coarse` pixels wide."""
        low, high = box or (0, self.height)
        cells = (max(2, (high - low) // coarse), max(2, self.width // coarse))
        grain = self.rng.normal(1, strength, cells).astype(np.float32)
        field = cv2.resize(grain, (self.width, high - low), interpolation=cv2.INTER_CUBIC)
        self.rgb[low:high] = np.clip(self.rgb[low:high] * field[..., None], 0, 255)

    @property
    def span(self) -> float:
        """Half the picture's width, in heights at the origin."""
        return self.width / self.camera.scale / 2

    def bottom(self) -> float:
        """The z of the ground at the picture's lower edge."""
        below = max(self.height - self.camera.y, 1)
        slope = self.camera.scale * np.sin(self.camera.pitch)
        return float(below / (slope + below / self.camera.distance)) * 1.05

    def horizon(self) -> float:
        """The row in which the ground ends."""
        return float(self.camera.y - self.camera.scale * self.camera.distance * np.sin(self.camera.pitch))


def _floor(canvas: Canvas, wall: float, colour: Colour, style: str) -> None:
    base = canvas.at(0, 0, wall)[1]
    canvas.gradient(base, canvas.height, (shade(colour, 0.82), shade(colour, 1.08)))
    near, far = canvas.bottom(), canvas.span * (1 - wall / canvas.camera.distance) * 1.5 + 1
    if style == "planks":
        for i, x in enumerate(np.arange(-far, far, 0.16)):
            canvas.flat(
                x, x + 0.155, wall, near, shade(colour, canvas.rng.uniform(0.86, 1.08)), 0.55 if i % 2 else 0.35
            )
    elif style == "tiles":
        for x in np.arange(-far, far, 0.36):
            canvas.flat(x, x + 0.012, wall, near, shade(colour, 0.78))
        for z in np.arange(wall, near, 0.36):
            canvas.flat(-far, far, z, z + 0.012, shade(colour, 0.78))
    else:
        canvas.noise(0.05, 3, (max(int(base), 0), canvas.height))


def _wall(canvas: Canvas, wall: float, colour: Colour) -> None:
    base = canvas.at(0, 0, wall)[1]
    canvas.gradient(0, base, (shade(colour, 1.06), shade(colour, 0.9)))
    canvas.noise(0.02, 60, (0, max(int(base), 2)))


def _spread(canvas: Canvas, wall: float) -> float:
    """Half the width of what is seen of the wall."""
    return canvas.span * (1 - wall / canvas.camera.distance)


def room(canvas: Canvas) -> None:
    """A living room: wall, floor, skirting, window, pictures, furniture, a rug."""
    rng, wall = canvas.rng, -float(canvas.rng.uniform(0.9, 1.9))
    paint = canvas.pick(
        (226, 214, 196), (186, 204, 208), (206, 186, 176), (172, 188, 164), (232, 226, 216), (150, 164, 184)
    )
    wood = canvas.pick((166, 120, 78), (196, 158, 112), (120, 84, 58), (170, 160, 150))
    _wall(canvas, wall, paint)
    _floor(canvas, wall, wood, str(rng.choice(["planks", "tiles", "carpet"])))
    wide = _spread(canvas, wall)
    canvas.upright(-wide * 2, wide * 2, 0, 0.07, wall, shade(paint, 1.14))
    x = rng.uniform(-0.8, 0.8) * wide
    _window(canvas, x, wall)
    canvas.polygon(
        [(x - 0.1, 0, -0.5), (x + 0.5, 0, -0.5), (x + 1.0, 0, 0.2), (x + 0.3, 0, 0.2)], (255, 244, 214), 0.16
    )
    for _ in range(rng.integers(1, 4)):
        px, py, w, h = (
            rng.uniform(-1, 1) * wide,
            rng.uniform(0.75, 1.05),
            rng.uniform(0.2, 0.4),
            rng.uniform(0.18, 0.32),
        )
        canvas.upright(px - w / 2, px + w / 2, py, py + h, wall, shade(wood, 0.55))
        canvas.upright(
            px - w / 2 + 0.02, px + w / 2 - 0.02, py + 0.02, py + h - 0.02, wall, canvas.pick((230, 224, 210))
        )
        canvas.upright(
            px - w / 4, px + w / 4, py + h * 0.3, py + h * 0.7, wall, canvas.pick((190, 90, 70), (70, 110, 150))
        )
    if rng.random() < 0.6:
        rug = canvas.pick((150, 60, 60), (70, 90, 130), (190, 170, 130), (90, 120, 100))
        canvas.flat(-1.1, 1.1, -0.5, 0.35, rug, 0.85)
        canvas.flat(-1.0, 1.0, -0.43, 0.28, shade(rug, 1.25), 0.85)
        canvas.flat(-0.93, 0.93, -0.38, 0.23, rug, 0.9)
    furniture: list[Callable[[Canvas, float, float], None]] = [_sofa, _shelf, _lamp, _plant, _table]
    for _ in range(rng.integers(2, 5)):
        furniture[rng.integers(len(furniture))](canvas, rng.uniform(-1.05, 1.05) * wide, wall + 0.45)


def _window(canvas: Canvas, x: float, wall: float) -> None:
    canvas.upright(x - 0.42, x + 0.42, 0.55, 1.28, wall, (240, 238, 232))
    sky = canvas.pick((176, 208, 236), (214, 226, 236), (120, 150, 190), (248, 220, 180))
    for column in (-0.38, 0.02):
        for row in (0.59, 0.93):
            canvas.upright(
                x + column, x + column + 0.36, row, row + 0.31, wall, shade(sky, 0.95 if row < 0.7 else 1.05)
            )
    for side in (-1, 1):
        canvas.upright(
            x + side * 0.52 - 0.12,
            x + side * 0.52 + 0.12,
            0.4,
            1.36,
            wall,
            canvas.pick((196, 180, 170), (120, 70, 70)),
            0.9,
        )


def _sofa(canvas: Canvas, x: float, z: float) -> None:
    colour = canvas.pick((90, 110, 130), (150, 80, 70), (120, 124, 110), (190, 170, 140), (66, 70, 84))
    canvas.box(x, z - 0.22, (1.15, 0.48, 0.14), shade(colour, 0.85))
    canvas.box(x, z + 0.05, (1.0, 0.25, 0.28), colour)
    for side in (-1, 1):
        canvas.box(x + side * 0.56, z + 0.06, (0.14, 0.34, 0.38), shade(colour, 0.93))
        canvas.upright(
            x + side * 0.25 - 0.12,
            x + side * 0.25 + 0.12,
            0.25,
            0.42,
            z - 0.05,
            canvas.pick((210, 180, 90), (200, 200, 200)),
        )


def _shelf(canvas: Canvas, x: float, z: float) -> None:
    wood, high = canvas.pick((130, 92, 62), (210, 200, 186), (90, 66, 50)), canvas.rng.uniform(0.8, 1.2)
    canvas.box(x, z - 0.2, (0.62, high, 0.2), wood)
    for y in np.arange(0.06, high - 0.15, 0.21):
        canvas.upright(x - 0.28, x + 0.28, y, y + 0.18, z - 0.2, shade(wood, 0.5))
        book = x - 0.27
        while book < x + 0.2:
            thick = canvas.rng.uniform(0.02, 0.05)
            colour = canvas.pick((170, 70, 60), (60, 90, 130), (220, 200, 150), (80, 120, 90), (60, 60, 70))
            canvas.upright(book, book + thick, y, y + canvas.rng.uniform(0.1, 0.165), z - 0.2, colour)
            book += thick + 0.004


def _lamp(canvas: Canvas, x: float, z: float) -> None:
    canvas.box(x, z, (0.2, 0.02, 0.2), (60, 58, 60))
    canvas.upright(x - 0.012, x + 0.012, 0, 0.85, z - 0.1, (70, 66, 64))
    canvas.polygon(
        [(x - 0.16, 0.8, z), (x + 0.16, 0.8, z), (x + 0.1, 1.05, z), (x - 0.1, 1.05, z)], canvas.pick((250, 232, 186))
    )


def _plant(canvas: Canvas, x: float, z: float) -> None:
    pot = canvas.pick((176, 100, 70), (220, 214, 204), (70, 80, 90))
    canvas.polygon([(x - 0.1, 0.2, z), (x + 0.1, 0.2, z), (x + 0.075, 0, z), (x - 0.075, 0, z)], pot)
    green = canvas.pick((60, 110, 62), (86, 130, 70), (44, 92, 66))
    for angle in canvas.rng.uniform(-1.3, 1.3, 13):
        long, bend = canvas.rng.uniform(0.3, 0.6), 0.06
        tip = (x + np.sin(angle) * long * 0.7, 0.2 + np.cos(angle) * long, z)
        mid = (x + np.sin(angle) * long * 0.35, 0.2 + np.cos(angle) * long * 0.55, z)
        tone = shade(green, canvas.rng.uniform(0.75, 1.3))
        canvas.polygon([(x, 0.19, z), (mid[0] - bend, mid[1], z), tip, (mid[0] + bend, mid[1], z)], tone)


def _table(canvas: Canvas, x: float, z: float) -> None:
    wood = canvas.pick((140, 98, 64), (60, 54, 50), (206, 196, 180))
    for side in (-1, 1):
        for depth in (-0.35, 0.0):
            canvas.upright(x + side * 0.32 - 0.02, x + side * 0.32 + 0.02, 0, 0.4, z + depth, shade(wood, 0.75))
    canvas.box(x, z, (0.75, 0.035, 0.38), wood, y=0.4)
    canvas.box(x + 0.1, z - 0.1, (0.12, 0.1, 0.1), canvas.pick((190, 80, 70), (90, 130, 160)), y=0.436)


def gym(canvas: Canvas) -> None:
    """A sports hall: a padded wall, wall bars, court lines, mats and a bench."""
    rng, wall = canvas.rng, -float(canvas.rng.uniform(1.4, 2.6))
    paint = canvas.pick((222, 216, 204), (196, 208, 216), (220, 206, 180))
    _wall(canvas, wall, paint)
    _floor(
        canvas,
        wall,
        canvas.pick((202, 152, 98), (120, 150, 140), (110, 130, 166)),
        str(rng.choice(["planks", "carpet"])),
    )
    wide, near = _spread(canvas, wall), canvas.bottom()
    pad = canvas.pick((60, 90, 140), (150, 60, 56), (70, 110, 90))
    for x in np.arange(-wide * 1.3, wide * 1.3, 0.5):
        canvas.upright(x, x + 0.485, 0.02, 0.62, wall, shade(pad, rng.uniform(0.94, 1.06)))
    for x in rng.uniform(-wide, wide, 2):
        for y in np.arange(0.1, 1.5, 0.11):
            canvas.upright(x, x + 0.6, y, y + 0.03, wall + 0.06, (176, 130, 84))
        for edge in (x, x + 0.3, x + 0.6):
            canvas.upright(edge - 0.02, edge + 0.02, 0, 1.6, wall + 0.06, (150, 108, 70))
    line = canvas.pick((236, 236, 230), (210, 60, 56), (240, 200, 60))
    for z in (-0.75, 0.55):
        canvas.flat(-wide * 2, wide * 2, z, z + 0.05, line, 0.85)
    x = rng.uniform(-wide, wide)
    canvas.polygon([(x, 0, wall), (x + 0.06, 0, wall), (x + 0.06, 0, near), (x, 0, near)], line, 0.8)
    canvas.box(rng.uniform(-1, 1) * wide, wall + 0.4, (1.1, 0.08, 0.5), canvas.pick((50, 100, 160), (170, 60, 60)))
