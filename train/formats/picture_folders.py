"""Folders of extracted pictures: wave/clip/0001.jpg, or wave/clip_0001.jpg, in the order of their numbers.

A pictures.json beside the class folders says how many a second there are, as `actionstream data extract` writes it:
{"fps": {"wave/clip": 1.0}}. Without it there are 25, as for any folder of pictures.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from stream.errors import ConfigError
from train.formats.files import folders_of, pictures_of, videos_of
from train.formats.found import Format, Found, Wanted
from train.formats.text import read_text
from train.recordings import Recording

RATES = "pictures.json"
NUMBERED = re.compile(r"(.*?)[ _.-]*(?:frame|image|img)?[ _.-]*\d+", re.IGNORECASE)
"""A picture's name, without its suffix: the clip that it is from, and its number."""


def recognises(path: Path) -> bool:
    """True for class folders that hold pictures, or folders of pictures, and no video."""
    classes = folders_of(path) if path.is_dir() else []
    return any(map(_holds_pictures, classes)) and not any(map(videos_of, classes))


def read(root: Path, wanted: Wanted) -> Found:
    """Every clip of every class folder in `root`.

    Raises:
        ConfigError: a class folder without pictures, or a pictures.json that cannot be read.
    """
    rates = _rates(root / RATES)
    recordings = []
    for folder in folders_of(root):
        if not _holds_pictures(folder):
            raise ConfigError(f"class folder {folder} holds no picture: add clips or remove it")
        for clip in folders_of(folder):
            if pictures_of(clip):
                group = wanted.group_of(clip.name, f"{folder.name}/{clip.name}")
                recordings.append(Recording(clip, group, folder.name, fps=rates.get(f"{folder.name}/{clip.name}")))
        for name, pictures in sorted(_flat(folder).items()):
            group = wanted.group_of(name, f"{folder.name}/{name}")
            fps = rates.get(f"{folder.name}/{name}")
            recordings.append(Recording(folder / name, group, folder.name, pictures=tuple(pictures), fps=fps))
    return Found(root, tuple(sorted(recordings, key=lambda recording: recording.path)))


def _holds_pictures(folder: Path) -> bool:
    return bool(pictures_of(folder)) or any(map(pictures_of, folders_of(folder)))


def _flat(folder: Path) -> dict[str, list[Path]]:
    """The pictures that lie in a class folder itself, by clip: what their names begin with, or else the folder's."""
    clips = defaultdict(list)
    for path in pictures_of(folder):
        found = NUMBERED.fullmatch(path.stem)
        clips[(found[1] if found else path.stem) or folder.name].append(path)
    return clips


def _rates(file: Path) -> dict[str, float]:
    """Pictures a second by clip; nothing where no file says so."""
    if not file.is_file():
        return {}
    try:
        rates = {str(clip): float(fps) for clip, fps in json.loads(read_text(file))["fps"].items()}
        if not all(fps > 0 for fps in rates.values()):
            raise ValueError("a rate that is not above 0")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f'{file} cannot be read ({error}): expected {{"fps": {{"class/clip": number}}}}') from error
    return rates


def narrowed(root: Path, labels: Collection[str]) -> dict[Path, str]:
    """The rates of the clips of some classes."""
    rates = {clip: fps for clip, fps in _rates(root / RATES).items() if clip.partition("/")[0] in labels}
    return {Path(RATES): rates_text(rates)} if rates else {}


def rates_text(rates: Mapping[str, float]) -> str:
    """What a pictures.json holds."""
    return json.dumps({"fps": dict(rates)}, indent=1) + "\n"


FORMAT = Format("folders of extracted pictures", recognises, read, narrowed)
