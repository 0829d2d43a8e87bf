"""A bundle whose features graph computes in int8 or fp16, from one that computes in fp32. No TensorFlow, no printing.

int8 is for CPUs, fp16 for GPUs. The head stays fp32: it is a hundredth of the cost, and what it carries from tick to
tick would gather rounding errors. The golden files stay Keras' own; how far the new bundle is from the fp32 one is
measured and written into bundle.json (`closeness`) and onto the card.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from export.fuse import with_fused
from export.lower import Feed, to_fp16, to_int8
from export.trace import read_ticks, trace
from stream.bundle import Bundle, Golden, write_bundle
from stream.contracts import Tick
from stream.decision import scores_of
from stream.errors import BundleError, ConfigError
from stream.inference import OnnxFeatures, OnnxHead
from stream.sources.http import FILES

TICKS_A_CLIP = 100
"""Of which the ranges are taken, evenly spread over a clip: neighbours look alike."""
ALLOWANCE = 1.5
"""Closeness that is allowed, over the one measured: another CPU's kernels round otherwise."""
LEAST = 0.01
"""Closeness that is allowed at least: a clip on which little happens shows little of the rounding."""
MAX_LOSS = 1.0
"""Points of accuracy that may be lost unless something else is said."""

Lowered = Literal["int8", "fp16"]


@dataclass(frozen=True)
class Measured:
    """How far the new bundle is from the fp32 one, over all ticks of the clips.

    Attributes:
        ticks: how many.
        closeness: max|a - b| / max(1, max|a|) of features, logits, scores and the head's states, on the first clip.
        score: the largest difference of a score.
        features_error: mean|a - b| of the features as a share of their root mean square.
        agreement: share of ticks whose highest score has the same label.
        kept: by label, how many ticks had it by the fp32 bundle's highest score, and how many of these have it still.
    """

    ticks: int
    closeness: dict[str, float]
    score: float
    features_error: float
    agreement: float
    kept: dict[str, tuple[int, int]]

    @property
    def loss(self) -> float:
        """Points: the share of ticks whose label is no longer what fp32 says, on average over the labels it says.

        An average over labels, so that rare ones count: most of a camera's ticks are of none.
        """
        shares = [same / before for before, same in self.kept.values() if before]
        return 100 * (1 - sum(shares) / len(shares)) if shares else 0.0


def quantize(
    bundle: Bundle,
    out: Path,
    clips: Sequence[Path] = (),
    *,
    precision: Lowered = "int8",
    max_loss: float = MAX_LOSS,
    advance: Callable[[], None] = lambda: None,
) -> tuple[Bundle, Measured]:
    """Returns the bundle of `precision` written to `out`, and how far it is from `bundle`.

    Args:
        bundle: of fp32.
        out: folder; a bundle that is there is replaced.
        clips: to measure on and, for int8, to take ranges from, beside the golden clip; what they show should be what
            cameras will show.
        precision: of the features graph.
        max_loss: points of accuracy against fp32, over which nothing is written.
        advance: called after each of its three steps: clips read, graph made, measured and written.

    Raises:
        ConfigError: there is no clip at all.
        BundleError: `bundle` is not of fp32, its graph holds nothing to lower, more accuracy is lost than `max_loss`,
            or `out` is in use.
        SourceError: a clip cannot be read.
    """
    if bundle.spec.precision != "fp32":
        raise BundleError(f"{bundle.folder}: expected an fp32 bundle, got {bundle.spec.precision}; name its original")
    golden = [] if bundle.spec.golden is None else [bundle.folder / bundle.spec.golden.clip]
    paths = [*golden, *clips]
    if not paths:
        raise ConfigError(f"{bundle.folder}: expected clips to go by, found no golden one; give --data CLIPS")
    walks = [read_ticks(path, bundle.input) for path in paths]
    advance()
    graph = to_int8(bundle, _feeds(bundle, walks)) if precision == "int8" else to_fp16(bundle)
    advance()

    files = {name: bundle.read(name) for name in bundle.spec.hashes()}
    files[bundle.spec.features.file] = graph
    spec = bundle.spec.model_copy(update={"precision": precision})
    if spec.fused is not None:  # made anew of the lowered graph
        spec, files = with_fused(spec, files, bundle.folder)
    with tempfile.TemporaryDirectory() as folder:
        measured = _measured(bundle, write_bundle(Path(folder) / precision, spec, files), walks)
    if measured.loss > max_loss:
        lost = ", ".join(f"{label} {before - same} of {before}" for label, (before, same) in _worst(measured))
        raise BundleError(
            f"{bundle.folder}: {precision} loses {measured.loss:.1f} points of accuracy on {len(paths)} clips, "
            f"expected at most {max_loss:g}; ticks whose label changes: {lost}; give more clips of what cameras show "
            "with --data, or allow it with --max-loss"
        )
    allowed = {name: round(max(LEAST, ALLOWANCE * value), 4) for name, value in measured.closeness.items()}
    origin = {
        "from": bundle.model,
        "clips": [path.name for path in paths],
        "ticks": measured.ticks,
        "score": round(measured.score, 4),
        "features_error": round(measured.features_error, 4),
        "agreement": round(measured.agreement, 4),
        "loss": round(measured.loss, 2),
        "labels": {label: list(counts) for label, counts in measured.kept.items()},
    }
    spec = spec.model_copy(update={"closeness": allowed, "provenance": {**spec.provenance, precision: origin}})
    files["CARD.md"] = (_card_of(bundle) + _paragraph(precision, measured, len(paths))).encode()
    written = write_bundle(out, spec, files)
    advance()
    return written, measured


