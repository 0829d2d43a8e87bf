"""How long it takes from starting the program to its first label: in new processes, as a person starts it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from stream.errors import ConfigError
from stream.inference import Threads

WANTED_S = 1.5


def first_label_s(clip: Path, model: Path, *, device: str = "auto", threads: Threads = None) -> float:
    """Returns the seconds from starting `actionstream watch CLIP --labels -` to the first line that it prints.

    Args:
        clip: a video file.
        model: a bundle's folder.
        device: where the graphs run.
        threads: of the features graph; what the program chooses when None.

    Raises:
        ConfigError: it printed none.
    """
    options = [str(clip), "--model", str(model), "--device", device, "--labels", "-", "--no-show"]
    if threads is not None:
        options += ["--threads", str(threads)]
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "stream.cli", "watch", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as watch:
        assert watch.stdout is not None
        line = watch.stdout.readline()
        took = time.monotonic() - began
        watch.kill()
    if not line:
        raise ConfigError(f"{clip}: expected `actionstream watch` to print labels of it, got none; try that command")
    return took
