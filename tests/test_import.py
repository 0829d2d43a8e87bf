"""What importing costs and drags in, in fresh processes: `import stream` loads next to nothing, TensorFlow never."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import stream

HEAVY = {"numpy", "av", "cv2", "onnxruntime", "pydantic", "click", "rich"}
CONTRACTS = "stream.contracts"
BANNED = {"tensorflow", "keras", "tf2onnx", "onnx", "train", "export", "sklearn", "matplotlib"}
FOLDER = Path(stream.__file__).parent


def loaded_by(code: str) -> set[str]:
    """The packages that a fresh process holds after `code`."""
    code = f"import sys\n{code}\nprint('loaded:', *{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, cwd=FOLDER.parent)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("loaded:")[2].split())


def modules() -> list[str]:
    """Every module of stream, by name."""
    paths = [path.relative_to(FOLDER.parent).with_suffix("") for path in sorted(FOLDER.rglob("*.py"))]
    return [".".join(path.parts).removesuffix(".__init__") for path in paths]


def test_import_stream_loads_nothing_heavy() -> None:
    assert not loaded_by("import stream; dir(stream)") & (HEAVY | BANNED)


def test_every_module_of_stream_does_without_training() -> None:
    names = modules()
    assert {"stream", "stream.recognizer", "stream.inference", "stream.geometry"} <= set(names)
    loaded = loaded_by(f"from importlib import import_module\nfor name in {names!r}: import_module(name)")
    assert not loaded & BANNED
    assert {"onnxruntime", "cv2", "av"} <= loaded  # so they were really imported


def test_only_sessions_import_onnxruntime() -> None:
    rest = "sampling, geometry, bundle, decision, ring, state, batch"
    assert "onnxruntime" not in loaded_by(f"from stream import {rest}")
    assert "onnxruntime" in loaded_by("from stream import session")


def test_public_names_are_found_when_used() -> None:
    for name in stream.__all__:
        home = import_module({"Recognizer": "stream.recognizer", "open_source": "stream.sources"}.get(name, CONTRACTS))
        assert getattr(stream, name) is getattr(home, name)
        assert name in dir(stream)
    assert stream.__all__ == sorted(stream.__all__)
    with pytest.raises(AttributeError, match="surprise"):
        _ = stream.surprise
