"""The values of the line: frozen, light to import, and what each says of itself."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from stream import contracts
from stream.contracts import FITS, MODES, Event, Frame, Input, Picture, Prediction, Tick

VALUES = (Picture, Input, Frame, Tick, Prediction, Event)


@pytest.mark.parametrize("value", VALUES)
def test_values_are_frozen(value: type) -> None:
    assert value.__dataclass_params__.frozen  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", VALUES)
def test_values_with_arrays_compare_by_identity(value: type) -> None:
    holds_arrays = any(
        word in str(field.type) for field in dataclasses.fields(value) for word in ("NDArray", "Picture")
    )
    assert value.__dataclass_params__.eq is not holds_arrays  # type: ignore[attr-defined]


@pytest.mark.parametrize(("rotation", "size"), [(0, (4, 6)), (90, (6, 4)), (180, (4, 6)), (270, (6, 4))])
def test_a_pictures_size_is_that_of_the_upright_picture(rotation: int, size: tuple[int, int]) -> None:
    assert Picture((np.zeros((4, 6, 3), np.uint8),), "rgb", rotation=rotation).size == size
    assert Picture((np.zeros((4, 6), np.uint8),), "gray", rotation=rotation).size == size


def test_defaults_are_those_of_live_cameras() -> None:
    assert (Input(96, 128).fit, Input(96, 128).max_gap) == ("letterbox", 2.0)
    assert FITS == ("center", "squash", "letterbox", "region") and MODES == ("carry", "window", "staggered")


def test_contracts_import_numpy_and_the_standard_library_only() -> None:
    code = "import sys, stream.contracts, stream.errors; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    ours = set(loaded.split()) - set(sys.stdlib_module_names)
    assert {"numpy", "stream"} <= ours
    assert not ours & {"av", "cv2", "onnxruntime", "pydantic", "click", "rich"}
    assert contracts.__doc__
