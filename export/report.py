"""What export, verify and compare print: tables for people, the same facts as JSON. No work is done here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from stream.bundle import Bundle

if TYPE_CHECKING:
    from export.compare import Cost
    from export.quantize import Measured
    from export.verify import Check, Report

MEBIBYTE = 2**20
PATHS = ("onnx", "batch", "engine", "fused", "fused batch", "rtsp")
"""As in export.verify, in the order of the table."""
OPTIONAL = {"geometry": "geometry", "fused": "both graphs as one"}
"""What a bundle may have besides, and what is said of it."""


def bundle_facts(bundle: Bundle) -> dict[str, Any]:
    """Sizes, nodes, parameters and states of a bundle, for JSON."""
    files = [path for path in bundle.folder.rglob("*") if path.is_file()]
    return {
        "model": bundle.model,
        "precision": bundle.spec.precision,
        "labels": bundle.labels,
        "mode": bundle.spec.temporal.mode,
        "window": bundle.spec.temporal.window,
        "max_batch": bundle.spec.max_batch,
        "bytes": sum(path.stat().st_size for path in files),
        "graphs": [_graph_facts(bundle, part) for part in ("features", "head")],
        "geometry": None if bundle.spec.geometry is None else bundle.spec.geometry.file,
        "fused": None if bundle.spec.fused is None else bundle.spec.fused.file,
    }


def print_bundle(facts: dict[str, Any], console: Console) -> None:
    """Prints what `bundle_facts` gave."""
    window = f", window {facts['window']}" if facts["window"] else ""
    table = Table("graph", "MiB", "nodes", "parameters", "gives", "state", box=None, pad_edge=False)
    for graph in facts["graphs"]:
        states = ", ".join(f"{name} {tuple(shape)}" for name, shape in graph["states"].items()) or "none"
        size = f"{graph['bytes'] / MEBIBYTE:.2f}"
        table.add_row(
            graph["file"], size, str(graph["nodes"]), f"{graph['parameters']:,}", f"{graph['width']} numbers", states
        )
    console.print(table)
    size = f"{facts['bytes'] / MEBIBYTE:.2f} MiB"
    parts = [f"{facts['mode']}{window}"]
    parts += [f"batches of {facts['max_batch']} at most"] if facts["max_batch"] else []
    parts += [f"{what} in {facts[part]}" for part, what in OPTIONAL.items() if facts[part]]
    console.print(f"{facts['model']}, {facts['precision']}: {size}, {len(facts['labels'])} labels, {', '.join(parts)}")


def print_measured(measured: Measured, console: Console) -> None:
    """Prints how far a lowered bundle is from its original."""
    from export.quantize import table_of  # which ONNX Runtime's tools come with

    console.print(
        f"against fp32, on {measured.ticks} ticks: features differ by {measured.features_error:.1%} of their size, "
        f"scores by at most {measured.score:.2f}, and {measured.agreement:.1%} of the labels agree"
    )
    by = "by the truth of the labelled clips" if measured.by_truth else "by agreement with fp32"
    console.print(f"{measured.loss:.1f} points of accuracy are lost, {by}")
    head, rows = table_of(measured)
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def report_facts(report: Report) -> dict[str, Any]:
    """A report for JSON, which has no infinity: shapes that differ have no closeness."""
    checks = [
        {
            **asdict(check),
            "closeness": check.closeness if math.isfinite(check.closeness) else None,
            "passed": check.passed,
        }
        for check in report.checks
    ]
    return {**asdict(report), "checks": checks, "passed": report.passed}


def print_report(report: Report, console: Console) -> None:
    """Prints each quantity's closeness on every path, and the first tick that differs."""
    paths = [path for path in PATHS if any(check.path == path for check in report.checks)]
    table = Table("", "at most", *paths, "", box=None, pad_edge=False)
    for name in dict.fromkeys(check.name for check in report.checks):
        checks: dict[str, Check] = {check.path: check for check in report.checks if check.name == name}
        failed = [check for check in checks.values() if not check.passed]
        verdict = (
            "[green]ok" if not failed else f"[red]differs from tick {min(check.first or 0 for check in failed)} on"
        )
        limit = next(iter(checks.values())).limit
        found = [_closeness(checks.get(path)) for path in paths]
        table.add_row(name, f"{limit:g}" if limit else "equal", *found, verdict)
    camera = "" if report.camera is None else f"; the camera showed {report.camera}"
    console.print(f"{report.model} against {report.reference}, {report.ticks} ticks of {report.clip}{camera}")
    console.print(table)


def print_costs(costs: Sequence[Cost], threads: int, console: Console) -> None:
    """Prints what a label costs each way."""
    table = Table(
        "one label, by the last 20 frames", "ms", "times ours", "promised", "closeness", box=None, pad_edge=False
    )
    for cost in costs:
        wanted = "" if cost.wanted is None else f"{cost.wanted:g}"
        table.add_row(cost.name, f"{cost.ms:.2f}", f"{cost.ratio:.3g}", wanted, f"{cost.closeness:.1e}")
    console.print(table)
    console.print(f"fp32, {threads} threads each, median, in turns")


def _graph_facts(bundle: Bundle, part: str) -> dict[str, Any]:
    import onnx  # of the train extra, which `verify` does without

    spec = getattr(bundle.spec, part)
    content = bundle.read(spec.file)
    graph = onnx.load_from_string(content).graph
    return {
        "file": spec.file,
        "bytes": len(content),
        "nodes": len(graph.node),
        "parameters": sum(math.prod(tensor.dims) for tensor in graph.initializer),
        "width": graph.output[0].type.tensor_type.shape.dim[1].dim_value,
        "states": {state.input: state.shape for state in spec.state},
    }


def _closeness(check: Check | None) -> str:
    if check is None:
        return ""
    if check.limit == 0 and check.passed:
        return "equal"
    return f"{check.closeness:.1e}"
