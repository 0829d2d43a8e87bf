"""Other people's ONNX files as a bundle: what must be asked, what the files say, and the graphs that come of it.

A bundle's features take uint8 RGB pictures (N, H, W, 3) and give (N, D); its head takes (N, D) and the states of one
step and gives logits. What a file wants instead is put into its graph: cast, scale, order of colours and axes. What no
file says (the labels, the rate, how pixels were scaled) is asked; nothing is guessed. No TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import onnx
from onnx import TensorProto, helper

from export.graft import (
    Colours,
    Pixels,
    apart,
    fixed_rows,
    flatten,
    inputs_of,
    put_before,
    put_pictures_before,
    rename,
    replace,
    settle,
    shape_of,
    take_off_softmax,
)
from export.rewrites import keep_zero_padding, open_batch
from stream.bundle import GraphSpec, StateTensor
from stream.errors import BundleError, ConfigError

TYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.INT64: "int64",
    TensorProto.INT32: "int32",
}


@dataclass(frozen=True)
class Answers:
    """What was answered; None where nobody said.

    Attributes:
        labels: in the order of the logits.
        none: which of them means that nothing is happening.
        rate: pictures a second that it was trained on; 0 is every frame.
        pixels: how they were scaled.
        colours: their order.
        size: (width, height), where the file leaves it open.
        states: output by input, where the files leave it open which state is which.
    """

    labels: tuple[str, ...] | None = None
    none: str | None = None
    rate: float | None = None
    pixels: Pixels | None = None
    colours: Colours | None = None
    size: tuple[int, int] | None = None
    states: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Question:
    """What must be asked: the option that answers it, and the question in words."""

    option: str
    words: str


@dataclass(frozen=True)
class Adopted:
    """The two graphs as a bundle has them, what bundle.json says of them, and the size of pictures."""

    features: bytes
    head: bytes
    features_spec: GraphSpec
    head_spec: GraphSpec
    size: tuple[int, int]


class Strangers:
    """Two ONNX files of other people's, opened to be asked about."""

    def __init__(self, features: Path, head: Path) -> None:
        """Reads the files; numbers that lie beside them, in their folder, are taken in.

        Raises:
            BundleError: one is no ONNX file.
        """
        self._models = {"features": _opened(features), "head": _opened(head)}
        self._paths = {"features": features, "head": head}
        self._pictures = self._like_pictures()

    def questions(self, answers: Answers) -> list[Question]:
        """What is still to be asked, after `answers`."""
        asked, given = [], answers.states or {}
        classes = self._classes(given)
        if answers.labels is None:
            many = f"its {classes} classes" if classes else "its classes"
            asked.append(Question("--labels", f"what are the names of {many}, in the order of its outputs, by commas?"))
        none = answers.none or "none"
        if answers.labels is not None and none not in answers.labels:
            names = ", ".join(answers.labels)
            asked.append(Question("--none", f"which label means that nothing is happening: {names}?"))
        if answers.rate is None:
            asked.append(Question("--rate", "how many pictures a second was it trained on? 0 is every frame"))
        if answers.pixels is None and not self._takes_bytes(given):
            asked.append(Question("--pixels", f"how were its pixels scaled: {', '.join(get_args(Pixels))}?"))
        if answers.colours is None:
            asked.append(Question("--colours", "in which order does it take colours: rgb or bgr?"))
        if answers.size is None and 0 in self._size(given):
            asked.append(Question("--size", "at which size does it see pictures, as WIDTHxHEIGHT?"))
        for part in ("features", "head"):
            unclear = self._unclear(part, given)
            if unclear:
                free = ", ".join(self._outputs(part, given))
                words = (
                    f"which of the outputs of {part} ({free}) is the next {unclear[0]}? Say it as {unclear[0]}=OUTPUT, "
                    f"or name another input than {unclear[0]} where that is no state"
                )
                asked.append(Question("--state", words))
        return asked

    def adopted(self, answers: Answers) -> Adopted:
        """The graphs of a bundle, all questions being answered.

        Raises:
            ConfigError: an answer does not fit the files.
            BundleError: a graph is not one that a bundle can be made of.
        """
        left = self.questions(answers)
        if left:
            raise ConfigError("; ".join(f"{each.option}: {each.words}" for each in left))
        self._require_as_said(answers)
        given = answers.states or {}
        width, height = answers.size or self._size(given)
        pairs = {part: self._pairs(part, given) for part in ("features", "head")}
        specs = {}
        for part, main in (("features", ("frames", "features")), ("head", ("features", "logits"))):
            model = self._models[part]
            states = [self._state(part, *pair) for pair in pairs[part].items()]
            source = self._main_input(part, pairs[part])
            target = next(value for value in model.graph.output if value.name not in pairs[part].values())
            rows = shape_of(source)[0]
            names = {source.name: f"{part}/given", target.name: f"{part}/made"}
            for (before, after), state in zip(pairs[part].items(), states, strict=True):
                names |= {before: state.input, after: state.output}
            rename(model, apart(model) | names)
            kept = {name for state in states for name in (state.input, state.output)}
            if part == "features":
                put_pictures_before(
                    model, answers.pixels or "0-255", answers.colours or "rgb", (height, width), self._is_planar(given)
                )
                flatten(model, f"{part}/made", main[1])
            else:
                kind = source.type.tensor_type.elem_type
                put_before(model, [helper.make_node("Cast", [main[0]], [f"{part}/given"], to=kind)])
                given_value = helper.make_tensor_value_info(
                    main[0], TensorProto.FLOAT, ["N", shape_of(source)[-1] or "D"]
                )
                replace(model.graph.input, f"{part}/given", given_value)
                take_off_softmax(model, f"{part}/made", main[1])
            if rows:
                open_batch(model, rows)
            settle(model, [main[0], *kept], [main[1], *kept], len(answers.labels or ()) if part == "head" else None)
            specs[part] = GraphSpec(file=f"{part}.onnx", input=main[0], output=main[1], state=tuple(states))
        gives, takes = (
            next(shape_of(value)[-1] for value in values if value.name == "features")
            for values in (self._models["features"].graph.output, self._models["head"].graph.input)
        )
        if 0 not in (gives, takes) and gives != takes:
            raise BundleError(
                f"{self._paths['head']}: expected {gives} features, as {self._paths['features'].name} gives, "
                f"got {takes}; name the states with --state INPUT=OUTPUT, or take the head that goes with it"
            )
        made = {part: _serialized(self._paths[part], model) for part, model in self._models.items()}
        return Adopted(made["features"], made["head"], specs["features"], specs["head"], (width, height))

    def _require_as_said(self, answers: Answers) -> None:
        """Raises ConfigError where an answer is another than the file's own."""
        states = answers.states or {}
        said = self._size(states)
        asked = answers.size or said
        if any(side not in (0, other) for side, other in zip(said, asked, strict=True)):
            sides = "x".join(str(side or "any") for side in said)
            raise ConfigError(f"--size: expected {sides}, as the file says, got {asked[0]}x{asked[1]}; leave it out")
        if self._takes_bytes(states) and answers.pixels not in (None, "0-255"):
            raise ConfigError(f"--pixels: expected 0-255, for the file takes uint8, got {answers.pixels}; leave it out")

    def _takes_bytes(self, given: Mapping[str, str]) -> bool:
        return bool(self._picture(given).type.tensor_type.elem_type == TensorProto.UINT8)

    def _like_pictures(self) -> list[onnx.ValueInfoProto]:
        """The inputs that may be pictures by their shape: a state that remembers one is so, too."""
        found = [
            value for value in inputs_of(self._models["features"]) if len(shape_of(value)) == 4 and 3 in shape_of(value)
        ]
        if not found:
            shapes = {value.name: shape_of(value) for value in inputs_of(self._models["features"])}
            raise BundleError(
                f"{self._paths['features']}: expected an input of pictures (N, H, W, 3) or (N, 3, H, W), got {shapes}; "
                "export it for one picture at a time"
            )
        return found

    def _picture(self, given: Mapping[str, str]) -> onnx.ValueInfoProto:
        """The first of them that nobody named as a state."""
        return next((value for value in self._pictures if value.name not in given), self._pictures[0])

    def _classes(self, given: Mapping[str, str]) -> int:
        """How many numbers the head gives that are no state; 0 where that is open."""
        outputs = self._models["head"].graph.output
        main = next((value for value in outputs if value.name not in given.values()), outputs[0])
        return (shape_of(main) or (0,))[-1]

    def _is_planar(self, given: Mapping[str, str]) -> bool:
        return shape_of(self._picture(given))[-1] != 3

    def _size(self, given: Mapping[str, str]) -> tuple[int, int]:
        """(width, height); 0 where it is open."""
        shape = shape_of(self._picture(given))
        height, width = shape[2:] if self._is_planar(given) else shape[1:3]
        return width, height

    def _main_input(self, part: str, pairs: Mapping[str, str]) -> onnx.ValueInfoProto:
        if part == "features":
            return self._picture(pairs)
        free = [value for value in inputs_of(self._models[part]) if value.name not in pairs]
        if len(free) != 1 or len(shape_of(free[0])) != 2:
            shapes = {value.name: shape_of(value) for value in free}
            raise BundleError(
                f"{self._paths[part]}: expected features (N, D) of one step beside its states, got {shapes}; export "
                "one step, not a sequence, or name the states with --state INPUT=OUTPUT"
            )
        return free[0]

    def _outputs(self, part: str, given: Mapping[str, str]) -> dict[str, onnx.ValueInfoProto]:
        """All that may be states: of those that are not named as such, the first is the main one."""
        outputs = self._models[part].graph.output
        rest = [value for value in outputs if value.name not in given.values()]
        return {value.name: value for value in outputs if value.name in given.values() or value in rest[1:]}

    def _candidates(self, part: str, given: Mapping[str, str]) -> dict[str, list[str]]:
        """For each input that is a state, the outputs that may be the next one."""
        outputs = self._outputs(part, given)
        inputs = inputs_of(self._models[part])
        rest = [value.name for value in inputs if value.name not in given]
        main = self._picture(given).name if part == "features" else next(iter(rest), "")
        found: dict[str, list[str]] = {}
        for value in inputs:
            if value.name in given:
                found[value.name] = [given[value.name]]
            elif value.name != main:
                found[value.name] = [
                    name
                    for name, output in outputs.items()
                    if shape_of(output)[1:] == shape_of(value)[1:] and name not in given.values()
                ]
        return found

    def _unclear(self, part: str, given: Mapping[str, str]) -> list[str]:
        """States whose next one shapes do not tell, and those that nobody named and that may be none by their shape."""
        candidates = self._candidates(part, given)
        model = self._models[part].graph
        shapes = {value.name: shape_of(value)[1:] for value in (*inputs_of(self._models[part]), *model.output)}
        others = {shapes[value.name] for value in inputs_of(self._models[part]) if value.name not in candidates}
        others |= {shapes[value.name] for value in model.output if value.name not in self._outputs(part, given)}
        return [
            name
            for name, outputs in candidates.items()
            if len(outputs) != 1 or (name not in given and shapes[name] in others)
        ]

    def _pairs(self, part: str, given: Mapping[str, str]) -> dict[str, str]:
        pairs = {name: outputs[0] for name, outputs in self._candidates(part, given).items()}
        known = {value.name for value in self._models[part].graph.output}
        wrong = [f"{name}={output}" for name, output in pairs.items() if output not in known]
        if wrong or len(set(pairs.values())) < len(pairs):
            raise ConfigError(f"--state: expected an output of its own for each state, got {wrong or pairs}")
        if len(known) != len(pairs) + 1:
            raise BundleError(
                f"{self._paths[part]}: expected one output beside the states {sorted(pairs.values())}, got "
                f"{sorted(known)}; name the states with --state INPUT=OUTPUT, or leave the others out"
            )
        return pairs

    def _state(self, part: str, before: str, after: str) -> StateTensor:
        value = next(each for each in inputs_of(self._models[part]) if each.name == before)
        shape, kind = shape_of(value)[1:], TYPES.get(value.type.tensor_type.elem_type)
        if not shape_of(value) or 0 in shape or kind is None:
            raise BundleError(
                f"{self._paths[part]}: expected state {before} (N, ...) of known shape, got {shape_of(value)}"
            )
        stem = "".join(letter if letter.isalnum() else "_" for letter in before).strip("_") or "state"
        name = stem if part == "head" else f"features_{stem}"
        return StateTensor.model_validate(
            {"input": f"{name}_in", "output": f"{name}_out", "shape": shape, "dtype": kind}
        )


def _opened(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf and onnx raise whatever they like
        said = " ".join(str(error).split())[:200]
        raise BundleError(f"{path}: expected an ONNX file, got: {said}; check the path") from error
    if not model.graph.output:
        raise BundleError(f"{path}: expected an ONNX file with outputs, got none; check the path")
    return model


def _serialized(path: Path, model: onnx.ModelProto) -> bytes:
    keep_zero_padding(model)
    try:
        onnx.checker.check_model(model, full_check=True)
        fixed = fixed_rows(model)
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise BundleError(f"{path}: expected a graph that fits the answers, got: {said}; answer otherwise") from error
    if fixed:
        raise BundleError(
            f"{path}: expected a graph for any number of rows, got one whose {', '.join(fixed)} has a fixed number; "
            "export it with an open batch axis (PyTorch: dynamic_shapes, or dynamic_axes)"
        )
    return bytes(model.SerializeToString())
