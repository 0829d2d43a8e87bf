"""`actionstream import`: other people's ONNX files as a bundle, with what must be known asked one by one."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream.commands.embedded import demo_clip
from stream.commands.options import Size, examples

if TYPE_CHECKING:
    from export.adopt import Adopted, Answers, Strangers
    from stream.bundle import Bundle

PATH = click.Path(path_type=Path)
PIXELS = ("0-255", "0-1", "-1-1", "imagenet")
COLOURS = ("rgb", "bgr")


class StatePair(click.ParamType[str]):
    """`INPUT=OUTPUT`; a person who says something else is asked again."""

    name = "INPUT=OUTPUT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text `value`, once it is such a pair."""
        before, _, after = str(value).partition("=")
        if not before or not after:
            self.fail(f"expected INPUT=OUTPUT, got {value!r}", param, ctx)
        return str(value)


@click.command(
    name="import",
    epilog=examples(
        "actionstream import --features backbone.onnx --head gru.onnx --out models/theirs",
        "actionstream import --features a.onnx --head b.onnx --out models/theirs --labels none,wave --rate 10 "
        "--pixels imagenet --colours rgb --state h=h_next",
    ),
)
@click.option("--features", type=PATH, required=True, help="Pictures to features: one picture a row.")
@click.option("--head", type=PATH, required=True, help="Features, and states if it has any, to logits: one step.")
@click.option("--out", type=PATH, required=True, help="Bundle folder; a bundle that is there is replaced.")
@click.option("--labels", help="By commas, in the order of the head's outputs.")
@click.option("--none", help="The label that means that nothing is happening; `none` if there is one.")
@click.option("--rate", type=click.FloatRange(min=0), help="Pictures a second that it was trained on; 0: every frame.")
@click.option("--pixels", type=click.Choice(PIXELS), help="How pixels were scaled; not asked where it takes uint8.")
@click.option("--colours", type=click.Choice(COLOURS), help="The order of its colours.")
@click.option("--size", type=Size(), help="Of its pictures, where the file leaves it open.")
@click.option(
    "--state",
    "states",
    type=StatePair(),
    multiple=True,
    metavar="INPUT=OUTPUT",
    help="A state, where shapes leave it open.",
)
@click.option("--fit", type=click.Choice(["letterbox", "center", "squash"]), default="letterbox", show_default=True)
@click.option("--clip", type=PATH, help="Its first 2 s become the golden clip; the demo's clip if left out.")
def import_(features: Path, head: Path, out: Path, fit: str, clip: Path | None, **said: Any) -> None:
    """Make a bundle of two ONNX files that were not exported here.

    What the files do not say is asked; without a terminal, all questions are told at once, each with the option that
    answers it. The golden files are what ONNX Runtime computes here: they prove the bundle on another machine, not that
    the files are right.
    """
    from export.adopt import Strangers
    from export.report import bundle_facts, print_bundle
    from export.verify import verify
    from stream.commands.terminal import console

    strangers = Strangers(features, head)
    answers = _answers(said)
    if _is_asked_by_a_person():
        answers = _asked(strangers, said)
    adopted = strangers.adopted(answers)
    bundle = _written(adopted, answers, out, fit, clip or demo_clip(), {"features": features.name, "head": head.name})
    verify(bundle).require()
    print_bundle(bundle_facts(bundle), console())
    console().print(f"imported: {out}; next: actionstream watch 0 --model {out}", markup=False, soft_wrap=True)


def _is_asked_by_a_person() -> bool:
    return sys.stdin.isatty()


def _answers(said: dict[str, Any]) -> Answers:
    """What the options say."""
    from export.adopt import Answers

    pairs = [pair.partition("=") for pair in said["states"]]
    labels = said["labels"] and tuple(label.strip() for label in said["labels"].split(","))
    return Answers(
        labels=labels or None,
        none=said["none"],
        rate=said["rate"],
        pixels=said["pixels"],
        colours=said["colours"],
        size=said["size"],
        states={before: after for before, _, after in pairs},
    )


def _asked(strangers: Strangers, said: dict[str, Any]) -> Answers:
    """What the options say, and the person at the terminal where they say nothing."""
    kinds: dict[str, Any] = {
        "--rate": click.FloatRange(min=0),
        "--pixels": click.Choice(PIXELS),
        "--colours": click.Choice(COLOURS),
        "--size": Size(),
        "--state": StatePair(),
    }
    while left := strangers.questions(_answers(said)):
        question = left[0]
        answer = click.prompt(question.words, type=kinds.get(question.option), show_choices=False)
        if question.option == "--state":
            said["states"] = (*said["states"], answer)
        else:
            said[question.option.removeprefix("--")] = answer
    return _answers(said)


def _written(adopted: Adopted, answers: Answers, out: Path, fit: str, clip: Path, origin: dict[str, str]) -> Bundle:
    """The bundle in `out`, with golden files that its own graphs computed."""
    from pydantic import ValidationError

    from export.card import card
    from export.clip import golden_arrays, golden_clip
    from export.trace import read_ticks, trace
    from stream.bundle import (
        BundleSpec,
        Decision,
        GoldenSpec,
        InputSpec,
        LabelRule,
        Temporal,
        first_fault,
        write_bundle,
    )
    from stream.errors import ConfigError
    from stream.inference import OnnxFeatures, OnnxHead

    labels, none = answers.labels or (), answers.none or "none"
    width, height = adopted.size
    seen = {"height": height, "width": width, "fit": fit, "rate": answers.rate or "native"}
    rules = {label: LabelRule(enter=0.5, exit=0.4) for label in labels if label != none}
    try:
        spec = BundleSpec(
            name=out.resolve().name,
            labels=labels,
            none=none,
            input=InputSpec.model_validate(seen),
            features=adopted.features_spec,
            head=adopted.head_spec,
            temporal=Temporal(mode="carry"),
            decision=Decision(smoothing=0.3, labels=rules),
            provenance={"imported": {**origin, "pixels": answers.pixels, "colours": answers.colours}},
        )
    except ValidationError as error:  # of names, labels and sizes that a bundle cannot have
        raise ConfigError(f"{out}: expected answers that a bundle can have, got {first_fault(error)}") from error
    files = {"features.onnx": adopted.features, "head.onnx": adopted.head}
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_bundle(Path(folder) / "bundle", spec, files)
        content = golden_clip(clip, bundle.input)
        path = Path(folder) / "clip.mp4"
        path.write_bytes(content)
        graphs = OnnxFeatures(bundle, "cpu"), OnnxHead(bundle, "cpu")
        states = spec.features.state, spec.head.state
        golden = trace(*graphs, states, spec.temporal, read_ticks(path, bundle.input), labels)
    files |= {
        "golden/clip.mp4": content,
        "golden/golden.npz": golden_arrays(golden),
        "CARD.md": card(spec, None).encode(),
    }
    return write_bundle(out, spec.model_copy(update={"golden": GoldenSpec()}), files)
