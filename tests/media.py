"""Media that tests make on the spot: moving pictures, and their encoding with PyAV. Nothing here is a test."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray


def moving_pictures(count: int, width: int = 160, height: int = 120, seed: int = 0) -> list[NDArray[np.uint8]]:
    """`count` pictures (height, width, 3) uint8 RGB: a bright square that walks over a textured ground."""
    rng = np.random.default_rng(seed)
    ground = np.kron(rng.integers(40, 120, (height // 8 + 1, width // 8 + 1, 3)), np.ones((8, 8, 1)))
    pictures = []
    for index in range(count):
        picture = ground[:height, :width].astype(np.uint8)
        x, y = (index * 5) % (width - 24), (index * 3) % (height - 24)
        picture[y : y + 24, x : x + 24] = (250, 220, (index * 7) % 256)
        pictures.append(picture)
    return pictures


def encode(
    pictures: Iterable[NDArray[np.uint8]],
    out: Path,
    *,
    fps: float = 25,
    codec: str = "libx264",
    gop: int = 12,
    b_frames: int = 0,
    pix_fmt: str = "yuv420p",
    times: Iterable[float] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """`out`, written with the RGB `pictures`; its suffix names the container, `times` (s) replace a steady `fps`."""
    rate = Fraction(fps).limit_denominator(1001)
    base = 1 / rate if times is None else Fraction(1, 90_000)
    with av.open(out, "w") as container:
        stream = None
        seconds = iter(times) if times is not None else None
        for index, picture in enumerate(pictures):
            if stream is None:
                stream = cast(VideoStream, container.add_stream(codec, rate=rate, options=options or {}))
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = pix_fmt
                stream.codec_context.time_base = base
                stream.codec_context.gop_size = gop
                stream.codec_context.max_b_frames = b_frames
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            time = Fraction(next(seconds)) if seconds is not None else index / rate
            frame.pts, frame.time_base = round(time / base), base
            container.mux(stream.encode(frame))
        assert stream is not None, "no pictures to encode"
        container.mux(stream.encode())
    return out


def encode_h264(
    source: Path | Iterable[NDArray[np.uint8]], out: Path, *, fps: float = 25, gop: int = 12, b_frames: int = 0
) -> Path:
    """`out` as H.264: pictures at a steady `fps`, or every picture of another clip at that clip's average rate."""
    options = {"preset": "veryfast", "threads": "1"}
    if not isinstance(source, Path):
        return encode(source, out, fps=fps, gop=gop, b_frames=b_frames, options=options)
    with av.open(source) as container:
        rate = container.streams.video[0].average_rate or Fraction(25)
        pictures = (
            frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False) for frame in container.decode(video=0)
        )
        return encode(pictures, out, fps=float(rate), gop=gop, b_frames=b_frames, options=options)
