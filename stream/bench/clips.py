"""Clips that cameras of a bench play: H.264 as a camera makes it, without B-frames and with a keyframe every second.

Pictures are real ones of another clip, or made on the spot with a number drawn into each. The number survives the
encoder, so that whoever sees a decoded picture knows which one it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import VideoFrame

from stream.bench.age_meter import draw_counter
from stream.bench.synthetic import moving_pictures
from stream.errors import SourceOpenError


def write_counted(path: Path, *, seconds: float, size: tuple[int, int], fps: int) -> Path:
    """`path`, a clip of moving pictures of `size` (width, height) that are numbered."""
    return _encode(path, _counted(size, round(seconds * fps)), size, fps)


def write_as_camera(path: Path, clip: Path, *, seconds: float, size: tuple[int, int], fps: int) -> Path:
    """`path`, the pictures of `clip`, one after the other, as a camera of `size` (width, height) would send them.

    Raises:
        SourceOpenError: `clip` cannot be read.
    """
    try:
        with av.open(clip.absolute()) as container:  # FFmpeg would take 12:30.mp4 for a protocol
            pictures = itertools.islice(container.decode(video=0), round(seconds * fps))
            return _encode(path, (frame.reformat(*size, "yuv420p") for frame in pictures), size, fps)
    except (av.FFmpegError, IndexError) as error:
        reason = getattr(error, "strerror", "it holds no video")
        raise SourceOpenError(f"{clip}: cannot be played by a camera ({reason}); name a video file") from None


def _counted(size: tuple[int, int], count: int) -> Iterator[VideoFrame]:
    """`count` moving pictures of `size` (width, height), numbered from 0."""
    width, height = size
    for number, picture in enumerate(moving_pictures(width, height, count)):
        shown = picture.copy()
        draw_counter(shown, number)
        yield av.VideoFrame.from_ndarray(shown, format="rgb24")


def _encode(path: Path, frames: Iterable[VideoFrame], size: tuple[int, int], fps: int) -> Path:
    with av.open(path.absolute(), "w") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(fps), options={"preset": "veryfast", "tune": "zerolatency"}
        )
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = fps
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
