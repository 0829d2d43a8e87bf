"""Writes pictures as an animated GIF with a palette made for them. Knows nothing of labels or models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NothingMore
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from stream.errors import SinkError

HUNDREDTH = Fraction(1, 100)
"""GIF counts in hundredths of a second."""

TimedPicture = tuple[float, NDArray[np.uint8]]
"""Media seconds and a (h, w, 3) BGR picture; all pictures of one GIF have one size."""


def write_gif(path: Path, pictures: Callable[[], Iterable[TimedPicture]]) -> None:
    """Writes `path`, an animation that loops for ever.

    `pictures` is called more than once and must give the same each time: the palette is known only after the last
    picture, and holding the pictures meanwhile would grow with the clip.

    Raises:
        SinkError: there was no picture, or `path` could not be written.
    """
    first = next(iter(pictures()), None)
    if first is None:
        raise SinkError(f"{path}: expected pictures to animate, got none; is the clip shorter than one tick?")
    height, width = first[1].shape[:2]
    palette = _palette(width, height, pictures())
    try:
        # By its absolute path: FFmpeg would take 12:30.gif for a protocol.
        with av.open(path.absolute(), "w", format="gif", options={"loop": "0"}) as container:
            stream = container.add_stream("gif")
            stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
            stream.time_base = stream.codec_context.time_base = HUNDREDTH
            for frame in _painted(width, height, palette, pictures()):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except OSError as error:
        raise SinkError(f"{path}: could not write the animation: {error.strerror}; choose another path") from error


def _palette(width: int, height: int, pictures: Iterable[TimedPicture]) -> VideoFrame:
    """The 256 colours that serve `pictures` best, as the 16x16 picture that `paletteuse` wants."""
    graph = Graph()
    source = _entry(graph, width, height, "bgr24")
    # diff: the colours of what moves count for more than those of a background that stays
    graph.link_nodes(source, graph.add("palettegen", "stats_mode=diff"), graph.add("buffersink")).configure()
    for time, picture in pictures:
        source.push(_frame(time, picture))
    source.push(None)
    palette = graph.vpull()
    palette.pts, palette.time_base = 0, HUNDREDTH
    return palette


def _painted(width: int, height: int, palette: VideoFrame, pictures: Iterable[TimedPicture]) -> Iterator[VideoFrame]:
    """`pictures` in the colours of `palette`."""
    graph = Graph()
    source = _entry(graph, width, height, "bgr24")
    colours = _entry(graph, palette.width, palette.height, palette.format.name)
    # an ordered pattern stands still from picture to picture; error diffusion crawls
    paint = graph.add("paletteuse", "dither=bayer:bayer_scale=4:diff_mode=rectangle")
    source.link_to(paint, 0, 0)
    colours.link_to(paint, 0, 1)
    paint.link_to(graph.add("buffersink"))
    graph.configure()
    colours.push(palette)
    colours.push(None)
    for time, picture in pictures:
        source.push(_frame(time, picture))
        yield from _ready(graph)
    source.push(None)
    yield from _ready(graph)


def _entry(graph: Graph, width: int, height: int, pixels: str) -> FilterContext:
    return graph.add_buffer(width=width, height=height, format=VideoFormat(pixels), time_base=HUNDREDTH)


def _frame(time: float, picture: NDArray[np.uint8]) -> VideoFrame:
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
    frame.pts, frame.time_base = round(time / HUNDREDTH), HUNDREDTH
    return frame


def _ready(graph: Graph) -> Iterator[VideoFrame]:
    """What the graph has finished so far."""
    while True:
        try:
            yield graph.vpull()
        except (NothingYet, NothingMore):
            return
