"""`actionstream predict`: what a clip shows, class by class, and what it is taken for; or as a labelled animation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from stream.commands.options import examples, json_option, mode_options, model_option, picture_options, runtime_options
from stream.commands.outputs import named, refuse_overlaps

if TYPE_CHECKING:
    from stream.commands.gif import TimedPicture
    from stream.contracts import Event, Mode
    from stream.inference import Threads
    from stream.recognizer import Recognizer, Result
    from stream.sources import Decode, FileSource, PictureSource
    from stream.views.drawing import Image

GIF_WIDTH = 480


@click.command(
    epilog=examples(
        "actionstream predict clip.mp4",
        "actionstream predict clip.mp4 --top 3 --json",
        "actionstream predict clip.mp4 --gif clip.gif",
    )
)
@click.argument("clip")
@model_option
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the N highest.")
@click.option(
    "--gif",
    type=click.Path(path_type=Path),
    callback=named(".gif"),
    help="Also write the clip as an animation with its labels.",
)
@json_option
@mode_options
@picture_options
@runtime_options
def predict(
    clip: str,
    model: Path,
    top: int | None,
    gif: Path | None,
    as_json: bool,
    mode: Mode | None,
    window: int | None,
    rotation: int,
    decode: Decode,
    device: str,
    threads: Threads,
) -> None:
    """What is happening in CLIP, and every class with its highest score, when that was, and its score at the last tick.

    CLIP is a file or a folder of numbered pictures. Ranked by the highest score; what is called an action is decided by
    the bundle's thresholds, as in `watch`.
    """
    from stream.commands.live import media_length
    from stream.commands.places import open_file
    from stream.commands.terminal import clock, console, facts, print_written, score_bar, time_left
    from stream.errors import SourceOpenError
    from stream.recognizer import Recognizer
    from stream.sinks.jsonl import event_record
    from stream.sources import FileSource, PictureSource, open_source

    recognizer = Recognizer.load(model, device=device, threads=threads, mode=mode, window=window)
    source = open_source(clip, recognizer.input, rotation=rotation, decode=decode)
    if not isinstance(source, FileSource | PictureSource):
        raise SourceOpenError(f"{source.url}: predict takes a file or a folder of pictures; use `watch` for all else")
    if gif is not None:
        refuse_overlaps([clip], [gif])
        open_file(gif, "--gif")
    screen = console(stderr=as_json)
    results: dict[int, Result] = {}
    peaks: dict[str, tuple[float, float]] = {}  # label -> its highest score, and when
    events: dict[str, Event] = {}  # in their last form
    last = None
    ticks, is_warm = 0, False  # of what comes before nothing is decided: it is no peak, unless nothing follows
    with time_left(screen, "reading", media_length(source, None)) as advance:
        for tick in source:
            result = recognizer.advance([tick])[0]
            last, ticks = result[0], ticks + 1
            events |= {event.id: event for event in result[1]}
            if last.warm and not is_warm:
                peaks, is_warm = {}, True
            for label, score in zip(recognizer.labels, map(float, last.scores), strict=True):
                if score > peaks.get(label, (-1.0, 0.0))[0]:
                    peaks[label] = score, tick.time
            if gif is not None:
                results[tick.index] = result
            advance(tick.time)
    if last is None:
        raise SourceOpenError(f"{clip}: expected video, got no frame; check that it plays")
    events |= {event.id: event for event in recognizer.finish()}
    at_end = dict(zip(recognizer.labels, map(float, last.scores), strict=True))
    ranked = sorted(peaks, key=lambda label: -peaks[label][0])[:top]
    if as_json:
        document = {
            "clip": clip,
            "model": recognizer.model,
            "time": last.time,
            "ticks": ticks,
            "scores": {label: round(at_end[label], 6) for label in ranked},
            "peak": {
                label: {"score": round(peaks[label][0], 6), "time": round(peaks[label][1], 6)} for label in ranked
            },
            "events": [event_record(event) for event in events.values()],
        }
        click.echo(json.dumps(document, indent=2))
    else:
        screen.print(
            f"{clip}  after {last.time:.1f} s, {ticks} ticks, {recognizer.model}\n", markup=False, soft_wrap=True
        )
        for event in events.values():
            span = f"{clock(event.start)} to {clock(event.end or last.time)}"
            screen.print(f"{event.label}  {span}, known after {event.delay:.1f} s", style="bold", markup=False)
        if not events:
            screen.print(
                f"{recognizer.none} all along: nothing that the bundle's thresholds call an action", style="bold"
            )
        screen.print()
        rows = {}
        for label in ranked:
            score, time = peaks[label]
            rows[label] = score_bar(score).append(f"  at {clock(time)}, at the end {at_end[label]:.2f}", "dim")
        screen.print(facts(rows))
    if gif is not None:
        _animate(source, gif, recognizer, results)
        screen.print()
        print_written(screen, [gif])


def _animate(
    source: FileSource | PictureSource, gif: Path, recognizer: Recognizer, results: Mapping[int, Result]
) -> None:
    """Writes each ticked picture of `source` with what was known at that tick."""
    from stream.commands.gif import write_gif
    from stream.geometry import to_bgr
    from stream.views.overlay import Overlay
    from stream.views.timeline import Timeline

    overlay = Overlay(recognizer.labels, recognizer.none, recognizer.model, {source.camera: recognizer.input})

    def pictures() -> Iterator[TimedPicture]:
        timeline = Timeline()
        for frame in source.frames():
            if frame.index not in results:
                continue
            prediction, events = results[frame.index]
            for event in events:
                timeline = timeline.with_event(event)
            timeline = timeline.with_prediction(prediction)
            picture = _small(to_bgr(frame.picture))
            yield frame.time, overlay.draw(picture, timeline, frame.camera, frame.time)

    write_gif(gif, pictures)


def _small(picture: Image) -> Image:
    """`picture`, no wider than an animation should be."""
    import cv2

    height, width = picture.shape[:2]
    if width <= GIF_WIDTH:
        return picture
    size = GIF_WIDTH, round(height * GIF_WIDTH / width)
    return cast("Image", cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
