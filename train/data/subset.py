"""A smaller dataset of some classes, in the same format: its files linked or copied, its lists rewritten."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from stream.errors import ConfigError
from train.formats import recognise
from train.formats.files import pictures_of
from train.recordings import Dataset, Recording


@dataclass(frozen=True)
class Subset:
    """What was made.

    Attributes:
        recordings: how many.
        linked: files that take no room: hard links to those of the whole set.
        copied: files that do, where links are not to be had.
        lists: rewritten, by their path in the new folder.
    """

    recordings: int
    linked: int
    copied: int
    lists: tuple[Path, ...]


def make_subset(
    source: Path, dataset: Dataset, classes: Collection[str], out: Path, advance: Callable[[], None]
) -> Subset:
    """Writes the recordings of some classes to `out`.

    Args:
        source: what `dataset` was read from.
        dataset: the whole set.
        classes: labels to keep.
        out: a new or an empty folder.
        advance: called after each recording that is kept.

    Raises:
        ConfigError: no such class, too few, a format that cannot be cut by class, or a folder that is not empty.
    """
    format = recognise(source)
    if format.narrowed is None:
        raise ConfigError(f"{source} ({format.name}) cannot be cut by class: write the features of fewer clips instead")
    members = chosen(dataset, classes)
    open_new(out)
    linked = copied = 0
    for i in members:
        for path in files_of(dataset.recordings[i]):
            if _place(path, out / path.relative_to(dataset.root)):
                linked += 1
            else:
                copied += 1
        advance()
    lists = format.narrowed(source, set(classes))
    for name, text in lists.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text, encoding="utf-8")
    return Subset(len(members), linked, copied, tuple(sorted(lists)))


def chosen(dataset: Dataset, classes: Collection[str]) -> list[int]:
    """Numbers of the recordings in which one of `classes` happens.

    Raises:
        ConfigError: a class that does not happen, or too few.
    """
    happening = {label for recording in dataset.recordings for label in recording.happening}
    unknown = sorted(set(classes) - happening)
    if unknown:
        raise ConfigError(
            f"{dataset.root} has no class {unknown[0]!r}: expected some of {', '.join(sorted(happening))}; correct "
            "--classes"
        )
    if len(set(classes)) < (1 if dataset.untrimmed else 2):
        raise ConfigError(f"--classes names {len(set(classes))} class: expected at least two, to be told apart")
    return [i for i, recording in enumerate(dataset.recordings) if not set(classes).isdisjoint(recording.happening)]


def open_new(out: Path) -> None:
    """Makes the folder `out`.

    Raises:
        ConfigError: there is something in it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there and not empty: expected a new folder; choose another --out")
    out.mkdir(parents=True, exist_ok=True)


def files_of(recording: Recording) -> list[Path]:
    """The files of a recording, each picture of a folder."""
    return [each for path in recording.files for each in (pictures_of(path) if path.is_dir() else [path])]


def _place(path: Path, target: Path) -> bool:
    """Puts a file at `target`: True where it could be linked, False where it was copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():  # another part of one long video brought it
        return True
    try:
        os.link(path, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(path, target)
        return False
    return True
