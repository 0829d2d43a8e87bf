"""What a person reads in the terminal: a line for whatever begins or ends, and below them how each camera is.

Nothing here decides anything.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import count
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from stream.commands.stdout import raise_if_unread
from stream.contracts import Event, Prediction, Status

BAR_WIDTH = 16


class PlainConsole(Console):
    """A console whose reader may go away: that raises BrokenPipeError, in whatever thread prints."""

    def on_broken_pipe(self) -> None:
        """Raises BrokenPipeError; rich's own would end the process, or only the thread, by SystemExit."""
        raise BrokenPipeError("nobody reads what is printed any more")


def console(*, stderr: bool = False) -> Console:
    """A console on stdout, or on stderr where stdout carries data.

    What the terminal's encoding cannot show becomes `?` there, not an error.
    """
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")
    return PlainConsole(stderr=stderr, highlight=False)


def score_bar(score: float, style: str = "green") -> Text:
    """A bar of `BAR_WIDTH` cells, filled by `score` (0-1), and the score in figures."""
    filled = round(score * BAR_WIDTH)
    return Text.assemble(("━" * filled, style), ("─" * (BAR_WIDTH - filled), "dim"), f" {score:.2f}")


def clock(seconds: float) -> str:
    """Media seconds as `m:ss.s`, or `h:mm:ss.s` from an hour on."""
    tenths = round(max(0.0, seconds) * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02}:{tenths / 10:04.1f}" if hours else f"{minutes}:{tenths / 10:04.1f}"
    return f"{hours}:{text}" if hours else text


def facts(rows: Mapping[str, str | Text]) -> Table:
    """Names and values, one a line, aligned."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value) if isinstance(value, str) else value)  # a path may hold rich's brackets
    return table


def print_written(console: Console, paths: Iterable[Path], *, added_to: Collection[Path] = ()) -> None:
    """Prints where files are, each whole on a line of its own, to be copied; what is in `added_to` held more before."""
    for path in paths:
        console.print(
            Text.assemble(("added to " if path in added_to else "written  ", "dim"), str(path)), soft_wrap=True
        )


@contextmanager
def time_left(console: Console, what: str, length: float | None) -> Iterator[Callable[[float], None]]:
    """A bar with the time left while the block runs; call what it gives with how much is done of `length`."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(24),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=length)
        yield lambda seconds: progress.update(task, completed=seconds)


@contextmanager
def steps_left(console: Console, what: str, steps: int) -> Iterator[Callable[[], None]]:
    """A bar with the time left while the block runs; call what it gives after each of the `steps`."""
    with time_left(console, what, steps) as progress:
        done = count(1)
        yield lambda: progress(next(done))


class Notices(logging.Handler):
    """Prints the library's warnings, but holds them back until `open_up`.

    A source that never gives a picture logs why and raises why: a person should read that once.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console
        self._held: deque[logging.LogRecord] | None = deque(maxlen=20)

    def emit(self, record: logging.LogRecord) -> None:
        """Prints `record`, or holds it back."""
        if self._held is not None:
            self._held.append(record)
        else:
            self._console.print(Text(f"{'':10}{record.getMessage()}", "yellow"), soft_wrap=True)

    def open_up(self) -> None:
        """Prints what was held back; from here on nothing is."""
        held, self._held = self._held, None
        for record in held or ():
            self.emit(record)


class Terminal:
    """A sink that prints what begins and ends, over one line a camera that says what is going on.

    Use it as a context manager: those lines, and the library's warnings, are there only inside.
    """

    def __init__(self, console: Console, title: str, *, length: float | None = None, names: Sequence[str] = ()) -> None:
        """Makes a sink that prints to `console`.

        Args:
            console: where to.
            title: printed before the first label: a source that gives none is told of by its error alone.
            length: media seconds to come, for the time left; None where nobody knows.
            names: of the tracks, where there are several to be told apart.
        """
        self._console = console
        self._title: str | None = title
        self._notices = Notices(console)
        self._unwell: set[str] = set()
        columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False)]
        if length:
            columns += [BarColumn(24), TaskProgressColumn(), TimeRemainingColumn(compact=True), TextColumn("left")]
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._width = max(map(len, names), default=0)
        lines = {name: self._progress.add_task(f"{self._label(name)}opening ...", total=length) for name in names}
        self._lines = lines or {"": self._progress.add_task("opening ...", total=length)}

    def __enter__(self) -> Terminal:
        logging.getLogger("stream").addHandler(self._notices)
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        logging.getLogger("stream").removeHandler(self._notices)

    def progress(self, camera: str, media_s: float) -> None:
        """Moves the bar of `camera` to `media_s` media seconds."""
        for task in self._lines_of(camera).values():
            self._progress.update(task, completed=media_s)

    def prediction(self, prediction: Prediction) -> None:
        """Shows what is going on at this tick; one that nobody reads raises BrokenPipeError."""
        raise_if_unread(self._console.file)
        self._open_up()
        latency = "" if prediction.latency_ms is None else f"  {prediction.latency_ms:.0f} ms"
        warming = "" if prediction.warm else "  warming up"
        text = f"{clock(prediction.time):>8}  {prediction.label} {prediction.score:.2f}{latency}{warming}"
        for name, task in self._lines_of(prediction.camera).items():
            self._progress.update(task, description=self._label(name) + text)

    def event(self, event: Event) -> None:
        """Prints what began or ended, and how late it was known."""
        self._open_up()
        time = clock(event.start + event.delay if event.end is None else event.end)
        line = Text(f"{self._label(event.camera)}{time:>8}  ")
        if event.kind == "started":
            line.append(f"{event.label:<12} ", "bold").append_text(score_bar(event.peak))
            line.append(f"  known after {event.delay:.1f} s", "dim")
        elif event.end is not None:
            line.append(f"{event.label:<12} ended, lasted {event.end - event.start:.1f} s", "dim")
        self._console.print(line, soft_wrap=True)

    def status(self, status: Status) -> None:
        """Prints that a camera went away, is back, or is not well; not that it is there at the start."""
        if status.health != "online":
            self._unwell.add(status.camera)
            words, style = f"{status.camera} is {status.health}: {status.reason}", "yellow"
        elif status.camera in self._unwell:
            self._unwell.remove(status.camera)
            words = f"is back after {status.away:.1f} s" if status.away else "is well again"
            words, style = f"{status.camera} {words}", "green"
        else:
            return
        self._open_up()
        self._console.print(Text(f"{self._label('')}{'':10}{words}", style), soft_wrap=True)
        if status.health != "online":
            for name, task in self._lines_of(status.camera).items():
                self._progress.update(task, description=f"{self._label(name)}{'':10}{status.health}")

    def close(self) -> None:
        """Nothing is held back."""

    def _label(self, name: str) -> str:
        """`name` and the room that the longest needs; nothing where there is only one."""
        return f"{name:<{self._width}}  " if self._width else ""

    def _lines_of(self, camera: str) -> dict[str, TaskID]:
        """The lines of a track, or of all tracks of a camera; the only line where there is one."""
        if not self._width:
            return self._lines
        return {name: task for name, task in self._lines.items() if name == camera or name.startswith(f"{camera}/")}

    def _open_up(self) -> None:
        if self._title is not None:
            self._console.print(Text(self._title, "dim"), soft_wrap=True)
            self._console.print()
            self._title = None
            self._notices.open_up()

    def give_up(self) -> None:
        """Gives the terminal its cursor back, for a process that ends at once."""
        self._console.show_cursor(True)
