"""Ticks in, predictions and events out: the line's pure core. No threads, no clock, no decoding.

A recognizer owns what is remembered of each camera: recurrent state, the last T features, what is decided. Every run
of a graph has the same number of rows, padded with zeros, so that a camera's numbers do not depend on how many others
there are. A camera whose numbers stop being finite, or that makes a run fail, starts afresh; the others never notice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.batch import Outcome, over_windows, run
from stream.bundle import Bundle
from stream.contracts import Event, FeatureExtractor, Head, Input, Mode, Prediction, Tick
from stream.decision import DecisionState, Moment, Settings, decide, finish, initial, scores_of
from stream.errors import BundleError, ConfigError
from stream.gate import MotionGate
from stream.inference import OnnxFeatures, OnnxHead
from stream.ring import FeatureRing
from stream.schema import LabelRule
from stream.state import StateBank

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
        batch_size: int = 1,
        mode: Mode | None = None,
        window: int | None = None,
        rules: Mapping[str, Mapping[str, LabelRule]] = {},
        gate: float | None = None,
    ) -> None:
        """Joins a bundle and its two halves, whichever runtime they run in.

        Args:
            bundle: settings, states and labels.
            features: frames to features.
            head: features to logits.
            batch_size: rows of every run; more ticks than that are run in several.
            mode: `carry` or `window`; the bundle's when None.
            window: ticks of a window; the bundle's when None.
            rules: cameras that are judged by other thresholds than the bundle's: camera -> label -> its rule.
            gate: grey levels of motion below which a tick's features are not computed (stream.gate); all are when None.

        Raises:
            ConfigError: the mode, the window, the batch size, a rule's label or the gate cannot be.
        """
        spec = bundle.spec
        self.bundle = bundle
        self.input: Input = bundle.input
        self.labels = bundle.labels
        self.none = bundle.none
        self.model = bundle.model
        self.batch_size = batch_size
        self.mode: Mode = mode if mode is not None else spec.temporal.mode
        length = window if window is not None else spec.temporal.window or 0
        self.window = length if self.mode == "window" else None
        self.faults: Counter[str] = Counter()
        """Ticks a camera whose numbers were not finite, or whose run failed."""
        self._gate = None if gate is None else MotionGate(gate)
        self._check_options()

        self._features = features
        self._head = head
        self._feature_states = StateBank(spec.features.zeros)
        self._head_states = StateBank(spec.head.zeros)
        self._ring = FeatureRing(self.window or 1)
        self._over_windows = over_windows(head, spec.head.zeros)
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
        threads: int | None = None,
        batch_size: int = 1,
        mode: Mode | None = None,
        window: int | None = None,
        rules: Mapping[str, Mapping[str, LabelRule]] = {},
        gate: float | None = None,
    ) -> Recognizer:
        """The recognizer of the bundle in `folder`, in ONNX Runtime.

        Args:
            folder: the bundle.
            device: one of `stream.inference.DEVICES`.
            threads: cores that a run of the features graph uses; all available ones when None.
            batch_size: as in `Recognizer`.
            mode: as in `Recognizer`.
            window: as in `Recognizer`.
            rules: as in `Recognizer`.
            gate: as in `Recognizer`.

        Raises:
            BundleError: the bundle is missing, damaged, or its graphs do not fit it or each other.
            ConfigError: an option cannot be.
            DeviceError: the device cannot be used here.
        """
        bundle = Bundle.load(folder, check=False)  # each graph is hashed when it is opened; golden files are not used
        features, head = OnnxFeatures(bundle, device, threads), OnnxHead(bundle, device)
        if None not in (features.width, head.width) and features.width != head.width:
            raise BundleError(
                f"{bundle.folder}: expected a head for {features.width} features, got {head.width}; export it again"
            )
        return cls(bundle, features, head, batch_size=batch_size, mode=mode, window=window, rules=rules, gate=gate)

    def warm_up(self) -> None:
        """Runs both graphs once on zeros, so that the first tick is not the slow one.

        Raises:
            DeviceError: a graph does not run on the device.
        """
        features = self._extract([]).output
        run(self._head.step, features, self._head_states.gather([]), self.batch_size)

    def step(self, ticks: Sequence[Tick]) -> list[Prediction]:
        """The prediction of each tick, in order; several ticks of one camera are stepped one after the other.

        Raises:
            DeviceError: a graph no longer runs on the device, even on zeros.
        """
        return [prediction for prediction, _ in self.advance(ticks)]

    def advance(self, ticks: Sequence[Tick]) -> list[Result]:
        """The prediction of each tick, in order, with the events that it ended and started.

        A tick of a new session first ends what was on at the old session's last tick.

        Raises:
            DeviceError: a graph no longer runs on the device, even on zeros.
        """
        results: dict[int, Result] = {}
        for batch in _batches(ticks, self.batch_size):
            results.update(zip(batch, self._advance([ticks[position] for position in batch]), strict=True))
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
        self._ring.reset(camera)
        if self._gate is not None:
            self._gate.forget(camera)

    @property
    def gated(self) -> Counter[str]:
        """Ticks a camera whose features were not computed, since nothing had moved."""
        return Counter() if self._gate is None else self._gate.gated

    def _check_options(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size: expected 1 or more, got {self.batch_size}")
        if self.mode not in ("carry", "window"):
            raise ConfigError(f"mode: expected carry or window, got {self.mode!r}")
        if self.window is not None and self.window < 1:
            raise ConfigError(f"window: expected 1 tick or more, got {self.window}; {self.model} names none of its own")
        if self.mode == "window" and self.bundle.spec.features.state:
            raise ConfigError(f"mode: {self.model} keeps state in its features and expects carry, got window")
        if self._gate is not None and self.bundle.spec.features.state:
            raise ConfigError(
                f"gate: {self.model} keeps state in its features and must see every tick; expected no gate"
            )

    def _with_rules(self, camera: str, rules: Mapping[str, LabelRule]) -> Settings:
        """The bundle's settings with the rules of `camera` over them."""
        unknown = sorted(rules.keys() - self._settings.rules.keys())
        if unknown:
            raise ConfigError(
                f"rules of {camera}: expected labels of {self.model} ({', '.join(self._settings.rules)}), got {unknown}"
            )
        return replace(self._settings, rules={**self._settings.rules, **rules})

    def _advance(self, ticks: Sequence[Tick]) -> list[Result]:
        """The results of one batch of ticks, each of another camera."""
        cameras = [tick.camera for tick in ticks]
        ended = [self._begin(tick) for tick in ticks]
        seen = self._extract(ticks) if self._gate is None else self._gate.features(ticks, self._extract)
        self._feature_states.scatter(cameras, seen.state)
        judged = self._judge(cameras, seen.output)
        scores = scores_of(judged.output, self.bundle.spec.decision.temperature)
        return [
            self._result(tick, row, before) if healthy else self._fault(tick, before)
            for tick, row, before, healthy in zip(ticks, scores, ended, seen.healthy & judged.healthy, strict=True)
        ]

    def _extract(self, ticks: Sequence[Tick]) -> Outcome:
        """Features (n, D) and the features graph's next states of at most a batch of ticks."""
        images = np.zeros((len(ticks), self.input.height, self.input.width, 3), np.uint8)
        for image, tick in zip(images, ticks, strict=True):
            image[:] = tick.image
        state = self._feature_states.gather([tick.camera for tick in ticks])
        return run(self._features.extract, images, state, self.batch_size)

    def _judge(self, cameras: Sequence[str], features: NDArray[np.float32]) -> Outcome:
        """Logits (n, K) of `features` (n, D), carried on from the cameras' states, or over their windows."""
        if self.window is None:
            judged = run(self._head.step, features, self._head_states.gather(cameras), self.batch_size)
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
        return run(self._over_windows, padded, {"lengths": lengths}, self.batch_size)

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
        warm = seen >= self.bundle.spec.temporal.warmup
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
