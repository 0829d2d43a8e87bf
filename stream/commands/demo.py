"""`actionstream demo`: the embedded bundle on the embedded clip, scored against the truth."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream.commands.embedded import default_bundle, demo_clip, demo_truth
from stream.commands.options import examples, runtime_options

if TYPE_CHECKING:
    from stream.inference import Threads


@click.command(
    epilog=examples(
        "actionstream demo",
        "actionstream demo --out /tmp/demo",
    )
)
@click.option("--out", type=click.Path(path_type=Path), default="out/demo", show_default=True, help="Where files go.")
@runtime_options
def demo(out: Path, device: str, threads: Threads) -> None:
    """Run the embedded model on the embedded clip and score it.

    Writes OUT/labels.jsonl, OUT/events.jsonl and OUT/annotated.mp4, afresh each time. Needs no camera, no display
    and no network.
    """
    from stream.commands.live import media_length, run_engine, told
    from stream.commands.score import Score, read_truth
    from stream.commands.terminal import Terminal, console, facts, print_written
    from stream.contracts import Sink
    from stream.engine import Engine
    from stream.recognizer import Recognizer
    from stream.sinks.jsonl import EventsSink, LabelsSink
    from stream.sinks.video import VideoSink
    from stream.sources import open_source
    from stream.views.overlay import Overlay

    recognizer = Recognizer.load(default_bundle(), device=device, threads=threads)
    source = open_source(demo_clip(), recognizer.input)
    score = Score(read_truth(demo_truth()), recognizer.none)
    screen = console()
    title = f"{recognizer.model} watches {demo_clip().name}, as fast as it goes"
    terminal = Terminal(screen, title, length=media_length(source, None))
    labels, events, video = out / "labels.jsonl", out / "events.jsonl", out / "annotated.mp4"
    sinks: list[Sink] = [
        terminal,
        score,
        LabelsSink(labels, recognizer.labels, fresh=True),
        EventsSink(events, fresh=True),
        VideoSink(
            video, Overlay(recognizer.labels, recognizer.none, recognizer.model, {source.camera: recognizer.input})
        ),
    ]
    # capacity 1: a file fills whatever queue it is given, and latency would be the wait in it
    engine = Engine(recognizer, [source], sinks, capacity=1, progress=terminal.progress)

    summary, interrupted = run_engine(engine, terminal)
    if interrupted:  # half a clip has no score
        raise KeyboardInterrupt
    accuracy = score.right / score.counted if score.counted else 0.0
    screen.print()
    screen.print(
        facts(
            {
                **told(summary),
                "accuracy": f"{accuracy:.1%} of {score.counted} ticks right (outside 0.6 s after each start and end)",
                "actions": f"{score.found} of {score.actions} found, {score.false} false events",
            }
        )
    )
    screen.print()
    print_written(screen, (labels, events, video))
    screen.print("\nNext:")
    activate = Path(sys.executable).with_name("activate")
    if shutil.which("actionstream") is None and activate.is_file():
        screen.print(f"  . {shlex.quote(str(activate))}", markup=False, soft_wrap=True)
    screen.print("  actionstream watch 0                       your webcam")
    screen.print("  actionstream watch rtsp://camera/stream    a network camera")
    screen.print("  actionstream watch clip.mp4 --realtime     your own clip")
