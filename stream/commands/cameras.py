"""The cameras of a cameras.toml, opened for an engine: sources, what each track sees, when each is awake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from stream.config import Camera, CamerasFile
from stream.contracts import Input, Source
from stream.sources import open_source

# Rows of a step, filled or not, so that no camera depends on the others. On two cores a row of MobileNetV2 costs 22 ms
# alone, 12 of 4, and no less of 8 or 16 (busy machine): more would only make a tick that is alone slower.
LARGEST_BATCH = 4


@dataclass(frozen=True)
class Watched:
    """Sources, and what `Engine` is told of them.

    Attributes:
        sources: not read yet.
        tracks: camera -> name of a track -> what it sees; a camera left out is one track of its own name.
        awake: camera -> whether its schedule wants it now; a camera left out has none.
    """

    sources: tuple[Source, ...]
    tracks: Mapping[str, Mapping[str, Input]] = field(default_factory=dict)
    awake: Mapping[str, Callable[[], bool]] = field(default_factory=dict)


def batch_size(cameras: CamerasFile) -> int:
    """Rows of a step in which all tracks find room, up to `LARGEST_BATCH`."""
    return min(LARGEST_BATCH, len(cameras.track_names))


def open_cameras(cameras: CamerasFile, input: Input) -> Watched:
    """All cameras of a file, for an engine; `input` is what the bundle wants to see.

    Raises:
        ConfigError: the environment lacks a variable.
        SourceOpenError: an address that cannot be.
    """
    return Watched(
        sources=tuple(open_camera(camera, input) for camera in cameras.cameras),
        tracks={camera.name: camera.tracks(input) for camera in cameras.cameras},
        awake={camera.name: partial(_is_awake, camera) for camera in cameras.cameras if camera.schedule is not None},
    )


def open_camera(camera: Camera, input: Input) -> Source:
    """The source of one camera.

    Raises:
        ConfigError: the environment lacks a variable.
        SourceOpenError: an address that cannot be.
    """
    return open_source(
        camera.address(),
        input,
        camera=camera.name,
        transport=camera.transport,
        size=camera.size,
        fps=camera.fps,
        format=camera.format,
        rotation=camera.rotation,
        decode=camera.decode,
    )


def _is_awake(camera: Camera) -> bool:
    return camera.is_awake(datetime.now())
