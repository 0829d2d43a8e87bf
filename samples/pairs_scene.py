"""The place where two people meet: seen from nearer, often from above, and drawn so that arms lie around bodies."""

from __future__ import annotations

import numpy as np

from samples.drawing import RGB, Camera, Figure
from samples.figure import Array
from samples.scene import Scene

PLACES = {"ground": 0.55, "lawn": 0.2, "street": 0.2, "studio": 0.05}
"""How often each backdrop is drawn."""


class PairScene(Scene):
    """A place outdoors, mostly, where people fill 45 to 90 % of the picture's height.

    Args:
        rng: decides.
        size: width and height of the picture, pixels.
        kind: the backdrop's kind; None: one of `PLACES`.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], kind: str | None = None) -> None:
        super().__init__(rng, size, kind or str(rng.choice(list(PLACES), p=list(PLACES.values()))))

    def _frame(self, rng: np.random.Generator) -> tuple[float, float, float, float]:
        tall = 0.45 + 0.45 * rng.beta(2.2, 1.5)
        feet = 0.97 - max(0.0, 0.94 - 1.04 * tall) * rng.uniform(0, 0.9)
        if self.kind == "ground":
            pitch, horizon = rng.uniform(0.3, 0.65), rng.uniform(-1.2, -0.05)
        else:
            pitch, horizon = rng.uniform(0.1, 0.3), min(rng.uniform(0.15, 0.45), feet - tall * rng.uniform(0.4, 0.8))
        scale = tall / np.cos(pitch)
        return scale, feet, pitch, max((feet - horizon) / (scale * np.sin(pitch)), 3.5)

    def _draw_people(self, picture: RGB, people: list[tuple[Figure, Array]], camera: Camera) -> None:
        """Draws the parts of all people, the farthest first, so that an arm lies around somebody."""
        parts = [layer for figure, points in people for layer in figure.layers(points, camera)]
        for _, _, draw in sorted(parts, key=lambda layer: layer[:2]):
            draw(picture)
