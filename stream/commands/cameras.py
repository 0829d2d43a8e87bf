"""The cameras of a cameras.toml, opened for an engine: sources, what each track sees, when each is awake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from stream.contracts import Input, Source
from stream.session import CPU, resolve_device

if TYPE_CHECKING:  # its schemas take a tenth of a second to import, which one file or camera does without
    from stream.config import Camera, CamerasFile

# On a CPU a batch hardly pays: a row of `interactions` costs 2.97 ms alone, 2.88 of 2, 2.76 of 4, 2.73 of 8 and 3.11 of
# 16 (one thread, the best of 3 s each), and every row of padding costs as much as a tick. So there is a size for each
# number of ticks, up to four. On a GPU a row costs little beside the step, and few sizes are made ready sooner.
CPU_SIZES = (1, 2, 3, 4)
GPU_SIZES = (1, 2, 4, 8, 16, 32, 64)


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


def batch_sizes(tracks: int, device: str, most: int | None = None) -> tuple[int, ...]:
    """The batch sizes in which so many tracks are judged on `device`, ascending: none is larger than they can fill.

    With `most`, which a bundle may promise (max_batch), none is larger than that either.

    Raises:
        DeviceError: the device cannot be used here.
    """
    on_cpu = resolve_device(device)[0] == CPU
    sizes: tuple[int, ...] = CPU_SIZES if on_cpu else GPU_SIZES
    sizes = tuple(size for before, size in zip((0, *sizes), sizes, strict=False) if before < tracks)
    return sizes if most is None else tuple(sorted({min(size, most) for size in sizes}))


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
    from stream.sources import open_source  # PyAV, which benches out of memory do without

    return open_source(
        camera.address(),
        input,
        camera=camera.name,
        transport=camera.transport,
        size=camera.size,
        fps=camera.fps,
        format=camera.format,
        loop=camera.loop,
        rotation=camera.rotation,
        decode=camera.decode,
    )


def _is_awake(camera: Camera) -> bool:
    return camera.is_awake(datetime.now())
