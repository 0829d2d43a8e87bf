"""Fixtures that several test modules share: where the real footage is, and media made on the spot."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.process import x_server

if TYPE_CHECKING:
    from stream.bundle import Bundle
    from stream.recognizer import Recognizer
    from train.runs import Run

ROOT = Path(__file__).resolve().parent.parent

# A shell that starts pytest behind `&` has it ignore Ctrl-C, and so would every process that a test starts: one that is
# told to stop by Ctrl-C would run for ever. What has a handler here begins there with the system's default.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what takes minutes, unless it was asked for."""
    if os.environ.get("ACTIONSTREAM_SLOW"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: ACTIONSTREAM_SLOW=1 runs it, as .ci/run does"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real footage beside the checkout; skips where it is absent."""
    folder = Path(os.environ.get("ACTIONSTREAM_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"real footage is not on this machine ({folder.name}/ beside the checkout, or ACTIONSTREAM_SHARED)")
    return folder


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of tiny clips, 48x64 at 20 fps: a square moves right, or down, or nothing moves; 4 sequences."""
    import numpy as np

    from tests.media import encode_h264

    root = tmp_path_factory.mktemp("clips")
    steps = {"none": (0, 0), "right": (0, 2), "down": (1, 0)}
    for label, (down, across) in steps.items():
        (root / label).mkdir()
        for sequence in range(4):
            rng = np.random.default_rng([sequence, len(label)])
            ground = rng.integers(30, 90, (48, 64, 3)).astype(np.uint8)
            pictures = []
            for t in range(20):
                picture = ground.copy()
                y, x = 4 + sequence + t * down, 4 + sequence + t * across
                picture[y : y + 14, x : x + 14] = (240, 220, 60)
                pictures.append(picture)
            encode_h264(pictures, root / label / f"seq{sequence:02d}_{label}.mp4", fps=20)
    return root


@pytest.fixture(scope="session")
def h264_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of H.264 at 25 frames a second, 320x240, a keyframe every 12."""
    from tests.media import encode_h264, moving_pictures

    return encode_h264(moving_pictures(75, 320, 240), tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real bundle of the labels none, wave and clap; what it says means nothing, and is always the same."""
    from tests.graphs import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundles") / "tiny").folder


@pytest.fixture(scope="session")
def screen() -> Iterator[str]:
    """The DISPLAY of an X server that shows its screen to nobody."""
    if shutil.which("Xvfb") is None:
        pytest.skip("windows are tested in Xvfb, which is not installed")
    with x_server() as name:
        yield name


@pytest.fixture(scope="session")
def webcam_shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that, preloaded, answers for the driver of /dev/video0 (tests/peers/v4l2_shim.c)."""
    compiler = shutil.which("gcc")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("the webcam that stands in for a real one needs Linux and gcc")
    library = tmp_path_factory.mktemp("shim") / "v4l2_shim.so"
    source = ROOT / "tests" / "peers" / "v4l2_shim.c"
    subprocess.run([compiler, "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A saved run of a small Keras network with seeded random weights of ordinary size; its labels mean nothing."""
    from export.compare import random_run
    from stream.contracts import Input
    from train.models import ModelSettings
    from train.runs import save_run
    from train.settings import InputSettings, Recipe, StageSettings

    seen = InputSettings(height=48, width=64)
    settings = ModelSettings(backbone="compact", units=16, embedding=24)
    run = random_run(tmp_path_factory.mktemp("runs") / "tiny", settings, Input(48, 64), ["none", "wave", "clap"])
    with warnings.catch_warnings():  # Keras 3.15 reads a variable as numpy 1 wants it; numpy 2 does it, and says so
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        save_run(run, Recipe(name="tiny", input=seen, model=settings, stages=(StageSettings(kind="head", epochs=1),)))
    return run


@pytest.fixture(scope="session")
def keras_bundle(tiny_run: Run, h264_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle that `tiny_run` is exported to, in carry mode, with golden files."""
    from export.pack import pack

    return pack(tiny_run, tmp_path_factory.mktemp("bundles") / "exported", clip=h264_clip)


@pytest.fixture(scope="session")
def native_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle of seeded weights that makes a tick of every frame."""
    from tests.graphs import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundles") / "native", rate="native", golden=False).folder


@pytest.fixture
def recognizer(native_bundle: Path) -> Recognizer:
    """Of the native bundle, one tick a step."""
    from stream.recognizer import Recognizer

    return Recognizer.load(native_bundle, device="cpu", threads=1)


@pytest.fixture(scope="session")
def walk_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of a walking square, 3 s at 25 a second."""
    from tests.media import encode_h264, moving_pictures

    return encode_h264(moving_pictures(75), tmp_path_factory.mktemp("clips") / "walk.mp4")


@pytest.fixture
def no_thread_left_behind() -> Iterator[None]:
    """Fails the test that leaves a thread running 5 s after it."""
    before = set(threading.enumerate())
    yield
    late = set(threading.enumerate()) - before
    for thread in late:
        thread.join(5)
    assert not [thread.name for thread in late if thread.is_alive()]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter limits of what is connected to, so that what takes seconds in the field takes one here."""
    from stream.sources import connection

    monkeypatch.setattr(connection, "OPEN_S", 1.0)
    monkeypatch.setattr(connection, "SILENCE_S", 1.0)
