"""Options that several commands share, so that they read and mean the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from stream.commands.embedded import default_bundle

Function = TypeVar("Function", bound=Callable[..., Any])

# As in stream.inference, stream.contracts and stream.sources, which would make --help slow; tests hold them equal.
DEVICES = ("auto", "cpu", "cuda", "tensorrt")
MODES = ("carry", "window", "staggered")
FORMATS = ("YUYV", "MJPG", "NV12", "YU12", "H264")
DECODERS = ("software", "auto", "cuda", "vaapi", "videotoolbox")


# What `camera_options` adds: the parameters that a cameras.toml says for each camera instead.
CAMERA_OPTIONS = frozenset({"transport", "size", "fps", "format", "rotation", "decode"})


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


class ThreadCount(click.ParamType[int | str]):
    """`auto`, or a number from 1."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The number, or `auto`."""
        return value if value == "auto" else int(click.IntRange(min=1).convert(value, param, ctx))


def _turn_on_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.meta["debug"] = True


DEBUG = click.Option(
    ["--debug"],
    is_flag=True,
    expose_value=False,
    callback=_turn_on_debug,
    help="Show the traceback of an error.",
)


def with_debug(command: click.Command) -> click.Command:
    """`command` with `--debug` added, and to those of its own commands that are loaded."""
    if DEBUG not in command.params:
        command.params.append(DEBUG)
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        with_debug(each)
    return command


def examples(*commands: str) -> str:
    """The end of a command's help: lines that can be copied."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def picture_options(command: Function) -> Function:
    """Adds --rotate and --decode: how pictures are decoded and turned."""
    for option in (
        click.option(
            "--decode",
            type=click.Choice(DECODERS),
            default="software",
            show_default=True,
            help="What decodes the video; software where that cannot be had.",
        ),
        click.option(
            "--rotate",
            "rotation",
            type=click.Choice(["0", "90", "180", "270"]),
            callback=lambda _context, _parameter, degrees: int(degrees),
            default="0",
            help="Turn the pictures clockwise, by degrees.",
        ),
    ):
        command = option(command)
    return command


def camera_options(command: Function) -> Function:
    """Adds --transport, --size, --fps, --format and those of `picture_options`: how a source is opened."""
    command = picture_options(command)
    for option in (
        click.option(
            "--format",
            type=click.Choice(FORMATS, case_sensitive=False),
            metavar="|".join(FORMATS),
            help="Webcam: how it is to send, as `devices` lists it.",
        ),
        click.option(
            "--fps",
            type=click.FloatRange(min=0, min_open=True),
            help="Webcam: frames a second to ask for. Folder of pictures: its rate, 25 if left out.",
        ),
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
        click.option(
            "--threads",
            type=ThreadCount(),
            help="CPU threads of the graphs, or auto: as many as measured to be fastest. Default: all cores.",
        ),
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


geometry_option = click.option(
    "--embed-geometry/--no-embed-geometry",
    "embedded",
    default=None,
    help="Pictures are resized by the bundle's own graph. Default: where it has one and runs on CUDA.",
)


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


def mode_options(command: Function) -> Function:
    """Adds --mode and --window: how the past is carried."""
    for option in (
        click.option(
            "--window",
            type=click.IntRange(min=1),
            metavar="T",
            help="Ticks that count, for --mode window and staggered; what the bundle says if left out.",
        ),
        click.option(
            "--mode", type=click.Choice(MODES), help="How the past is carried; what the bundle says if left out."
        ),
    ):
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
