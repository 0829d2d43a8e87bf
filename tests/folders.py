"""Trees of files for tests of data formats: empty clips where nothing is decoded, and lists with all that people do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stream.errors import ConfigError
from train.datasets import Dataset, read_dataset
from train.settings import DataSettings


def tree(root: Path, names: Iterable[str]) -> Path:
    """`root`, with an empty file of each name."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def read(root: Path, *, split: str | None = None, group: str | None = None) -> Dataset:
    """The dataset in `root`, as training reads it."""
    return read_dataset(root, none="none", group=group or DataSettings().group, split=split)


def refused(root: Path, *, split: str | None = None) -> str:
    """The one line that says why `root` cannot be read."""
    try:
        read(root, split=split)
    except ConfigError as error:
        assert "\n" not in str(error)
        return str(error)
    raise AssertionError(f"{root} was read")


def parts(dataset: Dataset) -> dict[str, str | None]:
    """The part of each recording, by its path."""
    return {each.path.relative_to(dataset.root).as_posix(): each.part for each in dataset.recordings}


def labels(dataset: Dataset) -> dict[str, str | None]:
    """The label of each recording, by its path."""
    return {each.path.relative_to(dataset.root).as_posix(): each.label for each in dataset.recordings}
