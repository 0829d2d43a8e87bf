"""One form for graphs that are the same: the order and the names of what is inside say nothing, and are made alike.

tf2onnx numbers what it adds by a counter of the process, and keeps constants in sets; Keras numbers layers likewise. A
run that is exported twice would be two bundles, whose hashes differ with nothing changed.
"""

from __future__ import annotations

import onnx


def canonicalize(model: onnx.ModelProto) -> None:
    """Orders nodes by what the outputs need, first output first, and names them by that order, in place.

    A node is called by its operator and its number (`Conv_3`), its outputs by the node (`Conv_3:0`), a constant by the
    node that is the first to take it and by the input there (`Conv_3/1`). Inputs and outputs of the graph keep their
    names and their order. What no output needs is left out.
    """
    graph = model.graph
    nodes = _ordered(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    names = {value.name: value.name for value in (*graph.input, *graph.output)} | {"": ""}
    used = [constants[value.name] for value in graph.output if value.name in constants]
    for number, node in enumerate(nodes):
        node.name = f"{node.op_type}_{number}"
        node.ClearField("doc_string")
        for place, name in enumerate(node.input):
            if name not in names:  # a constant: whatever else it takes was made by an earlier node
                used.append(constants[name])
                names[name] = f"{node.name}/{place}"
            node.input[place] = names[name]
        for place, name in enumerate(node.output):
            node.output[place] = names.setdefault(name, f"{node.name}:{place}")
        node.attribute.sort(key=lambda attribute: attribute.name)
    for tensor in used:
        tensor.name = names[tensor.name]
        tensor.ClearField("doc_string")
    graph.ClearField("doc_string")
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(used)


def _ordered(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Copies of the nodes that the outputs need: each behind all those that make its inputs."""
    makers = {name: node for node in graph.node for name in node.output if name}
    ordered: list[onnx.NodeProto] = []
    done: set[str] = set()
    waiting = [value.name for value in reversed(graph.output)]
    while waiting:
        node = makers.get(waiting[-1])
        if node is None or waiting[-1] in done:
            waiting.pop()
            continue
        before = [name for name in node.input if name in makers and name not in done]
        if before:
            waiting.extend(reversed(before))
            continue
        waiting.pop()
        done.update(filter(None, node.output))  # an output that nobody wants has no name
        ordered.append(onnx.NodeProto.FromString(node.SerializeToString()))
    return ordered
