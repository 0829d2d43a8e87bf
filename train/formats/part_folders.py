"""A folder a part, train/ and test/ and perhaps val/, each with class folders of clips or of extracted pictures."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from train.formats import class_folders, picture_folders
from train.formats.files import folders_of
from train.formats.found import PARTS, Format, Found, Wanted


def recognises(path: Path) -> bool:
    """True where every folder is a part with folders in it, and one of them is to train on."""
    folders = folders_of(path) if path.is_dir() else []
    known = [PARTS.get(folder.name.lower()) for folder in folders]
    return "training" in known and all(known) and all(map(folders_of, folders))


def read(root: Path, wanted: Wanted) -> Found:
    """The clips of every part.

    Raises:
        ConfigError: a part whose class folders cannot be read.
    """
    recordings = [
        replace(each, part=PARTS[folder.name.lower()])
        for folder in folders_of(root)
        for each in _format(folder).read(folder, replace(wanted, within=f"{folder.name}/")).recordings
    ]
    return Found(root, tuple(sorted(recordings, key=lambda each: each.path)))


def narrowed(root: Path, labels: Collection[str]) -> dict[Path, str]:
    """What lists the parts have, for some classes."""
    lists: dict[Path, str] = {}
    for folder in folders_of(root):
        inside = _format(folder).narrowed
        assert inside is not None, "class folders can be cut by class"
        lists |= {Path(folder.name) / name: text for name, text in inside(folder, labels).items()}
    return lists


def _format(folder: Path) -> Format:
    return picture_folders.FORMAT if picture_folders.recognises(folder) else class_folders.FORMAT


FORMAT = Format("train and test folders of class folders", recognises, read, narrowed)
