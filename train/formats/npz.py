"""Ready-made features of clips in one .npz: `features` (V, T, D), `label` (V,), `subset` (V,) of train, val, test."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import ConfigError
from train.formats.found import PARTS, Format, Found, Wanted
from train.recordings import Features, Recording

ARRAYS = ("features", "label", "subset")


def recognises(path: Path) -> bool:
    """True for an .npz, or a folder whose only file it is."""
    return _file(path) is not None


def read(path: Path, wanted: Wanted) -> Found:
    """A recording a row. Which rows are of one person nobody says: each is its own group.

    Raises:
        ConfigError: arrays that are missing, or do not fit each other.
    """
    file = _file(path)
    assert file is not None, "recognised before it is read"
    features, labels, subsets = _arrays(file)
    if features.ndim != 3 or 0 in features.shape:
        raise ConfigError(f"{file}: expected features (V, T, D), got {features.shape}; write the file again")
    if labels.shape != (len(features),) or subsets.shape != (len(features),):
        raise ConfigError(
            f"{file}: expected a label and a subset for each of {len(features)} rows, got {labels.shape} and "
            f"{subsets.shape}; write the file again"
        )
    recordings = []
    for row, (label, subset) in enumerate(zip(map(_text, labels), map(_text, subsets), strict=True)):
        if subset.lower() not in PARTS:
            raise ConfigError(f"{file}, row {row}: expected a subset such as train, got {subset!r}; write it again")
        part = PARTS[subset.lower()]
        recordings.append(Recording(file, f"row {row}", label, part=part, features=Features((file,), row)))
    return Found(file.parent, tuple(recordings))


def _file(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix.lower() == ".npz" else None
    files = [file for file in path.iterdir() if not file.name.startswith(".")] if path.is_dir() else []
    return files[0] if len(files) == 1 and files[0].suffix.lower() == ".npz" else None


def _arrays(file: Path) -> list[NDArray[Any]]:
    try:
        with np.load(file) as arrays:
            missing = [name for name in ARRAYS if name not in arrays.files]
            if not missing:
                return [arrays[name] for name in ARRAYS]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{file} is no .npz that can be read ({error}): write it again, without pickles") from None
    raise ConfigError(f"{file} has no array {missing[0]!r}: expected {', '.join(ARRAYS)}; write it again")


def _text(value: Any) -> str:
    """A label or a subset as text: it may be a number, or bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


FORMAT = Format("features of clips in one .npz", recognises, read)
