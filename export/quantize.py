"""A bundle whose features graph computes in int8 or fp16, from one that computes in fp32. No TensorFlow, no printing.

int8 is for CPUs, fp16 for GPUs. The head stays fp32: it is a hundredth of the cost, and what it carries from tick to
tick would gather rounding errors. The golden files stay Keras' own; how far the new bundle is from the fp32 one is
measured and written into bundle.json (`closeness`) and onto the card.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
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
        right: by label, of how many ticks it is the truth, and how many of these have it by the fp32 bundle's highest
            score, and by the new one's; empty where no clip is labelled.
    """

    ticks: int
    closeness: dict[str, float]
    score: float
    features_error: float
    agreement: float
    kept: dict[str, tuple[int, int]]
    right: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def by_truth(self) -> bool:
        """Whether there was a truth to go by; else it is fp32 that the new bundle is held against."""
        return bool(self.right)

    @property
    def loss(self) -> float:
        """Points of accuracy, on average over the labels, so that rare ones count: most of a camera's ticks are none.

        By the truth: what fewer ticks are right than by fp32. Without: what share of fp32's ticks has another label.
        """
        if self.right:
            return sum(map(lost_points, self.right.values())) / len(self.right)
        shares = [same / before for before, same in self.kept.values() if before]
        return 100 * (1 - sum(shares) / len(shares)) if shares else 0.0


def lost_points(counts: tuple[int, int, int]) -> float:
    """What share of a label's ticks, in points, is right by fp32 and no more; negative where more are right now."""
    ticks, before, after = counts
    return 100 * (before - after) / ticks


