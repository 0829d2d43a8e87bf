"""`actionstream predict`: what a clip is taken for at its end, class by class; or the clip as a labelled animation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from stream.commands.options import examples, json_option, mode_options, model_option, picture_options, runtime_options

if TYPE_CHECKING:
    from stream.commands.gif import TimedPicture
    from stream.contracts import Mode
    from stream.inference import Threads
    from stream.recognizer import Recognizer, Result
    from stream.sources import Decode, FileSource
    from stream.views.drawing import Image

GIF_WIDTH = 480


@click.command(
    epilog=examples(
        "actionstream predict clip.mp4",
        "actionstream predict clip.mp4 --top 3 --json",
        "actionstream predict clip.mp4 --gif clip.gif",
    )
)
@click.argument("clip", type=click.Path(path_type=Path))
@model_option
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the N highest.")
@click.option("--gif", type=click.Path(path_type=Path), help="Also write the clip as an animation with its labels.")
@json_option
@mode_options
@picture_options
@runtime_options
def predict(
    clip: Path,
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
    """Every class of CLIP with its score at the last tick, highest first."""
    from stream.commands.live import media_length
    from stream.commands.terminal import console, facts, print_written, score_bar, time_left
    from stream.errors import SourceOpenError
    from stream.recognizer import Recognizer
    from stream.sources import FileSource

    recognizer = Recognizer.load(model, device=device, threads=threads, mode=mode, window=window)
    source = FileSource(clip, recognizer.input, rotation=rotation, decode=decode)
    screen = console(stderr=as_json)
    results: dict[int, Result] = {}
    last = None
    ticks = 0
    with time_left(screen, "reading", media_length(source, None)) as advance:
        for tick in source:
            result = recognizer.advance([tick])[0]
            last, ticks = result[0], ticks + 1
            if gif is not None:
                results[tick.index] = result
            advance(tick.time)
    if last is None:
        raise SourceOpenError(f"{clip}: expected video, got no frame; check that it plays")
    ranked = sorted(zip(recognizer.labels, map(float, last.scores), strict=True), key=lambda pair: -pair[1])[:top]
    if as_json:
        scores = {label: round(score, 6) for label, score in ranked}
        document = {"clip": str(clip), "model": recognizer.model, "time": last.time, "ticks": ticks, "scores": scores}
        click.echo(json.dumps(document, indent=2))
    else:
        screen.print(
            f"{clip}  after {last.time:.1f} s, {ticks} ticks, {recognizer.model}\n", markup=False, soft_wrap=True
        )
        screen.print(facts({label: score_bar(score) for label, score in ranked}))
    if gif is not None:
        _animate(source, gif, recognizer, results)
        screen.print()
        print_written(screen, [gif])


def _animate(source: FileSource, gif: Path, recognizer: Recognizer, results: Mapping[int, Result]) -> None:
    """Writes each ticked picture of `source` with what was known at that tick."""
    from stream.commands.gif import write_gif
    from stream.geometry import to_bgr
    from stream.views.overlay import Overlay
    from stream.views.timeline import Timeline

    overlay = Overlay(recognizer.labels, recognizer.none, recognizer.model)

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
