"""`actionstream devices`: which webcams this machine has."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from stream.commands.options import examples, json_option

if TYPE_CHECKING:
    from rich.table import Table

    from stream.sources import Webcam

REMEDIES = {
    "linux": "plug one in and look for /dev/video0; if it is there, join its group: sudo usermod -aG video $USER",
    "darwin": "plug one in and allow this terminal: System Settings > Privacy & Security > Camera",
    "win32": "plug one in and allow desktop apps: Settings > Privacy & security > Camera",
}


@click.command(
    epilog=examples(
        "actionstream devices",
        "actionstream devices --json",
    )
)
@json_option
def devices(as_json: bool) -> None:
    """List webcams with their sizes and rates."""
    from stream.commands.terminal import console
    from stream.sources import list_webcams

    webcams = list_webcams()
    if as_json:
        click.echo(json.dumps([asdict(webcam) for webcam in webcams], indent=2))
    elif webcams:
        console().print(_table(webcams))
        click.echo(f"\nNext: actionstream watch {webcams[0].index}")
    else:
        click.echo("No webcam was found on this machine.\n")
        click.echo(f"  A webcam:         {REMEDIES.get(sys.platform, REMEDIES['linux'])}")
        click.echo("  A network camera: actionstream watch rtsp://camera/stream")
        click.echo("  A file:           actionstream watch clip.mp4 --realtime")


def _table(webcams: Sequence[Webcam]) -> Table:
    from rich.table import Table

    table = Table("source", "name", "path", "size", "frames a second", box=None, pad_edge=False)
    for webcam in webcams:
        rates: dict[str, set[float]] = {}
        for mode in sorted(webcam.modes, key=lambda mode: (-mode.width * mode.height, mode.format)):
            rates.setdefault(f"{mode.width}x{mode.height} {mode.format}", set()).add(mode.fps)
        first = (str(webcam.index), webcam.name, webcam.path)
        for size, fps in rates.items() or {"unknown": set()}.items():
            table.add_row(*first, size, ", ".join(f"{rate:g}" for rate in sorted(fps, reverse=True)))
            first = ("", "", "")
    return table
