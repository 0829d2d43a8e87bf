"""Scenes full of things that stand still: walls, floors, posts, tables, doors, windows, none of them real.

A network that has seen people before grass and tarmac alone takes a table on its leg for somebody who stands. What is
drawn here is not meant to look like a place, only to have edges where places have them. Pure functions.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FINER = 2
"""Times finer than the frame that shapes are drawn, so that their edges fall between pixels."""


def cluttered(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """A scene (height, width, 3) uint8, the same for the same seed."""
    rng = np.random.default_rng(seed)
    size = height * FINER, width * FINER
    scene = _room(rng, size)
    things = (_thing, _thing, _post, _table, _line)
    for kind in rng.integers(0, len(things), rng.integers(4, 20)):
        things[kind](rng, scene)
    grain = rng.normal(0, rng.uniform(0, 6), size)[..., None]
    fine = cv2.GaussianBlur((scene + grain).clip(0, 255).astype(np.uint8), (0, 0), rng.uniform(0.5, 3))
    return np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _room(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """A wall over a floor, each brighter at one end; often with boards that run towards the viewer."""
    height, width = size
    edge = int(rng.uniform(-0.1, 0.9) * height)
    down = np.linspace(-1, 1, height)[:, None, None] * rng.uniform(-40, 40)
    across = np.linspace(-1, 1, width)[None, :, None] * rng.uniform(-40, 40)
    wall = np.arange(height)[:, None, None] < edge
    scene = (np.where(wall, _color(rng), _color(rng)) + down + across).astype(np.float32)
    if rng.uniform() < 0.5:
        vanish, color = (rng.uniform(0, width), edge - rng.uniform(0.1, 1.5) * height), _color(rng)
        for foot in np.arange(-width, 2 * width, rng.uniform(0.04, 0.2) * width):
            share = (max(edge, 0) - vanish[1]) / (height - vanish[1])
            far = (int(vanish[0] + (foot - vanish[0]) * share), max(edge, 0))
            cv2.line(scene, far, (int(foot), height), color, int(rng.integers(1, 3)))
    return scene


def _thing(rng: np.random.Generator, scene: NDArray[np.float32]) -> None:
    """A slanting box: a door, a window, a cupboard, a car."""
    (x, y), (half_width, half_height) = _somewhere(rng, scene), rng.uniform(0.02, 0.25, 2) * scene.shape[1::-1]
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (half_width, half_height)
    corners += (x, y) + rng.normal(0, 0.08, (4, 2)) * (half_width, half_height)
    cv2.fillPoly(scene, [corners.round().astype(np.int32)], _color(rng))


def _post(rng: np.random.Generator, scene: NDArray[np.float32]) -> None:
    """Something upright, as slim and as high as somebody who stands, or a post."""
    (x, y), height = _somewhere(rng, scene), rng.uniform(0.1, 0.9) * scene.shape[0]
    width = max(1, round(height * rng.uniform(0.02, 0.3)))
    cv2.rectangle(scene, (int(x), int(y - height / 2)), (int(x) + width, int(y + height / 2)), _color(rng), -1)


def _table(rng: np.random.Generator, scene: NDArray[np.float32]) -> None:
    """A round top on a leg: a table, a lamp, a bush."""
    (x, y), (across, high) = _somewhere(rng, scene), rng.uniform(0.03, 0.15, 2) * scene.shape[1::-1]
    foot = int(y + rng.uniform(0.5, 6) * high)
    cv2.line(scene, (int(x), int(y)), (int(x), foot), _color(rng), max(1, round(across * 0.2)))
    cv2.ellipse(scene, (int(x), int(y)), (int(across) + 1, int(high) + 1), 0, 0, 360, _color(rng), -1)


def _line(rng: np.random.Generator, scene: NDArray[np.float32]) -> None:
    """A kerb, a cable, a shadow's edge."""
    begin, end = _somewhere(rng, scene).astype(int).tolist(), _somewhere(rng, scene).astype(int).tolist()
    cv2.line(scene, begin, end, _color(rng), int(rng.integers(1, 5)))


def _somewhere(rng: np.random.Generator, scene: NDArray[np.float32]) -> NDArray[np.float64]:
    """x, y in pixels."""
    return rng.uniform(0, 1, 2) * scene.shape[1::-1]


def _color(rng: np.random.Generator) -> tuple[float, float, float]:
    """Mostly greyish, as most things are."""
    red, green, blue = (rng.uniform(10, 245) + rng.normal(0, 18, 3)).clip(0, 255).tolist()
    return red, green, blue
