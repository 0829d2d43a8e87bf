"""`actionstream watch`: says what is happening in a camera, a webcam or a file, as it happens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from stream.commands.options import camera_options, examples, mode_option, model_option, runtime_options

if TYPE_CHECKING:
    from stream.contracts import Mode, Sink
    from stream.recognizer import Recognizer
    from stream.views.overlay import Overlay

STDOUT = Path("-")


def _to_file(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """`path`, which is no pipe: an mp4 is completed by going back to its beginning."""
    if path == STDOUT:
        raise click.BadParameter("expected the name of a file: a video cannot go to stdout")
    return path


@click.command(
    epilog=examples(
        "actionstream watch 0",
        "actionstream watch rtsp://user:password@camera/stream --events events.jsonl",
        "actionstream watch clip.mp4 --realtime",
        "actionstream watch clip.mp4 --labels labels.jsonl --save annotated.mp4",
        "actionstream watch clip.mp4 --events - | jq .label",
    )
)
@click.argument("source")
@model_option
@click.option("--labels", type=click.Path(path_type=Path), help="Write every label as a line of JSON; - is stdout.")
@click.option("--events", type=click.Path(path_type=Path), help="Write every event as a line of JSON; - is stdout.")
@click.option("--save", type=click.Path(path_type=Path), callback=_to_file, help="Write the annotated video, .mp4.")
@click.option("--show/--no-show", default=None, help="A window. Default: where there is a display, live or --realtime.")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="End after this long.")
@click.option("--realtime/--fast", default=False, help="A file at its own speed, or as fast as it goes (the default).")
@mode_option
@runtime_options
@camera_options
def watch(
    source: str,
    model: Path,
    labels: Path | None,
    events: Path | None,
    save: Path | None,
    show: bool | None,
    duration: float | None,
    realtime: bool,
    mode: Mode | None,
    device: str,
    threads: int | None,
    transport: Literal["tcp", "udp"],
    size: tuple[int, int] | None,
    fps: float | None,
) -> None:
    """Say what is happening in SOURCE: a webcam (0, /dev/video0), an rtsp:// address or a file.

    Ctrl-C ends it cleanly: open events are ended, files are whole. A second Ctrl-C forces. In the window, q or Esc.
    """
    from stream.commands.live import media_length, run_engine, told, wants_window
    from stream.commands.terminal import Terminal, console, facts, print_written
    from stream.engine import Engine
    from stream.recognizer import Recognizer
    from stream.sources import open_source
    from stream.views.live import LiveSlot
    from stream.views.overlay import Overlay

    recognizer = Recognizer.load(model, device=device, threads=threads, mode=mode)
    camera = open_source(source, recognizer.input, transport=transport, size=size, fps=fps)
    window = wants_window(show, lasting=camera.live or realtime)
    outputs = [path for path in (labels, events, save) if path is not None and path != STDOUT]
    _refuse_overlaps(source, outputs)

    overlay = Overlay(recognizer.labels, recognizer.none, recognizer.model)
    screen = console(stderr=STDOUT in (labels, events))
    title = f"{camera.url}  {recognizer.model}, {recognizer.mode}; Ctrl-C ends"
    terminal = Terminal(screen, title, length=media_length(camera, duration))
    slot = LiveSlot() if window else None
    engine = Engine(
        recognizer,
        [camera],
        [terminal, *_sinks(recognizer, overlay, labels, events, save)],
        realtime=realtime,
        duration=duration,
        on_frame=slot.frame if slot else None,
        on_prediction=slot.told if slot else None,
        progress=terminal.progress,
    )
    summary, _ = run_engine(engine, terminal, (slot, overlay) if slot else None)
    screen.print()
    screen.print(facts(told(summary)))
    print_written(screen, [path for path in outputs if path.exists()])  # a video without a frame is not kept


def _refuse_overlaps(source: str, outputs: list[Path]) -> None:
    """Raises ConfigError where a file would be written over the source, or twice."""
    from stream.errors import ConfigError

    taken = {Path(source).resolve()}
    for path in outputs:
        if path.resolve() in taken and not path.is_char_device():  # /dev/null may be named as often as one likes
            raise ConfigError(f"{path}: this command reads or writes that file already; name another one")
        taken.add(path.resolve())


def _sinks(
    recognizer: Recognizer, overlay: Overlay, labels: Path | None, events: Path | None, save: Path | None
) -> list[Sink]:
    """The sinks that were asked for; their files are there from here on."""
    from stream.commands.stdout import StdoutSink
    from stream.sinks.jsonl import EventsSink, LabelsSink
    from stream.sinks.video import VideoSink

    sinks: list[Sink] = []
    if STDOUT in (labels, events):
        sinks.append(StdoutSink(recognizer.labels, with_labels=labels == STDOUT, with_events=events == STDOUT))
    if labels not in (None, STDOUT):
        sinks.append(LabelsSink(labels, recognizer.labels))
    if events not in (None, STDOUT):
        sinks.append(EventsSink(events))
    if save is not None:
        sinks.append(VideoSink(save, overlay))
    return sinks
