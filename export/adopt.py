"""Other people's ONNX files as a bundle: what must be asked, what the files say, and the graphs that come of it.

A bundle's features take uint8 RGB pictures (N, H, W, 3) and give (N, D); its head takes (N, D) and the states of one
step and gives logits. What a file wants instead is put into its graph: cast, scale, order of colours and axes. What no
file says (the labels, the rate, how pixels were scaled) is asked; nothing is guessed. No TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.rewrites import keep_zero_padding
from stream.bundle import GraphSpec, StateTensor
from stream.errors import BundleError, ConfigError

Pixels = Literal["0-255", "0-1", "-1-1", "imagenet"]
PIXELS: Mapping[Pixels, tuple[Sequence[float], Sequence[float]]] = {
    "0-255": ((1, 1, 1), (0, 0, 0)),
    "0-1": ((1 / 255,) * 3, (0, 0, 0)),
    "-1-1": ((1 / 127.5,) * 3, (-1, -1, -1)),
    "imagenet": ((1 / 58.395, 1 / 57.12, 1 / 57.375), (-123.675 / 58.395, -116.28 / 57.12, -103.53 / 57.375)),
}
"""Scale and offset of red, green and blue; `imagenet` is torchvision's mean and standard deviation."""
Colours = Literal["rgb", "bgr"]
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
        self._picture = self._only_picture()
        self._logits = _shape(self._models["head"].graph.output[0])

    def questions(self, answers: Answers) -> list[Question]:
        """What is still to be asked, after `answers`."""
        asked = []
        classes = self._logits[-1] if self._logits else 0
        if answers.labels is None:
            many = f"its {classes} classes" if classes else "its classes"
            asked.append(Question("--labels", f"what are the names of {many}, in the order of its outputs, by commas?"))
        none = answers.none or "none"
        if answers.labels is not None and none not in answers.labels:
            names = ", ".join(answers.labels)
            asked.append(Question("--none", f"which label means that nothing is happening: {names}?"))
        if answers.rate is None:
            asked.append(Question("--rate", "how many pictures a second was it trained on? 0 is every frame"))
        if answers.pixels is None and self._picture.type.tensor_type.elem_type != TensorProto.UINT8:
            asked.append(Question("--pixels", f"how were its pixels scaled: {', '.join(get_args(Pixels))}?"))
        if answers.colours is None:
            asked.append(Question("--colours", "in which order does it take colours: rgb or bgr?"))
        if answers.size is None and 0 in self._size():
            asked.append(Question("--size", "at which size does it see pictures, as WIDTHxHEIGHT?"))
        for part in ("features", "head"):
            unclear = self._unclear(part, answers.states or {})
            if unclear:
                free = ", ".join(self._outputs(part, {}))
                words = f"which of the {part}' outputs ({free}) is the next {unclear[0]}? Say it as {unclear[0]}=OUTPUT"
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
        width, height = answers.size or self._size()
        given = answers.states or {}
        pairs = {part: self._pairs(part, given) for part in ("features", "head")}
        specs = {}
        for part, main in (("features", ("frames", "features")), ("head", ("features", "logits"))):
            model = self._models[part]
            states = [self._state(part, *pair) for pair in pairs[part].items()]
            source = self._main_input(part, pairs[part])
            target = next(value for value in model.graph.output if value.name not in pairs[part].values())
            names = {source.name: f"{part}/given", target.name: f"{part}/made"}
            for (before, after), state in zip(pairs[part].items(), states, strict=True):
                names |= {before: state.input, after: state.output}
            _rename(model, _apart(model) | names)
            kept = {name for state in states for name in (state.input, state.output)}
            if part == "features":
                _put_pictures_before(model, answers, (height, width), self._is_planar())
                _flatten(model, f"{part}/made", main[1])
            else:
                kind = source.type.tensor_type.elem_type
                _put_before(model, [helper.make_node("Cast", [main[0]], [f"{part}/given"], to=kind)])
                given_value = helper.make_tensor_value_info(
                    main[0], TensorProto.FLOAT, ["N", _shape(source)[-1] or "D"]
                )
                _replace(model.graph.input, f"{part}/given", given_value)
                _take_off_softmax(model, f"{part}/made", main[1])
            _settle(model, [main[0], *kept], [main[1], *kept], len(answers.labels or ()) if part == "head" else None)
            specs[part] = GraphSpec(file=f"{part}.onnx", input=main[0], output=main[1], state=tuple(states))
        gives, takes = (
            next(_shape(value)[-1] for value in values if value.name == "features")
            for values in (self._models["features"].graph.output, self._models["head"].graph.input)
        )
        if 0 not in (gives, takes) and gives != takes:
            raise BundleError(
                f"{self._paths['head']}: expected {gives} features, as {self._paths['features'].name} gives, "
                f"got {takes}; name the states with --state INPUT=OUTPUT, or take the head that goes with it"
            )
        made = {part: _serialized(self._paths[part], model) for part, model in self._models.items()}
        return Adopted(made["features"], made["head"], specs["features"], specs["head"], (width, height))

    def _only_picture(self) -> onnx.ValueInfoProto:
        found = [value for value in _inputs(self._models["features"]) if len(_shape(value)) == 4 and 3 in _shape(value)]
        if not found:
            shapes = {value.name: _shape(value) for value in _inputs(self._models["features"])}
            raise BundleError(
                f"{self._paths['features']}: expected an input of pictures (N, H, W, 3) or (N, 3, H, W), got {shapes}; "
                "export it for one picture at a time"
            )
        return found[0]

    def _is_planar(self) -> bool:
        return _shape(self._picture)[-1] != 3

    def _size(self) -> tuple[int, int]:
        """(width, height); 0 where it is open."""
        shape = _shape(self._picture)
        height, width = shape[2:] if self._is_planar() else shape[1:3]
        return width, height

    def _main_input(self, part: str, pairs: Mapping[str, str]) -> onnx.ValueInfoProto:
        if part == "features":
            return self._picture
        free = [value for value in _inputs(self._models[part]) if value.name not in pairs]
        if len(free) != 1 or len(_shape(free[0])) != 2:
            shapes = {value.name: _shape(value) for value in free}
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
        inputs = _inputs(self._models[part])
        rest = [value.name for value in inputs if value.name not in given]
        main = self._picture.name if part == "features" else next(iter(rest), "")
        found: dict[str, list[str]] = {}
        for value in inputs:
            if value.name in given:
                found[value.name] = [given[value.name]]
            elif value.name != main:
                found[value.name] = [
                    name
                    for name, output in outputs.items()
                    if _shape(output)[1:] == _shape(value)[1:] and name not in given.values()
                ]
        return found

    def _unclear(self, part: str, given: Mapping[str, str]) -> list[str]:
        return [name for name, outputs in self._candidates(part, given).items() if len(outputs) != 1]

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
        value = next(each for each in _inputs(self._models[part]) if each.name == before)
        shape, kind = _shape(value)[1:], TYPES.get(value.type.tensor_type.elem_type)
        if 0 in shape or kind is None:
            raise BundleError(
                f"{self._paths[part]}: expected state {before} (N, ...) of known shape, got {_shape(value)}"
            )
        stem = "".join(letter if letter.isalnum() else "_" for letter in before).strip("_") or "state"
        name = stem if part == "head" else f"features_{stem}"
        return StateTensor.model_validate(
            {"input": f"{name}_in", "output": f"{name}_out", "shape": shape, "dtype": kind}
        )


