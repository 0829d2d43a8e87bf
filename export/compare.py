"""What one label costs in Keras and in the live line, on the same ticks, in one run: the numbers of `bench compare`.

All answer the same question at every tick: what is happening, by the last T = 20 frames? Keras answers it three ways,
and ONNX Runtime once, each computing every frame's features anew; ours computes the newest frame's features once and
steps the head over the T kept ones. A careful loop by hand does the same, on a video that it reads with OpenCV: beside
it stands ours on that video. Before anything is timed, all must give the same logits.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from export.listen import Recorder
from export.loops import Logits, PlainLoop, write_lossless
from export.pack import pack
from stream.bench.conditions import OpenBundle
from stream.bundle import Decision, LabelRule
from stream.contracts import Input, Tick
from stream.engine import Engine
from stream.errors import BundleError
from stream.recognizer import Recognizer
from stream.sources import FileSource
from train.models import ModelSettings, Network, batch_norms, build, unroll, zeros
from train.runs import Run

WINDOW = 20
LIMIT = 1e-4
ONE_BY_ONE = "Keras predict on each of the 20"
ONE_BATCH = "Keras predict on a batch of 20"
FUNCTION = "tf.function on the 20"
RECOMPUTED = "ONNX Runtime on the 20"
CAPTURED = "cv2.VideoCapture + ONNX Runtime"
WATCHED = "actionstream, same video"
OURS = "actionstream"
NAMES = (ONE_BY_ONE, ONE_BATCH, FUNCTION, RECOMPUTED, CAPTURED, WATCHED, OURS)
WANTED = {ONE_BY_ONE: 200.0, ONE_BATCH: 50.0, FUNCTION: 25.0}
"""How many times less a label must cost here."""
VIDEO_LABELS = 20  # of a video that are timed, once its window is full
MOVES = 7
"""Pixels that the picture shifts from tick to tick."""
LOGITS_SCALE = 4.0
"""Of a fresh last layer, whose logits would hardly differ from each other."""


@dataclass(frozen=True)
class Cost:
    """One way to a label.

    Attributes:
        name: what is done.
        ms: median of its labels, milliseconds.
        closeness: of its logits to those of the tf.function.
        ratio: how many times ours it costs.
        wanted: the least ratio that the project promises; None where it promises none.
    """

    name: str
    ms: float
    closeness: float
    ratio: float
    wanted: float | None


def random_network(settings: ModelSettings, input: Input, classes: int, seed: int = 0) -> Network:
    """A network with seeded random weights whose activations are of ordinary size.

    Fresh weights prove nothing: through 50 layers the features shrink to 1e-12, and any two such numbers are close.
    """
    keras.utils.set_random_seed(seed)
    network = build(settings, input, classes)
    frames = np.random.default_rng(seed).integers(0, 256, (8, input.height, input.width, 3), np.uint8)
    rescale(network, frames)
    kernel = network.head.get_layer("logits").kernel
    kernel.assign(LOGITS_SCALE * kernel)
    return network


def rescale(network: Network, frames: NDArray[np.uint8]) -> None:
    """Changes an untrained network so that what its features model computes on `frames` (N, H, W, 3) is of size 1.

    Every BatchNorm takes the statistics of what it sees; where there is none, and no LayerNorm, each layer's weights
    are divided by the size of what comes out of it (as LSUV does; Mishkin and Matas, ICLR 2016). ConvNeXt's blocks,
    which a fresh network scales by 1e-6, count in full.
    """
    norms = batch_norms(network.features)
    kept = [(norm.momentum, norm.trainable) for norm in norms]
    for norm in norms:
        norm.momentum, norm.trainable = 0.0, True
    network.features([tf.constant(frames), *zeros(network.features_state, len(frames))], training=True)
    for norm, (momentum, trainable) in zip(norms, kept, strict=True):
        norm.momentum, norm.trainable = momentum, trainable
    layers = [] if network.backbone is None else network.backbone.layers
    for layer in layers:
        if type(layer).__name__ == "LayerScale":
            layer.gamma.assign(tf.ones_like(layer.gamma))
    if network.backbone is None or norms or any(isinstance(each, keras.layers.LayerNormalization) for each in layers):
        return
    preprocessed = network.backbone._inbound_nodes[-1].input_tensors[0]
    before = keras.Model(network.features.inputs, preprocessed)([tf.constant(frames)])
    for layer in layers:
        if hasattr(layer, "kernel"):
            after = keras.Model(network.backbone.inputs, layer.output)(before)
            layer.kernel.assign(layer.kernel / float(np.sqrt(np.square(after).mean())))


def random_run(folder: Path, settings: ModelSettings, input: Input, labels: Sequence[str], seed: int = 0) -> Run:
    """An untrained run, as if it lay in `folder`: its labels mean nothing, its cost is that of a trained one."""
    none, *others = labels
    decision = Decision(labels={label: LabelRule(enter=0.5, exit=0.4) for label in others})
    return Run(
        network=random_network(settings, input, len(labels), seed),
        labels=tuple(labels),
        none=none,
        input=input,
        temporal={"mode": "carry", "window": None, "warmup": 1, "max_gap": input.max_gap},
        decision=decision.model_dump(),
        provenance={"recipe": "random weights", "seed": seed},
        folder=folder,
    )


def default_run(folder: Path) -> Run:
    """What is compared where no run is given: MobileNetV2 on 224 x 224 pictures with a GRU of 256, random weights."""
    return random_run(folder, ModelSettings(), Input(224, 224), ["none", "one", "other"])


def compare(
    run: Run, work: Path, *, threads: int, repeats: int = 5, advance: Callable[[], None] = lambda: None
) -> list[Cost]:
    """Returns what a label costs, each way, ours last.

    TensorFlow's threads must have been set to `threads` before it computed anything.

    Args:
        run: the network; its features must keep no state.
        work: a folder to export it to.
        threads: that ONNX Runtime uses.
        repeats: labels of each of Keras' ways whose median is taken; ours takes 20 times as many.
        advance: called after each of the `repeats` rounds.

    Raises:
        BundleError: the ways do not agree.
        ConfigError: the run's features keep state.
    """
    bundle = pack(run, work / "bundle", clip=None, name="compared", mode="window", window=WINDOW)
    opened = OpenBundle.load(bundle.folder, device="cpu", threads=threads)
    images = _pictures(run.input, WINDOW)
    video = write_lossless(work / "video.mkv", images, WINDOW + VIDEO_LABELS)
    plain = PlainLoop(opened)
    at_once = _keras_ways(run.network, images)
    at_once[RECOMPUTED] = lambda: plain.recomputed(images)

    answers = {name: way() for name, way in at_once.items()}
    answers[CAPTURED] = next(itertools.islice(plain.captured(video, WINDOW), WINDOW - 1, None))
    answers[WATCHED] = _recorded(opened, lambda line: _watch(line, video))
    answers[OURS] = _recorded(opened, lambda line: line.step(_ticks(images, 0, WINDOW)))
    closeness = {name: _closeness(answers[FUNCTION], answers[name]) for name in NAMES}
    far = {name: value for name, value in closeness.items() if value > LIMIT}
    if far:
        raise BundleError(f"the ways disagree ({far}): expected closeness {LIMIT:g} at most; export the run again")

    ours = _ours(opened, images)
    spent: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(repeats):  # in turns, so that what else the machine does falls on all alike
        for name, way in at_once.items():
            spent[name].append(_ms(way))
        spent[CAPTURED].append(_ms_of_each([time.perf_counter() for _ in plain.captured(video, WINDOW)]))
        spent[WATCHED].append(_ms_of_each(_watch(opened.recognizer(), video)))
        spent[OURS] += [_ms(ours) for _ in range(WINDOW)]
        advance()
    cost = {name: float(np.median(spent[name])) for name in NAMES}
    return [Cost(name, ms, closeness[name], ms / cost[OURS], WANTED.get(name)) for name, ms in cost.items()]


def _keras_ways(network: Network, images: NDArray[np.uint8]) -> dict[str, Callable[[], Logits]]:
    """Three ways to the logits (K,) of the window `images` (T, H, W, 3), as they are commonly written."""

    def judge(features: tf.Tensor) -> tf.Tensor:
        logits, _ = unroll(network.head, features[None], zeros(network.head_state, 1))
        return logits[0, -1]

    head = tf.function(judge)
    whole = tf.function(lambda frames: judge(network.features([frames], training=False)))

    def one_by_one() -> Logits:
        features = [network.features.predict([image[None]], verbose=0) for image in images]
        return np.asarray(head(tf.constant(np.concatenate(features))))

    def one_batch() -> Logits:
        return np.asarray(head(tf.constant(network.features.predict([images], batch_size=len(images), verbose=0))))

    return {
        ONE_BY_ONE: one_by_one,
        ONE_BATCH: one_batch,
        FUNCTION: lambda: np.asarray(whole(tf.constant(images))),
    }


def _ours(opened: OpenBundle, images: NDArray[np.uint8]) -> Callable[[], object]:
    """The way to the label of the next tick out of memory, its window full."""
    recognizer = opened.recognizer()
    recognizer.step(_ticks(images, 0, WINDOW))
    numbers = itertools.count(WINDOW)
    return lambda: recognizer.step(_ticks(images, next(numbers), 1))


def _recorded(opened: OpenBundle, run: Callable[[Recognizer], object]) -> Logits:
    """The logits (K,) of the WINDOWth tick that `run` steps a recognizer through."""
    recorder = Recorder(opened.features, opened.head)
    line = Recognizer(opened.bundle, recorder, recorder)
    line.warm_up()
    begun = len(recorder.rows)
    run(line)
    return recorder.rows[begun + WINDOW - 1].logits


def _watch(line: Recognizer, video: Path) -> list[float]:
    """The times at which the live line tells the label of each frame of a video of the model's size."""
    source = FileSource(video, line.input)
    seen = replace(line.input, fit="squash", region=None, rate=None)
    times: list[float] = []
    Engine(
        line,
        [source],
        tracks={source.camera: {source.camera: seen}},
        on_prediction=lambda *_: times.append(time.perf_counter()),
    ).run()
    return times


