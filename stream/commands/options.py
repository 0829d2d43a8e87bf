"""Options that several commands share, so that they read and mean the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from stream.commands.embedded import default_bundle

Function = TypeVar("Function", bound=Callable[..., Any])

# As in stream.inference and stream.contracts, which would make --help slow; a test holds them equal.
DEVICES = ("auto", "cpu", "cuda", "tensorrt")
MODES = ("carry", "window")


class Size(click.ParamType[tuple[int, int]]):
    """`1280x720` as (width, height) in pixels."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """(width, height) of the text `value`."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", value)
        if not found:
            self.fail(f"expected a size such as 1280x720, got {value!r}", param, ctx)
        return int(found[1]), int(found[2])


def examples(*commands: str) -> str:
    """The end of a command's help: lines that can be copied."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def camera_options(command: Function) -> Function:
    """Adds --transport, --size and --fps: how a live source is opened."""
    for option in (
        click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Webcam: frames a second to ask for."),
        click.option("--size", type=Size(), help="Webcam: picture size to ask for, such as 1280x720."),
        click.option(
            "--transport",
            type=click.Choice(["tcp", "udp"]),
            default="tcp",
            show_default=True,
            help="RTSP: what carries the video.",
        ),
    ):
        command = option(command)
    return command


def runtime_options(command: Function) -> Function:
    """Adds --device and --threads: where the graphs run."""
    for option in (
        click.option("--threads", type=click.IntRange(min=1), help="CPU threads of the graphs; by default all cores."),
        click.option(
            "--device",
            type=click.Choice(DEVICES),
            default="auto",
            show_default=True,
            help="Where the graphs run.",
        ),
    ):
        command = option(command)
    return command


def or_embedded(_context: click.Context, _parameter: click.Parameter, folder: Path | None) -> Path:
    """The bundle folder that was named, else the embedded one."""
    return folder or default_bundle()


model_option = click.option(
    "--model",
    type=click.Path(path_type=Path),
    callback=or_embedded,
    metavar="BUNDLE",
    help="Bundle folder; the embedded figures bundle if left out.",
)

mode_option = click.option(
    "--mode", type=click.Choice(MODES), help="How the past is carried; what the bundle says if left out."
)

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
