"""A model as two graphs: features, then the head in one of the temporal modes, and what of each camera is carried.

This is the general way: with any mode, and with a motion gate before the features. The ways in which both graphs are
one, stream.whole and stream.resident, are for the carry mode alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stream.batch import Outcome, over_windows, run, smallest
from stream.bundle import Bundle
from stream.contracts import FeatureExtractor, Head, Mode, Tick
from stream.gate import MotionGate
from stream.ring import FeatureRing
from stream.staggered import Staggered
from stream.state import StateBank


def images_of(ticks: Sequence[Tick]) -> NDArray[np.uint8]:
    """The pictures (n, H, W, 3) of one tick or more, all of one size; a single one is not copied."""
    if len(ticks) == 1:
        return np.ascontiguousarray(ticks[0].image, np.uint8)[None]
    images = np.empty((len(ticks), *ticks[0].image.shape), np.uint8)
    for image, tick in zip(images, ticks, strict=True):
        image[:] = tick.image
    return images


class Pair:
    """Steps tracks through both graphs, one after the other, and keeps their states, or their last T features."""

    def __init__(
        self,
        bundle: Bundle,
        features: FeatureExtractor,
        head: Head,
        mode: Mode,
        window: int | None = None,
        gate: MotionGate | None = None,
    ) -> None:
        """Makes a model without tracks.

        Args:
            bundle: settings and states.
            features: frames to features.
            head: features to logits.
            mode: how the past is carried.
            window: ticks of a window, or from restart to restart of a staggered replica; None in carry mode.
            gate: keeps ticks without motion from the features.
        """
        self._features, self._head, self._mode, self._gate = features, head, mode, gate
        self._nothing = np.zeros((0, bundle.input.height, bundle.input.width, 3), np.uint8)
        self._feature_states = StateBank(bundle.spec.features.zeros)
        zeros = bundle.spec.head.zeros
        self._head_states = StateBank(zeros)
        self._ring = FeatureRing(window or 1)
        self._over_windows = over_windows(head, zeros)
        self._staggered = Staggered(head.step, zeros, window or 1, bundle.spec.temporal.replicas)

    def judge(self, ticks: Sequence[Tick], sizes: Sequence[int]) -> Outcome:
        """Logits (n, K) of `ticks`, each of another camera, in runs of the smallest of `sizes` that holds them.

        What is kept of a camera whose row is not healthy is of no use: whoever asked drops it.

        Raises:
            DeviceError: a run fails on zeros as well, so it is no row's fault.
        """
        cameras = [tick.camera for tick in ticks]
        if self._gate is None:
            seen = self._extract(ticks, sizes)
        else:
            seen = self._gate.features(ticks, partial(self._extract, sizes=sizes))
        self._feature_states.scatter(cameras, seen.state)
        judged = self._judge(cameras, seen.output, smallest(sizes, len(ticks)))
        return Outcome(judged.output, {}, seen.healthy & judged.healthy)

    def warm_up(self, size: int) -> None:
        """Runs `size` rows of nobody: a size's first run is a slow one.

        Raises:
            DeviceError: a graph does not run on the device.
        """
        seen = run(self._features.extract, self._nothing, self._feature_states.gather([]), size).output
        if self._mode == "staggered":
            self._staggered.judge([], seen, size)
        else:
            run(self._head.step, seen, self._head_states.gather([]), size)

    def drop(self, camera: str) -> None:
        """Forgets `camera`, known or not."""
        self._feature_states.drop(camera)
        self._head_states.drop(camera)
        self._staggered.drop(camera)
        self._ring.reset(camera)
        if self._gate is not None:
            self._gate.forget(camera)

    @property
    def gated(self) -> Counter[str]:
        """Ticks a camera whose features were not computed, since nothing had moved."""
        return Counter() if self._gate is None else self._gate.gated

    def __len__(self) -> int:
        """Tracks whose states are kept."""
        return max(len(self._feature_states), len(self._head_states))

    def _extract(self, ticks: Sequence[Tick], sizes: Sequence[int]) -> Outcome:
        """Features (n, D) and the features graph's next states of at most a batch of ticks."""
        state = self._feature_states.gather([tick.camera for tick in ticks])
        return run(self._features.extract, images_of(ticks), state, smallest(sizes, len(ticks)))

    def _judge(self, cameras: Sequence[str], features: NDArray[np.float32], size: int) -> Outcome:
        """Logits (n, K) of `features` (n, D) in a run of `size` rows, in the model's mode."""
        if self._mode == "staggered":
            return self._staggered.judge(cameras, features, size)
        if self._mode == "carry":
            judged = run(self._head.step, features, self._head_states.gather(cameras), size)
            self._head_states.scatter(cameras, judged.state)
            return judged
        for camera, vector in zip(cameras, features, strict=True):
            self._ring.push(camera, vector)
        windows = [self._ring.window(camera) for camera in cameras]
        lengths = np.array([len(window) for window in windows])
        longest = int(lengths.max())
        padded = np.zeros((len(windows), longest, features.shape[1]), np.float32)
        for row, window in zip(padded, windows, strict=True):
            row[longest - len(window) :] = window
        return run(self._over_windows, padded, {"lengths": lengths}, size)
