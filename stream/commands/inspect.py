"""`actionstream inspect`: what a bundle holds and how it runs on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from stream.commands.options import examples, json_option, or_embedded, runtime_options

if TYPE_CHECKING:
    from rich.console import Console

    from stream.bundle import Bundle
    from stream.inference import OnnxFeatures, OnnxHead, Threads

RUNS = 20
"""After the first, of which the median is told."""
OPERATORS = 6
"""Kinds of nodes that are told of each graph, the most frequent first; all are in the JSON."""


@click.command(
    epilog=examples(
        "actionstream inspect",
        "actionstream inspect samples/models/figures --json",
        "actionstream inspect my-bundle --device cuda",
        "actionstream inspect my-bundle --threads auto",
    )
)
@click.argument("bundle", required=False, type=click.Path(path_type=Path), callback=or_embedded)
@runtime_options
@json_option
def inspect(bundle: Path, device: str, threads: Threads, as_json: bool) -> None:
    """What BUNDLE holds and how it runs here: labels, input, states, thresholds, hashes; providers, threads, times.

    The embedded bundle if left out. Every file is checked against its hash, nodes, parameters and operations of its
    graphs are counted, and they are run at each batch size that cameras are judged in: the two, and the one that is
    both of them where the bundle has it (export --fuse), or where states stay on CUDA.
    """
    from stream.bundle import Bundle
    from stream.commands.terminal import console

    found = Bundle.load(bundle)
    files = {
        name: {"bytes": (bundle / name).stat().st_size, "sha256": sha} for name, sha in found.spec.hashes().items()
    }
    graphs = _graphs(found)
    runtime = _runtime(found, device, threads)
    if as_json:
        spec = found.spec.model_dump(mode="json", by_alias=True)
        document = {"model": found.model, "folder": str(bundle), "digest": found.digest, "bundle": spec}
        click.echo(json.dumps({**document, "files": files, "graphs": graphs, "runtime": runtime}, indent=2))
    else:
        _print(console(), found, files, graphs, runtime)


def _graphs(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """What each of the graphs is made of, and how much it computes for one row; geometry is left out."""
    from stream.graphs import read_graph
    from stream.work import operations

    work = operations(bundle)
    described = {}
    parts = {"features": bundle.spec.features, "head": bundle.spec.head, "fused": bundle.spec.whole}
    for part, spec in ((part, parts[part]) for part in work):
        facts = read_graph(bundle.read(spec.file), bundle.folder / spec.file)
        described[part] = {
            "opset": facts.opset,
            "nodes": facts.nodes,
            "parameters": facts.parameters,
            "operations": work[part],
            "operators": dict(facts.operators.most_common()),
        }
    return described


def _runtime(bundle: Bundle, device: str, threads: Threads) -> dict[str, Any]:
    """How the bundle runs on the device: providers, threads, times, and which nodes each provider runs."""
    from stream.commands.cameras import GPU_SIZES, batch_sizes
    from stream.inference import OnnxFeatures, OnnxHead, placement
    from stream.resident import pays

    begin = perf_counter()
    features, head = OnnxFeatures(bundle, device, threads), OnnxHead(bundle, device)
    opened_ms = _ms_since(begin)
    sizes = batch_sizes(GPU_SIZES[-1], device, bundle.spec.max_batch)
    stay = pays(features.providers, bundle.spec.temporal.mode)
    return {
        "device": device,
        "providers": {"features": features.providers, "head": head.providers},
        "precision": bundle.spec.precision,
        "threads": {"features": features.threads, "head": head.threads},
        "open_ms": opened_ms,
        "batches": [{"rows": rows, **_times(bundle, features, head, rows)} for rows in sizes],
        "nodes": placement(bundle, device),
        "resident": _resident(bundle, device, sizes) if stay else None,
        "fused": _fused(bundle, device, threads, sizes),
    }


def _fused(bundle: Bundle, device: str, threads: Threads, sizes: Sequence[int]) -> dict[str, Any] | None:
    """How the fused graph runs: whether it is taken by itself here, and the times; None where there is none."""
    import numpy as np

    from stream.inference import OnnxWhole
    from stream.whole import serves

    if bundle.spec.fused is None:
        return None
    begin = perf_counter()
    whole = OnnxWhole(bundle, device, threads)
    opened_ms = _ms_since(begin)
    batches = []
    for rows in sizes:
        images = np.zeros((rows, bundle.input.height, bundle.input.width, 3), np.uint8)
        batches.append({"rows": rows, **_first_and_then(partial(whole.step, images, whole.zeros(rows)))})
    return {"taken": serves(bundle, device), "threads": whole.threads, "open_ms": opened_ms, "batches": batches}


def _resident(bundle: Bundle, device: str, sizes: Sequence[int]) -> dict[str, Any]:
    """How both graphs run as one whose states stay on the device: whether captured, if not why, and the times."""
    import numpy as np

    from stream.resident import Resident

    begin = perf_counter()
    stays = Resident(bundle, device)
    opened_ms = _ms_since(begin)
    batches = []
    for rows in sizes:
        cameras = [str(number) for number in range(rows)]
        images = np.zeros((rows, bundle.input.height, bundle.input.width, 3), np.uint8)
        batches.append({"rows": rows, **_first_and_then(partial(stays.judge, cameras, images, rows))})
    return {"cuda_graphs": stays.graphs, "refusal": stays.refusal, "open_ms": opened_ms, "batches": batches}


def _times(bundle: Bundle, features: OnnxFeatures, head: OnnxHead, rows: int) -> dict[str, float]:
    """Milliseconds of a step of `rows` rows through both graphs: the first, and the median of those after it."""
    import numpy as np

    images = np.zeros((rows, bundle.input.height, bundle.input.width, 3), np.uint8)

    def step() -> None:
        seen, _ = features.extract(images, features.zeros(rows))
        head.step(seen, head.zeros(rows))

    return _first_and_then(step)


def _first_and_then(step: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of the first `step`, and the median of those after it."""
    spent = []
    for _ in range(1 + RUNS):
        begin = perf_counter()
        step()
        spent.append(_ms_since(begin))
    return {"first_ms": spent[0], "then_ms": round(median(spent[1:]), 2)}