def _opened(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf and onnx raise whatever they like
        said = " ".join(str(error).split())[:200]
        raise BundleError(f"{path}: expected an ONNX file, got: {said}; check the path") from error


def _serialized(path: Path, model: onnx.ModelProto) -> bytes:
    keep_zero_padding(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise BundleError(f"{path}: expected a graph that fits the answers, got: {said}; answer otherwise") from error
    return bytes(model.SerializeToString())


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    numbers = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in numbers]


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """The axes; 0 is open."""
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


def _apart(model: onnx.ModelProto) -> dict[str, str]:
    """Names for all that flows inside the graph, apart from ours."""
    made = [name for node in model.graph.node for name in node.output if name]
    return {name: f"theirs/{name}" for name in (*made, *(tensor.name for tensor in model.graph.initializer))}


def _rename(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Gives values other names, wherever they are used."""
    for node in model.graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(name, name) for name in side]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.name = names.get(value.name, value.name)


def _put_before(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Puts `nodes` before all others."""
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *kept])


def _replace(values: Any, name: str, value: onnx.ValueInfoProto) -> None:
    place = [each.name for each in values].index(name)
    values[place].CopyFrom(value)


def _put_pictures_before(model: onnx.ModelProto, answers: Answers, size: tuple[int, int], planar: bool) -> None:
    """Makes of uint8 RGB frames what the graph wants: its colours, its scale, its type, its axes."""
    value = next(each for each in model.graph.input if each.name == "features/given")
    kind = value.type.tensor_type.elem_type
    nodes, last = [], "frames"

    def add(operator: str, *inputs: str, **attributes: Any) -> None:
        nonlocal last
        made = f"frames/{operator}"
        nodes.append(helper.make_node(operator, [last, *inputs], [made], **attributes))
        last = made

    def number(name: str, content: Any) -> str:
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(content), f"frames/{name}"))
        return f"frames/{name}"

    if kind != TensorProto.UINT8:
        scale, offset = PIXELS[answers.pixels or "0-255"]
        add("Cast", to=TensorProto.FLOAT)
        add("Mul", number("scale", np.array(scale, np.float32)))
        add("Add", number("offset", np.array(offset, np.float32)))
    if answers.colours == "bgr":
        add("Gather", number("bgr", np.array([2, 1, 0])), axis=3)
    if kind not in (TensorProto.UINT8, TensorProto.FLOAT):
        nodes.append(helper.make_node("Cast", [last], ["frames/typed"], to=kind))
        last = "frames/typed"
    if planar:
        add("Transpose", perm=[0, 3, 1, 2])
    nodes.append(helper.make_node("Identity", [last], ["features/given"]))
    _put_before(model, nodes)
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", *size, 3])
    _replace(model.graph.input, "features/given", frames)


