"""Where the bundle, the clip and its truth are that travel with the package.

They are found through the package, never through the folder that somebody happens to stand in.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def default_bundle() -> Path:
    """The folder of the bundle that is used where nobody names one."""
    return _sample("models", "figures")


def demo_clip() -> Path:
    """The rendered clip of the demo."""
    return _sample("clips", "demo.mp4")


def demo_truth() -> Path:
    """What happens in `demo_clip()` and when, as ActivityNet-style JSON."""
    return _sample("clips", "demo.json")


def _sample(*names: str) -> Path:
    return Path(str(files("samples").joinpath(*names)))