def clips_in(paths: Sequence[Path]) -> list[Path]:
    """The clips among `paths` and, in order of their names, in the folders among them.

    Raises:
        ConfigError: there is no such path, or a folder without clips.
    """
    clips: list[Path] = []
    for path in paths:
        found = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.suffix.lower() in FILES)
        if not found:
            raise ConfigError(f"{path}: expected a clip or a folder of clips, found none; check the path")
        clips += found
    return clips


def _feeds(bundle: Bundle, walks: Sequence[Sequence[Tick]]) -> Iterator[Feed]:
    """What the features graph is fed with on some of the ticks, with the state that it has there."""
    features = OnnxFeatures(bundle, "cpu")
    for ticks in walks:
        session, state = None, features.zeros(1)
        for number, tick in enumerate(ticks):
            if tick.session != session:
                session, state = tick.session, features.zeros(1)
            images = tick.image[None]
            if number % max(1, len(ticks) // TICKS_A_CLIP) == 0:
                yield {bundle.spec.features.input: images, **state}
            _, state = features.extract(images, state)


def _measured(bundle: Bundle, lowered: Bundle, walks: Sequence[Sequence[Tick]]) -> Measured:
    """How far `lowered` is from `bundle` on the ticks of each clip, each from zero state, step by step."""
    pairs = [(_trace(bundle, ticks), _trace(lowered, ticks)) for ticks in walks]
    wanted, got = (np.concatenate([pair[side].features for pair in pairs]) for side in (0, 1))
    exact, coarse = (
        scores_of(np.concatenate([pair[side].logits for pair in pairs]), bundle.spec.decision.temperature)
        for side in (0, 1)
    )
    return Measured(
        ticks=len(wanted),
        closeness={
            name: float(np.abs(a - b).max()) / max(1.0, float(np.abs(a).max()))
            for name, (a, b) in _numbers(bundle, *pairs[0]).items()
        },
        score=float(np.abs(exact - coarse).max()),
        features_error=float(np.abs(wanted - got).mean() / np.sqrt(np.square(wanted).mean())),
        agreement=float((exact.argmax(axis=1) == coarse.argmax(axis=1)).mean()),
        kept=_kept(bundle.labels, exact.argmax(axis=1), coarse.argmax(axis=1)),
    )


def _kept(labels: Sequence[str], before: NDArray[np.intp], after: NDArray[np.intp]) -> dict[str, tuple[int, int]]:
    """By label, how many ticks are its own `before`, and how many of these `after` as well."""
    return {
        label: (int((before == number).sum()), int(((before == number) & (after == number)).sum()))
        for number, label in enumerate(labels)
    }


def _worst(measured: Measured) -> list[tuple[str, tuple[int, int]]]:
    """The labels that lost ticks, those that lost the largest share first; five of them."""
    lost = [(label, (before, same)) for label, (before, same) in measured.kept.items() if same < before]
    return sorted(lost, key=lambda each: each[1][1] / each[1][0])[:5]


def _trace(bundle: Bundle, ticks: Sequence[Tick]) -> Golden:
    features, head = OnnxFeatures(bundle, "cpu"), OnnxHead(bundle, "cpu")
    return trace(features, head, (features.state_spec, head.state_spec), bundle.spec.temporal, ticks, bundle.labels)


def _numbers(bundle: Bundle, *traces: Golden) -> dict[str, tuple[NDArray[Any], ...]]:
    """By name, what may differ below fp32, of each of `traces`."""
    temperature = bundle.spec.decision.temperature
    return {
        "features": tuple(each.features for each in traces),
        "logits": tuple(each.logits for each in traces),
        "scores": tuple(scores_of(each.logits, temperature) for each in traces),
        **{
            tensor.input: tuple(each.states[tensor.input] for each in traces)
            for tensor in bundle.spec.head.state
            if tensor.input in traces[0].states
        },
    }


def _card_of(bundle: Bundle) -> str:
    card = bundle.folder / "CARD.md"
    return card.read_text(encoding="utf-8") + "\n" if card.is_file() else ""


def _paragraph(precision: Lowered, measured: Measured, clips: int) -> str:
    """What the card says of it."""
    ranges = " that gave it its ranges" if precision == "int8" else ""
    return (
        "## Precision\n\n"
        f"Its backbone computes in {precision}, its head in fp32. Against the fp32 bundle that it was made from, on "
        f"the {measured.ticks} ticks of {clips} clips{ranges}: features differ by "
        f"{measured.features_error:.1%} of their size on average, no score by more than "
        f"{measured.score:.2f}, and the highest score has the same label at {measured.agreement:.1%} of "
        f"the ticks: {measured.loss:.1f} points are lost on average over the labels. On pictures unlike those it may "
        "differ more.\n\n"
        "| label | ticks by fp32 | still so |\n|---|---|---|\n"
        + "".join(f"| {label} | {before} | {same} |\n" for label, (before, same) in measured.kept.items())
    )
