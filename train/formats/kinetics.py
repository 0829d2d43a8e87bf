"""Kinetics' lists: label, youtube_id, time_start, time_end, split; one clip of ten seconds a row.

A clip that was cut already is called ID_000010_000020; otherwise those seconds of the whole video ID are read. Clips of
one video are one group.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from train.formats.found import PARTS, Format, Found, Listing, Wanted, span
from train.formats.text import Line, Table, beginning, clean, read_table
from train.recordings import Part

COLUMNS = frozenset({"youtube_id", "time_start", "time_end"})


def recognises(path: Path) -> bool:
    """True for a csv file with these columns, or a folder with one."""
    return bool(_tables(path))


def read(path: Path, wanted: Wanted) -> Found:
    """The clips that the lists name; those without a label are left out.

    Raises:
        ConfigError: a row that cannot be, or none of the clips is there.
    """
    listing = Listing(path if path.is_dir() else path.parent, wanted)
    for table in _tables(path):
        unlabelled = 0
        for line, cells in table.rows:
            if len(cells) < len(table.columns):
                raise line.error(f"expected {len(table.columns)} cells, got {len(cells)}; correct it")
            row = dict(zip(table.columns, map(clean, cells), strict=False))
            if not row.get("label"):
                unlabelled += 1
                continue
            start, end = span(line, row["time_start"], row["time_end"])
            cut = f"{row['youtube_id']}_{round(start):06d}_{round(end):06d}"
            name, seconds = (cut, None) if listing.finds(cut) else (row["youtube_id"], (start, end))
            part = _part(line, row.get("split", ""))
            listing.add(line, name, row["label"], part, group=row["youtube_id"], span=seconds)
        if unlabelled:
            listing.remark(f"{table.file}: left out: {unlabelled} clips without a label")
    return listing.found()


def _tables(path: Path) -> list[Table]:
    """The lists that are of Kinetics."""
    files = [path] if path.is_file() and path.suffix.lower() == ".csv" else sorted(path.glob("*.csv"))
    return [read_table(file, COLUMNS.issubset) for file in files if "youtube_id" in beginning(file).lower()]


def _part(line: Line, split: str) -> Part | None:
    """The part that a row names, or else the name of its file."""
    if split and split.lower() not in PARTS:
        raise line.error(f"expected a split such as train, got {split!r}; correct it")
    words = line.file.stem.lower().replace("-", "_").split("_")
    return next((PARTS[word] for word in (split.lower(), *reversed(words)) if word in PARTS), None)


def narrowed(path: Path, labels: Collection[str]) -> dict[Path, str]:
    """The lists with the rows of some labels."""
    root = path if path.is_dir() else path.parent
    lists = {}
    for table in _tables(path):
        if "label" in table.columns:
            lists[table.file.relative_to(root)] = table.text_of(table.columns.index("label"), labels)
    return lists


FORMAT = Format("Kinetics' lists (label, youtube_id, time_start, time_end, split)", recognises, read, narrowed)
