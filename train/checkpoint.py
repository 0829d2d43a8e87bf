"""The checkpoint of an unfinished run: one file, replaced as a whole after each epoch, so that a kill loses one epoch.

No training here; what a step depends on comes from train.stepper.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import ConfigError

CHECKPOINT = "checkpoint.npz"
_REACHED = "reached"


@dataclass
class Reached:
    """How far training has come.

    Attributes:
        task: digest of recipe and data: a checkpoint serves no other.
        stage, epoch: number of the stage, and its epochs that are done.
        best: lowest validation loss of the stage; None before its first epoch, or without validation.
        history: one row an epoch, over all stages.
    """

    task: str
    stage: int = 0
    epoch: int = 0
    best: float | None = None
    history: list[dict[str, Any]] = field(default_factory=list)


def save_checkpoint(folder: Path, reached: Reached, state: dict[str, NDArray[Any]]) -> None:
    """Replaces the checkpoint in `folder`, whole or not at all."""
    partial = folder / f"partial-{CHECKPOINT}"
    with partial.open("wb") as file:
        np.savez(file, **{_REACHED: np.array(json.dumps(vars(reached)))}, **state)  # type: ignore[arg-type]
    partial.replace(folder / CHECKPOINT)


def load_checkpoint(folder: Path, task: str) -> tuple[Reached, dict[str, NDArray[Any]]] | None:
    """How far training in `folder` had come, and the stepper's state; None where it has not begun.

    Raises:
        ConfigError: the checkpoint is of another recipe or other data, or is damaged.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            state = {name: arrays[name] for name in arrays.files}
        reached = Reached(**json.loads(str(state.pop(_REACHED))))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"checkpoint {path} is damaged ({error}): remove the folder and train again") from error
    if reached.task != task:
        raise ConfigError(
            f"{folder} holds an unfinished run of another recipe, fold or data: expected the same ones to go on with "
            "it; choose another --out, or remove the folder to begin anew"
        )
    return reached, state
