"""Pictures of each recording as files: every S seconds, or N evenly spaced; in folders that can be trained on.

Clips become class/clip/0001.jpg with a pictures.json of their rates, and a split.txt where there is an official split;
streams become stream/0001.jpg with an annotations.json. Groups are found in the folders' names as before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2

from stream.contracts import Picture
from stream.errors import ConfigError, SinkError
from stream.geometry import to_bgr
from stream.sampling import Sampler
from train.cache import ArrayCache
from train.data.subset import open_new
from train.footage import frames_of
from train.formats.activitynet import ANNOTATIONS
from train.formats.picture_folders import RATES, rates_text
from train.formats.text import text_of
from train.readable import THUMBNAIL, Facts, facts_of
from train.recordings import Dataset, Recording

SPLIT = "split.txt"
QUALITY = 95


@dataclass(frozen=True)
class Extracted:
    """What was written.

    Attributes:
        recordings: how many gave pictures.
        pictures: how many they are.
        unreadable: a line for each recording that was skipped.
        split: the list to give to --split; None where there is no official split.
    """

    recordings: int
    pictures: int
    unreadable: tuple[str, ...]
    split: Path | None


def extract(
    dataset: Dataset,
    out: Path,
    cache: ArrayCache,
    *,
    every: float | None,
    count: int | None,
    advance: Callable[[], None],
) -> Extracted:
    """Writes pictures of every recording that can be read.

    Args:
        dataset: with pictures.
        out: a new or an empty folder.
        cache: where it is kept what each recording is.
        every: seconds from one picture to the next; None where `count` is given.
        count: pictures of each recording; of a shorter one all that it has.
        advance: called after each recording.

    Raises:
        ConfigError: a dataset of features, two recordings of one name, or a folder that is not empty.
        SinkError: a picture that could not be written.
    """
    if any(recording.features for recording in dataset.recordings):
        raise ConfigError(f"{dataset.root} ({dataset.format}) has no pictures to extract")
    folders = _folders(dataset)
    open_new(out)
    rates: dict[str, float] = {}
    unreadable, pictures = [], 0
    for recording, folder in zip(dataset.recordings, folders, strict=True):
        try:
            facts = facts_of(cache, recording)
            taken = _every(recording, every) if every is not None else _evenly(recording, facts, count or 1)
            written = _write(taken, out / folder)
        except ConfigError as error:
            unreadable.append(str(error))
        else:
            pictures += written
            rates[folder] = 1 / every if every is not None else written / facts.seconds
        advance()
    if dataset.untrimmed:
        _write_annotations(dataset, folders, rates, out)
    else:
        (out / RATES).write_text(rates_text(rates), encoding="utf-8")
    parts = [f"{folder}:{each.part}" for each, folder in zip(dataset.recordings, folders, strict=True) if each.part]
    if parts:
        (out / SPLIT).write_text(text_of(parts), encoding="utf-8")
    return Extracted(len(rates), pictures, tuple(unreadable), out / SPLIT if parts else None)


def _folders(dataset: Dataset) -> list[str]:
    """Where each recording's pictures go.

    Raises:
        ConfigError: two would go to the same place.
    """
    taken: dict[str, Recording] = {}
    for recording in dataset.recordings:
        name = recording.path.name if recording.path.is_dir() else recording.path.stem
        name += "" if recording.span is None else f"_{recording.span[0]:g}_{recording.span[1]:g}"
        folder = name if recording.label is None else f"{_as_folder(recording.label)}/{name}"
        other = taken.setdefault(folder, recording)
        if other is not recording:
            raise ConfigError(f"{other.path} and {recording.path} would both become {folder}: rename one of them")
    return list(taken)


def _as_folder(label: str) -> str:
    """A label as the name of one folder."""
    if "/" in label or label.startswith("."):
        raise ConfigError(f"label {label!r} cannot be the name of a folder: rename it in the lists")
    return label


def _every(recording: Recording, seconds: float | None) -> Iterator[Picture]:
    """A picture every so many seconds, by stream's own rule."""
    sampler = Sampler(replace(THUMBNAIL, rate=None if seconds is None else 1 / seconds))
    with closing(frames_of(recording.footage, THUMBNAIL)) as frames:
        yield from (frame.picture for frame in frames if sampler.offer(frame) is not None)


def _evenly(recording: Recording, facts: Facts, count: int) -> Iterator[Picture]:
    """Number int(i n / count) of a recording's n frames, each once."""
    wanted = {i * facts.frames // count for i in range(count)}
    with closing(frames_of(recording.footage, THUMBNAIL)) as frames:
        yield from (frame.picture for number, frame in enumerate(frames) if number in wanted)


def _write(pictures: Iterable[Picture], folder: Path) -> int:
    """Writes pictures as 0001.jpg and so on; how many they are.

    Raises:
        SinkError: one could not be written.
    """
    number = 0
    for number, picture in enumerate(pictures, 1):
        folder.mkdir(parents=True, exist_ok=True)
        _, encoded = cv2.imencode(".jpg", to_bgr(picture), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        try:
            (folder / f"{number:04d}.jpg").write_bytes(encoded.tobytes())
        except OSError as error:
            raise SinkError(f"{folder}: a picture could not be written ({error.strerror}); make room there") from error
    return number


def _write_annotations(dataset: Dataset, folders: list[str], rates: dict[str, float], out: Path) -> None:
    database: dict[str, Any] = {}
    for recording, folder in zip(dataset.recordings, folders, strict=True):
        if folder in rates:
            happening = [{"label": each.label, "segment": [each.start, each.end]} for each in recording.segments]
            database[folder] = {"file": folder, "fps": rates[folder], "annotations": happening}
            if recording.part:
                database[folder]["subset"] = recording.part
    (out / ANNOTATIONS).write_text(json.dumps({"database": database}, indent=1) + "\n", encoding="utf-8")
