"""What is computed once and kept on disk: the sampled pictures of each recording, and their backbone features.

Pictures come through stream's own sources, sampling and geometry. An entry's key is a sha256 over all that it depends
on, so a changed file, setting, weight or line of geometry code is another entry, never a stale one. Entries are folders
of .npy files, written aside and renamed, and read through memory maps. How many of them stay is train.room. No
augmentation and no networks here.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import secrets
import shutil
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stream.geometry
import stream.sampling
from stream.contracts import Fit, Input
from train.footage import frames_of, identity
from train.recordings import Footage
from train.room import PARTIAL, Presence, make_room

Arrays = Mapping[str, NDArray[Any]]
BETWEEN = 0.02
"""Share of a cache's limit that is written before it is looked at again: looking takes a while."""


def default_folder() -> Path:
    """Where entries are kept: $ACTIONSTREAM_CACHE, or actionstream in the user's cache folder."""
    given = os.environ.get("ACTIONSTREAM_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "actionstream"


@dataclass(frozen=True, eq=False)
class Pictures:
    """A recording's ticks.

    Attributes:
        times: (T,) float64, media seconds after the first frame, rising.
        images: (T, h, w, 3) uint8 RGB, read-only and memory-mapped; or ready-made features, (T, D) float32.
        key: hex digest of all that they depend on.
    """

    times: NDArray[np.float64]
    images: NDArray[Any]
    key: str


class ArrayCache:
    """Named arrays on disk by the digest of what they were made from."""

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        """Makes a cache in `folder`, which need not exist yet.

        Args:
            folder: of the entries.
            limit: bytes over which what was not used for longest is removed, but for what anybody uses now; None is
                no limit.
        """
        self.folder = folder
        self._limit = limit
        self._unseen = float("inf")  # bytes written since the whole was looked at
        self._present: Presence | None = None

    def get(self, depends: Mapping[str, Any], make: Callable[[], Arrays]) -> tuple[Arrays, str]:
        """The arrays that `make()` gives, read-only, and their key; made only where they are not there yet.

        Args:
            depends: all that the arrays depend on, as JSON values.
            make: computes them.
        """
        key = digest(depends)
        entry = self.folder / key[:2] / key
        while True:
            if not entry.is_dir():
                self._write(entry, make())
            # Another process may remove it until it is marked as used.
            with suppress(FileNotFoundError):
                self._use(entry)
                return {path.stem: np.load(path, mmap_mode="r") for path in sorted(entry.iterdir())}, key

    def _use(self, entry: Path) -> None:
        """Marks an entry as used now, by somebody who is here."""
        with suppress(OSError):  # a cache of somebody else's, to be read alone
            if self._present is None:
                self._present = Presence(self.folder)
                weakref.finalize(self, self._present.leave)
            os.utime(entry)

    def _write(self, entry: Path, arrays: Arrays) -> None:
        entry.parent.mkdir(parents=True, exist_ok=True)
        # Not tempfile's, which is closed to others, with whom the cache may be shared.
        aside = entry.parent / f"{PARTIAL}{secrets.token_hex(8)}"
        aside.mkdir()
        try:
            for name, array in arrays.items():
                np.save(aside / f"{name}.npy", array)
            size = sum(file.stat().st_size for file in aside.iterdir())
            aside.rename(entry)
        except OSError:
            if not entry.is_dir():  # another process was faster otherwise, and wrote the same
                raise
        else:
            self._wrote(entry, size)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _wrote(self, entry: Path, size: int) -> None:
        """Counts what was written, and makes room from time to time."""
        self._use(entry)
        self._unseen += size
        if self._limit is not None and self._unseen > self._limit * BETWEEN:
            make_room(self.folder, self._limit)
            self._unseen = 0


def plain_pictures(cache: ArrayCache, footage: Footage | Path, input: Input) -> Pictures:
    """The ticks of a recording exactly as a live camera would give them.

    Raises:
        ConfigError: it is no video, or has no frame.
    """
    return _pictures(cache, footage, input, {"kind": "plain", **asdict(input)}, lambda size: input)


def detailed_pictures(
    cache: ArrayCache, footage: Footage | Path, input: Input, *, detail: float, oversample: float
) -> Pictures:
    """Ticks for augmentation: finer than the network's, more often, and in the picture's own shape, without a border.

    Args:
        cache: where they are kept.
        footage: what is read; a path is that of a video.
        input: what the network sees.
        detail: their size relative to what the network would see of the whole picture.
        oversample: their rate relative to the network's.

    Raises:
        ConfigError: it is no video, or has no frame.
    """
    rate = None if input.rate is None else input.rate * oversample
    wanted = replace(input, rate=rate)
    depends = {"kind": "detailed", "detail": detail, **asdict(wanted)}
    return _pictures(cache, footage, input, depends, lambda size: unbordered(wanted, size, detail))


def unbordered(input: Input, size: tuple[int, int], detail: float) -> Input:
    """An input that shows all that `input` may see of a picture of `size` (height, width), in its own shape."""
    height, width = float(size[0]), float(size[1])
    if input.region is not None:
        x0, y0, x1, y1 = input.region
        height, width = height * (y1 - y0), width * (x1 - x0)
    bound = max if input.fit == "center" else min
    scale = detail * bound(input.height / height, input.width / width)
    fit: Fit = "region" if input.region is not None else "squash"
    return replace(input, height=max(8, round(height * scale)), width=max(8, round(width * scale)), fit=fit)


def digest(value: Any) -> str:
    """Hex sha256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _pictures(
    cache: ArrayCache,
    footage: Footage | Path,
    input: Input,
    depends: dict[str, Any],
    wanted: Callable[[tuple[int, int]], Input],
) -> Pictures:
    footage = footage if isinstance(footage, Footage) else Footage(footage)
    file = identity(footage)
    arrays, key = cache.get({**depends, "file": file, "code": seen_by()}, lambda: _decode(footage, input, wanted))
    return Pictures(np.asarray(arrays["times"]), arrays["images"], key)


def _decode(footage: Footage, input: Input, wanted: Callable[[tuple[int, int]], Input]) -> Arrays:
    """The ticks of a recording; the size of its first picture decides, by `wanted`, at which size and rate."""
    frames = frames_of(footage, input)
    first = next(frames)
    sampled = stream.sampling.ticks(chain([first], frames), wanted(first.picture.size))
    times, images = zip(*((tick.time, tick.image) for tick in sampled), strict=True)
    return {"times": np.asarray(times, np.float64) - times[0], "images": np.stack(images)}


@cache
def seen_by() -> str:
    """Digest of the code that decides which pictures are seen, and how."""
    return digest([inspect.getsource(stream.geometry), inspect.getsource(stream.sampling)])
