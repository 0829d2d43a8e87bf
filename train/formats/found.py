"""What every format is asked and what it answers; and how listed recordings are gathered, each once and in one part."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from stream.errors import ConfigError
from train.formats.files import Library
from train.formats.text import Line, clean
from train.recordings import Part, Recording, Segment

PARTS: dict[str, Part] = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""What lists call the parts of a split, in small letters."""
_PRECEDENCE: tuple[Part | None, ...] = (None, "training", "validation", "test")


@dataclass(frozen=True)
class Wanted:
    """How a dataset is to be read.

    Attributes:
        none: the label of nothing in particular.
        group: its match in a recording's name is the recording's group.
        split: number of the official split, from 1.
        within: what the group of a recording begins with that is its own: `train/`, where other parts have such names.
    """

    none: str
    group: re.Pattern[str]
    split: int = 1
    within: str = ""

    def group_of(self, name: str, otherwise: str) -> str:
        """The group of a recording called `name`: what the pattern finds in it, or else `otherwise`."""
        found = self.group.search(name)
        return found.group(0) if found else self.within + otherwise


@dataclass(frozen=True)
class Found:
    """What a format found.

    Attributes:
        root: the folder that names are relative to.
        recordings: all that can be used, in the order of their paths.
        untrimmed: see `Dataset`.
        remarks: a line for whatever was named and left out.
    """

    root: Path
    recordings: tuple[Recording, ...]
    untrimmed: bool = False
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """A way in which recordings and their labels are kept.

    Attributes:
        name: in words.
        recognises: whether a path is kept so; looks at names and first lines alone.
        read: reads it; raises ConfigError, with the file and the line, for what cannot be.
        narrowed: its lists, by their path in the folder, with only some of the classes left; None where a smaller set
            cannot be made of whole files.
        numbered: True where there are several official splits, by number.
    """

    name: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path, Wanted], Found]
    narrowed: Callable[[Path, Collection[str]], dict[Path, str]] | None = None
    numbered: bool = False


class Listing:
    """Recordings as lists name them: each once, in one part, and with one label."""

    def __init__(self, root: Path, wanted: Wanted) -> None:
        """Looks for files under `root`."""
        self._root, self._wanted = root, wanted
        self._library = Library(root)
        self._found: dict[tuple[Path, tuple[float, float] | None], tuple[Line, Recording]] = {}
        self._remarks: list[str] = []
        self._named = 0

    def finds(self, name: str) -> bool:
        """Whether there is a recording called `name`."""
        return self._library.find(name) is not None

    def remark(self, text: str) -> None:
        """Keeps a line to tell."""
        self._remarks.append(text)

    def add(
        self,
        line: Line,
        name: str,
        label: str,
        part: Part | None,
        *,
        group: str | None = None,
        span: tuple[float, float] | None = None,
        beside: tuple[str, ...] = (),
    ) -> None:
        """Takes the recording that `line` calls `name`; what is not there is left out, and remarked on.

        Args:
            line: where it is listed.
            name: as it is listed.
            label: of it.
            part: of the split.
            group: of a recording whose name does not say; its own if None.
            span: seconds of it that are meant; None for all.
            beside: folders that are preferred where several recordings have the name.

        Raises:
            ConfigError: it was listed with another label before.
        """
        self._named += 1
        path = self._library.find(name, beside)
        if path is None:
            self.remark(f"{line}: left out: no such recording: {clean(name)}")
            return
        group = self._wanted.group_of(path.name, group or path.relative_to(self._root).as_posix())
        recording = Recording(path, group, label, part=part, span=span)
        before, known = self._found.setdefault((path, span), (line, recording))
        if before == line:
            return
        if known.label != label:
            raise line.error(f"{clean(name)} is {label!r} here and {known.label!r} in {before}; correct one of them")
        if known.part == part:
            self.remark(f"{line}: listed twice: {clean(name)}, as in {before.file.name}, line {before.number}")
            return
        kept = max(known.part, part, key=_PRECEDENCE.index)
        self._found[path, span] = line, replace(known, part=kept)
        self.remark(f"{line}: in both {known.part} and {part}: {clean(name)}; it counts as {kept} alone")

    def found(self) -> Found:
        """All that was gathered.

        Raises:
            ConfigError: not one of the recordings is there.
        """
        if not self._found:
            first = f" (the first: {self._remarks[0]})" if self._remarks else ""
            raise ConfigError(
                f"not one of the {self._named} recordings that the lists name is under {self._root}{first}: "
                "give the folder that holds both the lists and the recordings"
            )
        found = sorted(
            (recording for _, recording in self._found.values()), key=lambda each: (each.path, each.span or ())
        )
        return Found(self._root, tuple(found), remarks=tuple(self._remarks))


def segments_in_order(segments: list[Segment]) -> tuple[Segment, ...]:
    """Segments as `Dataset.targets` wants them: where two overlap, the later in this order is what counts.

    That is the one that begins later; of those that begin together, the shorter; of equals, the first by name: a cliff
    dive that is also listed as a dive is a cliff dive.
    """
    by_name = sorted(segments, key=lambda segment: segment.label, reverse=True)
    return tuple(sorted(by_name, key=lambda segment: (segment.start, -segment.end)))


def number(line: Line, text: str, what: str) -> float:
    """`text` as a number.

    Raises:
        ConfigError: it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise line.error(f"expected {what}, got {text!r}; correct it") from None


def span(line: Line, start: str, end: str) -> tuple[float, float]:
    """Seconds from `start` to `end`.

    Raises:
        ConfigError: they are no numbers, or do not run forward from 0.
    """
    first, last = number(line, start, "a start in seconds"), number(line, end, "an end in seconds")
    if not 0 <= first < last:
        raise line.error(f"an interval must run forward from 0 s, got {start} to {end}; correct it")
    return first, last
