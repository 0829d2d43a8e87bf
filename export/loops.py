"""Plain loops around ONNX Runtime, as they are commonly written: what the live line is held against in `bench compare`.

They run the very sessions that the line runs. One answers at every tick from pictures in memory, computing the whole
window anew; the other reads a video with OpenCV, frame by frame, in one thread. The video is written here, too: without
loss, so that whoever reads it sees the same pictures.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream.bench.conditions import OpenBundle

Logits = NDArray[np.float32]
FPS = 25


class PlainLoop:
    """Both graphs of a bundle whose features keep no state, called by hand."""

    def __init__(self, opened: OpenBundle) -> None:
        self._features, self._head = opened.features.session, opened.head.session
        self._spec = opened.bundle.spec

    def recomputed(self, images: NDArray[np.uint8]) -> Logits:
        """Logits (K,) of the window `images` (T, H, W, 3), every frame's features computed anew, in one batch."""
        return self._judged(list(self._seen(images)[:, None]))

    def captured(self, video: Path, window: int) -> Iterator[Logits]:
        """Logits (K,) of the last `window` frames at each frame of a video of the model's size, read with OpenCV."""
        capture = cv2.VideoCapture(str(video))
        kept: deque[NDArray[np.float32]] = deque(maxlen=window)
        try:
            while True:
                is_there, picture = capture.read()
                if not is_there:
                    return
                rgb = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
                kept.append(self._seen(rgb[None]))
                yield self._judged(kept)
        finally:
            capture.release()

    def _seen(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (N, D) of `images` (N, H, W, 3)."""
        spec = self._spec.features
        features: NDArray[Any] = self._features.run([spec.output], {spec.input: images})[0]
        return features

    def _judged(self, vectors: Sequence[NDArray[np.float32]] | deque[NDArray[np.float32]]) -> Logits:
        """Logits (K,) after the last of `vectors`, each (1, D), from zero state on."""
        spec = self._spec.head
        outputs, state = [spec.output, *(each.output for each in spec.state)], spec.zeros(1)
        for vector in vectors:
            logits, *after = self._head.run(outputs, {spec.input: vector, **state})
            state = dict(zip(state, after, strict=True))
        judged: NDArray[Any] = logits[0]
        return judged


def write_lossless(path: Path, images: NDArray[np.uint8], count: int) -> Path:
    """`path`, a video without loss (FFV1) of `count` frames: `images` (T, H, W, 3) uint8 RGB, again and again."""
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(FPS))
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = "bgr0"
        for image in itertools.islice(itertools.cycle(images), count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path