def _flatten(model: onnx.ModelProto, made: str, name: str) -> None:
    """Gives the output `made` the name, as (N, D) float32."""
    value = next(each for each in model.graph.output if each.name == made)
    last = made
    if len(_shape(value)) != 2:
        model.graph.node.append(helper.make_node("Flatten", [made], [f"{made}/flat"], axis=1))
        last = f"{made}/flat"
    model.graph.node.append(helper.make_node("Cast", [last], [name], to=TensorProto.FLOAT))
    width = int(np.prod(_shape(value)[1:])) or "D"
    _replace(model.graph.output, made, helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width]))


def _take_off_softmax(model: onnx.ModelProto, made: str, name: str) -> None:
    """Gives what goes into a last softmax, or else the output `made`, the name: scores are made of logits here."""
    last = next((node for node in model.graph.node if made in node.output), None)
    source = made
    if last is not None and last.op_type in ("Softmax", "LogSoftmax"):
        source = last.input[0]
        model.graph.node.remove(last)
    model.graph.node.append(helper.make_node("Cast", [source], [name], to=TensorProto.FLOAT))
    value = next(each for each in model.graph.output if each.name == made)
    _replace(
        model.graph.output,
        made,
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", _shape(value)[-1] or "K"]),
    )


def _settle(model: onnx.ModelProto, inputs: list[str], outputs: list[str], classes: int | None) -> None:
    """Opens the batch axis, forgets shapes that were inferred for another one, and checks the number of classes."""
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        if value.name in (*inputs, *outputs):
            value.type.tensor_type.shape.dim[0].dim_param = "N"
    if classes is not None:
        got = next(_shape(value)[-1] for value in model.graph.output if value.name == "logits")
        if got not in (0, classes):
            raise ConfigError(f"--labels: expected {got} names, one an output of the head, got {classes}")
