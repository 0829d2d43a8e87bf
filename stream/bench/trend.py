"""Whether something grows with time: slope and standard error of a line through points. Pure."""

from __future__ import annotations

import math


class Trend:
    """A line through points by least squares, from running sums: memory does not grow with their number."""

    def __init__(self) -> None:
        self.last = 0.0
        self._n = 0
        self._mean_x = self._mean_y = self._xx = self._xy = self._yy = 0.0

    def add(self, x: float, y: float) -> None:
        """Counts a point; `x` rises."""
        self.last = x
        self._n += 1
        dx, dy = x - self._mean_x, y - self._mean_y
        self._mean_x += dx / self._n
        self._mean_y += dy / self._n
        self._xx += dx * (x - self._mean_x)
        self._xy += dx * (y - self._mean_y)
        self._yy += dy * (y - self._mean_y)

    def slope(self) -> tuple[float, float | None]:
        """Slope and its standard error; (0, None) below three points."""
        if self._n < 3 or self._xx == 0:
            return 0.0, None
        slope = self._xy / self._xx
        residual = max(0.0, self._yy - slope * self._xy)
        return slope, math.sqrt(residual / (self._n - 2) / self._xx)

    def offset(self) -> float:
        """Where the line is at x = 0."""
        return self._mean_y - self.slope()[0] * self._mean_x