def _ms_since(begin: float) -> float:
    return round((perf_counter() - begin) * 1000, 2)


def _print(
    screen: Console,
    bundle: Bundle,
    files: dict[str, dict[str, Any]],
    graphs: dict[str, dict[str, Any]],
    runtime: dict[str, Any],
) -> None:
    from stream.commands.terminal import facts

    spec = bundle.spec
    rate = "every frame" if spec.input.rate == "native" else f"{spec.input.rate:g} ticks a second"
    window = f" of {spec.temporal.window} ticks" if spec.temporal.window else ""
    screen.print(
        facts(
            {
                "model": f"{bundle.model}, {spec.precision}",
                "folder": str(bundle.folder),
                "labels": ", ".join(spec.labels) + f" (nothing: {spec.none})",
                "input": f"{spec.input.width}x{spec.input.height} {spec.input.fit}, {rate}",
                "temporal": f"{spec.temporal.mode}{window}, warm after {spec.temporal.warmup} ticks, "
                f"new session after a gap of {spec.temporal.max_gap:g} s",
                "decision": f"temperature {spec.decision.temperature:g}, smoothing {spec.decision.smoothing:g} s",
                "runs on": f"features {runtime['providers']['features'][0]}, head {runtime['providers']['head'][0]}; "
                f"{runtime['threads']['features']} and {runtime['threads']['head']} threads; "
                f"opened in {runtime['open_ms']:.0f} ms",
                **({} if spec.max_batch is None else {"largest batch": f"{spec.max_batch} rows"}),
                **_embedded(bundle),
                **_one_graph(bundle, runtime),
                **_stays(runtime),
                **_left_to_cpu(runtime),
            }
        )
    )
    thresholds = _table("label", "enter", "exit", "min s")
    for label, rule in spec.decision.labels.items():
        thresholds.add_row(label, f"{rule.enter:.2f}", f"{rule.exit:.2f}", f"{rule.min:g}")
    states = _table("state", "graph", "goes in as", "comes out as", "shape of a row", "type")
    for graph, tensors in (("features", spec.features.state), ("head", spec.head.state)):
        for number, tensor in enumerate(tensors):
            states.add_row(str(number), graph, tensor.input, tensor.output, str(tensor.shape), tensor.dtype)
    contents = _table("file", "bytes", "sha256 begins")
    for name, file in files.items():
        contents.add_row(name, f"{file['bytes']:,}", file["sha256"][:16])
    made_of = _table("graph", "opset", "nodes", "parameters", "operations a row", "operators")
    for part, made in graphs.items():
        operators = ", ".join(f"{count} {kind}" for kind, count in list(made["operators"].items())[:OPERATORS])
        counts = (f"{made[name]:,}" for name in ("opset", "nodes", "parameters", "operations"))
        made_of.add_row(part, *counts, operators)
    times = _table("rows a step", "first ms", "then ms")
    for batch in runtime["batches"]:
        times.add_row(str(batch["rows"]), f"{batch['first_ms']:.1f}", f"{batch['then_ms']:.2f}")
    for table in (thresholds, states, contents, made_of, times):
        if table.row_count:
            screen.print()
            screen.print(table)
    if spec.provenance:
        screen.print()
        screen.print(facts({str(name): _plain(value) for name, value in spec.provenance.items()}))


def _embedded(bundle: Bundle) -> dict[str, str]:
    """A line on the geometry graph; none where there is none."""
    if bundle.spec.geometry is None:
        return {}
    return {"geometry": f"on the CPU, or where the features run: {bundle.spec.geometry.file}, taken on CUDA by itself"}


def _one_graph(bundle: Bundle, runtime: dict[str, Any]) -> dict[str, str]:
    """A line on the fused graph; none where there is none."""
    fused = runtime["fused"]
    if bundle.spec.fused is None or fused is None:
        return {}
    taken = "run in place of the two, without a gate" if fused["taken"] else "not run here"
    times = ", ".join(f"{batch['rows']} rows {batch['then_ms']:.2f}" for batch in fused["batches"])
    return {"fused": f"both graphs in {bundle.spec.fused.file}, {taken}; ms a step: {times}"}


def _stays(runtime: dict[str, Any]) -> dict[str, str]:
    """A line on the states that stay on the device, and on CUDA graphs; none where states come and go."""
    stays = runtime["resident"]
    if stays is None:
        return {}
    captured = "as CUDA graphs" if stays["cuda_graphs"] else f"without CUDA graphs: {stays['refusal']}"
    times = ", ".join(f"{batch['rows']} rows {batch['then_ms']:.2f}" for batch in stays["batches"])
    return {"states": f"stay on the device, in one graph, run {captured}; ms a step: {times}"}


def _left_to_cpu(runtime: dict[str, Any]) -> dict[str, str]:
    """A line on the nodes that the device did not take, by operator; none where the device is the CPU."""
    from stream.session import CPU

    if runtime["providers"]["features"][0] == CPU:
        return {}
    left = [
        f"{graph} " + ", ".join(f"{count} {operator}" for operator, count in nodes[CPU].items())
        for graph, nodes in runtime["nodes"].items()
        if CPU in nodes
    ]
    return {"left to the CPU": "; ".join(left) or "no node"}


def _table(*columns: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
