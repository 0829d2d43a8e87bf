"""What looks as if it were on both sides of a split: groups, bytes, and first pictures that are nearly the same.

The sides are the parts of an official split, where there is one; otherwise groups, by which every split is made.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from train.formats.files import pictures_of
from train.readable import Facts
from train.recordings import Dataset, Recording

ALIKE = 5.0
"""Grey levels, root mean square, under which two first pictures are nearly the same."""
FLAT = 5.0
"""Standard deviation, in grey levels, under which a picture is too plain to be like another: black, or a title."""
CHUNK = 512
Kind: TypeAlias = Literal["group", "bytes", "picture"]


@dataclass(frozen=True)
class Leak:
    """Two recordings on different sides that should be on one.

    Attributes:
        kind: what they share: their group, their bytes, or nearly their first picture.
        first, second: their names.
        sides: where they are: parts, or groups.
    """

    kind: Kind
    first: str
    second: str
    sides: tuple[str, str]


def find_leaks(dataset: Dataset, facts: Sequence[Facts], advance: Callable[[], None] = lambda: None) -> list[Leak]:
    """All pairs that were found; of a group or of equal bytes, the first on either side stand for all.

    Args:
        dataset: recordings that can be read.
        facts: of each.
        advance: called for each recording.
    """
    sides = _sides(dataset.recordings)
    same = [_across(dataset, sides, "group", _by_group(dataset.recordings))] if _is_split(dataset.recordings) else []
    same.append(_across(dataset, sides, "bytes", _by_bytes(dataset.recordings, advance)))
    certain = [leak for each in same for leak in each]
    known = {(leak.first, leak.second) for leak in certain}
    alike = [_leak(dataset, "picture", first, second, sides) for first, second in _alike(facts, sides)]
    return certain + [leak for leak in alike if (leak.first, leak.second) not in known]


def name_of(dataset: Dataset, recording: Recording) -> str:
    """What a recording is called: its path in the dataset, and its row or its seconds where others share that."""
    name = recording.path.relative_to(dataset.root).as_posix()
    if recording.features is not None and recording.features.row is not None:
        return f"{name}, row {recording.features.row}"
    return name if recording.span is None else f"{name}, {recording.span[0]:g}-{recording.span[1]:g} s"


def _is_split(recordings: Sequence[Recording]) -> bool:
    return any(recording.part for recording in recordings)


def _sides(recordings: Sequence[Recording]) -> list[str]:
    """Which side each recording is on; those without a part, beside others with one, train."""
    if _is_split(recordings):
        return [recording.part or "training" for recording in recordings]
    return [recording.group for recording in recordings]


def _by_group(recordings: Sequence[Recording]) -> list[list[int]]:
    groups = defaultdict(list)
    for i, recording in enumerate(recordings):
        groups[recording.group].append(i)
    return list(groups.values())


def _by_bytes(recordings: Sequence[Recording], advance: Callable[[], None]) -> list[list[int]]:
    """Numbers of recordings whose files are the same, whatever they are called; only equal sizes are read."""
    sizes = defaultdict(list)
    for i, recording in enumerate(recordings):
        if recording.features is None and recording.span is None:
            sizes[tuple(path.stat().st_size for path in _files(recording))].append(i)
    same = defaultdict(list)
    for members in sizes.values():
        for i in members:
            if len(members) > 1:
                same[_digest(_files(recordings[i]))].append(i)
            advance()
    return list(same.values())


def _files(recording: Recording) -> list[Path]:
    return [each for path in recording.files for each in ([path] if path.is_file() else pictures_of(path))]


def _digest(files: Sequence[Path]) -> str:
    found = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def _across(dataset: Dataset, sides: Sequence[str], kind: Kind, together: Sequence[Sequence[int]]) -> Iterator[Leak]:
    """A leak for each pair of sides that recordings which belong together are on."""
    for members in together:
        first: dict[str, int] = {}
        for i in members:
            first.setdefault(sides[i], i)
        one, *others = first.values()
        for other in others:
            yield _leak(dataset, kind, one, other, sides)


def _alike(facts: Sequence[Facts], sides: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs on different sides whose first pictures are nearly the same."""
    shown = [(i, each.thumbnail) for i, each in enumerate(facts) if each.thumbnail is not None]
    kept = [(i, picture.reshape(-1).astype(np.float32)) for i, picture in shown if picture.std() >= FLAT]
    if len(kept) < 2:
        return
    numbers = [i for i, _ in kept]
    pictures = np.stack([picture for _, picture in kept])
    where = np.array([sides[i] for i in numbers])
    squares = np.einsum("nd,nd->n", pictures, pictures)
    for first in range(0, len(pictures), CHUNK):
        rows = slice(first, first + CHUNK)
        distances = squares[rows, None] + squares - 2 * pictures[rows] @ pictures.T
        near = _root_mean(distances, pictures.shape[1]) < ALIKE
        near &= where[rows, None] != where
        for i, j in np.argwhere(near):
            if first + i < j:
                yield numbers[first + i], numbers[j]


def _root_mean(squared: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    return np.asarray(np.sqrt(np.maximum(squared, 0) / size), np.float32)


def _leak(dataset: Dataset, kind: Kind, first: int, second: int, sides: Sequence[str]) -> Leak:
    one, other = (name_of(dataset, dataset.recordings[i]) for i in (first, second))
    return Leak(kind, one, other, (sides[first], sides[second]))
