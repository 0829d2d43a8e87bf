"""Which videos and pictures lie in a folder, and which of them a name in a list means. No list is read here."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from stream.sources.pictures import SUFFIXES as PICTURES
from train.formats.text import clean

LISTS_DEPTH = 2
"""Folders below the data's own in which lists are looked for."""
VIDEOS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"})


def is_video(path: Path | PurePosixPath) -> bool:
    """True for a name that a video has."""
    return path.suffix.lower() in VIDEOS and not path.name.startswith(".")


def is_picture(path: Path) -> bool:
    """True for a name that a picture has."""
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def folders_of(folder: Path) -> list[Path]:
    """The folders in `folder`, but hidden ones, by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def videos_of(folder: Path) -> list[Path]:
    """The videos in `folder`, by name."""
    return sorted(path for path in folder.iterdir() if is_video(path) and path.is_file())


def pictures_of(folder: Path) -> list[Path]:
    """The pictures in `folder`, by the numbers in their names: img2 comes before img10."""
    return sorted((path for path in folder.iterdir() if is_picture(path)), key=by_numbers)


def by_numbers(path: Path) -> list[str | int]:
    """A key that sorts names by the numbers in them."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


def files_under(root: Path, depth: int) -> Iterator[Path]:
    """The files in `root` and, to `depth`, in its folders, but hidden ones, by name."""
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif depth > 0 and path.is_dir():
            yield from files_under(path, depth - 1)


def lists_under(root: Path, names: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
    """The files in `root`, or up to two folders below, whose whole name matches `names`, and the match of each."""
    return [(file, match) for file in files_under(root, LISTS_DEPTH) if (match := names.fullmatch(file.name))]


class Library:
    """Every recording under a folder, to be found by what a list calls it.

    A recording is a video, or a folder of pictures. A list may name it with or without its folders and its suffix.
    """

    def __init__(self, root: Path) -> None:
        """Walks `root` once."""
        self._root = root
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        seen: set[str] = set()
        for parent, folders, names in os.walk(root, followlinks=True):
            folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
            if os.path.realpath(parent) in seen:  # a link back
                folders.clear()
                continue
            seen.add(os.path.realpath(parent))
            found = [Path(parent) / name for name in sorted(names)]
            for path in filter(is_video, found):
                self._by_stem[_composed(path.stem)].append(path)
            if Path(parent) != root and any(map(is_picture, found)):
                self._by_stem[_composed(Path(parent).name)].append(Path(parent))

    def find(self, name: str, beside: Iterable[str] = ()) -> Path | None:
        """The recording that a list calls `name`; None where there is none, or several that it may be.

        Args:
            name: as the list has it: quotes, spaces around it and separators of Windows do not matter.
            beside: folders that are preferred where several recordings have the name.
        """
        wanted = PurePosixPath(clean(name))
        found = self._by_stem.get(_composed(wanted.stem if is_video(wanted) else wanted.name), [])
        exact = [path for path in found if is_video(wanted) and path.name == wanted.name]
        # A folder in the list is a class: 3.mp4 of another class is another clip. Files may lie without their folders.
        folders = [wanted.parent] if wanted.parent.parts else []
        for candidates in (exact, found):
            for folder in (*folders, *map(PurePosixPath, beside)):
                inside = [path for path in candidates if _ends_with(path.parent, folder)]
                if len(inside) == 1:
                    return inside[0]
            free = [path for path in candidates if not folders or path.parent == self._root]
            if len(free) == 1:
                return free[0]
        return None


def _composed(name: str) -> str:
    """A name with its accents as most systems write them: macOS takes é for e and an accent."""
    return unicodedata.normalize("NFC", name)


def _ends_with(folder: Path, last: PurePosixPath) -> bool:
    """Whether the last folders of a path are those of `last`, whatever the case of their letters."""
    parts = [_composed(part).lower() for part in last.parts]
    return [_composed(part).lower() for part in folder.parts[-len(parts) :]] == parts
