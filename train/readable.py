"""Which recordings can be read, and how long, how fast and how large each is: looked at once, and kept in the cache.

A recording that cannot be read is left out of the dataset before anything is divided, and told by name: never silently,
and never after an hour of training.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cache as once
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from stream.commands.terminal import steps_left
from stream.contracts import Input
from stream.errors import ConfigError
from stream.geometry import fit
from stream.sources.pictures import FPS
from train.cache import ArrayCache, Arrays, seen_by
from train.footage import frames_of, identity
from train.formats.files import pictures_of
from train.recordings import Dataset, Footage, Recording

THUMBNAIL = Input(height=32, width=32, fit="squash")
TOLD = 5
"""Remarks that are printed; the others are counted."""


@dataclass(frozen=True, eq=False)
class Facts:
    """What a recording is, whatever it shows.

    Attributes:
        frames: how many it has; of features, their rows.
        seconds: from the first frame to the end of the last.
        height, width: of its first picture, upright; of features, 0 and their columns.
        thumbnail: (32, 32) uint8, its first picture in grey, whatever its shape; None of features.
    """

    frames: int
    seconds: float
    height: int
    width: int
    thumbnail: NDArray[np.uint8] | None = None

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def size(self) -> str:
        """Width and height in words; of features, their number."""
        return f"{self.width}x{self.height}" if self.height else f"{self.width} features"


def facts_of(cache: ArrayCache, recording: Recording) -> Facts:
    """What a recording is.

    Raises:
        ConfigError: it cannot be read; the line names it.
    """
    if recording.features is not None:
        return _facts_of_features(recording)
    footage = recording.footage
    depends = {"kind": "facts", "file": identity(footage), "code": _code()}
    arrays, _ = cache.get(depends, lambda: _looked_at(footage))
    frames, height, width = (int(arrays[name]) for name in ("frames", "height", "width"))
    return Facts(frames, float(arrays["seconds"]), height, width, np.asarray(arrays["thumbnail"]))


def readable(dataset: Dataset, cache: ArrayCache, console: Console) -> Dataset:
    """The dataset without the recordings that cannot be read, which are among its remarks; all remarks are printed.

    Args:
        dataset: as it was read.
        cache: where it is kept what each recording is.
        console: for progress and for the remarks.

    Raises:
        ConfigError: nothing can be read, or nothing of one class.
    """
    with steps_left(console, "recordings", len(dataset.recordings)) as advance:
        unreadable = faults(dataset, cache, advance)
    kept = tuple(each for i, each in enumerate(dataset.recordings) if i not in unreadable)
    lost = {label for each in dataset.recordings for label in each.happening}
    lost -= {label for each in kept for label in each.happening}
    if lost or not kept:
        what = f"nothing of {', '.join(sorted(lost))}" if kept else "nothing"
        raise ConfigError(
            f"{dataset.root}: {what} can be read: {len(unreadable)} of {len(dataset.recordings)} recordings are left "
            f"out, the first: {next(iter(unreadable.values()))}"
        )
    remarks = (*dataset.remarks, *(f"left out: {fault}" for fault in unreadable.values()))
    for remark in remarks[:TOLD]:
        console.print(remark, markup=False, soft_wrap=True, style="yellow")
    if len(remarks) > TOLD:
        console.print(
            f"and {len(remarks) - TOLD} more; see actionstream data check {dataset.root.name}", style="yellow"
        )
    return replace(dataset, recordings=kept, remarks=remarks)


def faults(dataset: Dataset, cache: ArrayCache, advance: Callable[[], None]) -> dict[int, str]:
    """Why a recording cannot be read, in a line that names it, by the number of each that cannot.

    Args:
        dataset: as it was read.
        cache: where it is kept what each recording is.
        advance: called after each.
    """
    found = {}
    for number, recording in enumerate(dataset.recordings):
        try:
            facts_of(cache, recording)
        except ConfigError as error:
            found[number] = str(error)
        advance()
    return found


@once
def _code() -> list[str]:
    """The code that decides what a recording is said to be."""
    return [inspect.getsource(_looked_at), inspect.getsource(_times), seen_by()]


def _facts_of_features(recording: Recording) -> Facts:
    assert recording.features is not None, "asked of features alone"
    try:
        ticks, columns = recording.features.shape
    except (OSError, ValueError) as error:
        raise ConfigError(f"{recording.path} cannot be read ({error}): replace the file") from error
    return Facts(ticks, ticks / (recording.fps or FPS), 0, columns)


def _looked_at(footage: Footage) -> Arrays:
    with closing(frames_of(footage, THUMBNAIL)) as shown:
        picture = next(shown).picture
    height, width = picture.size
    if footage.path.is_dir():
        frames = len(footage.pictures or pictures_of(footage.path))
        seconds = frames / (footage.fps or FPS)
    else:
        times, rate = _times(footage.path)
        start, end = footage.span or (0.0, np.inf)
        inside = times[(times >= start) & (times < end)]
        # Pictures were found in the span; where packets say none is, the reader timed them otherwise: one at least.
        times = inside if len(inside) else times[:1]
        # A last frame lasts as long as those before it.
        last = np.median(np.diff(times)) if len(times) > 1 else 1 / rate
        frames, seconds = len(times), float(times[-1] - times[0] + last)
    return {
        "frames": np.asarray(frames),
        "seconds": np.asarray(seconds),
        "height": np.asarray(height),
        "width": np.asarray(width),
        "thumbnail": fit(picture, THUMBNAIL).mean(axis=2).astype(np.uint8),
    }


def _times(path: Path) -> tuple[NDArray[np.float64], float]:
    """When each frame of a video is shown, media seconds after the first, in order; and its declared frames a second.

    Nothing is decoded: packets say it.
    """
    with av.open(path.absolute(), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or FPS)
        base = float(stream.time_base or 1 / rate)
        stamps = []
        with suppress(av.FFmpegError):  # damaged from here on: what can be read before it counts
            for packet in container.demux(stream):
                if packet.size:
                    stamps.append(packet.pts if packet.pts is not None else packet.dts)
    # As for the reader, times that are missing, or nearly all the same, say nothing: pictures have an even rate then.
    if not stamps or any(stamp is None for stamp in stamps) or len(set(stamps)) <= len(stamps) / 2:
        return np.arange(max(1, len(stamps))) / rate, rate
    times = np.sort(np.array(stamps, np.float64)) * base
    return times - times[0], rate
