"""How many threads a graph runs fastest with on this machine: measured once, and remembered in the user's cache folder.

More threads are not always faster: small pictures are done before a thread wakes, and cores that decode are not free.
Nothing here opens a graph; whoever can run one is asked to time it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

ROUNDS = 7
WORTH = 0.9
"""Share of the time with fewer threads that more threads must stay under: a core that saves less serves the readers."""


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def candidates(cores: int) -> list[int]:
    """Numbers of threads worth trying: powers of two, and all cores."""
    powers = [2**power for power in range(cores.bit_length())]
    return sorted({count for count in powers if count <= cores} | {cores})


def fastest(key: str, counts: Sequence[int], timer: Callable[[int], Callable[[], float]]) -> int:
    """The number of `counts` with which a graph runs fastest: as remembered under `key`, else measured and remembered.

    Args:
        key: what the answer depends on: graph, runtime, rows; the machine is added.
        counts: ascending.
        timer: a number of threads to a function that runs the graph once with it and returns the seconds taken.
    """
    key = f"{platform.node()} {platform.machine()} {os.cpu_count()} {key}"
    path = cache_file()
    known = _read(path)
    if known.get(key) in counts:
        return known[key]
    chosen = measured(counts, timer)
    _write(path, {**known, key: chosen})
    return chosen


def measured(counts: Sequence[int], timer: Callable[[int], Callable[[], float]]) -> int:
    """As `fastest`, measured now: the fewest threads that no larger number is worth adding to."""
    timers = {count: timer(count) for count in counts}
    for run in timers.values():
        run()  # the first run is a slow one
    spent: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(ROUNDS):  # in turns, so that what else the machine does falls on all alike
        for count, run in timers.items():
            spent[count].append(run())
    chosen = counts[0]
    for count in counts[1:]:
        if median(spent[count]) < WORTH * median(spent[chosen]):
            chosen = count
    return chosen


def cache_file() -> Path:
    """Where measurements are remembered: under XDG_CACHE_HOME, else ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "actionstream" / "threads.json"


def _read(path: Path) -> dict[str, int]:
    """What is remembered; nothing where the file is missing or damaged, so it is measured again."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(path: Path, known: dict[str, int]) -> None:
    """Replaces the file at once, so that no reader finds half of one; where it can't be written, nothing is kept."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            json.dump(known, file, indent=1)
        Path(file.name).replace(path)
