"""The live line, listened to: what goes through a bundle's two graphs when the engine judges a file or a camera.

Beside it, a graph that is run in a full batch, for the same ears. No verdicts here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.bundle import Bundle, Golden
from stream.contracts import FeatureExtractor, Head, Prediction, Source, State, Tick
from stream.embedded import EmbeddedGeometry
from stream.engine import Engine
from stream.errors import SourceLost
from stream.inference import OnnxWhole
from stream.recognizer import Recognizer
from stream.sources import FileSource, open_source
from stream.whole import Whole

PATIENCE = 3.0
"""How many times as long as the ticks should take a camera may take."""


def trace_engine(
    bundle: Bundle, features: FeatureExtractor, head: Head, clip: Path, geometry: EmbeddedGeometry | None = None
) -> tuple[Golden, list[Prediction]]:
    """What the live engine computes on a file, listened to at the two graphs, and what it told.

    With a `geometry`, pictures come to the model's size by that.

    Raises:
        SourceError: the clip cannot be read.
    """
    recorder = Recorder(features, head)
    recognizer = Recognizer(bundle, recorder, recorder, batch_size=1, geometry=geometry)
    predictions = _heard(recognizer, FileSource(clip, recognizer.input))
    return _traced(bundle, recorder, predictions), predictions


def told_by_whole(bundle: Bundle, whole: OnnxWhole, clip: Path) -> list[Prediction]:
    """What the live engine tells of a file through the fused graph.

    Raises:
        SourceError: the clip cannot be read.
    """
    recognizer = Recognizer(bundle, None, None, batch_size=1, joined=Whole(bundle, whole))
    return _heard(recognizer, FileSource(clip, recognizer.input))


def trace_camera(
    bundle: Bundle, features: FeatureExtractor, head: Head, url: str, count: int
) -> tuple[Golden, list[Prediction], list[Tick]]:
    """What the live engine computes on the first `count` ticks of a camera, what it told, and the ticks it saw.

    Raises:
        SourceError: it cannot be opened, or gave no tick.
    """
    recorder = Recorder(features, head)
    recognizer = Recognizer(bundle, recorder, recorder, batch_size=1)
    predictions = _heard(recognizer, open_source(url, recognizer.input, camera="verified"), count)
    if not predictions:
        raise SourceLost("the camera gave no tick; expected a stream that is playing, look at it with a player")
    golden = _traced(bundle, recorder, predictions)
    assert golden.images is not None
    ticks = [
        Tick(told.camera, told.index, told.session, told.time, 0.0, image, told.dt)
        for told, image in zip(predictions, golden.images, strict=True)
    ]
    return golden, predictions, ticks


def _heard(recognizer: Recognizer, source: Source, count: int | None = None) -> list[Prediction]:
    """What an engine tells of the source, until it ends or `count` ticks were told."""
    predictions: list[Prediction] = []

    def hear(prediction: Prediction, _: object) -> None:
        predictions.append(prediction)
        if count is not None and len(predictions) >= count:
            engine.stop()

    seconds = None if count is None else 5 + PATIENCE * count / (recognizer.input.rate or 25)
    engine = Engine(recognizer, [source], on_prediction=hear, duration=seconds)
    engine.run()
    return predictions


def _traced(bundle: Bundle, recorder: Recorder, predictions: list[Prediction]) -> Golden:
    rows = recorder.rows[-len(predictions) :]  # the engine's warm-up came before them
    carried = bundle.spec.temporal.mode == "carry"
    return Golden(
        times=np.array([prediction.time for prediction in predictions]),
        indices=np.array([prediction.index for prediction in predictions]),
        images=np.stack([row.image for row in rows]),
        features=np.stack([row.features for row in rows]),
        states={name: np.stack([row.states[name] for row in rows]) for name in rows[0].states} if carried else {},
        logits=np.stack([row.logits for row in rows]),
        labels=bundle.labels,
    )


@dataclass
class Row:
    """What the graphs took and gave at one tick."""

    image: NDArray[np.uint8]
    features: NDArray[np.float32]
    states: dict[str, NDArray[Any]]
    logits: NDArray[np.float32]


class Recorder:
    """Both graphs, with what goes through them kept: the first row of every run."""

    def __init__(self, features: FeatureExtractor, head: Head) -> None:
        """Listens to `features` and `head`."""
        self._features, self._head = features, head
        self.rows: list[Row] = []

    def extract(self, images: NDArray[np.uint8], state: State) -> tuple[NDArray[np.float32], State]:
        """As in `FeatureExtractor`; begins a tick."""
        features, after = self._features.extract(images, state)
        kept = {name: value[0].copy() for name, value in after.items()}
        self.rows.append(Row(images[0].copy(), features[0].copy(), kept, np.zeros(0, np.float32)))
        return features, after

    def step(self, features: NDArray[np.float32], state: State) -> tuple[NDArray[np.float32], State]:
        """As in `Head`; the last step of a tick is what counts."""
        logits, after = self._head.step(features, state)
        row = self.rows[-1]
        row.logits = logits[0].copy()
        row.states |= {name: value[0].copy() for name, value in after.items()}
        return logits, after


class Crowded:
    """A graph, run in a full batch: the row that is asked for lies last, and other pictures and states before it."""

    def __init__(self, graph: Any, rows: int) -> None:
        """Runs `graph`, a `FeatureExtractor`, a `Head` or an `OnnxWhole`, with `rows` rows."""
        self._run = graph.extract if hasattr(graph, "extract") else graph.step
        self._rows = rows

    def __call__(self, data: NDArray[Any], state: State) -> tuple[NDArray[np.float32], State]:
        """As in `FeatureExtractor` and `Head`, for one row."""
        output, after = self._run(self._among(data), {name: self._among(value) for name, value in state.items()})
        return output[-1:], {name: value[-1:] for name, value in after.items()}

    extract = step = __call__

    def _among(self, value: NDArray[Any]) -> NDArray[Any]:
        """`value` (1, ...) behind others like it, each rolled by another number of places; one number stays itself."""
        axis = min(1, value.ndim - 1)
        return np.concatenate([*(np.roll(value, number, axis) for number in range(1, self._rows)), value])
