"""`actionstream watch`: says what is happening in cameras, webcams or files, as it happens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from stream.commands.options import (
    CAMERA_OPTIONS,
    camera_options,
    examples,
    geometry_option,
    mode_options,
    model_option,
    runtime_options,
)
from stream.commands.outputs import STDOUT, named, refuse_overlaps

if TYPE_CHECKING:
    from stream.config import CamerasFile
    from stream.contracts import Mode, Sink
    from stream.inference import Threads
    from stream.recognizer import Recognizer
    from stream.sources import Decode


@click.command(
    epilog=examples(
        "actionstream watch 0",
        "actionstream watch rtsp://user:password@camera/stream --events events.jsonl",
        "actionstream watch cameras.toml --events events.jsonl",
        "actionstream watch clip.mp4 --realtime",
        "actionstream watch clip.mp4 --labels labels.jsonl --save annotated.mp4",
        "actionstream watch clip.mp4 --events - | jq .label",
    )
)
@click.argument("source")
@model_option
@click.option("--labels", type=click.Path(path_type=Path), help="Add every label as a line of JSON; - is stdout.")
@click.option("--events", type=click.Path(path_type=Path), help="Add every event as a line of JSON; - is stdout.")
@click.option(
    "--save", type=click.Path(path_type=Path), callback=named(".mp4"), help="Write the annotated video, .mp4."
)
@click.option("--show/--no-show", default=None, help="A window a track. Default: one camera, live or --realtime.")
@click.option("--duration", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="End after this long.")
@click.option("--realtime/--fast", default=False, help="A file at its own speed, or as fast as it goes (the default).")
@click.option(
    "--gate",
    type=click.FloatRange(0, 255),
    metavar="LEVELS",
    help="Leave out the backbone where nothing moved by so many grey levels; 0.5 is good.",
)
@mode_options
@runtime_options
@geometry_option
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
    gate: float | None,
    mode: Mode | None,
    window: int | None,
    device: str,
    threads: Threads,
    embedded: bool | None,
    transport: Literal["tcp", "udp"],
    size: tuple[int, int] | None,
    fps: float | None,
    format: str | None,
    rotation: int,
    decode: Decode,
) -> None:
    """Say what is happening in SOURCE: a camera, a file, or all that a cameras.toml names.

    A camera is a webcam (0, /dev/video0), or rtsp(s):// or http(s):// (MJPEG, HLS), where ${VARIABLE} keeps a password
    out of sight; a file may be a folder of numbered pictures or on a web server. - is standard input, lavfi: FFmpeg's
    test pictures.

    Lines are added to what a file holds, so that no run costs an earlier one its history: a file that is watched twice
    stands in it twice, its events under the same ids. A video is written as NAME.part.mp4, plays however the run ends,
    and takes its name, and the place of an older one, when the run is over.

    Ctrl-C ends it cleanly: open events are ended, files are whole. Ctrl-C again, a second later,
    forces. In the window, q or Esc.
    """
    from stream.bundle import Bundle
    from stream.commands.cameras import Watched, batch_sizes, open_cameras
    from stream.commands.live import media_length, run_engine, told, wants_window
    from stream.commands.terminal import Terminal, console, facts, print_written
    from stream.engine import Engine
    from stream.recognizer import Recognizer
    from stream.sinks.video import VideoSink
    from stream.sources import open_source
    from stream.views.live import LiveSlot
    from stream.views.overlay import Overlay

    cameras = _cameras_file(Path(source)) if source.endswith(".toml") else None
    if cameras is not None:
        _refuse_camera_options(source)
        _refuse_one_video_of_several(save, cameras.track_names)
    recognizer = Recognizer.load(
        model,
        device=device,
        threads=threads,
        mode=mode,
        window=window,
        batch_size=batch_sizes(len(cameras.track_names), device) if cameras else 1,
        rules=cameras.rules(Bundle.load(model, check=False).spec.decision.labels) if cameras else {},
        gate=gate,
        embedded=embedded,
    )
    if cameras is not None:
        watched = open_cameras(cameras, recognizer.input)
    else:
        camera = open_source(
            source,
            recognizer.input,
            transport=transport,
            size=size,
            fps=fps,
            format=format,
            rotation=rotation,
            decode=decode,
        )
        watched = Watched((camera,))
    lasting = realtime or any(each.live for each in watched.sources)
    shown = wants_window(bool(show) if cameras else show, lasting=lasting)
    outputs = [path for path in (labels, events, save) if path is not None and path != STDOUT]
    refuse_overlaps([source, *(each.url for each in watched.sources)], outputs)

    inputs = {name: input for each in watched.tracks.values() for name, input in each.items()}
    inputs = inputs or {watched.sources[0].camera: recognizer.input}
    overlay = Overlay(recognizer.labels, recognizer.none, recognizer.model, inputs)
    screen = console(stderr=STDOUT in (labels, events))
    title = f"{source if cameras else watched.sources[0].url}  {recognizer.model}, {recognizer.mode}; Ctrl-C ends"
    length = duration if cameras else media_length(watched.sources[0], duration)
    terminal = Terminal(screen, title, length=length, names=cameras.track_names if cameras else ())
    slot = LiveSlot() if shown else None
    video = None if save is None else VideoSink(save, overlay)
    held = [path for path in (labels, events) if path is not None and path.is_file() and path.stat().st_size]
    files = _sinks(recognizer, labels, events)
    engine = Engine(
        recognizer,
        watched.sources,
        [terminal, *files, *([video] if video else [])],
        realtime=realtime,
        duration=duration,
        on_frame=slot.frame if slot else None,
        on_prediction=slot.told if slot else None,
        on_status=slot.status if slot else None,
        progress=terminal.progress,
        tracks=watched.tracks,
        awake=watched.awake,
        patient=cameras is not None,
    )
    summary, _ = run_engine(engine, terminal, (slot, overlay) if slot else None)
    screen.print()
    gated = (
        {} if gate is None else {"gated": f"{recognizer.gated.total() / max(1, summary.predictions):.1%} of the ticks"}
    )
    screen.print(facts(told(summary) | gated))
    print_written(screen, [path for path in outputs if path != save or (video and video.written)], added_to=held)


def _cameras_file(path: Path) -> CamerasFile:
    """The cameras.toml at `path`; what reads one is imported for it."""
    from stream.config import CamerasFile

    return CamerasFile(path)


def _refuse_camera_options(file: str) -> None:
    """Raises UsageError where an option says of all cameras what `file` says of each."""
    context = click.get_current_context()
    for parameter in context.command.params:
        is_given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if is_given and parameter.name in CAMERA_OPTIONS:
            raise click.UsageError(f"{parameter.opts[0]}: expected in {file}, for one camera or under [defaults]")


def _refuse_one_video_of_several(save: Path | None, tracks: Sequence[str]) -> None:
    """Raises ConfigError where one video would have to show several tracks."""
    from stream.errors import ConfigError

    if save is not None and len(tracks) > 1:
        raise ConfigError(f"--save: a video holds one camera or region, got {', '.join(tracks)}; watch one by itself")


def _sinks(recognizer: Recognizer, labels: Path | None, events: Path | None) -> list[Sink]:
    """The sinks of lines that were asked for; their files are there from here on."""
    from stream.commands.stdout import StdoutSink
    from stream.sinks.jsonl import EventsSink, LabelsSink

    sinks: list[Sink] = []
    if STDOUT in (labels, events):
        sinks.append(StdoutSink(recognizer.labels, with_labels=labels == STDOUT, with_events=events == STDOUT))
    if labels not in (None, STDOUT):
        sinks.append(LabelsSink(labels, recognizer.labels))
    if events not in (None, STDOUT):
        sinks.append(EventsSink(events))
    return sinks
