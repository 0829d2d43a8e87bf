"""A picture of a dataset: the first frames of some recordings, each with its label, to be looked at by a person."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.contracts import Input, Picture
from stream.errors import ConfigError
from stream.geometry import fit
from stream.views.drawing import REGULAR, SEMIBOLD, Pen
from train.data.leaks import name_of
from train.footage import frames_of
from train.recordings import Dataset

COUNT, COLUMNS = 20, 5
CELL = Input(height=180, width=240)
CAPTION, GAP, MARGIN = 44, 12, 16
PAPER, INK, QUIET = (252, 252, 252), (30, 30, 30), (120, 120, 120)


def draw_grid(dataset: Dataset, seed: int = 0) -> NDArray[np.uint8]:
    """The first frames (height, width, 3) uint8 BGR of up to 20 recordings, of every label in turn.

    Args:
        dataset: recordings that can be read.
        seed: decides which recordings of a label are drawn.

    Raises:
        ConfigError: there are no pictures, only features.
    """
    members = _chosen(dataset, np.random.default_rng(seed))
    if not members:
        raise ConfigError(f"{dataset.root} has no pictures to draw ({dataset.format}): leave out --grid")
    rows = -(-len(members) // COLUMNS)
    columns = min(COLUMNS, len(members))
    height = 2 * MARGIN + rows * (CELL.height + CAPTION) + (rows - 1) * GAP
    width = 2 * MARGIN + columns * CELL.width + (columns - 1) * GAP
    page = np.full((height, width, 3), PAPER, np.uint8)
    pen = Pen()
    for place, i in enumerate(members):
        row, column = divmod(place, COLUMNS)
        x, y = MARGIN + column * (CELL.width + GAP), MARGIN + row * (CELL.height + CAPTION + GAP)
        recording = dataset.recordings[i]
        page[y : y + CELL.height, x : x + CELL.width] = fit(_first(dataset, i), CELL)[..., ::-1]
        label = recording.label or ", ".join(dict.fromkeys(recording.happening)) or dataset.none
        _write(pen, page, label, x, y + CELL.height + 18, 15, SEMIBOLD, INK)
        _write(pen, page, name_of(dataset, recording), x, y + CELL.height + 36, 12, REGULAR, QUIET)
    return page


def require_picture(path: Path) -> None:
    """Raises ConfigError where the name of `path` is not that of a PNG or JPEG."""
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ConfigError(f"--grid {path}: expected a name that ends with .png or .jpg")


def write_grid(page: NDArray[np.uint8], path: Path) -> None:
    """Writes a page as PNG or JPEG, as the file's name says.

    Raises:
        ConfigError: a name of another kind.
    """
    require_picture(path)
    _, encoded = cv2.imencode(path.suffix.lower(), page)
    path.write_bytes(encoded.tobytes())


def _chosen(dataset: Dataset, rng: np.random.Generator) -> list[int]:
    """Numbers of the recordings to draw: one of each label in turn, until there are enough."""
    left: dict[str, list[int]] = {}
    for i in rng.permutation(len(dataset.recordings)).tolist():
        recording = dataset.recordings[i]
        if recording.features is None:
            left.setdefault((recording.happening or (dataset.none,))[0], []).append(i)
    chosen: list[int] = []
    while len(chosen) < COUNT and any(left.values()):
        for label in sorted(left):
            if left[label] and len(chosen) < COUNT:
                chosen.append(left[label].pop())
    return sorted(chosen, key=lambda i: (dataset.recordings[i].label or "", i))


def _first(dataset: Dataset, i: int) -> Picture:
    frames = frames_of(dataset.recordings[i].footage, CELL)
    picture = next(frames).picture
    frames.close()
    return picture


def _write(
    pen: Pen, page: NDArray[np.uint8], text: str, x: int, y: int, size: int, weight: int, ink: tuple[int, int, int]
) -> None:
    pen.write(page, text, x, y, pen.fitting(text, size, weight, CELL.width), weight, ink)
