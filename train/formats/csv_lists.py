"""train.csv, test.csv and perhaps val.csv with the columns `video_name,tag`: one clip a row.

Without a header the cell that looks like a video is the name and the next one its label. The clips may lie beside the
lists, or in train/ and test/.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from train.formats.files import is_video
from train.formats.found import PARTS, Format, Found, Listing, Wanted
from train.formats.text import Table, clean, read_table
from train.recordings import Part

NAMES = ("video_name", "video", "filename", "file", "clip", "path")
LABELS = ("tag", "label", "class", "action")


def recognises(path: Path) -> bool:
    """True for a folder with a train.csv whose columns, or cells, are names of videos and labels."""
    lists = _lists(path) if path.is_dir() else {}
    return "training" in lists.values() and all(_columns(read_table(each, _is_header)) for each in lists)


def read(root: Path, wanted: Wanted) -> Found:
    """The clips that the lists name.

    Raises:
        ConfigError: a list that is no table of names and labels, or none of the clips is there.
    """
    listing = Listing(root, wanted)
    for file, part in _lists(root).items():
        table = read_table(file, _is_header)
        name, label = _columns(table) or (0, 1)
        for line, cells in table.rows:
            if len(cells) <= max(name, label) or not cells[name] or not cells[label]:
                raise line.error(f"expected a video's name and its label, got {line.text!r}; correct it")
            listing.add(line, cells[name], clean(cells[label]), part, beside=(file.stem,))
    return listing.found()


def _lists(root: Path) -> dict[Path, Part]:
    """The lists in a folder, and the part of the split that each is."""
    return {path: PARTS[path.stem.lower()] for path in sorted(root.glob("*.csv")) if path.stem.lower() in PARTS}


def _is_header(cells: frozenset[str]) -> bool:
    return not cells.isdisjoint(NAMES) and not cells.isdisjoint(LABELS)


def _columns(table: Table) -> tuple[int, int] | None:
    """Where the name and the label stand; None for a table of something else."""
    if table.columns:
        name = next(table.columns.index(each) for each in NAMES if each in table.columns)
        return name, next(table.columns.index(each) for each in LABELS if each in table.columns)
    if not table.rows:
        return 0, 1
    cells = table.rows[0][1]
    name = next((i for i, cell in enumerate(cells) if is_video(PurePosixPath(clean(cell)))), -1)
    return (name, name + 1) if 0 <= name < len(cells) - 1 else None


def narrowed(root: Path, labels: Collection[str]) -> dict[Path, str]:
    """The lists with the rows of some labels."""
    lists = {}
    for file in _lists(root):
        table = read_table(file, _is_header)
        _, label = _columns(table) or (0, 1)
        lists[file.relative_to(root)] = table.text_of(label, labels)
    return lists


FORMAT = Format("train.csv and test.csv of video_name,tag", recognises, read, narrowed)
