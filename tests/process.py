"""`actionstream` in a process of its own, as a person starts it. Nothing here is a test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def start(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    """The process, running, its output in pipes; without a display unless `environment` names one."""
    variables = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    variables |= {"PYTHONPATH": os.pathsep.join(path for path in (str(ROOT), os.environ.get("PYTHONPATH")) if path)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "stream.cli", *map(str, arguments)],
        cwd=cwd,
        env=variables | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    *arguments: str | Path, cwd: Path | None = None, timeout: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """What became of the process; it is killed, and the test fails, after `timeout` seconds."""
    process = start(*arguments, cwd=cwd, **environment)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, killed afterwards if it still runs: a test that fails beside it says so at once."""
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def x_server() -> Iterator[str]:
    """The name (DISPLAY) of a fresh X server that shows its screen to nobody."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        os.close(write)
        with os.fdopen(read) as pipe:
            name = f":{pipe.readline().strip()}"
        try:
            yield name
        finally:
            server.terminate()
