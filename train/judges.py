"""Judges: a trained run, or a bundle, asked what it makes of streams. Measuring what they answer is train.evaluate.

`KerasJudge` runs the Keras models of a run; `BundleJudge` feeds tick after tick to stream's own Recognizer. Both decide
by stream.decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stream.contracts import Event, Input
from stream.decision import Settings, scores_of
from stream.errors import ConfigError
from stream.recognizer import Recognizer
from stream.schema import Decision
from train.cache import ArrayCache
from train.forward import CachedFeatures, Forward
from train.runs import RUN, Run, load_run
from train.streams import Stream
from train.thresholds import Scored, run_decision

Advance = Callable[[], None]
"""Called after each stream, for progress."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a judge makes of one stream.

    Attributes:
        scores: (T, K) float32 calibrated scores.
        decided: (T,) int32 numbers of the decided labels.
        events: all that started and ended.
    """

    scores: NDArray[np.float32]
    decided: NDArray[np.int32]
    events: tuple[Event, ...]


class Judge(Protocol):
    """Whoever can be evaluated.

    Attributes:
        labels, none, input: as in a bundle.
        name: what it is called by.
        provenance: how it was made.
        decision: how it decides; its scores are calibrated with that temperature.
        warmup: ticks before which nothing starts.
    """

    labels: tuple[str, ...]
    none: str
    input: Input
    name: str
    provenance: dict[str, Any]
    decision: Decision
    warmup: int

    def judge(self, streams: Sequence[Stream], *, reset: bool = False, advance: Advance) -> list[Judgement]:
        """A judgement of each stream, from zero state; with `reset`, zero state before every single tick."""


class KerasJudge:
    """A trained run, judged through Keras."""

    def __init__(self, run: Run, forward: Forward, cache: ArrayCache) -> None:
        """Makes a judge of a run and its network over time; features are kept in the cache."""
        self.labels, self.none, self.input, self.name = run.labels, run.none, run.input, run.folder.name
        self.provenance = run.provenance
        self.decision = Decision.model_validate(run.decision)
        self._window = run.temporal["window"] if run.temporal["mode"] == "window" else None
        self.warmup = int(run.temporal["warmup"])
        self._forward, self._cached = forward, CachedFeatures(forward, cache)

    def judge(self, streams: Sequence[Stream], *, reset: bool = False, advance: Advance) -> list[Judgement]:
        """As in `Judge`."""
        features = []
        for stream in streams:
            features.append(self._forward.features(stream.images, reset=True) if reset else self._cached.of(stream))
            advance()
        logits = self._forward.logits(features, window=self._window, reset=reset)
        settings = Settings(self.labels, self.none, self.decision.labels, self.decision.smoothing, self.name)
        judgements = []
        for stream, each in zip(streams, logits, strict=True):
            scores = scores_of(each, self.decision.temperature)
            judgements.append(Judgement(scores, *run_decision(settings, Scored(stream, scores), self.warmup)))
        return judgements


class BundleJudge:
    """A bundle, judged through the very Recognizer that runs live."""

    def __init__(self, recognizer: Recognizer) -> None:
        """Makes a judge of a loaded bundle."""
        self._recognizer = recognizer
        self.labels, self.none, self.input = recognizer.labels, recognizer.none, recognizer.input
        self.name, spec = recognizer.model, recognizer.bundle.spec
        self.provenance, self.decision, self.warmup = spec.provenance, spec.decision, spec.temporal.warmup

    def judge(self, streams: Sequence[Stream], *, reset: bool = False, advance: Advance) -> list[Judgement]:
        """As in `Judge`."""
        judgements = []
        for stream in streams:
            judgements.append(self._judge_forgetting(stream) if reset else self._judge(stream))
            advance()
        return judgements

    def _judge(self, stream: Stream) -> Judgement:
        scores, decided = [], []
        events: list[Event] = []
        for tick in stream.ticks():
            ((prediction, told),) = self._recognizer.advance([tick])
            scores.append(prediction.scores)
            decided.append(self.labels.index(prediction.label))
            events += told
        events += self._recognizer.finish(stream.name)
        return Judgement(np.stack(scores), np.array(decided, np.int32), tuple(events))

    def _judge_forgetting(self, stream: Stream) -> Judgement:
        """Only the network forgets: a recognizer that is reset forgets what it decided too, so that is done here."""
        scores = []
        for tick in stream.ticks():
            scores.append(self._recognizer.step([tick])[0].scores)
            self._recognizer.reset(stream.name)
        stacked = np.stack(scores)
        settings = Settings(self.labels, self.none, self.decision.labels, self.decision.smoothing, self.name)
        return Judgement(stacked, *run_decision(settings, Scored(stream, stacked), self.warmup))


def load_judge(folder: Path, cache: ArrayCache) -> Judge:
    """The judge of the run, or of the bundle, in `folder`.

    Raises:
        ConfigError: neither is there, or the run cannot be loaded.
        BundleError: the bundle cannot be loaded.
    """
    if (folder / RUN).is_file() or (folder / "recipe.toml").is_file():
        run = load_run(folder)
        return KerasJudge(run, Forward(run.network), cache)
    if (folder / "bundle.json").is_file():
        return BundleJudge(Recognizer.load(folder))
    raise ConfigError(f"{folder} is neither a run ({RUN}) nor a bundle (bundle.json): name the folder of one")
