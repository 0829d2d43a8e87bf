"""Ready-made features a frame: rgb_*/NAME.npy, flow_*/NAME.npy, and target_perframe/NAME.npy that says what each shows.

So TeSTrA and MiniROAD keep THUMOS14 and the like (https://github.com/zhaoyue-zephyrus/TeSTrA). A data_info.json or
video_list.json, in the folder or in the one above, names the classes, the ambiguous one, and the videos of each part:
{"THUMOS": {"class_index": [...], "ignore_index": 21, "train_session_set": [...], "test_session_set": [...], "fps": 4}}.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import ConfigError
from train.formats.files import folders_of
from train.formats.found import Format, Found, Wanted
from train.formats.text import read_text
from train.recordings import Features, Part, Recording, Segment

TARGETS = "target_perframe"
INFO = ("data_info.json", "video_list.json")
FPS = 4.0
SETS: dict[str, Part] = {"train_session_set": "training", "val_session_set": "validation", "test_session_set": "test"}


@dataclass(frozen=True)
class Info:
    """What is known of the whole set.

    Attributes:
        classes: of the columns of each target; None for what is ambiguous.
        fps: rows a second.
        parts: of each video; empty where no file says so.
    """

    classes: tuple[str | None, ...]
    fps: float
    parts: dict[str, Part]


def recognises(path: Path) -> bool:
    """True for a folder with target_perframe and features of pictures in it."""
    return (path / TARGETS).is_dir() and bool(_kinds(path, "rgb"))


def read(root: Path, wanted: Wanted) -> Found:
    """Every video that has targets; one without features is left out.

    Raises:
        ConfigError: files that do not fit each other, or several kinds of features to choose from.
    """
    rgb, flow = _only(root, "rgb"), _only(root, "flow")
    folders = [folder for folder in (rgb, flow) if folder is not None]
    targets = sorted((root / TARGETS).glob("*.npy"))
    if not targets:
        raise ConfigError(f"{root / TARGETS} is empty: expected NAME.npy for each video")
    info = _info(root, wanted, _array(targets[0], None).shape[1])
    recordings, remarks = [], []
    widths: set[tuple[int, ...]] = set()
    for file in targets:
        files = tuple(folder / file.name for folder in folders)
        missing = [each for each in files if not each.is_file()]
        if missing:
            remarks.append(f"{file}: left out: no such features: {missing[0]}")
            continue
        if info.parts and file.stem not in info.parts:
            remarks.append(f"{file}: left out: neither to train nor to test on")
            continue
        shown = _array(file, len(info.classes))
        width = tuple(_array(each, None).shape[1] for each in files)
        if widths and width not in widths:
            raise ConfigError(f"{files[0]}: expected features of {widths.pop()} columns as in the others, got {width}")
        widths.add(width)
        features = Features(files, targets=file, columns=info.classes)
        spans, ambiguous = _spans(features, len(shown), info, wanted.none)
        group = wanted.group_of(file.stem, file.stem)
        part = info.parts.get(file.stem)
        recordings.append(Recording(files[0], group, None, spans, part, ambiguous, fps=info.fps, features=features))
    remarks += [
        f"{root}: left out: {name} is in a list, but not in {TARGETS}"
        for name in sorted(info.parts.keys() - {file.stem for file in targets})
    ]
    if not recordings:
        raise ConfigError(f"{root} holds no video with both features and targets ({remarks[0]}); add the missing files")
    return Found(root, tuple(recordings), untrimmed=True, remarks=tuple(remarks))


def _kinds(root: Path, what: str) -> list[Path]:
    return [folder for folder in folders_of(root) if folder.name.startswith(f"{what}_")]


def _only(root: Path, what: str) -> Path | None:
    """The folder of features of pictures, or of flow; None where there is none."""
    kinds = _kinds(root, what)
    if len(kinds) > 1:
        names = ", ".join(folder.name for folder in kinds)
        raise ConfigError(f"{root} holds several kinds of {what} features ({names}): keep one, move the others away")
    return kinds[0] if kinds else None


def _info(root: Path, wanted: Wanted, columns: int) -> Info:
    """Classes, rate and parts, out of a file that says so; else numbered classes, the first of them nothing."""
    above = [root.parent / name for name in INFO if (root.parent / name).is_file()]
    for file in (*sorted(root.glob("*.json")), *above):
        try:
            content = json.loads(read_text(file))
        except json.JSONDecodeError as error:
            raise ConfigError(f"{file}, line {error.lineno}: no JSON: {error.msg.lower()}; correct it") from None
        entry = _entry(content, root.name)
        if entry is not None:
            return _parsed(file, entry, wanted)
    return Info((wanted.none, *(f"class_{number:02d}" for number in range(1, columns))), FPS, {})


def _entry(content: Any, name: str) -> dict[str, Any] | None:
    """The part of a file that is about the set called `name`; about the only one, where it is about one."""
    if not isinstance(content, dict):
        return None
    if "class_index" in content:
        return content
    about = {key.lower(): each for key, each in content.items() if isinstance(each, dict) and "class_index" in each}
    return about.get(name.lower()) or (next(iter(about.values())) if len(about) == 1 else None)


def _parsed(file: Path, entry: dict[str, Any], wanted: Wanted) -> Info:
    try:
        names = [str(name) for name in entry["class_index"]]
        ignored = entry.get("ignore_index")
        classes = [None if number == ignored else name for number, name in enumerate(names)]
        classes = [None if name is not None and name.lower() == "ambiguous" else name for name in classes]
        classes[0] = wanted.none  # "Background"
        parts = {str(name): part for key, part in SETS.items() for name in entry.get(key, ())}
        return Info(tuple(classes), float(entry.get("fps", FPS)), parts)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ConfigError(
            f"{file} cannot be read ({type(error).__name__}: {error}): expected class_index, train_session_set and "
            "test_session_set"
        ) from error


def _array(file: Path, columns: int | None) -> NDArray[np.generic]:
    """The array in a file, not read yet: (T, columns).

    Raises:
        ConfigError: it is none, or has another shape.
    """
    try:
        array = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"{file} is no array that can be read ({error}): replace the file") from None
    if array.ndim != 2 or len(array) == 0 or columns not in (None, array.shape[1]):
        raise ConfigError(f"{file}: expected an array (T, {columns or 'D'}), got {array.shape}; replace the file")
    return np.asarray(array)


def _spans(
    features: Features, ticks: int, info: Info, none: str
) -> tuple[tuple[Segment, ...], tuple[tuple[float, float], ...]]:
    """What happens when, and what is ambiguous, in media seconds."""
    shown = features.shown(none)
    edges = [0, *(np.flatnonzero(np.diff(shown)) + 1).tolist(), ticks]
    segments, ambiguous = [], []
    for first, last in pairwise(edges):
        label, start, end = info.classes[shown[first]], first / info.fps, last / info.fps
        if label is None:
            ambiguous.append((start, end))
        elif label != none:
            segments.append(Segment(label, start, end))
    return tuple(segments), tuple(ambiguous)


FORMAT = Format("features a frame (rgb_*, flow_*, target_perframe)", recognises, read)
