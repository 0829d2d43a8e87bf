"""A folder of numbered pictures as a source: each is a frame, at a steady rate. Nothing is dropped."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import av
from av.video.reformatter import VideoReformatter

from stream.address import valid_text
from stream.contracts import Frame, Input, Picture
from stream.errors import SourceOpenError
from stream.sources.decode import picture_of
from stream.sources.stored import StoredSource

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
FPS = 25.0
AS_NAMED = {"pattern_type": "none"}  # FFmpeg would take a% in a name for a pattern of numbers

log = logging.getLogger(__name__)


class PictureSource(StoredSource):
    """The frames of a folder of pictures, in the order of the numbers in their names: 2.png comes before 10.png.

    A picture of another size begins a session. One that cannot be decoded leaves a gap in time and is counted.

    Args:
        folder: of the pictures; other files in it, and hidden ones, are passed over.
        input: what the bundle wants to see.
        camera: the name that frames carry; the folder's if None.
        fps: pictures a second; 25 if None.
        loop: begin again at the end, in a new session, until closed.
        rotation: degrees clockwise by which pictures are turned.
        pictures: those that are meant, in order, where the folder holds those of others too; all of it if None.

    Attributes:
        corrupt: pictures that could not be decoded, in this run.

    Raises:
        SourceOpenError: there are no pictures in it.
    """

    def __init__(
        self,
        folder: Path,
        input: Input,
        *,
        camera: str | None = None,
        fps: float | None = None,
        loop: bool = False,
        rotation: int = 0,
        pictures: Sequence[Path] | None = None,
    ) -> None:
        name = valid_text(camera or folder.absolute().name)
        super().__init__(valid_text(str(folder)), input, name, loop=loop, rotation=rotation)
        self.folder, self.fps = folder, fps or FPS
        self._given = pictures
        self._reformatter = VideoReformatter()
        if not self._pictures():
            count = sum(1 for _ in folder.iterdir())
            raise SourceOpenError(
                f"{self.url} is a folder ({count} entries) without pictures, expected numbered ones such as 0001.png; "
                "name a file, or a folder of pictures"
            )

    def length(self) -> float:
        """Media seconds from the first picture to the end of the last."""
        return len(self._pictures()) / self.fps

    def _once(self, session: int) -> Generator[Frame, None, int]:
        """The pictures from first to last; what it returns is the session that comes after them."""
        first, size = self._index, None
        for number, path in enumerate(self._pictures()):
            if self._closed:
                break
            picture = self._decoded(path)
            if picture is None:
                continue
            session += size not in (None, picture.size)
            size = picture.size
            self._index += 1
            yield Frame(self.camera, self._index - 1, session, number / self.fps, time.monotonic(), picture)
        if self._index == first and not self._closed:
            raise SourceOpenError(f"{self.url}: not one of its pictures can be decoded; open one in a viewer")
        return session + 1

    def _pictures(self) -> Sequence[Path]:
        """Those that were given, or else those that are in the folder now."""
        return _pictures(self.folder) if self._given is None else self._given

    def _decoded(self, path: Path) -> Picture | None:
        """The picture in a file; None where there is none that can be decoded, which is counted and logged."""
        try:
            with av.open(path.absolute(), options=AS_NAMED, metadata_errors="replace") as container:
                picture = picture_of(next(container.decode(video=0)), self._reformatter)
        except (av.FFmpegError, StopIteration, IndexError) as error:
            self.corrupt += 1
            log.warning("%s cannot be decoded: %s", valid_text(str(path)), getattr(error, "strerror", "no picture"))
            return None
        return replace(picture, rotation=(picture.rotation + self._rotation) % 360)


def _pictures(folder: Path) -> list[Path]:
    """The pictures in a folder, by the numbers in their names."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted(found, key=_by_numbers)


def _by_numbers(path: Path) -> list[str | int]:
    """The name as texts and, between them, numbers: `take2-10.png` is take, 2, -, 10, .png."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]
