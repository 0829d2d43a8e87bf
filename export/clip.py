"""The golden files of a bundle: a clip of 2 s, and the arrays of its ticks. Written here, whoever computed them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream.bundle import Golden
from stream.contracts import Frame, Input
from stream.errors import ConfigError
from stream.geometry import to_bgr
from stream.sources import FileSource

CLIP_SECONDS = 2.0
CLIP_BYTES = 200_000
CLIP_WIDTH = 640
QUALITIES = (20, 26, 32, 38, 44)
"""x264's constant rate factors, best first; the first whose clip is small enough is taken."""
BASE = Fraction(1, 90_000)
ALIKE = 0.05
"""Clips whose sides have the proportion of the model's picture, to this share, look the same by every fit."""
CUT = 0.125
"""Share of such a clip's width that is cut off, half on each side, so that it tells one fit from another."""


def golden_arrays(golden: Golden) -> bytes:
    """`golden` as the content of golden.npz."""
    content = io.BytesIO()
    arrays: dict[str, NDArray[Any]] = {f"state_{name}": value for name, value in golden.states.items()}
    if golden.images is not None:
        arrays["images"] = golden.images
    np.savez_compressed(
        content,
        allow_pickle=False,
        times=golden.times,
        indices=golden.indices,
        features=golden.features,
        logits=golden.logits,
        labels=np.array(golden.labels),
        **arrays,
    )
    return content.getvalue()


def golden_clip(source: Path, input: Input) -> bytes:
    """The first 2 s of `source` as H.264 in under 200 kB, with the times of its frames.

    Its proportion is never that of the model's picture: letterboxed, squashed or cut, it would be the same picture, and
    a bundle with the wrong fit would pass.

    Raises:
        SourceError: it cannot be read.
        ConfigError: it does not get small enough.
    """
    frames = list(_opening(source, input))
    for quality in QUALITIES:
        content = _encode(frames, quality)
        if len(content) < CLIP_BYTES:
            return content
    raise ConfigError(
        f"{source}: its first {CLIP_SECONDS:g} s need {len(content)} bytes, expected under {CLIP_BYTES}; "
        "give a quieter clip with --clip"
    )


def _opening(source: Path, input: Input) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Times from 0 and pictures (h, w, 3) BGR of the first 2 s, at most 640 wide, with even sides."""
    start: Frame | None = None
    for frame in FileSource(source, replace(input, rate=None)).frames():
        start = start or frame
        if frame.time - start.time >= CLIP_SECONDS or frame.session != start.session:
            return
        picture = _unlike(to_bgr(frame.picture), input)
        height, width = picture.shape[:2]
        scale = min(1.0, CLIP_WIDTH / width)
        size = round(width * scale) // 2 * 2, round(height * scale) // 2 * 2
        yield frame.time - start.time, np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _unlike(picture: NDArray[np.uint8], input: Input) -> NDArray[np.uint8]:
    """`picture` (h, w, 3), its sides cut off where its proportion is that of the model's."""
    height, width = picture.shape[:2]
    left, top, right, bottom = input.region or (0.0, 0.0, 1.0, 1.0)
    proportion = (right - left) * width / ((bottom - top) * height)
    if abs(proportion * input.height / input.width - 1) > ALIKE:
        return picture
    kept = round(width * (1 - CUT)) // 2 * 2
    left_out = (width - kept) // 2
    return picture[:, left_out : left_out + kept] if kept else picture


def _encode(frames: Sequence[tuple[float, NDArray[np.uint8]]], quality: int) -> bytes:
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as container:
        # One thread: what x264 makes of a clip then does not depend on the machine's cores. No macroblock tree: its
        # AVX-512 code makes one clip in three, or in three hundred, otherwise (x264 of FFmpeg 8.1); without it, none.
        options = {"crf": str(quality), "preset": "veryfast", "threads": "1", "mbtree": "0"}
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.height, stream.width = frames[0][1].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = BASE
        for time, picture in frames:
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = round(time / BASE), BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return content.getvalue()
