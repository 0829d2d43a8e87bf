"""The geometry graph of a bundle: decoded pictures in, the model's pictures out, wherever the graphs run.

A GPU that serves hundreds of cameras takes from the CPU what geometry costs there: half a millisecond to one and a half
a tick. What a reader hands over then is views of the decoder's memory (stream.unfitted), which are copied once, into
the batch that goes to the device; pictures of the model's size come back. These are small beside what went there (of
1080p a fortieth), so that they are not kept on the device: they go on as any tick's, to the gate or the features graph.

Pictures are run in groups of one size, one place and one turn; what one becomes does not depend on how many there are
(stream.resampling). Where that is not on a GPU, `stream.geometry.fit` is many times faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from stream.batch import run
from stream.bundle import Bundle
from stream.contracts import Picture, State, Tick, Unfitted
from stream.errors import BundleError, ConfigError, DeviceError
from stream.inference import OnnxFeatures, OnnxWhole
from stream.resampling import Place, colour_of, place_of, weights_of
from stream.session import CUDA, ORT_ERRORS, line_of, open_session
from stream.unfitted import NO_IMAGE

LUMA, CHROMA, COLOURS, FRAMES = "luma", "chroma", "colours", "frames"
"""What goes in: (N, 1, h, w) and (N, 2, h', w') uint8, (N, 12, 1, 1) float32; and comes out: (N, H, W, 3) uint8 RGB."""
PLANES = (LUMA, CHROMA)
PLACES = 64
"""Whose matrices are kept: a megabyte each, or thereabouts."""
GRAY = 128  # chroma of what has no colour


def halving(plane: str, number: int) -> str:
    """The input (4,) float32 for one of a plane's halvings, from 0."""
    return f"{plane}_halving_{number}"


def matrix(plane: str, part: Literal["rows", "columns", "bounds"]) -> str:
    """The input for a plane's `rows` (H, h), `columns` (w, W) or `bounds` (2,), all float32."""
    return f"{plane}_{part}"


def pays(bundle: Bundle, providers: Sequence[str]) -> bool:
    """Whether geometry had better be done by the graph, where features are computed by `providers`, the first first."""
    return bundle.spec.geometry is not None and providers[0] == CUDA


def open_geometry(
    bundle: Bundle, features: OnnxFeatures | OnnxWhole, device: str, wanted: bool | None
) -> EmbeddedGeometry | None:
    """The bundle's geometry graph where it is `wanted`, or, where that is None, where it pays.

    Raises:
        BundleError, ConfigError, DeviceError: as `EmbeddedGeometry`.
    """
    if wanted is None:
        wanted = pays(bundle, features.providers)
    return EmbeddedGeometry(bundle, device, features.threads) if wanted else None