def quantize(
    bundle: Bundle,
    out: Path,
    clips: Sequence[Path] = (),
    *,
    precision: Lowered = "int8",
    max_loss: float = MAX_LOSS,
    reduce_range: bool = True,
    advance: Callable[[], None] = lambda: None,
) -> tuple[Bundle, Measured]:
    """Returns the bundle of `precision` written to `out`, and how far it is from `bundle`.

    Args:
        bundle: of fp32.
        out: folder; a bundle that is there is replaced.
        clips: to measure on and, for int8, to take ranges from, beside the golden clip; what they show should be what
            cameras will show. Those that lie in a folder of a label's name show that label, and are the truth.
        precision: of the features graph.
        max_loss: points of accuracy, over which nothing is written.
        reduce_range: of int8, weights have 7 bits, for CPUs without VNNI.
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
    if precision == "int8":
        graph = to_int8(bundle, _feeds(bundle, walks), reduce_range=reduce_range)
    else:
        graph = to_fp16(bundle)
    advance()

    files = {name: bundle.read(name) for name in bundle.spec.hashes()}
    files[bundle.spec.features.file] = graph
    spec = bundle.spec.model_copy(update={"precision": precision})
    if spec.fused is not None:  # made anew of the lowered graph
        spec, files = with_fused(spec, files, bundle.folder)
    with tempfile.TemporaryDirectory() as folder:
        lowered = write_bundle(Path(folder) / precision, spec, files)
        measured = _measured(bundle, lowered, walks, [_label_of(path, bundle.labels) for path in paths])
    if measured.loss > max_loss:
        raise BundleError(
            f"{bundle.spec.name}: {precision} loses {measured.loss:.1f} points of accuracy "
            f"{_where(measured, len(paths))}, expected at most {max_loss:g}; {_worst(measured)}; "
            "give more clips of what cameras show with --data, or allow it with --max-loss"
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
        "loss_by": "truth" if measured.by_truth else "agreement with fp32",
        "labels": {label: list(counts) for label, counts in measured.kept.items()},
        **({"right": {label: list(counts) for label, counts in measured.right.items()}} if measured.right else {}),
        **({"weight_bits": 7 if reduce_range else 8} if precision == "int8" else {}),
    }
    spec = spec.model_copy(update={"closeness": allowed, "provenance": {**spec.provenance, precision: origin}})
    bits = "" if precision == "fp16" or reduce_range else " Its weights have 8 bits: it is for CPUs with VNNI."
    files["CARD.md"] = (_card_of(bundle) + _paragraph(precision, measured, len(paths), bits)).encode()
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


def _label_of(clip: Path, labels: Sequence[str]) -> str | None:
    """What `clip` shows by the name of its folder; None where that is no label."""
    folder = clip.resolve().parent.name
    return folder if folder in labels else None


def _measured(
    bundle: Bundle, lowered: Bundle, walks: Sequence[Sequence[Tick]], truth: Sequence[str | None]
) -> Measured:
    """How far `lowered` is from `bundle` on the ticks of each clip, each from zero state, step by step.

    Of a clip whose `truth` is known all ticks are counted: where one begins or ends with nothing, neither is right.
    """
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
        right=_right(bundle.labels, pairs, truth),
    )


def _right(
    labels: Sequence[str], pairs: Sequence[tuple[Golden, Golden]], truth: Sequence[str | None]
) -> dict[str, tuple[int, int, int]]:
    """By label, ticks of the clips that show it, and of how many of these either of the two says so."""
    found: dict[str, tuple[int, int, int]] = {}
    for pair, label in zip(pairs, truth, strict=True):
        if label is None:
            continue
        ticks, *counts = found.get(label, (0, 0, 0))
        before, after = (
            count + int((each.logits.argmax(axis=1) == labels.index(label)).sum())
            for count, each in zip(counts, pair, strict=True)
        )
        found[label] = ticks + len(pair[0].logits), before, after
    return {label: found[label] for label in labels if label in found}


def _kept(labels: Sequence[str], before: NDArray[np.intp], after: NDArray[np.intp]) -> dict[str, tuple[int, int]]:
    """By label, how many ticks are its own `before`, and how many of these `after` as well."""
    return {
        label: (int((before == number).sum()), int(((before == number) & (after == number)).sum()))
        for number, label in enumerate(labels)
    }


def _where(measured: Measured, clips: int) -> str:
    """On what the loss was measured, and by what."""
    if measured.by_truth:
        labelled = sum(ticks for ticks, _, _ in measured.right.values())
        return f"by the truth of the {labelled} ticks of {clips} clips that are labelled"
    return f"against fp32 on {clips} clips, none of them labelled"


def _worst(measured: Measured) -> str:
    """The labels that lost, those that lost the largest share first; five of them."""
    if measured.by_truth:
        lost = {label: (before, after) for label, (_, before, after) in measured.right.items() if after < before}
        what = "ticks that are right no more"
    else:
        lost = {label: (before, same) for label, (before, same) in measured.kept.items() if same < before}
        what = "ticks whose label changes"
    worst = sorted(lost.items(), key=lambda each: each[1][1] / each[1][0])[:5]
    return f"{what}: " + ", ".join(f"{label} {before - after} of {before}" for label, (before, after) in worst)


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


def table_of(measured: Measured) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """What is lost, label by label: the heads of the columns, and the rows."""
    head: tuple[str, ...]
    if measured.by_truth:
        head = ("label", "ticks", "right by fp32", "right now", "lost points")
        counts = measured.right.items()
        return head, [(label, *map(str, each), f"{lost_points(each):.1f}") for label, each in counts]
    head = ("label", "ticks by fp32", "still so")
    return head, [(label, *map(str, each)) for label, each in measured.kept.items()]


def _paragraph(precision: Lowered, measured: Measured, clips: int, bits: str) -> str:
    """What the card says of it."""
    head, rows = table_of(measured)
    ranges = " that gave it its ranges" if precision == "int8" else ""
    return (
        "## Precision\n\n"
        f"Its backbone computes in {precision}, its head in fp32. Against the fp32 bundle that it was made from, on "
        f"the {measured.ticks} ticks of {clips} clips{ranges}: features differ by "
        f"{measured.features_error:.1%} of their size on average, no score by more than "
        f"{measured.score:.2f}, and the highest score has the same label at {measured.agreement:.1%} of "
        f"the ticks. Of accuracy, {measured.loss:.1f} points are lost on average over the labels, "
        f"{_where(measured, clips)}. On pictures unlike those it may differ more.{bits}\n\n"
        f"| {' | '.join(head)} |\n{'|---' * len(head)}|\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)
    )
