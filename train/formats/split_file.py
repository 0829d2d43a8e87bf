"""A split of one's own over any dataset: a list of `filename:training`, one recording a line.

`lists.txt:test` names a list whose lines have no part of their own: they are the test set, and all others train.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from stream.errors import ConfigError
from train.formats.found import PARTS, Found
from train.formats.text import Line, clean, read_lines
from train.recordings import Part, Recording

_OTHERS: dict[Part, Part] = {"training": "test", "validation": "training", "test": "training"}
"""What those are that a list of one part does not name."""


def apply_split(found: Found, split: str) -> Found:
    """What was found, each recording in the part that the list gives it.

    Args:
        found: recordings; parts that they have already are forgotten.
        split: the name of the list; `name:part` for a list of one part.

    Raises:
        ConfigError: no such list, a line that cannot be, a recording in two parts, or none that is there.
    """
    file, all_are = _parsed(split)
    by_name = _names(found)
    parts: dict[int, tuple[Line, Part]] = {}
    remarks = list(found.remarks)
    for line in read_lines(file):
        name, part = _entry(line, all_are)
        members = by_name.get(name) or by_name.get("/".join(name.split("/")[-2:]), [])
        if len(members) > 1:
            whole = found.recordings[members[0]].path.relative_to(found.root).as_posix()
            raise line.error(f"{name} may be any of {len(members)} recordings: give its folders too, as in {whole}")
        if not members:
            remarks.append(f"{line}: no such recording: {name}")
            continue
        before, known = parts.setdefault(members[0], (line, part))
        if known != part:
            raise line.error(f"{name} is for {part} here and for {known} in line {before.number}; correct one of them")
    if not parts:
        raise ConfigError(f"{file} names not one of the {len(found.recordings)} recordings; correct --split")
    if all_are is not None:
        others = _OTHERS[all_are]
        kept = [replace(each, part=parts[i][1] if i in parts else others) for i, each in enumerate(found.recordings)]
        return replace(found, recordings=tuple(kept), remarks=tuple(remarks))
    left_out = [each for i, each in enumerate(found.recordings) if i not in parts]
    remarks += [f"{file}: left out, since it is not listed: {each.path}" for each in left_out]
    kept = [replace(found.recordings[i], part=parts[i][1]) for i in sorted(parts)]
    return replace(found, recordings=tuple(kept), remarks=tuple(remarks))


def split_list(root: Path, recordings: Iterable[Recording]) -> str:
    """A list that gives each recording the part that it is in."""
    return "\n".join(f"{each.path.relative_to(root).as_posix()}:{each.part}" for each in recordings)


def _parsed(split: str) -> tuple[Path, Part | None]:
    """The list, and the part that all in it are."""
    if Path(split).is_file():
        return Path(split), None
    name, _, part = split.rpartition(":")
    if name and Path(name).is_file() and part.lower() in PARTS:
        return Path(name), PARTS[part.lower()]
    raise ConfigError(f"no list {split}: expected the number of an official split, or a file of filename:training")


def _names(found: Found) -> dict[str, list[int]]:
    """Numbers of the recordings by what a list may call them: with or without folders and suffix."""
    names: dict[str, list[int]] = {}
    for i, recording in enumerate(found.recordings):
        path = recording.path
        short = {path.name, path.stem} if path.suffix else {path.name}
        folders = path.parent.relative_to(found.root).as_posix()
        for name in {f"{folder}{each}" for each in short for folder in ("", f"{path.parent.name}/", f"{folders}/")}:
            names.setdefault(name, []).append(i)
    return names


def _entry(line: Line, all_are: Part | None) -> tuple[str, Part]:
    """A recording's name and its part."""
    name, colon, part = line.text.rpartition(":")
    if colon and part.strip().lower() in PARTS:
        return clean(name), PARTS[part.strip().lower()]
    if all_are is not None:
        return clean(line.text), all_are
    raise line.error(f"expected filename:training, filename:validation or filename:test, got {line.text!r}; correct it")