def _ticks(images: NDArray[np.uint8], first: int, count: int) -> list[Tick]:
    """Ticks from number `first` on of an endless session that repeats `images`."""
    return [
        Tick("compared", number, 0, number / 10, 0.0, images[number % len(images)], 0.1)
        for number in range(first, first + count)
    ]


def _pictures(input: Input, count: int) -> NDArray[np.uint8]:
    """(count, H, W, 3) uint8: a picture of noise in blocks, moving."""
    blocks = np.random.default_rng(0).integers(0, 256, (input.height // 8 + 1, input.width // 8 + 1, 3), np.uint8)
    picture = np.kron(blocks, np.ones((8, 8, 1), np.uint8))[: input.height, : input.width]
    return np.stack([np.roll(picture, MOVES * i, axis=1) for i in range(count)])


def _closeness(wanted: Logits, got: Logits) -> float:
    return float(np.abs(wanted - got).max() / max(1.0, float(np.abs(wanted).max())))


def _ms(way: Callable[[], object]) -> float:
    begun = time.perf_counter()
    way()
    return (time.perf_counter() - begun) * 1000


def _ms_of_each(times: list[float]) -> float:
    """Milliseconds between two labels told at `times` (s), on average, from the first full window on."""
    full = times[WINDOW - 1 :]
    return (full[-1] - full[0]) / (len(full) - 1) * 1000
