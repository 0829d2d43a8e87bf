"""The library's front door: names, found when they are first used. No code of the line lives here.

    from stream import Recognizer, open_source

`import stream` loads none of numpy, onnxruntime, av or cv2; each name loads what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream.contracts import (
        Event,
        FeatureExtractor,
        Frame,
        Head,
        Input,
        Picture,
        Prediction,
        Sink,
        Source,
        State,
        Tick,
    )
    from stream.recognizer import Recognizer
    from stream.sources import open_source

__all__ = [
    "Event",
    "FeatureExtractor",
    "Frame",
    "Head",
    "Input",
    "Picture",
    "Prediction",
    "Recognizer",
    "Sink",
    "Source",
    "State",
    "Tick",
    "open_source",
]

_ELSEWHERE = {"Recognizer": "stream.recognizer", "open_source": "stream.sources"}


def __getattr__(name: str) -> Any:
    """The public name `name`, from the module where it lives."""
    if name not in __all__:
        raise AttributeError(f"module 'stream' has no attribute {name!r}")
    return getattr(import_module(_ELSEWHERE.get(name, "stream.contracts")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
