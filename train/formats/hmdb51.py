"""HMDB51's split files: wave_test_split1.txt, a line a clip: its name, and 1 to train, 2 to test, 0 for neither.

The class is the file's name up to `_test_split`. Clips cut from one film share the part of their name before the class;
the official splits keep them together. https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from stream.errors import ConfigError
from train.formats.files import lists_under
from train.formats.found import Format, Found, Listing, Wanted
from train.formats.text import last_word, read_lines, stem, text_of
from train.recordings import Part

LIST = re.compile(r"(.+)_test_split(\d+)\.txt", re.IGNORECASE)
PART: dict[str, Part] = {"1": "training", "2": "test"}


def recognises(path: Path) -> bool:
    """True for a folder with split files in it, or in a folder of it."""
    return path.is_dir() and bool(lists_under(path, LIST))


def read(root: Path, wanted: Wanted) -> Found:
    """The clips of the split that is wanted.

    Raises:
        ConfigError: no such split, a list that cannot be read, or none of the clips is there.
    """
    found = lists_under(root, LIST)
    lists = {match[1]: file for file, match in found if int(match[2]) == wanted.split}
    if not lists:
        known = ", ".join(sorted({match[2] for _, match in found}, key=int))
        raise ConfigError(f"{root} has no files of split {wanted.split}: expected one of {known}; correct --split")
    listing, neither = Listing(root, wanted), 0
    for label, file in lists.items():
        for line in read_lines(file):
            name, use = last_word(line)
            if not name or use not in ("0", "1", "2"):
                raise line.error(f"expected a clip's name and 1, 2 or 0, got {line.text!r}; correct it")
            if use == "0":
                neither += 1
            else:
                listing.add(line, name, label, PART[use], group=_film(name, label), beside=(label,))
    if neither:
        listing.remark(
            f"{root}: left out: clips marked 0, which neither train nor test, in split {wanted.split}: {neither}"
        )
    return listing.found()


def _film(name: str, label: str) -> str:
    """What a clip was cut from: its name before its class; a name without a class is its own film."""
    return stem(name).partition(f"_{label}_")[0]


def narrowed(root: Path, labels: Collection[str]) -> dict[Path, str]:
    """The split files of some classes."""
    kept = [file for file, match in lists_under(root, LIST) if match[1] in labels]
    return {file.relative_to(root): text_of(line.text for line in read_lines(file)) for file in kept}


FORMAT = Format("HMDB51's split files", recognises, read, narrowed, numbered=True)
