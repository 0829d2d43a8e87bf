"""Ticks in, predictions and events out: the line's pure core. No threads, no clock, no decoding.

A recognizer owns what is remembered of each camera: recurrent state, the last T features, what is decided. A run of a
graph has one of a few numbers of rows, padded with zeros, so that a camera's numbers do not depend on what the others
show; a file's, whose runs all have the smallest, not even on how many there are. A camera whose numbers stop being
finite, or that makes a run fail, starts afresh; the others never notice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.batch import Outcome, over_windows, run, smallest
from stream.bundle import Bundle
from stream.contracts import Event, FeatureExtractor, Head, Input, Mode, Prediction, Tick
from stream.decision import DecisionState, Moment, Settings, decide, finish, initial, scores_of
from stream.embedded import EmbeddedGeometry, open_geometry
from stream.errors import BundleError, ConfigError
from stream.gate import MotionGate
from stream.inference import OnnxFeatures, OnnxHead, Threads
from stream.options import require_possible
from stream.resident import Resident, pays
from stream.ring import FeatureRing
from stream.schema import LabelRule
from stream.staggered import Staggered
from stream.state import StateBank
from stream.unfitted import embedded_input

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
        features: FeatureExtractor,
        head: Head,
        *,
        batch_size: int | Sequence[int] = 1,
        mode: Mode | None = None,
        window: int | None = None,
        rules: Mapping[str, Mapping[str, LabelRule]] = {},
        gate: float | None = None,
        resident: Resident | None = None,
        geometry: EmbeddedGeometry | None = None,
    ) -> None:
        """Joins a bundle and its two halves, whichever runtime they run in.

        Args:
            bundle: settings, states and labels.
            features: frames to features.
            head: features to logits.
            batch_size: rows of every run; more ticks than that are run in several. Of several sizes, a run has the
                smallest that holds its ticks; all but the smallest are used once `warm_up` has made them ready.
            mode: one of `stream.contracts.MODES`; the bundle's when None.
            window: ticks of a window, or from restart to restart of a staggered replica; the bundle's when None.
            rules: cameras that are judged by other thresholds than the bundle's: camera -> label -> its rule.
            gate: grey levels of motion below which a tick's features are not computed (stream.gate); all are when None.
            resident: both graphs as one, which keeps the states where it runs, in place of the two; in carry mode, and
                without a gate.
            geometry: brings pictures to the model's size; `input` then asks for ticks that leave that to it.

        Raises:
            ConfigError: the mode, the window, the batch size, a rule's label or the gate cannot be.
        """
        spec = bundle.spec
        self.bundle = bundle
        self.input: Input = bundle.input if geometry is None else embedded_input(bundle.input)
        self.labels = bundle.labels
        self.none = bundle.none
        self.model = bundle.model
        self.batch_sizes = tuple(sorted({batch_size} if isinstance(batch_size, int) else set(batch_size)))
        self.mode: Mode = mode if mode is not None else spec.temporal.mode
        length = window if window is not None else spec.temporal.window or 0
        self.window = None if self.mode == "carry" else length
        self.faults: Counter[str] = Counter()
        """Ticks a camera whose numbers were not finite, whose run failed, or whose picture was of another size."""
        self._gate = None if gate is None else MotionGate(gate)
        self._resident = resident
        self._geometry = geometry
        gated, stays = gate is not None, resident is not None
        require_possible(bundle, self.batch_sizes, self.mode, self.window, gated=gated, resident=stays)
        self._warm = 0  # of `batch_sizes`

        self._features = features
        self._head = head
        self._temperature, self._warmup = spec.decision.temperature, spec.temporal.warmup
        self._black = np.zeros((self.input.height, self.input.width, 3), np.uint8)
        self._feature_states = StateBank(spec.features.zeros)
        self._head_states = StateBank(spec.head.zeros)
        self._ring = FeatureRing(self.window or 1)
        self._over_windows = over_windows(head, spec.head.zeros)
        self._staggered = Staggered(head.step, spec.head.zeros, self.window or 1, spec.temporal.replicas)
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
            embedded: bring pictures to the model's size by the bundle's geometry graph; where it has one and its
                features run on CUDA, when None.

        Raises:
            BundleError: the bundle is missing, damaged, or its graphs do not fit it or each other.
            ConfigError: an option cannot be.
            DeviceError: the device cannot be used here.
        """
        bundle = Bundle.load(folder, check=False)  # each graph is hashed when it is opened; golden files are not used
        rows = batch_size if isinstance(batch_size, int) else max(batch_size)
        features, head = OnnxFeatures(bundle, device, threads, rows=rows), OnnxHead(bundle, device)
        if None not in (features.width, head.width) and features.width != head.width:
            raise BundleError(
                f"{bundle.folder}: expected a head for {features.width} features, got {head.width}; export it again"
            )
        if resident is None:
            resident = gate is None and pays(features.providers, mode or bundle.spec.temporal.mode)
        stays = Resident(bundle, device, features.threads) if resident else None
        return cls(
            bundle,
            features,
            head,
            batch_size=batch_size,
            mode=mode,
            window=window,
            rules=rules,
            gate=gate,
            resident=stays,
            geometry=open_geometry(bundle, features, device, embedded),
        )

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
            if self._resident is not None:
                self._resident.warm_up(size)
            elif self.mode == "staggered":
                self._staggered.judge([], self._extract([], [size]).output, size)
            else:
                run(self._head.step, self._extract([], [size]).output, self._head_states.gather([]), size)
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
        self._feature_states.drop(camera)
        self._head_states.drop(camera)
        self._staggered.drop(camera)
        self._ring.reset(camera)
        if self._resident is not None:
            self._resident.drop(camera)
        if self._gate is not None:
            self._gate.forget(camera)

    @property
    def gated(self) -> Counter[str]:
        """Ticks a camera whose features were not computed, since nothing had moved."""
        return Counter() if self._gate is None else self._gate.gated

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
        size = smallest(sizes, len(ticks))
        if self._resident is not None:
            judged = self._resident.judge(cameras, self._images(ticks), size)
            healthy = sound & judged.healthy
        else:
            if self._gate is None:
                seen = self._extract(ticks, sizes)
            else:
                seen = self._gate.features(ticks, partial(self._extract, sizes=sizes))
            self._feature_states.scatter(cameras, seen.state)
            judged = self._judge(cameras, seen.output, size)
            healthy = sound & seen.healthy & judged.healthy
        scores = scores_of(judged.output, self._temperature)
        return [
            self._result(tick, row, before) if fine else self._fault(tick, before)
            for tick, row, before, fine in zip(ticks, scores, ended, healthy, strict=True)
        ]

    def _extract(self, ticks: Sequence[Tick], sizes: Sequence[int]) -> Outcome:
        """Features (n, D) and the features graph's next states of at most a batch of ticks."""
        state = self._feature_states.gather([tick.camera for tick in ticks])
        return run(self._features.extract, self._images(ticks), state, smallest(sizes, len(ticks)))

    def _images(self, ticks: Sequence[Tick]) -> NDArray[np.uint8]:
        """The pictures (n, H, W, 3) of `ticks`; a single one is not copied."""
        if len(ticks) == 1:
            return np.ascontiguousarray(ticks[0].image, np.uint8)[None]
        images = np.empty((len(ticks), self.input.height, self.input.width, 3), np.uint8)
        for image, tick in zip(images, ticks, strict=True):
            image[:] = tick.image
        return images

    def _judge(self, cameras: Sequence[str], features: NDArray[np.float32], size: int) -> Outcome:
        """Logits (n, K) of `features` (n, D) in a run of `size` rows, in the recognizer's mode."""
        if self.mode == "staggered":
            return self._staggered.judge(cameras, features, size)
        if self.mode == "carry":
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
