"""THUMOS14's temporal annotations: a text file a class, `BaseballPitch_val.txt`, a line an action: video, start, end.

Networks train on what THUMOS calls its validation set, and are tested on its test set. Spans in Ambiguous_val.txt and
Ambiguous_test.txt count neither in a loss nor in a measure. https://www.crcv.ucf.edu/THUMOS14
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from stream.errors import ConfigError
from train.formats.files import Library, lists_under
from train.formats.found import Format, Found, Wanted, segments_in_order, span
from train.formats.text import Line, beginning, clean, read_lines, text_of, words
from train.recordings import Part, Recording, Segment

LIST = re.compile(r"(.+)_(val|test)\.txt", re.IGNORECASE)
PART: dict[str, Part] = {"val": "training", "test": "test"}
AMBIGUOUS = "Ambiguous"


def recognises(path: Path) -> bool:
    """True for a folder with such lists in it, or in a folder of it."""
    return path.is_dir() and any(_has_spans(file) for file, _ in lists_under(path, LIST))


def read(root: Path, wanted: Wanted) -> Found:
    """The videos that are annotated; in all others nobody looked for anything.

    Raises:
        ConfigError: a list that cannot be read, or none of the videos is there.
    """
    library, remarks = Library(root), []
    actions: dict[tuple[str, Part], list[Segment]] = defaultdict(list)
    unclear: dict[str, list[tuple[float, float]]] = defaultdict(list)
    first: dict[str, Line] = {}
    for file, found in lists_under(root, LIST):
        for line in read_lines(file):
            video, start, end = _entry(line)
            if found[1] == AMBIGUOUS:
                unclear[video].append((start, end))
            else:
                actions[video, PART[found[2].lower()]].append(Segment(found[1], start, end))
                first.setdefault(video, line)
    recordings = []
    for (video, part), segments in actions.items():
        path = library.find(video)
        if path is None:
            remarks.append(f"{first[video]}: left out: no such video: {video}")
            continue
        group = wanted.group_of(path.name, f"{path.parent.name}/{path.name}")
        recordings.append(
            Recording(path, group, None, segments_in_order(segments), part, tuple(sorted(unclear[video])))
        )
    if not recordings:
        raise ConfigError(
            f"not one of the {len(actions)} annotated videos is under {root} (the first: {remarks[0]}): give the "
            "folder that holds both the annotations and the videos"
        )
    recordings.sort(key=lambda recording: recording.path)
    return Found(root, tuple(recordings), untrimmed=True, remarks=tuple(remarks))


def _has_spans(file: Path) -> bool:
    """Whether the first line of a list ends with two numbers."""
    first = next((line.strip() for line in beginning(file).splitlines() if line.strip()), "")
    return re.fullmatch(r"\S.*\s[\d.]+\s+[\d.]+", first) is not None


def _entry(line: Line) -> tuple[str, float, float]:
    cells = tuple(words(line))
    if len(cells) != 3:
        raise line.error(f"expected a video, a start and an end, got {line.text!r}; correct it")
    return clean(cells[0]), *span(line, cells[1], cells[2])


def narrowed(root: Path, labels: Collection[str]) -> dict[Path, str]:
    """The lists of some classes, and what is ambiguous in their videos."""
    files = lists_under(root, LIST)
    kept = {file: read_lines(file) for file, match in files if match[1] in labels}
    videos = {_entry(line)[0] for lines in kept.values() for line in lines}
    unclear = {file: read_lines(file) for file, match in files if match[1] == AMBIGUOUS}
    kept |= {file: [line for line in lines if _entry(line)[0] in videos] for file, lines in unclear.items()}
    return {file.relative_to(root): text_of(line.text for line in lines) for file, lines in kept.items() if lines}


FORMAT = Format("THUMOS14's temporal annotations", recognises, read, narrowed)
