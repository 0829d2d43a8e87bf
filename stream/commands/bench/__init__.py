"""`actionstream bench`: measurements on this machine, one command and one file each, loaded when it is called.

Others come from packages that stream does not know, through entry points of the group `actionstream.bench`: `compare`
and `backbones` need Keras, and live in export.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

import click

from stream.commands.options import examples, with_debug

GROUP = "actionstream.bench"
OWN = ("age", "cameras", "latency", "soak", "startup", "throughput")
"""Commands of this folder, each in the module of its name."""
HELP = {
    "age": "How old a picture is when its label is told, over RTSP.",
    "backbones": "Which networks of keras.applications export, and their price.",
    "cameras": "How many real-time cameras this machine holds, and the floor.",
    "compare": "What a label costs in Keras, in plain loops, and here.",
    "latency": "Where a tick's time goes, stage by stage.",
    "soak": "Whether memory, handles, state, latency or age grow.",
    "startup": "From starting the program to its first label.",
    "throughput": "Ticks a second, against the bare ONNX Runtime loop.",
}
"""What `bench --help` says of each, without loading any."""


class Benches(click.Group):
    """The commands of this folder, and those of other packages, loaded by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all."""
        return sorted({*OWN, *entry_points(group=GROUP).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None where there is none.

        Raises:
            ImportError: a library that it needs is not on this machine.
        """
        if cmd_name in OWN:
            command: click.Command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
            return with_debug(command)
        for entry in entry_points(group=GROUP, name=cmd_name):
            return with_debug(entry.load())
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, HELP.get(name, "")) for name in self.list_commands(ctx)])


@click.group(
    cls=Benches,
    epilog=examples(
        "actionstream bench latency --synthetic",
        "actionstream bench throughput",
        "actionstream bench cameras --seconds 10",
        "actionstream bench soak --seconds 3600 --out soak.jsonl --plot soak.png",
        "actionstream bench compare",
    ),
)
def bench() -> None:
    """Measure speed, delay and steadiness on this machine; --json and --plot say it to programs and to the eye."""
