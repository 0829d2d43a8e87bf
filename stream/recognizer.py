"""Ticks in, predictions and events out: the line's pure core. No threads, no clock, no decoding.

A recognizer owns what is remembered of each camera: recurrent state, the last T features, what is decided. A run of a
graph has one of a few numbers of rows, padded with zeros, so that a camera's numbers do not depend on what the others
show; a file's, whose runs all have the smallest, not even on how many there are. A camera whose numbers stop being
finite, or that makes a run fail, starts afresh; the others never notice.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.batch import smallest
from stream.bundle import Bundle
from stream.contracts import Event, FeatureExtractor, Head, Input, Mode, Prediction, Tick
from stream.decision import DecisionState, Moment, Settings, decide, finish, initial, scores_of
from stream.embedded import EmbeddedGeometry, open_geometry
from stream.errors import BundleError, ConfigError
from stream.gate import MotionGate
from stream.inference import OnnxFeatures, OnnxHead, OnnxWhole, Threads
from stream.options import largest_batch, require_possible
from stream.pair import Pair, images_of
from stream.resident import Resident, pays
from stream.schema import LabelRule
from stream.unfitted import embedded_input
from stream.whole import Whole, serves

logger = logging.getLogger("stream")

Result: TypeAlias = tuple[Prediction, tuple[Event, ...]]


@dataclass(frozen=True, eq=False)
class _Camera:
    """What is remembered of a camera besides its state: the session, how many ticks of it, and what is decided."""

    session: int
    seen: int
    decision: DecisionState


class Recognizer:
    """Steps cameras through a bundle's model and decides what is happening in each."""

    def __init__(
        self,
        bundle: Bundle,
        features: FeatureExtractor | None,
        head: Head | None,
        *,
        batch_size: int | Sequence[int] = 1,
        mode: Mode | None = None,
        window: int | None = None,
        rules: Mapping[str, Mapping[str, LabelRule]] = {},
        gate: float | None = None,
        joined: Resident | Whole | None = None,
        geometry: EmbeddedGeometry | None = None,
    ) -> None:
        """Joins a bundle and its two halves, whichever runtime they run in.

        Args:
            bundle: settings, states and labels.
            features: frames to features; None where `joined` is both graphs.
            head: features to logits; None where `joined` is both graphs.
            batch_size: rows of every run; more ticks than that are run in several. Of several sizes, a run has the
                smallest that holds its ticks; all but the smallest are used once `warm_up` has made them ready. Larger
                ones than the bundle promises (`max_batch`) become that one, and a warning says so.
            mode: one of `stream.contracts.MODES`; the bundle's when None.
            window: ticks of a window, or from restart to restart of a staggered replica; the bundle's when None.
            rules: cameras that are judged by other thresholds than the bundle's: camera -> label -> its rule.
            gate: grey levels of motion below which a tick's features are not computed (stream.gate); all are when None.
            joined: both graphs as one, used in place of the two; in carry mode, and without a gate.
            geometry: brings pictures to the model's size; `input` then asks for ticks that leave that to it.

        Raises:
            ConfigError: the mode, the window, the batch size, a rule's label or the gate cannot be; a graph is missing.
        """
        spec = bundle.spec
        self.bundle = bundle
        self.input: Input = bundle.input if geometry is None else embedded_input(bundle.input)
        self.labels = bundle.labels
        self.none = bundle.none
        self.model = bundle.model
        self.mode: Mode = mode if mode is not None else spec.temporal.mode
        asked = {batch_size} if isinstance(batch_size, int) else set(batch_size)
        self.batch_sizes = tuple(sorted(self._kept_to(largest_batch(bundle, self.mode), asked)))
        length = window if window is not None else spec.temporal.window or 0
        self.window = None if self.mode == "carry" else length
        self.faults: Counter[str] = Counter()
        """Ticks a camera whose numbers were not finite, whose run failed, or whose picture was of another size."""
        self._geometry = geometry
        word = None if joined is None else joined.name
        require_possible(bundle, self.batch_sizes, self.mode, self.window, gated=gate is not None, joined=word)
        self._model: Pair | Resident | Whole = (
            _pair(bundle, features, head, self.mode, self.window, gate) if joined is None else joined
        )
        self._warm = 0  # of `batch_sizes`

        self._temperature, self._warmup = spec.decision.temperature, spec.temporal.warmup
        self._black = np.zeros((self.input.height, self.input.width, 3), np.uint8)
        self._cameras: dict[str, _Camera] = {}
        self._settings = Settings(
            labels=bundle.labels,
            none=bundle.none,
            rules=spec.decision.labels,
            smoothing=spec.decision.smoothing,
            model=bundle.model,
            digest=bundle.digest,
        )
        self._settings_of = {camera: self._with_rules(camera, own) for camera, own in rules.items()}

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        device: str = "auto",
        threads: Threads = None,
        batch_size: int | Sequence[int] = 1,
        mode: Mode | None = None,
        window: int | None = None,
        rules: Mapping[str, Mapping[str, LabelRule]] = {},
        gate: float | None = None,
        resident: bool | None = None,
        fused: bool | None = None,
        embedded: bool | None = None,
    ) -> Recognizer:
        """The recognizer of the bundle in `folder`, in ONNX Runtime.

        Args:
            folder: the bundle.
            device: one of `stream.session.DEVICES`.
            threads: cores that a run of the features graph uses; all available ones when None; those with which the
                largest batch is fastest when `auto`.
            batch_size: as in `Recognizer`.
            mode: as in `Recognizer`.
            window: as in `Recognizer`.
            rules: as in `Recognizer`.
            gate: as in `Recognizer`.
            resident: keep the tracks' states on the device, in one graph; where that is CUDA and it can be, when None.
            fused: run the bundle's fused graph in place of the two; where it has one and it can be, when None.
            embedded: bring pictures to the model's size by the bundle's geometry graph; where it has one and its
                features run on CUDA, when None.

        Raises:
            BundleError: the bundle is missing, damaged, or its graphs do not fit it or each other.
            ConfigError: an option cannot be.
            DeviceError: the device cannot be used here.
        """
        bundle = Bundle.load(folder, check=False)  # each graph is hashed when it is opened; golden files are not used
        rows = batch_size if isinstance(batch_size, int) else max(batch_size)
        rest: dict[str, Any] = {"batch_size": batch_size, "mode": mode, "window": window, "rules": rules, "gate": gate}
        if fused is None:
            fused = not resident and serves(bundle, device, mode, gated=gate is not None)
        if fused:
            if resident:
                raise ConfigError(
                    "fused: expected states that come and go, got resident as well; leave one of them out"
                )
            graph = OnnxWhole(bundle, device, threads, rows=rows)
            geometry = open_geometry(bundle, graph, device, embedded)
            return cls(bundle, None, None, joined=Whole(bundle, graph), geometry=geometry, **rest)
        features, head = OnnxFeatures(bundle, device, threads, rows=rows), OnnxHead(bundle, device)
        if None not in (features.width, head.width) and features.width != head.width:
            raise BundleError(
                f"{bundle.folder}: expected a head for {features.width} features, got {head.width}; export it again"
            )
        if resident is None:
            resident = gate is None and pays(features.providers, mode or bundle.spec.temporal.mode)
        stays = Resident(bundle, device, features.threads) if resident else None
        geometry = open_geometry(bundle, features, device, embedded)
        return cls(bundle, features, head, joined=stays, geometry=geometry, **rest)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes in use, ascending: the smallest, and those that are warm."""
        return self.batch_sizes[: max(1, self._warm)]

    def warm_up(self) -> bool:
        """Runs both graphs once on zeros, in the smallest batch size that is not warm; True while there are more such.

        A size's first run is a slow one. Call it once before the first tick, and again when there is nothing to do.

        Raises:
            DeviceError: a graph does not run on the device.
        """
        if self._warm < len(self.batch_sizes):
            size = self.batch_sizes[self._warm]
            self._model.warm_up(size)
            self._warm += 1
        return self._warm < len(self.batch_sizes)

    def step(self, ticks: Sequence[Tick]) -> list[Prediction]:
        """The prediction of each tick, in order; several ticks of one camera are stepped one after the other.

        Raises:
            DeviceError: a graph no longer runs on the device, even on zeros.
        """
        return [prediction for prediction, _ in self.advance(ticks)]

    def advance(self, ticks: Sequence[Tick], *, fixed: bool = False) -> list[Result]:
        """The prediction of each tick, in order, with the events that it ended and started.

        A tick of a new session first ends what was on at the old session's last tick.

        Args:
            ticks: of any cameras.
            fixed: run them in the smallest batch size, however many they are: what a file comes to must not depend on
                what is judged beside it, to the last bit.

        Raises:
            DeviceError: a graph no longer runs on the device, even on zeros.
        """
        sizes = self.sizes[:1] if fixed else self.sizes
        if len(ticks) == 1:
            return self._advance(ticks, sizes)
        results: dict[int, Result] = {}
        for batch in _batches(ticks, sizes[-1]):
            results.update(zip(batch, self._advance([ticks[position] for position in batch], sizes), strict=True))
        return [results[position] for position in range(len(ticks))]

    def finish(self, camera: str | None = None) -> list[Event]:
        """The ends of what is on, at the last tick's time, and a fresh start for `camera`, or for all when None."""
        cameras = list(self._cameras) if camera is None else [camera]
        events = [event for name in cameras if name in self._cameras for event in finish(self._cameras[name].decision)]
        for name in cameras:
            self.reset(name)
        return events

    def reset(self, camera: str) -> None:
        """Forgets all about `camera`, known or not: its next tick is a fresh start. What was on is not ended."""
        self._cameras.pop(camera, None)
        self._model.drop(camera)

    @property
    def gated(self) -> Counter[str]:
        """Ticks a camera whose features were not computed, since nothing had moved."""
        return self._model.gated if isinstance(self._model, Pair) else Counter()

    def _kept_to(self, most: int | None, sizes: set[int]) -> set[int]:
        """`sizes`, in place of those that are over `most` that one; more ticks than it holds are run in several."""
        if most is None or max(sizes, default=0) <= most:
            return sizes
        told = "%s: runs of %d rows at most, which the bundle promises (max_batch), not of %d"
        logger.warning(told, self.model, most, max(sizes))
        return {min(size, most) for size in sizes}

    def _with_rules(self, camera: str, rules: Mapping[str, LabelRule]) -> Settings:
        """The bundle's settings with the rules of `camera` over them."""
        unknown = sorted(rules.keys() - self._settings.rules.keys())
        if unknown:
            raise ConfigError(
                f"rules of {camera}: expected labels of {self.model} ({', '.join(self._settings.rules)}), got {unknown}"
            )
        return replace(self._settings, rules={**self._settings.rules, **rules})

    def _advance(self, ticks: Sequence[Tick], sizes: Sequence[int]) -> list[Result]:
        """The results of one batch of ticks, each of another camera, run in the smallest of `sizes` that holds it."""
        cameras = [tick.camera for tick in ticks]
        if self._geometry is not None:
            ticks = self._geometry.fitted(ticks)
        sound = np.array([tick.image.shape == self._black.shape for tick in ticks])
        ticks = [tick if fits else replace(tick, image=self._black) for tick, fits in zip(ticks, sound, strict=True)]
        ended = [self._begin(tick) for tick in ticks]
        if isinstance(self._model, Pair):
            judged = self._model.judge(ticks, sizes)
        else:
            judged = self._model.judge(cameras, images_of(ticks), smallest(sizes, len(ticks)))
        healthy = sound & judged.healthy
        scores = scores_of(judged.output, self._temperature)
        return [
            self._result(tick, row, before) if fine else self._fault(tick, before)
            for tick, row, before, fine in zip(ticks, scores, ended, healthy, strict=True)
        ]

    def _begin(self, tick: Tick) -> tuple[Event, ...]:
        """What a tick of a new session ends; the tick's camera is known afterwards, and fresh where that is due."""
        known = self._cameras.get(tick.camera)
        events: list[Event] = []
        if known is not None and known.session != tick.session:
            events = self.finish(tick.camera)
        self._cameras.setdefault(tick.camera, _Camera(tick.session, 0, initial()))
        return tuple(events)

    def _result(self, tick: Tick, scores: NDArray[np.float32], before: tuple[Event, ...]) -> Result:
        """The prediction of a tick, with the events `before` it and its own."""
        camera = self._cameras[tick.camera]
        seen = camera.seen + 1
        warm = seen >= self._warmup
        settings = self._settings_of.get(tick.camera, self._settings)
        moment = Moment(tick.camera, tick.session, tick.index, tick.time, tick.dt, warm)
        decision, label, events = decide(settings, camera.decision, moment, scores)
        self._cameras[tick.camera] = _Camera(tick.session, seen, decision)
        return self._prediction(tick, label, scores, warm), (*before, *events)

    def _fault(self, tick: Tick, before: tuple[Event, ...]) -> Result:
        """What a tick is told to be whose numbers are of no use: none, with equal scores; its camera starts afresh."""
        self.faults[tick.camera] += 1
        events = self.finish(tick.camera)
        equal = np.full(len(self.labels), 1 / len(self.labels), np.float32)
        return self._prediction(tick, self.none, equal, False), (*before, *events)

    def _prediction(self, tick: Tick, label: str, scores: NDArray[np.float32], warm: bool) -> Prediction:
        return Prediction(
            camera=tick.camera,
            session=tick.session,
            index=tick.index,
            time=tick.time,
            label=label,
            score=float(scores[self.labels.index(label)]),
            scores=scores,
            warm=warm,
            dt=tick.dt,
        )


def _pair(
    bundle: Bundle,
    features: FeatureExtractor | None,
    head: Head | None,
    mode: Mode,
    window: int | None,
    gate: float | None,
) -> Pair:
    """The two graphs as a model."""
    if features is None or head is None:
        raise ConfigError(f"{bundle.model}: expected its two graphs, or both as one, got neither; open them")
    return Pair(bundle, features, head, mode, window, None if gate is None else MotionGate(gate))


def _batches(ticks: Sequence[Tick], size: int) -> Iterator[list[int]]:
    """Positions in `ticks`, each once: at most `size` at a time, no camera twice in a batch, each camera's in order."""
    rounds: list[list[int]] = []
    nth: Counter[str] = Counter()
    for position, tick in enumerate(ticks):
        if nth[tick.camera] == len(rounds):
            rounds.append([])
        rounds[nth[tick.camera]].append(position)
        nth[tick.camera] += 1
    for positions in rounds:
        yield from (positions[start : start + size] for start in range(0, len(positions), size))
