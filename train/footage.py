"""Reading a recording's pictures, of a video or of a folder, through stream's sources. Nothing is kept or sampled."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from stream.contracts import Frame, Input, Source
from stream.errors import ConfigError, SourceError
from stream.sources import PictureSource, open_source
from train.formats.files import pictures_of
from train.recordings import Footage


def frames_of(footage: Footage, input: Input) -> Generator[Frame]:
    """The frames of a recording, from first to last.

    Args:
        footage: what is read.
        input: what the network sees; frames are handed on as they were decoded.

    Raises:
        ConfigError: it is no video or has no frame that belongs to the recording; the line names the file.
    """
    count = 0
    try:
        with closing(_opened(footage, input)) as source:
            for frame in _within(source.frames(), footage.span):
                count += 1
                yield frame
    except SourceError as error:
        path = footage.path
        raise ConfigError(f"{path} is no video that can be read ({error}): remove the file or replace it") from error
    if count == 0 and footage.span is not None:
        start, end = footage.span
        raise ConfigError(f"{footage.path} has no frame from {start} s to {end} s: correct the list, or the file")
    if count == 0:
        raise ConfigError(f"{footage.path} holds no frame: expected a video; remove the file or replace it")


def identity(footage: Footage) -> list[Any]:
    """All that its frames depend on, as JSON values: the same only as long as nothing was changed."""
    if not footage.path.is_dir():
        span = [] if footage.span is None else [list(footage.span)]
        return [*_file(footage.path), *span]
    pictures = footage.pictures or pictures_of(footage.path)
    return [str(footage.path.resolve()), footage.fps, [_file(path) for path in pictures]]


def _opened(footage: Footage, input: Input) -> Source:
    if footage.path.is_dir():
        return PictureSource(footage.path, input, fps=footage.fps, pictures=footage.pictures or None)
    return open_source(str(footage.path), input)


def _within(frames: Iterator[Frame], span: tuple[float, float] | None) -> Iterator[Frame]:
    """The frames that lie in `span`, seconds after the first; all where it is None."""
    first = None
    for frame in frames:
        first = frame.time if first is None else first
        seconds = frame.time - first
        if span is not None and seconds >= span[1]:
            return
        if span is None or seconds >= span[0]:
            yield frame


def _file(path: Path) -> list[Any]:
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]
