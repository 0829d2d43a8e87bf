"""The command line: finds a command by name, loads it when it is called, turns what it raises into one line.

Commands live in stream/commands, train and export and are registered as entry points of the group
`actionstream.commands`. Nothing heavier than click is imported here, so that `--help` is instant. Exit status:

    0  done    1  it failed; one line on stderr says why    2  usage    130  interrupted    141  reader went away
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from io import StringIO

import click

from stream.address import without_logins
from stream.commands.options import DEBUG, examples, with_debug
from stream.errors import StreamError

GROUP = "actionstream.commands"
INTERRUPTED = 130  # 128 + SIGINT, as shells say it
READER_GONE = 141  # 128 + SIGPIPE

HELP = {
    "demo": "Run the embedded model on the embedded clip and score it.",
    "watch": "Say what is happening in cameras, webcams or files.",
    "predict": "What a clip shows, and every class; or a labelled GIF.",
    "devices": "List webcams with their sizes and rates.",
    "config": "Check a cameras.toml and each of its cameras; its JSON schema.",
    "record": "Collect clips of one action from a camera into a class folder.",
    "data": "Check clips and their lists; make a smaller set; show what is kept.",
    "train": "Train a recogniser on clips or streams, by a recipe.",
    "calibrate": "Fit anew when a run speaks, on data that it has not seen.",
    "evaluate": "Measure a trained run on clips and on untrimmed streams.",
    "compare": "Train several recipes alike, and say which is worth running live.",
    "export": "Turn a trained run into a bundle that runs without TensorFlow.",
    "quantize": "Make an int8 or fp16 bundle of an fp32 one.",
    "import": "Make a bundle of ONNX files that come from elsewhere.",
    "verify": "Prove that a bundle computes what Keras computed.",
    "inspect": "What a bundle holds: labels, input, states, thresholds, hashes.",
    "diff": "What two bundles say of a video, side by side.",
    "bench": "Measure latency, throughput and age on this machine.",
}
"""What `--help` says of each command, in its order, without loading any."""

TRAIN_EXTRA = frozenset({"tensorflow", "keras", "tf2onnx", "onnx", "sklearn", "matplotlib"})

DEBIAN_PACKAGES = {
    "libGL": "libgl1",
    "libgthread-2": "libglib2.0-0",
    "libglib-2": "libglib2.0-0",
    "libxcb": "libxcb1",
    "libSM": "libsm6",
    "libICE": "libice6",
}
"""System libraries that opencv-python's wheel expects to find, and who brings them on a bare Debian or Ubuntu."""


class Commands(click.Group):
    """The group whose commands are entry points, loaded one at a time, by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands: those of `HELP` in its order, then what other packages add."""
        installed = entry_points(group=GROUP).names
        return [name for name in HELP if name in installed] + sorted(installed - HELP.keys())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, loaded, with `--debug` added; None where there is none.

        Raises:
            ImportError: a library that the command needs is not on this machine; `main` says how to get it.
        """
        for entry in entry_points(group=GROUP, name=cmd_name):
            return with_debug(_load(entry))
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands; loads only those that `HELP` does not know."""
        rows = [(name, HELP.get(name) or self._own_help(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` begins with; a name that is none says which are near."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))

    def _own_help(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str(100) if command else ""


@click.group(
    cls=Commands,
    params=[DEBUG],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "actionstream demo                         the embedded clip, nothing needed",
        "actionstream watch 0                      the first webcam",
        "actionstream watch rtsp://camera/stream   a network camera",
        "actionstream watch clip.mp4 --realtime    a file, at its own speed",
    ),
)
@click.version_option(package_name="actionstream", message="%(prog)s %(version)s")
def actionstream() -> None:
    """Watches live video and says what is happening, as it happens."""


def main(args: Sequence[str] | None = None) -> int:
    """Exit status of one command line, `sys.argv` where `args` is None."""
    debug = False
    _occupy_closed_streams()
    try:
        with actionstream.make_context("actionstream", list(sys.argv[1:] if args is None else args)) as context:
            try:
                actionstream.invoke(context)
            finally:
                debug = "debug" in context.meta
        if sys.stdout is not None:  # which it is where whoever started us closed it
            sys.stdout.flush()  # here, where a reader that went away is still caught
        return 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        shown = StringIO()
        error.show(shown)
        click.echo(without_logins(shown.getvalue()), err=True, nl=False)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the outermost boundary: a person gets one line, never a traceback
        if _reader_is_gone(error):
            _silence_stdout()
            return READER_GONE
        if debug:
            click.echo(without_logins("".join(traceback.format_exception(error))), err=True, nl=False)
        click.echo(f"actionstream: {without_logins(_one_line(error))}", err=True)
        return 1


def _occupy_closed_streams() -> None:
    """Opens nothing in the place of a standard stream that is closed: else the next file were taken for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one


def _load(entry: EntryPoint) -> click.Command:
    command = entry.load()
    if not isinstance(command, click.Command):
        raise TypeError(f"entry point {entry.name} = {entry.value} is a {type(command).__name__}, not a click command")
    return command


def _one_line(error: Exception) -> str:
    """What to print of `error`: its own words where they were meant for people, else what to do about a defect."""
    if isinstance(error, click.ClickException):
        text = error.format_message()
    elif isinstance(error, StreamError):
        text = str(error)
    elif isinstance(error, ImportError) and (remedy := _remedy(error)):
        text = remedy
    elif isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    else:
        text = (
            f"unexpected {type(error).__name__}: {error}; this is a defect of actionstream: "
            "run the command again with --debug and report what it prints"
        )
    return " ".join(text.split())


def _remedy(error: ImportError) -> str | None:
    """Which library is missing and how to get it; None where `error` is about something else."""
    if (error.name or "").partition(".")[0] in TRAIN_EXTRA:
        return (
            f"this command needs {error.name}, which is not installed: pip install -e '.[train]' in the folder of "
            "actionstream's sources"
        )
    library = re.search(r"lib[\w+-]+[\w.+-]*\.so[\w.]*", str(error))
    if not library:
        return None
    package = next((name for stem, name in DEBIAN_PACKAGES.items() if library[0].startswith(stem)), None)
    remedy = f"apt-get install {package} (Debian, Ubuntu)" if package else "install the package that holds it"
    return f"the system library {library[0]} could not be loaded: {remedy}"


def _reader_is_gone(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, BrokenPipeError):
            return True
        error = error.__cause__
    return False


def _silence_stdout() -> None:
    """Points stdout at nothing, so that the interpreter's last flush does not fail aloud."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
