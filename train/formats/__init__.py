"""The formats in which data come, one a module; what recognises a path before the others do comes first."""

from __future__ import annotations

from pathlib import Path

from stream.errors import ConfigError
from train.formats import (
    activitynet,
    class_folders,
    csv_lists,
    hmdb51,
    kinetics,
    npz,
    part_folders,
    perframe,
    picture_folders,
    thumos14,
    ucf101,
)
from train.formats.found import Format

FORMATS: tuple[Format, ...] = (
    npz.FORMAT,
    perframe.FORMAT,
    activitynet.FORMAT,
    kinetics.FORMAT,
    csv_lists.FORMAT,
    ucf101.FORMAT,
    hmdb51.FORMAT,
    thumos14.FORMAT,
    part_folders.FORMAT,
    picture_folders.FORMAT,
    class_folders.FORMAT,
)


def recognise(path: Path) -> Format:
    """The format that `path` is in.

    Raises:
        ConfigError: there is nothing, or a file of no format.
    """
    for format in FORMATS:
        if format.recognises(path):
            return format
    expected = "class folders of clips, lists of clips with their labels, or streams with annotations.json"
    if not path.exists():
        raise ConfigError(f"no folder {path}: expected {expected}")
    raise ConfigError(f"{path} is a file of no format that is known: expected {expected}; give the folder of the data")