class EmbeddedGeometry:
    """Brings ticks that come unfitted to the model's size."""

    def __init__(self, bundle: Bundle, device: str = "auto", threads: int = 1) -> None:
        """Opens the graph, and runs it once: a first run is a slow one.

        Args:
            bundle: whose graph.
            device: one of `stream.session.DEVICES`; TensorRT, which rounds as it likes, leaves this to CUDA.
            threads: CPU threads of a run.

        Raises:
            BundleError: the graph is damaged, or is none that this can run.
            ConfigError: the bundle has none; or no such device.
            DeviceError: the device cannot be used here.
        """
        if bundle.spec.geometry is None:
            raise ConfigError(
                f"geometry: expected a bundle with a geometry graph, {bundle.model} has none; "
                "export it again with --embed-geometry, or leave the geometry to the CPU"
            )
        name = bundle.spec.geometry.file
        self._path = bundle.folder / name
        self._size = bundle.input.height, bundle.input.width
        device = "cuda" if device == "tensorrt" else device
        self.session = open_session(bundle.read(name), self._path, bundle, device, threads, exact=True)
        self.providers: list[str] = self.session.get_providers()
        self._where = "cuda" if self.providers[0] == CUDA else "cpu"
        self._matrices = lru_cache(PLACES)(self._placed)
        pixel = Unfitted(Picture((np.zeros((1, 1), np.uint8),), "gray"), self._size)
        place = place_of(pixel, self._size)
        self._require_names(self._matrices(place))
        first = self._run(place, *_stacked([pixel]))
        if first.shape != (1, *self._size, 3):
            raise self._unlike(f"pictures {(1, *self._size, 3)}", first.shape)

    def fitted(self, ticks: Sequence[Tick]) -> list[Tick]:
        """`ticks`, in their order, with the pictures that the model sees; no picture where one made its run fail.

        Raises:
            DeviceError: the graph no longer runs on the device, even on black pictures.
        """
        groups: dict[Place, list[int]] = {}
        for position, tick in enumerate(ticks):
            if tick.unfitted is not None:
                groups.setdefault(place_of(tick.unfitted, self._size), []).append(position)
        done = list(ticks)
        for place, positions in groups.items():
            parts = [part for position in positions if (part := ticks[position].unfitted) is not None]
            for position, image in zip(positions, self._frames(place, parts), strict=True):
                done[position] = replace(ticks[position], image=image, unfitted=None)
        return done

    def _frames(self, place: Place, parts: Sequence[Unfitted]) -> list[NDArray[np.uint8]]:
        """The picture (H, W, 3) of each of `parts`, all of one place; an empty one where that fails."""

        def step(luma: NDArray[Any], beside: State) -> tuple[NDArray[np.float32], State]:
            frames = self._run(place, luma, beside[CHROMA], beside[COLOURS])
            return np.zeros(len(frames), np.float32), {FRAMES: frames}  # the output that stream.batch takes from a row

        luma, chroma, colours = _stacked(parts)
        outcome = run(step, luma, {CHROMA: chroma, COLOURS: colours}, len(parts))
        frames = outcome.state[FRAMES]
        if place.is_lying:
            frames = frames.swapaxes(1, 2)
        return [frame if fine else NO_IMAGE for frame, fine in zip(frames, outcome.healthy, strict=True)]

    def _run(
        self, place: Place, luma: NDArray[np.uint8], chroma: NDArray[np.uint8], colours: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """One run; the matrices are where the graph is already."""
        binding = self.session.io_binding()
        for name, array in ((LUMA, luma), (CHROMA, chroma), (COLOURS, colours)):
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for name, value in self._matrices(place).items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_output(FRAMES, "cpu")
        try:
            self.session.run_with_iobinding(binding)
        except ORT_ERRORS as error:
            raise DeviceError(f"{self._path}: the run failed on {self.providers[0]}: {line_of(error)}") from error
        frames: NDArray[np.uint8] = binding.copy_outputs_to_cpu()[0]
        return frames

    def _placed(self, place: Place) -> Mapping[str, ort.OrtValue]:
        """What resizes pictures of a place, by the names that it goes in by: matrices where the graph runs."""
        values: dict[str, ort.OrtValue] = {}
        for plane, weights in zip(PLANES, weights_of(place), strict=True):
            for part in ("rows", "columns", "bounds"):
                array = getattr(weights, part)
                values[matrix(plane, part)] = ort.OrtValue.ortvalue_from_numpy(array, self._where, 0)
            for number, scales in enumerate(weights.halvings):
                values[halving(plane, number)] = ort.OrtValue.ortvalue_from_numpy(scales, "cpu", 0)
        return values

    def _require_names(self, matrices: Iterable[str]) -> None:
        """Raises BundleError unless what goes in and comes out has the names and types that it must have."""
        wanted = {LUMA: "tensor(uint8)", CHROMA: "tensor(uint8)", COLOURS: "tensor(float)"}
        wanted |= dict.fromkeys(matrices, "tensor(float)")
        found = {each.name: each.type for each in self.session.get_inputs()}
        if found != wanted:
            raise self._unlike(f"the inputs {wanted}", found)
        outputs = {each.name: each.type for each in self.session.get_outputs()}
        if outputs != {FRAMES: "tensor(uint8)"}:
            raise self._unlike(f"the output {FRAMES}, tensor(uint8)", outputs)

    def _unlike(self, expected: str, got: object) -> BundleError:
        return BundleError(f"{self._path}: expected {expected}, got {got}; export it again")


def _stacked(parts: Sequence[Unfitted]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Luma (n, 1, h, w), chroma (n, 2, h', w') and colours (n, 12, 1, 1): the one copy that is made of `parts`."""
    planes = [_planes(part.picture) for part in parts]
    luma = np.stack([first for first, *_ in planes])[:, None]
    chroma = np.stack([np.stack(others) for _, *others in planes])
    return luma, chroma, np.stack([colour_of(part.picture) for part in parts]).reshape(-1, 12, 1, 1)


def _planes(picture: Picture) -> Sequence[NDArray[np.uint8]]:
    """Three planes, the last two of one size: Y, U and V; or R, G and B, in the order that they are stored in."""
    if picture.layout == "yuv420":
        return picture.planes
    if picture.layout == "gray":
        return (*picture.planes, *2 * [np.full((1, 1), GRAY, np.uint8)])
    return [np.asarray(plane, np.uint8) for plane in cv2.split(picture.planes[0])]
