"""TensorFlow without its notes on stderr, for commands that print tables and progress bars. Nothing else."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def quiet_tensorflow() -> None:
    """Imports TensorFlow with the process's standard error closed.

    Whatever level is set, it tells of CUDA libraries that it did not find: at its import, and looking for devices.

    Raises:
        ImportError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import tensorflow

        tensorflow.config.list_physical_devices()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
