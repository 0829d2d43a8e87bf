"""Other people's graphs changed so that a bundle can be made of them: what goes before them, behind them, and in place.

Nothing is asked here, and no file is read or written: export.adopt does that. All changes are made in place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stream.errors import ConfigError

Pixels = Literal["0-255", "0-1", "-1-1", "imagenet"]
PIXELS: Mapping[Pixels, tuple[Sequence[float], Sequence[float]]] = {
    "0-255": ((1, 1, 1), (0, 0, 0)),
    "0-1": ((1 / 255,) * 3, (0, 0, 0)),
    "-1-1": ((1 / 127.5,) * 3, (-1, -1, -1)),
    "imagenet": ((1 / 58.395, 1 / 57.12, 1 / 57.375), (-123.675 / 58.395, -116.28 / 57.12, -103.53 / 57.375)),
}
"""Scale and offset of red, green and blue; `imagenet` is torchvision's mean and standard deviation."""
Colours = Literal["rgb", "bgr"]


def fixed_rows(model: onnx.ModelProto) -> list[str]:
    """The outputs whose batch axis does not follow from the inputs', though that is open."""
    open_ended = onnx.ModelProto.FromString(model.SerializeToString())
    for value in open_ended.graph.output:  # what is declared there would be believed
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(open_ended, data_prop=True).graph.output
    return [value.name for value in inferred if (shape_of(value) or (0,))[0]]


def inputs_of(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """What goes in: older files name their numbers among it, too."""
    numbers = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in numbers]


def shape_of(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """The axes; 0 is open."""
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


def apart(model: onnx.ModelProto) -> dict[str, str]:
    """Names for all that flows inside the graph, apart from ours."""
    made = [name for node in model.graph.node for name in node.output if name]
    return {name: f"theirs/{name}" for name in (*made, *(tensor.name for tensor in model.graph.initializer))}


def rename(model: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Gives values other names, wherever they are used."""
    for node in model.graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(name, name) for name in side]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.name = names.get(value.name, value.name)


def put_before(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Puts `nodes` before all others."""
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *kept])


def replace(values: Any, name: str, value: onnx.ValueInfoProto) -> None:
    """Puts `value` in the place of that of the name, among a graph's inputs or outputs."""
    place = [each.name for each in values].index(name)
    values[place].CopyFrom(value)


def put_pictures_before(
    model: onnx.ModelProto, pixels: Pixels, colours: Colours, size: tuple[int, int], planar: bool
) -> None:
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
        scale, offset = PIXELS[pixels]
        add("Cast", to=TensorProto.FLOAT)
        add("Mul", number("scale", np.array(scale, np.float32)))
        add("Add", number("offset", np.array(offset, np.float32)))
    if colours == "bgr":
        add("Gather", number("bgr", np.array([2, 1, 0])), axis=3)
    if kind not in (TensorProto.UINT8, TensorProto.FLOAT):
        nodes.append(helper.make_node("Cast", [last], ["frames/typed"], to=kind))
        last = "frames/typed"
    if planar:
        add("Transpose", perm=[0, 3, 1, 2])
    nodes.append(helper.make_node("Identity", [last], ["features/given"]))
    put_before(model, nodes)
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", *size, 3])
    replace(model.graph.input, "features/given", frames)


def flatten(model: onnx.ModelProto, made: str, name: str) -> None:
    """Gives the output `made` the name, as (N, D) float32."""
    value = next(each for each in model.graph.output if each.name == made)
    last = made
    if len(shape_of(value)) != 2:
        model.graph.node.append(helper.make_node("Flatten", [made], [f"{made}/flat"], axis=1))
        last = f"{made}/flat"
    model.graph.node.append(helper.make_node("Cast", [last], [name], to=TensorProto.FLOAT))
    width = int(np.prod(shape_of(value)[1:])) or "D"
    replace(model.graph.output, made, helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width]))


def take_off_softmax(model: onnx.ModelProto, made: str, name: str) -> None:
    """Gives what goes into a last softmax, or else the output `made`, the name: scores are made of logits here.

    What only hands it on stands behind it where a graph was made fp16 and its output was kept as it was.
    """
    makers = {output: node for node in model.graph.node for output in node.output}
    uses = Counter(value for node in model.graph.node for value in node.input)
    uses.update(value.name for value in model.graph.output)
    source, last, behind = made, made, list[onnx.NodeProto]()
    while last in makers and uses[last] == 1:  # by nobody else
        behind.append(makers[last])
        last = behind[-1].input[0] if behind[-1].input else ""
        if behind[-1].op_type in ("Softmax", "LogSoftmax"):
            source = last
            for node in behind:
                model.graph.node.remove(node)
        if behind[-1].op_type not in ("Cast", "Identity"):
            break
    model.graph.node.append(helper.make_node("Cast", [source], [name], to=TensorProto.FLOAT))
    value = next(each for each in model.graph.output if each.name == made)
    replace(
        model.graph.output,
        made,
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", shape_of(value)[-1] or "K"]),
    )


def settle(model: onnx.ModelProto, inputs: list[str], outputs: list[str], classes: int | None) -> None:
    """Opens the batch axis, forgets shapes that were inferred for another one, and checks the number of classes."""
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        if value.name in (*inputs, *outputs):
            value.type.tensor_type.shape.dim[0].dim_param = "N"
    if classes is not None:
        got = next(shape_of(value)[-1] for value in model.graph.output if value.name == "logits")
        if got not in (0, classes):
            raise ConfigError(f"--labels: expected {got} names, one an output of the head, got {classes}")
