"""`actionstream inspect`: what a bundle holds and how it runs on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from stream.commands.options import DEVICES, examples, json_option, or_embedded

if TYPE_CHECKING:
    from rich.console import Console

    from stream.bundle import Bundle


@click.command(
    epilog=examples(
        "actionstream inspect",
        "actionstream inspect samples/models/figures --json",
        "actionstream inspect my-bundle --device cuda",
    )
)
@click.argument("bundle", required=False, type=click.Path(path_type=Path), callback=or_embedded)
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to run it once.")
@json_option
def inspect(bundle: Path, device: str, as_json: bool) -> None:
    """What BUNDLE holds: labels, input, states, thresholds, hashes; the embedded one if left out.

    Every file is checked against its hash, and both graphs are run once.
    """
    from stream.bundle import Bundle
    from stream.commands.terminal import console

    found = Bundle.load(bundle)
    files = {
        name: {"bytes": (bundle / name).stat().st_size, "sha256": sha} for name, sha in found.spec.hashes().items()
    }
    runtime = _run_once(found, device)
    if as_json:
        spec = found.spec.model_dump(mode="json", by_alias=True)
        document = {"model": found.model, "folder": str(bundle), "digest": found.digest, "bundle": spec}
        click.echo(json.dumps({**document, "files": files, "runtime": runtime}, indent=2))
    else:
        _print(console(), found, files, runtime)


def _run_once(bundle: Bundle, device: str) -> dict[str, Any]:
    """Providers, and milliseconds that opening the graphs and their first run took."""
    from stream.inference import OnnxFeatures, OnnxHead
    from stream.recognizer import Recognizer

    begin = perf_counter()
    features, head = OnnxFeatures(bundle, device), OnnxHead(bundle, device)
    opened = perf_counter()
    Recognizer(bundle, features, head).warm_up()
    return {
        "device": device,
        "providers": {"features": features.providers, "head": head.providers},
        "open_ms": round((opened - begin) * 1000, 1),
        "first_run_ms": round((perf_counter() - opened) * 1000, 1),
    }


def _print(screen: Console, bundle: Bundle, files: dict[str, dict[str, Any]], runtime: dict[str, Any]) -> None:
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
                f"opened in {runtime['open_ms']:.0f} ms, first run {runtime['first_run_ms']:.0f} ms",
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
    for table in (thresholds, states, contents):
        if table.row_count:
            screen.print()
            screen.print(table)
    if spec.provenance:
        screen.print()
        screen.print(facts({str(name): _plain(value) for name, value in spec.provenance.items()}))


def _table(*columns: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
