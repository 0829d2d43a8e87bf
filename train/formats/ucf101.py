"""UCF101's official lists: classInd.txt, trainlist01.txt, testlist01.txt, beside or above the clips.

A training list gives a class's number after each clip, from 1; a test list gives none: there the folder is the class.
https://www.crcv.ucf.edu/data/UCF101.php
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from stream.errors import ConfigError
from train.formats.files import lists_under
from train.formats.found import Format, Found, Listing, Wanted
from train.formats.text import Line, clean, last_word, read_lines, text_of
from train.recordings import Part

LIST = re.compile(r"(train|test)list(\d+)\.txt", re.IGNORECASE)
CLASSES = re.compile(r"classind\.txt", re.IGNORECASE)
PART: dict[str, Part] = {"train": "training", "test": "test"}


def recognises(path: Path) -> bool:
    """True for a folder with a trainlist in it, or in a folder of it."""
    return path.is_dir() and bool(lists_under(path, LIST))


def read(root: Path, wanted: Wanted) -> Found:
    """The clips of the split that is wanted.

    Raises:
        ConfigError: no such split, a list that cannot be read, or none of the clips is there.
    """
    lists = {(found[1].lower(), int(found[2])): file for file, found in lists_under(root, LIST)}
    if ("train", wanted.split) not in lists:
        known = ", ".join(str(split) for kind, split in sorted(lists) if kind == "train") or "none"
        raise ConfigError(f"{root} has no trainlist of split {wanted.split}: expected one of {known}; correct --split")
    named = lists_under(root, CLASSES)
    classes = _classes(named[-1][0]) if named else {}
    listing = Listing(root, wanted)
    for kind, part in PART.items():
        file = lists.get((kind, wanted.split))
        for line in read_lines(file) if file else ():
            name, number = _entry(line)
            listing.add(line, name, _label(line, name, number, classes), part)
    return listing.found()


def _classes(file: Path) -> dict[int, str]:
    """Names of the classes by their numbers, from 1."""
    classes: dict[int, str] = {}
    for line in read_lines(file):
        number, name = _class(line)
        if not number.isdecimal() or not name:
            raise line.error(f"expected a class's number and its name, got {line.text!r}; correct it")
        if int(number) in classes:
            raise line.error(f"class {number} is {classes[int(number)]!r} already; correct it")
        classes[int(number)] = name
    return classes


def _class(line: Line) -> tuple[str, str]:
    """A class's number and its name."""
    number, _, name = line.text.replace("\t", " ").partition(" ")
    return number, clean(name)


def _entry(line: Line) -> tuple[str, int | None]:
    """A clip's name, which may have spaces in it, and its class's number where one follows."""
    name, last = last_word(line)
    return (name, int(last)) if name and last.isdecimal() else (line.text, None)


def _label(line: Line, name: str, number: int | None, classes: dict[int, str]) -> str:
    """The class of a clip: the folder that it is listed in, or that of its number."""
    folder = PurePosixPath(clean(name)).parent.name
    if number is None or not classes:
        if not folder:
            raise line.error(f"expected Class/clip.avi, got {line.text!r}; correct it")
        return folder
    if number not in classes:
        raise line.error(f"there is no class {number}: classind.txt has 1 to {max(classes)}; correct it")
    if folder and folder.lower() != classes[number].lower():
        raise line.error(f"class {number} is {classes[number]!r} in classind.txt, but the clip lies in {folder!r}")
    return classes[number]


def narrowed(root: Path, labels: Collection[str]) -> dict[Path, str]:
    """All the lists, with the clips of some classes, which keep their numbers."""
    named = [file for file, _ in lists_under(root, CLASSES)]
    classes = _classes(named[0]) if named else {}
    lists = {}
    for file in named:
        kept = [line.text for line in read_lines(file) if _class(line)[1] in labels]
        lists[file.relative_to(root)] = text_of(kept)
    for file, _ in lists_under(root, LIST):
        kept = [line.text for line in read_lines(file) if _label(line, *_entry(line), classes) in labels]
        lists[file.relative_to(root)] = text_of(kept)
    return lists


FORMAT = Format("UCF101's lists (classInd, trainlist, testlist)", recognises, read, narrowed, numbered=True)
