"""`actionstream config`: the JSON schema of cameras.toml, and what each camera in one really sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream.commands.options import examples, json_option, model_option

if TYPE_CHECKING:
    from rich.console import Console

    from stream.bench.probe import Probe
    from stream.bundle import Bundle
    from stream.config import Camera, CamerasFile
    from stream.contracts import Source


@click.group(
    epilog=examples(
        "actionstream config check cameras.toml",
        "actionstream config schema > cameras.schema.json",
    )
)
def config() -> None:
    """Check a cameras.toml and each of its cameras; print its JSON schema."""


@config.command(
    epilog=examples(
        "actionstream config schema > cameras.schema.json",
        "sed -i '1i #:schema ./cameras.schema.json' cameras.toml",
    )
)
def schema() -> None:
    """The JSON schema of cameras.toml, by which editors complete and check it.

    An editor finds it by the file's first line: #:schema ./cameras.schema.json
    """
    from stream.config import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@config.command(
    epilog=examples(
        "actionstream config check cameras.toml",
        "actionstream config check cameras.toml --model my-bundle --seconds 60 --json",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@model_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=1, max=3600),
    default=10.0,
    show_default=True,
    help="How long to look at the cameras, all at once; the longer, the better their clocks are known.",
)
@json_option
@click.pass_context
def check(context: click.Context, file: Path, model: Path, seconds: float, as_json: bool) -> None:
    """Check FILE, a cameras.toml, then look at each of its cameras.

    Exits with 1 where a camera fails. Times and rates are measured, whatever the camera declares.
    """
    from stream.bundle import Bundle
    from stream.commands.terminal import console, time_left
    from stream.config import CamerasFile

    bundle = Bundle.load(model, check=False)
    cameras = CamerasFile(file)
    cameras.rules(bundle.spec.decision.labels)
    screen = console(stderr=as_json)
    with time_left(screen, f"looking at the cameras of {file.name}", seconds) as progress:
        probes = _probe(cameras, bundle, seconds, progress)
    reports = [_report(*each, bundle) for each in zip(cameras.cameras, probes, strict=True)]
    if as_json:
        click.echo(json.dumps({"model": bundle.model, "cameras": reports}, indent=2))
    else:
        _print(screen, reports, bundle)
        if not any(probe.error for probe in probes):
            screen.print(f"\nNext: actionstream watch {file}", markup=False, soft_wrap=True)
    if any(probe.error for probe in probes):
        context.exit(1)


def _probe(cameras: CamerasFile, bundle: Bundle, seconds: float, progress: Callable[[float], None]) -> list[Probe]:
    """What came of each camera, in order; one that cannot even be opened is told like one that fails later."""
    from stream.address import safe_url
    from stream.bench.probe import Probe, probe
    from stream.commands.cameras import open_camera
    from stream.errors import ConfigError, SourceError

    sources: dict[str, Source] = {}
    failed: dict[str, Probe] = {}
    for camera in cameras.cameras:
        try:
            sources[camera.name] = open_camera(camera, bundle.input)
        except (ConfigError, SourceError) as error:
            failed[camera.name] = Probe(camera.name, safe_url(camera.url.get_secret_value()), error=str(error))
    came = {each.camera: each for each in probe(list(sources.values()), seconds, progress)}
    return [(failed | came)[camera.name] for camera in cameras.cameras]


def _report(camera: Camera, probe: Probe, bundle: Bundle) -> dict[str, Any]:
    """What is known of a camera, as JSON has it."""
    from stream.bench.advice import person_share, suggestions

    if probe.error:
        return {"camera": probe.camera, "url": probe.url, "error": probe.error}
    tracks, provenance = camera.tracks(bundle.input), bundle.spec.provenance
    height, width = probe.size
    return {
        "camera": probe.camera,
        "url": probe.url,
        "error": None,
        "live": probe.live,
        "codec": probe.codec,
        "width": width,
        "height": height,
        "frames": probe.frames,
        "seconds": round(probe.seconds, 3),
        "fps": _rounded(probe.fps),
        "keyframe_s": _rounded(probe.keyframe_s),
        "drift": None if probe.drift is None else {name: round(ms, 2) for name, ms in asdict(probe.drift).items()},
        "corrupt": probe.corrupt,
        "person": {name: _rounded(person_share(provenance, probe.size, seen)) for name, seen in tracks.items()},
        "suggestions": suggestions(probe, tracks, provenance, transport=camera.transport),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _print(screen: Console, reports: list[dict[str, Any]], bundle: Bundle) -> None:
    """The cameras as a table; below it why some failed and what would be better."""
    from rich.table import Table
    from rich.text import Text

    from stream.schema import PERSON

    table = Table("camera", "codec", "size", "fps", "keyframes", "clock", "person", box=None, pad_edge=False)
    for report in reports:
        if report["error"]:
            table.add_row(report["camera"], Text("failed", "red"))
        else:
            table.add_row(*_row(report))
    screen.print(table)
    screen.print()
    for report in reports:
        for line in [report["error"]] if report["error"] else report["suggestions"]:
            screen.print(Text.assemble((f"{report['camera']}  ", "bold"), line), soft_wrap=True)
    says = PERSON in bundle.spec.provenance
    note = (
        "person: the least share of the picture's height that somebody must fill"
        if says
        else ("person: this bundle does not say how large somebody must be in the picture")
    )
    screen.print(Text(f"{note} ({bundle.model})", "dim"), soft_wrap=True)


def _row(report: dict[str, Any]) -> list[str]:
    """The cells of a camera that went well."""
    drift, keyframe_s, fps = report["drift"], report["keyframe_s"], report["fps"]
    clock = f"{drift['gain_ms']:+.0f} ± {drift['error_ms']:.0f} ms/min" if drift else "too short to tell"
    people = {name.rpartition("/")[2]: share for name, share in report["person"].items() if share is not None}
    shares = [f"{name} {share:.0%}" if len(people) > 1 else f"{share:.0%}" for name, share in people.items()]
    return [
        report["camera"],
        report["codec"],
        f"{report['width']}x{report['height']}",
        "?" if fps is None else f"{fps:.1f}",
        f"{keyframe_s:.1f} s" if keyframe_s is not None else f"none in {report['seconds']:.0f} s",
        clock if report["live"] else "of a file",
        ", ".join(shares) or "?",
    ]
