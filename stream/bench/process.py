"""What the system says of a process: memory, open files, threads, CPU time; and that a process may open many files.

Linux tells it in /proc. Elsewhere it is not known, and None says so: no bench guesses.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def rss_bytes() -> int | None:
    """Memory of this process that is in RAM."""
    try:
        return int((PROC / "self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def open_files() -> int | None:
    """Files, sockets and pipes that this process holds open."""
    try:
        return len(os.listdir(PROC / "self/fd")) - 1  # noqa: PTH208  and the one that lists them
    except OSError:
        return None


def threads() -> int | None:
    """Threads of this process: Python's, FFmpeg's and ONNX Runtime's."""
    try:
        return len(os.listdir(PROC / "self/task"))  # noqa: PTH208
    except OSError:
        return None


def cpu_s(pid: int) -> float | None:
    """CPU seconds that a process, all its threads, has used; to a hundredth."""
    try:
        # Fields 14 and 15 of proc(5), user and system; the second, in brackets, may hold spaces.
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def allow_many_files() -> None:
    """Lets this process open as many files as it may ever: hundreds of cameras are hundreds of sockets."""
    with suppress(ImportError):  # Windows knows no such limit
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(ValueError, OSError):  # macOS calls it infinite, and refuses
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
