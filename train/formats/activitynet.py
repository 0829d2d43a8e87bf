"""Untrimmed streams with annotations in the manner of ActivityNet: JSON that says what happens from when to when.

{"database": {NAME: {"subset": "training", "annotations": [{"label", "segment": [start, end]}]}}}; our own files
also say where each stream lies ("file"): a video, or a folder of pictures, "fps" a second. Others are looked for by
their names, or v_NAME. http://activity-net.org

A list whose every `subset` is "clips", as samples/render.py writes one beside class folders, tells when in a clip its
action is; it makes no streams of the folder, but is read as any other where it is given itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from stream.errors import ConfigError
from train.formats.files import Library
from train.formats.found import PARTS, Format, Found, Wanted, segments_in_order
from train.formats.text import beginning, read_text
from train.recordings import Recording, Segment

ANNOTATIONS = "annotations.json"
_SUBSET = re.compile(r'"subset"\s*:\s*"([^"]*)"')
_EXPECTED = '{"database": {name: {"subset", "annotations": [{"label", "segment": [start, end]}]}}}'


def recognises(path: Path) -> bool:
    """True for a JSON file, a folder with annotations.json, or one where a single JSON file annotates streams."""
    return annotation_file(path) is not None


def annotation_file(path: Path) -> Path | None:
    """The file that annotates the streams of `path`; None where there is none."""
    if path.is_file():
        return path if path.suffix.lower() == ".json" else None
    if not path.is_dir() or (path / ANNOTATIONS).is_file():
        return path / ANNOTATIONS if path.is_dir() else None
    found = [file for file in path.glob("*.json") if _annotates_streams(file)]
    return found[0] if len(found) == 1 else None


def _annotates_streams(file: Path) -> bool:
    """Whether a JSON file has a `database`, and not of clips alone."""
    text = beginning(file, None)
    return '"database"' in text and set(_SUBSET.findall(text)) != {"clips"}


def read(path: Path, wanted: Wanted) -> Found:
    """The streams that are annotated.

    Raises:
        ConfigError: annotations that cannot be read or cannot be, or none of their streams is there.
    """
    file = annotation_file(path)
    assert file is not None, "recognised before it is read"
    recordings, remarks = [], []
    try:
        database: dict[str, Any] = json.loads(read_text(file))["database"]
        library = Library(file.parent) if any("file" not in entry for entry in database.values()) else None
        withheld = [name for name, entry in database.items() if _is_withheld(entry)]
        for name, entry in sorted(database.items()):
            stream = _path(file, name, entry, library)
            segments = _segments(file, name, entry)
            if name in withheld:
                continue
            if stream is None:
                remarks.append(f"{file}: left out: stream {name} is not there")
                continue
            group = wanted.group_of(stream.name, f"{stream.parent.name}/{stream.name}")
            part = PARTS.get(str(entry.get("subset", "")).lower())
            fps = float(entry["fps"]) if stream.is_dir() and "fps" in entry else None
            recordings.append(Recording(stream, group, None, segments, part, fps=fps))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{file} cannot be read ({type(error).__name__}: {error}): expected {_EXPECTED}") from error
    if withheld:
        remarks.append(f"{file}: left out: {len(withheld)} streams to test on whose annotations were not published")
    if not recordings:
        reason = f"{len(remarks)} left out, the first: {remarks[0]}" if remarks else "it is empty"
        raise ConfigError(f"{file} names no stream that can be used ({reason}): give the folder that holds them too")
    return Found(file.parent, tuple(recordings), untrimmed=True, remarks=tuple(remarks))


def _is_withheld(entry: dict[str, Any]) -> bool:
    """Whether a stream is of the test set, and nothing was told about it."""
    return (
        PARTS.get(str(entry.get("subset", "")).lower()) == "test" and not entry["annotations"] and "file" not in entry
    )


def _path(file: Path, name: str, entry: dict[str, Any], library: Library | None) -> Path | None:
    """Where a stream lies; None where it does not."""
    if "file" in entry:
        path = file.parent / entry["file"]
        if not path.is_relative_to(file.parent):  # a recording is known by its place in the folder
            raise ConfigError(f"{file}: {name}: expected a file named from this folder on, got {path}; correct it")
        return path if path.exists() else None
    assert library is not None, "made where an entry has no file"
    return library.find(name) or library.find(f"v_{name}")


def _segments(file: Path, name: str, entry: dict[str, Any]) -> tuple[Segment, ...]:
    segments = []
    for annotation in entry["annotations"]:
        start, end = (float(edge) for edge in annotation["segment"])
        if not 0 <= start < end:
            raise ConfigError(f"{file}: {name}: a segment must run forward from 0 s, got {start} to {end}; correct it")
        segments.append(Segment(str(annotation["label"]), start, end))
    return segments_in_order(segments)


def narrowed(path: Path, labels: Collection[str]) -> dict[Path, str]:
    """The annotations of the streams in which some labels happen, and of those alone."""
    file = annotation_file(path)
    assert file is not None, "recognised before it is narrowed"
    content = json.loads(read_text(file))
    database = {}
    for name, entry in content["database"].items():
        kept = [annotation for annotation in entry["annotations"] if annotation["label"] in labels]
        if kept:
            database[name] = entry | {"annotations": kept}
    name = file.name if file == path else ANNOTATIONS
    return {Path(name): json.dumps(content | {"database": database}, indent=1) + "\n"}


FORMAT = Format("streams with annotations in the manner of ActivityNet", recognises, read, narrowed)
