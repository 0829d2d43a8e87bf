"""Where a tick's time goes, stage by stage, in the live line itself: reader thread, engine, graphs, decision.

The line runs as it always does; its source and its two graphs are listened to. Files are paced by their own times, as
a camera would send them: unpaced, a tick's time would be the length of the queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from stream.bundle import Bundle
from stream.contracts import FeatureExtractor, Frame, Head, Prediction, State, Tick
from stream.engine import Engine
from stream.errors import ConfigError
from stream.inference import OnnxFeatures, OnnxHead
from stream.recognizer import Recognizer
from stream.sampling import ticks
from stream.sources import FileSource

STAGES = ("decode", "sample, fit, hand over", "features", "head", "decide, hand on", "whole")
"""`decode`: of the tick's own frame. The last is the sum of the others."""


@dataclass(frozen=True)
class Stage:
    """How long one stage took, over all ticks: milliseconds."""

    name: str
    p50: float
    p95: float
    p99: float


def measure(
    bundle: Bundle,
    clip: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    duration: float | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> tuple[int, list[Stage]]:
    """Returns how many ticks were measured, and each of STAGES.

    Args:
        bundle: whose model runs.
        clip: a video file, played at its own speed.
        device: where the graphs run.
        threads: of the features graph.
        duration: media seconds after which it ends; the whole clip when None.
        progress: called with the camera's name and the media seconds read of it.

    Raises:
        SourceError: the clip cannot be read.
        ConfigError: it is too short for a single tick.
        DeviceError: the graphs cannot run on the device.
    """
    watch = _Watch(OnnxFeatures(bundle, device, threads), OnnxHead(bundle, device))
    source = _WatchedFile(FileSource(clip, bundle.input))
    told: list[tuple[Prediction, float]] = []
    Engine(
        Recognizer(bundle, watch, watch, batch_size=1),
        [source],
        realtime=True,
        duration=duration,
        on_prediction=lambda prediction, _: told.append((prediction, time.monotonic())),
        progress=progress,
    ).run()
    if not told:
        raise ConfigError(f"{clip}: expected at least one tick to measure, got none; use a longer clip or --seconds")

    spent = []
    for (prediction, at), (begun, seen, judged) in zip(told, watch.steps[-len(told) :], strict=True):
        arrived = at - float(prediction.latency_ms or 0.0) / 1000
        stages = [source.decode_s[prediction.index], begun - arrived, seen - begun, judged - seen, at - judged]
        spent.append([*stages, sum(stages)])
    quantiles = np.percentile(np.array(spent) * 1000, (50, 95, 99), axis=0).T
    return len(told), [Stage(name, *map(float, row)) for name, row in zip(STAGES, quantiles, strict=True)]


def write_synthetic(path: Path, *, seconds: float, size: tuple[int, int] = (1280, 720), fps: int = 25) -> Path:
    """`path`, an H.264 clip of a textured picture that moves: as heavy to decode as real video, and made anywhere."""
    width, height = size
    with av.open(path.absolute(), "w") as container:  # FFmpeg would take 12:30.mp4 for a protocol
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in moving_pictures(width, height, round(seconds * fps)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def moving_pictures(width: int, height: int, count: int) -> Iterator[NDArray[np.uint8]]:
    """`count` pictures (height, width, 3) uint8 of a texture that moves."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
    picture = np.kron(blocks, np.ones((16, 16, 1), np.uint8))[:height, :width]
    for index in range(count):
        yield np.roll(picture, (2 * index, 5 * index), axis=(0, 1))


class _WatchedFile:
    """A file source that notes how long each frame took to come out of the decoder."""

    live = False
    timed_by_arrival = False

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self.camera, self.url, self.input = source.camera, source.url, source.input
        self.decode_s: dict[int, float] = {}

    @property
    def corrupt(self) -> int:
        """As in `Source`."""
        return self._source.corrupt

    def frames(self, session: int = 0) -> Iterator[Frame]:
        """As in `Source`."""
        frames = self._source.frames(session)
        while True:
            begun = time.monotonic()
            frame = next(frames, None)
            if frame is None:
                return
            self.decode_s[frame.index] = time.monotonic() - begun
            yield frame

    def __iter__(self) -> Iterator[Tick]:
        return ticks(self.frames(), self.input)

    def close(self) -> None:
        """As in `Source`."""
        self._source.close()


class _Watch:
    """Both graphs, with the times at which a tick's features began, were there, and were judged."""

    def __init__(self, features: FeatureExtractor, head: Head) -> None:
        self._features, self._head = features, head
        self.steps: list[tuple[float, float, float]] = []

    def extract(self, images: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """As in `FeatureExtractor`."""
        begun = time.monotonic()
        result = self._features.extract(images, state)
        seen = time.monotonic()
        self.steps.append((begun, seen, seen))
        return result

    def step(self, features: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """As in `Head`; of the steps of a window, the last one's end counts."""
        result = self._head.step(features, state)
        begun, seen, _ = self.steps[-1]
        self.steps[-1] = begun, seen, time.monotonic()
        return result
