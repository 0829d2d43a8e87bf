"""A place seen by a camera: where it stands, how it shakes, what the light does, and how a frame is put together."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import cv2
import numpy as np

from samples.backdrop import FINE
from samples.drawing import RGB, Camera, Figure, cast_shadow, lit
from samples.figure import Array, Body, Look
from samples.outdoors import KINDS, draw_backdrop

MARGIN = 0.06
"""Share of the picture's height that is drawn on each side of it, for the camera to shake into."""


class Scene:
    """One place, its light and its camera.

    Args:
        rng: decides.
        size: width and height of the picture, pixels.
        kind: one of `KINDS`; None: any.

    Attributes:
        reach: how far left and right of the origin the picture goes, heights.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int], kind: str | None = None) -> None:
        self.width, self.height = size
        names = list(KINDS)
        self.kind = kind or names[rng.choice(len(names), p=[0.3, 0.12, 0.2, 0.18, 0.1, 0.1, 0.0])]
        self.margin = round(MARGIN * self.height)
        tall, feet, pitch, distance = self._frame(rng)
        shift = rng.normal(0, 0.05)
        self.camera = Camera(
            (0.5 + shift) * self.width, feet * self.height, tall * self.height, float(pitch), float(distance)
        )
        self.reach = float((0.5 - abs(shift)) * self.width / (tall * self.height))
        self.height_share = tall
        warm, bright = rng.normal(0, 0.09), rng.uniform(0.7, 1.12)
        self.gains = np.clip(bright * np.array([1 + warm, 1 + rng.normal(0, 0.02), 1 - warm]), 0.35, 1.25)
        self.noise = float(max(rng.uniform(-2, 8), 0))
        self._shake = rng.uniform(0, 0.006) * self.height * (rng.random() < 0.6)
        self._sway = rng.uniform(0, 2 * np.pi, (2, 3)), np.array([0.31, 0.9, 2.3]) * rng.uniform(0.7, 1.4)
        side, outdoors = rng.choice((-1, 1)), self.kind in ("street", "lawn", "ground")
        self.light = np.array([-side, -1.0]) / np.sqrt(2)
        self._slant = np.array([side * rng.uniform(0.25, 0.9), -rng.uniform(0.05, 0.5)])
        self._depth = float(rng.uniform(0.3, 0.6) if outdoors else rng.uniform(0.15, 0.42))
        self._backdrop = self._finish(rng)
        self._grain = self._draw_grain(rng)

    def _frame(self, rng: np.random.Generator) -> tuple[float, float, float, float]:
        """Height of a person and row of the feet, shares of the picture's; pitch and distance of the camera."""
        tall = float(np.clip(rng.beta(1.5, 1.7) * 0.6 + 0.3, 0.3, 0.9))
        room = max(0.0, 0.96 - tall * 1.06)
        feet = 0.97 - room * rng.uniform(0, 0.62)
        pitch = rng.uniform(0.1, 0.3)
        horizon = min(rng.uniform(0.22, 0.5), feet - 0.5 * tall * rng.uniform(0.8, 1.6))
        return tall, feet, pitch, max((feet - horizon) / (tall * np.sin(pitch)), 3.0)

    def _finish(self, rng: np.random.Generator) -> RGB:
        pad = self.margin
        eye = replace(self.camera, x=self.camera.x + pad, y=self.camera.y + pad)
        wide, high = self.width + 2 * pad, self.height + 2 * pad
        canvas = draw_backdrop(rng, self.kind, eye, wide, high)
        canvas.noise(0.018, FINE)
        rgb = cv2.resize(canvas.rgb, (wide, high), interpolation=cv2.INTER_AREA)
        blur = rng.uniform(0, 0.0045) * self.height
        if blur > 0.4:
            rgb = cv2.GaussianBlur(rgb, (0, 0), blur)
        x, y = np.meshgrid(np.linspace(-1, 1, wide), np.linspace(-1, 1, high))
        vignette = 1 - rng.uniform(0, 0.28) * (x**2 + y**2) / 2
        glow = 1 + rng.uniform(0, 0.16) * (x * self.light[0] - y)
        return cast(RGB, np.clip(rgb * (self.gains * (vignette * glow)[..., None]), 0, 255).astype(np.uint8))

    def _draw_grain(self, rng: np.random.Generator) -> tuple[RGB, RGB] | None:
        if self.noise < 0.6:
            return None
        shape = (self.height + 32, self.width + 32, 3)
        grain = rng.standard_normal(shape, np.float32) * self.noise
        return np.clip(grain, 0, 60).astype(np.uint8), np.clip(-grain, 0, 60).astype(np.uint8)

    def figure(self, body: Body, look: Look) -> Figure:
        """A person in this place's light."""
        return Figure(body, lit(look, self.gains), self.light)

    def offset(self, time: float) -> Array:
        """Pixels (2,) by which the camera is off its mark at `time`."""
        phase, rate = self._sway
        return np.asarray(self._shake * np.sin(2 * np.pi * rate * time + phase).sum(axis=1))

    def picture(self, time: float, index: int, people: list[tuple[Figure, Array]], seed: int) -> RGB:
        """The frame (H, W, 3) at `time`, with `people` and their points (P, 3), the farthest first."""
        x, y = self.offset(time) if self._shake else (0.0, 0.0)
        if self._shake:
            move = np.array([[1, 0, x - self.margin], [0, 1, y - self.margin]], np.float64)
            out = cast(RGB, cv2.warpAffine(self._backdrop, move, (self.width, self.height), flags=cv2.INTER_LINEAR))
        else:
            pad = self.margin
            out = self._backdrop[pad : pad + self.height, pad : pad + self.width].copy()
        camera = replace(self.camera, x=self.camera.x + x, y=self.camera.y + y)
        for _, points in people:
            cast_shadow(out, points, camera, self._slant, self._depth)
        self._draw_people(out, people, camera)
        if self._grain is not None:
            dx, dy = np.random.default_rng((seed, index)).integers(0, 32, 2)
            more, less = (grain[dy : dy + self.height, dx : dx + self.width] for grain in self._grain)
            cv2.subtract(cv2.add(out, more, dst=out), less, dst=out)
        return out

    def _draw_people(self, picture: RGB, people: list[tuple[Figure, Array]], camera: Camera) -> None:
        """Draws one person after the other."""
        for figure, points in people:
            figure.draw(picture, points, camera)
